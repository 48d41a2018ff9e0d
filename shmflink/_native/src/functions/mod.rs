//! Kernels of expressions (`shmflink/expressions`) that Arrow's compute library does not have: columns in, columns out.
//!
//! ```text
//! calendar.rs   dates <-> days
//! pattern.rs    Java's date patterns, compiled: moments <-> text
//! iso.rs        text of moments without a pattern: ISO 8601, and the forms of Flink's CAST
//! moments.rs    columns of moments and of their text
//! digest.rs     MD5, SHA-1, SHA-2 as hexadecimal digits
//! web.rs        URL encoding, parts of URLs, IPv4 addresses
//! selection.rs  rows by a mask
//! texts.rs      common code: string columns in and out
//! strings/      parts of strings, search, regular expressions, numbers, encodings
//! json/         JSON text: validation, paths, extraction, writing
//! ```
//! No kernel keeps state between calls; the GIL is released while one runs.

mod calendar;
mod digest;
mod iso;
pub mod json;
mod moments;
mod pattern;
mod selection;
mod strings;
mod texts;
mod web;

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    moments::register(module)?;
    selection::register(module)?;
    digest::register(module)?;
    web::register(module)?;
    strings::register(module)?;
    json::register(module)
}
