//! Record batches through channels: key hash, scatter into open segments, images over segments, partitions and gates.
//!
//! ```text
//! python.rs       the classes of shmflink._core
//! partition.rs    producing end of an edge            gate.rs      consuming end of an input
//! lane.rs         one channel of a partition          import.rs    Arrow arrays over an image, fully checked
//! targets.rs      the channel of each row             wire.rs      kinds known to both ends
//! open_rows.rs      open segment of flat columns        pieces.rs    rows of nested or many columns until an image is full
//! hash.rs         the key hash                        image.rs     layout and writer of a batch image
//! columns.rs      a column as memory buffers          export.rs    columns from what pyarrow exports
//! bits.rs         bits at any position                shared.rs    which columns lie in segments
//! ```

mod ascending;
pub mod bits;
pub mod columns;
pub mod error;
pub mod export;
pub mod gate;
pub mod hash;
pub mod image;
pub mod import;
pub mod incoming;
pub mod lane;
pub mod open_rows;
pub mod partition;
pub mod pieces;
pub mod python;
pub mod shared;
pub mod targets;
pub mod wire;

pub(crate) use python::check_max_parallelism;
pub use python::register;
