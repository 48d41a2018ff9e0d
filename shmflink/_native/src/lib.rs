//! `shmflink._core`: what Python cannot do at the speed, or with the memory ordering, that a job needs.
//!
//! ```text
//! transport/  segment arenas, descriptor rings, credits, doorbells, the status page   (no Arrow, no Python in it)
//! exchange/   key hash, scatter of columns into open segments, record batches over segments, gates, partitions
//! parse/      CSV and JSON lines -> columns
//! rows/       rows (Python objects) <-> columns, keys
//! keyed/      tables by key: key words, index, rows, what changed since a checkpoint
//! aggregate/  grouped aggregation: states, partial and final results
//! joins/      rows of two sides by equal keys
//! windows/    aggregates by key and window: panes, sliding windows, sessions
//! parquet_files/ common Parquet files -> columns
//! text/       columns -> lines of CSV and JSON
//! state.rs    keyed state, one value per key
//! functions/  kernels of expressions: strings, dates as text, digests, URLs, JSON
//! ```
//! `transport` uses no other module; `exchange` uses `transport`; `keyed` uses the key hash of `exchange`; `aggregate`
//! and `joins` use `keyed`; `windows` uses `keyed` and `aggregate`; their errors are in `error.rs`; `functions` uses
//! the JSON values of `text`; `parquet_files`, `parse`, `rows`, `state` and `text` use no other module.

pub mod aggregate;
pub mod error;
pub mod exchange;
pub mod functions;
pub mod joins;
pub(crate) mod keyed;
pub mod parquet_files;
pub mod parse;
pub mod rows;
pub mod state;
pub mod text;
pub mod transport;
pub mod windows;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    transport::register(module)?;
    exchange::register(module)?;
    parquet_files::register(module)?;
    parse::register(module)?;
    rows::register(module)?;
    state::register(module)?;
    aggregate::register(module)?;
    windows::register(module)?;
    joins::register(module)?;
    text::register(module)?;
    functions::register(module)?;
    Ok(())
}
