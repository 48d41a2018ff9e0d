//! Parquet files of this host -> columns: the usual files, fast.
//!
//! ```text
//! local_file.rs   bytes of a file: in memory as a whole where it is small, else read where they are needed
//! footer.rs       which files are usual: flat columns of the expected types, not compressed or by snappy
//! range.rs        the row groups that begin inside a range of a file, and their statistics
//! pages/          columns of plain and dictionary pages: the rows that are wanted
//! others.rs       other columns, by the crate `parquet`
//! columns.rs      row groups -> record batches
//! python.rs       what Python calls
//! ```
//! Against pyarrow's, the reader saves most of what a file costs by being opened (20 us
//! against 90 of a small one) and three quarters of what a footer of many columns costs. Whatever is not usual is left to
//! pyarrow: the caller gets nothing, and tries that.

mod columns;
mod footer;
mod local_file;
mod others;
mod pages;
mod python;
mod range;

pub use python::register;
