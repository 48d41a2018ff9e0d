//! Pages of flat columns -> arrays of the rows that are wanted, and of no others.
//!
//! ```text
//! thrift.rs      the compact protocol, as far as page headers need it
//! header.rs      page headers
//! hybrid.rs      runs of repeated and bit-packed integers: definition levels, indices into dictionaries
//! selection.rs   which rows of a span are wanted
//! values.rs      plain values and dictionaries; what rows become
//! page.rs        a page in memory, and how far it is read
//! column.rs      a column of row groups that follow each other
//! ```
//! Formats: <https://parquet.apache.org/docs/file-format/>. A decoder that reads first and filters later touches every value
//! three times and allocates each page anew; this one takes the wanted values from the decompressed page, whose memory is
//! used again, skips pages without a wanted row unread, and hands dictionaries out as they are in the file.
//!
//! All bytes come from outside: every length is checked, what contradicts itself is an error in words.

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

pub const ENDS_EARLY: &str = "the column ends before the rows that the footer promises";
