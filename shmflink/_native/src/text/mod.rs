//! Columns -> lines of text: CSV and JSON, written cell by cell into one buffer.
//!
//! ```text
//! cells.rs    the columns of a batch, their types resolved once
//! times.rs    dates, times and timestamps as text
//! json.rs     JSON values
//! csv.rs      cells between delimiters, quoted as configured
//! python.rs   the two functions that Python calls
//! ```
//! Nothing here holds the GIL.

pub(crate) mod cells;
mod csv;
pub(crate) mod json;
mod python;
pub(crate) mod times;

pub use python::register;
