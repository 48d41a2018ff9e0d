//! JSON text, as the SQL/JSON functions of ISO/IEC 9075-2 read and write it.
//!
//! ```text
//! scan.rs    validates; locates values, members and items
//! path.rs    compiled paths, which select values of a document
//! query.rs   IS JSON, JSON_EXISTS, JSON_VALUE, JSON_QUERY over a column
//! build.rs   quoting, JSON_OBJECT, JSON_ARRAY, JSON_STRING
//! ```

mod build;
mod path;
mod query;
mod scan;

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    query::register(module)?;
    build::register(module)
}
