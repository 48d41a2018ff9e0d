//! Rows (Python objects) <-> columns (Arrow), and keys as canonical bytes.
//!
//! ```text
//! object.rs   the few C-API calls per value, each behind a small function with its safety argument
//! shape.rs    the shape of rows in columns, compiled from the tuples of `core/types/shapes.py`
//! encode.rs   rows -> columns, strict: refuses values that would not be restored exactly
//! decode.rs   columns -> rows
//! conform.rs  converts rows to their declared form: rounds floats, turns tuples into rows
//! keys.rs     canonical bytes of keys
//! isolate.rs  value semantics: copies values that others can modify in place
//! buffer.rs   the rows that a user's function emits, with their timestamps
//! codec.rs    the Python class `RowCodec` over all of it
//! ```
//! All code here holds the GIL and runs no Python code between examining an object and using it.

mod buffer;
mod codec;
mod conform;
mod decode;
mod encode;
mod isolate;
mod keys;
mod object;
mod shape;

use pyo3::prelude::*;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<codec::RowCodec>()?;
    module.add_class::<isolate::Isolation>()?;
    module.add_class::<buffer::RecordBuffer>()?;
    module.add_function(wrap_pyfunction!(keys::canonical_keys, module)?)?;
    Ok(())
}
