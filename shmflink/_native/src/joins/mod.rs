//! Joins on equal keys: indexes the rows of one side by key and looks the rows of the other side up.
//!
//! ```text
//! table.rs    the rows of the build side, by key; from probe rows to pairs of rows
//! python.rs   the class JoinTable of shmflink._core
//! ```
//! The table stores only keys. The rows remain Arrow columns of the operator, which takes them by the row numbers that
//! a probe returns.

mod python;
mod table;

pub use python::register;
