//! Text to columns: CSV, JSON lines, and plain lines.
//!
//! ```text
//! scan.rs     delimiters and line ends outside quotes, 64 bytes at a time
//! records.rs  the same, byte by byte, for text that cannot be read by the parity of quotes
//! values.rs   numbers; times.rs  dates and times; zones.rs  local times; rules.rs  what is null, true, false
//! column.rs   columns that grow
//! fields.rs   the fields of a run of CSV records into columns
//! infer.rs    which types the fields of CSV records have
//! csv.rs      windows of text, irregular and malformed records
//! json_text.rs  tokens of JSON; json_plan.rs  what is known of objects; json.rs  lines of JSON
//! lines.rs    lines of text
//! python.rs   the Python classes
//! ```
//! A parser keeps nothing between two calls: it takes text that begins at the start of a record and returns how much of
//! it it has read. Malformed input is omitted from the batch and described; no call fails because of its input.

mod column;
mod csv;
mod fields;
mod infer;
mod json;
mod json_plan;
mod json_text;
mod lines;
mod python;
mod records;
mod rules;
mod scan;
mod times;
mod values;
mod zones;

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<python::CsvParser>()?;
    module.add_class::<python::JsonParser>()?;
    module.add_class::<python::LineParser>()?;
    Ok(())
}
