//! Kernels of string expressions (`shmflink/expressions`): columns in, columns out.
//!
//! ```text
//! column.rs     string and number columns in, one row standing for all; string columns out
//! splitting.rs  columns of lists of words
//! slicing.rs    parts of strings by positions: substring, pad, overlay
//! searching.rs  strings within strings: position, replace, translate, trim
//! cases.rs      upper, lower and capital letters
//! regular.rs    regular expressions
//! numbers.rs    strings <-> numbers, as Java reads and writes them
//! encoding.rs   base64, hexadecimal digits, character sets
//! ```
//! Positions count code points from 1, as in SQL. No kernel keeps state between calls; the GIL is released while one runs.

mod cases;
mod column;
mod encoding;
mod numbers;
mod regular;
mod searching;
mod slicing;
mod splitting;

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    splitting::register(module)?;
    slicing::register(module)?;
    searching::register(module)?;
    cases::register(module)?;
    regular::register(module)?;
    numbers::register(module)?;
    encoding::register(module)
}
