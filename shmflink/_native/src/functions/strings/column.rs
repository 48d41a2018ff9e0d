//! Columns in and out. A column of one row is a constant: it applies to all rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, BooleanArray, Int32Array, Int64Array, StringArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

pub use crate::functions::texts::{bytes, strings, to_pyarrow, Writer};

pub fn too_long() -> PyErr {
    PyValueError::new_err("the strings of a batch exceed 2 GiB: use smaller batches")
}

/// Strings by row.
pub struct Texts {
    array: StringArray,
    is_constant: bool,
}

impl Texts {
    pub fn new(column: &PyArray, rows: usize) -> PyResult<Self> {
        let array = strings(column)?;
        let is_constant = is_constant(array.len(), rows)?;
        Ok(Self { array, is_constant })
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        let row = if self.is_constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }

    /// The constant, if the column is one and it is not null.
    pub fn constant(&self) -> Option<&str> {
        if self.is_constant {
            self.get(0)
        } else {
            None
        }
    }

    /// Bytes of all values: an estimate of the size of a result.
    pub fn size(&self, rows: usize) -> usize {
        let offsets = self.array.value_offsets();
        let size = (offsets[offsets.len() - 1] - offsets[0]) as usize;
        if self.is_constant {
            size.saturating_mul(rows).min(1 << 26)
        } else {
            size
        }
    }
}

/// Whole numbers by row.
pub struct Numbers {
    array: Int64Array,
    is_constant: bool,
}

impl Numbers {
    pub fn new(column: &PyArray, rows: usize) -> PyResult<Self> {
        let array = column
            .array()
            .as_primitive_opt::<Int64Type>()
            .cloned()
            .ok_or_else(|| PyTypeError::new_err("numbers are int64"))?;
        let is_constant = is_constant(array.len(), rows)?;
        Ok(Self { array, is_constant })
    }

    pub fn get(&self, row: usize) -> Option<i64> {
        let row = if self.is_constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

fn is_constant(length: usize, rows: usize) -> PyResult<bool> {
    if length != rows && length != 1 {
        return Err(PyValueError::new_err(format!("a column of {length} rows among {rows}")));
    }
    Ok(length != rows)
}

/// A string for each row. `write` appends it and returns whether the row has one.
pub fn write_strings(
    py: Python<'_>,
    rows: usize,
    size: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Option<()> + Send,
) -> PyResult<Py<PyAny>> {
    let array = py.detach(|| -> PyResult<StringArray> {
        let mut writer = Writer::new(rows, size);
        for row in 0..rows {
            let is_valid = write(row, &mut writer.bytes).is_some();
            writer.finish_row(is_valid)?;
        }
        Ok(writer.finish())
    })?;
    to_pyarrow(py, Arc::new(array))
}

/// A boolean for each row.
pub fn write_booleans(
    py: Python<'_>,
    rows: usize,
    test: impl FnMut(usize) -> Option<bool> + Send,
) -> PyResult<Py<PyAny>> {
    let array: BooleanArray = py.detach(|| (0..rows).map(test).collect());
    to_pyarrow(py, Arc::new(array))
}

/// A number of 32 bits for each row.
pub fn write_numbers(
    py: Python<'_>,
    rows: usize,
    count: impl FnMut(usize) -> Option<i32> + Send,
) -> PyResult<Py<PyAny>> {
    let array: Int32Array = py.detach(|| (0..rows).map(count).collect());
    to_pyarrow(py, Arc::new(array))
}
