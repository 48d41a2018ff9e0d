//! Pages of flat columns -> arrays of the selected rows only.
//!
//! ```text
//! thrift.rs      the part of the compact protocol that page headers need
//! header.rs      page headers
//! hybrid.rs      runs of repeated and bit-packed integers: definition levels, indices into dictionaries
//! selection.rs   which rows of a span are selected
//! values.rs      plain values and dictionaries; the selected rows as an array
//! page.rs        a page in memory, and the position up to which it has been read
//! column.rs      a column of consecutive row groups
//! ```
//! Formats: <https://parquet.apache.org/docs/file-format/>. A decoder that reads first and filters later touches every
//! value three times and allocates memory for each page. This decoder takes the selected values from the decompressed
//! page, whose memory is reused, does not read pages without selected rows, and returns dictionaries as they are in the
//! file.
//!
//! All bytes come from outside: every length is checked, and a contradiction is an error with a description.

mod column;
mod header;
mod hybrid;
mod page;
mod selection;
mod thrift;
mod values;

pub use column::{Chunk, ColumnDecoder, Scratch};
pub use values::Kind;

pub type Result<T> = std::result::Result<T, String>;

pub const ENDS_EARLY: &str = "the column has fewer rows than the footer states";
