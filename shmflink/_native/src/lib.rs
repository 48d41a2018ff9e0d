//! `shmflink._core`: what Python cannot do at the speed, or with the memory ordering, that a job needs.
//!
//! ```text
//! transport/  segment arenas, descriptor rings, credits, doorbells, the status page   (no Arrow, no Python in it)
//! exchange/   key hash, scatter of columns into open segments, record batches over segments, gates, partitions
//! rows/       rows (Python objects) <-> columns, keys
//! text/       columns -> lines of CSV and JSON
//! strings/    kernels of string expressions
//! ```
//! `transport` knows nothing of the others; `exchange` stands on it; `rows`, `text` and `strings` stand alone.

pub mod exchange;
pub mod rows;
pub mod strings;
pub mod text;
pub mod transport;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    transport::register(module)?;
    exchange::register(module)?;
    rows::register(module)?;
    text::register(module)?;
    strings::register(module)?;
    Ok(())
}
