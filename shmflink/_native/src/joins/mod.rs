//! Joins on equal keys: rows of one side kept by key, rows of the other side looked up.
//!
//! ```text
//! table.rs    the rows of the build side, by key; from probe rows to pairs of rows
//! python.rs   the class JoinTable of shmflink._core
//! ```
//! Only keys are here. The rows themselves stay Arrow columns of the operator, which takes them by the numbers that a
//! probe returns.

mod python;
mod table;

pub use python::register;
