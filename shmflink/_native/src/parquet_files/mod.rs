//! Local Parquet files -> columns: a fast reader for common files.
//!
//! ```text
//! local_file.rs   bytes of a file: read at once if it is small, otherwise on demand
//! footer.rs       which files are supported: flat columns of the expected types, uncompressed or snappy
//! range.rs        the row groups that begin inside a range of a file, and their statistics
//! pages/          columns of plain and dictionary pages: only the selected rows
//! others.rs       other columns, by the crate `parquet`
//! columns.rs      row groups -> record batches
//! python.rs       what Python calls
//! ```
//! Compared with pyarrow, it saves most of the cost of opening a file (20 us instead of 90 for a small one) and three
//! quarters of the cost of a footer with many columns. For other files it returns nothing, and the caller uses pyarrow.

mod columns;
mod footer;
mod local_file;
mod others;
mod pages;
mod python;
mod range;

pub use python::register;
