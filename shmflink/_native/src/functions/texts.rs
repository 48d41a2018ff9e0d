//! String columns in and out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

pub fn to_pyarrow(py: Python<'_>, array: ArrayRef) -> PyResult<Py<PyAny>> {
    Ok(PyArray::from_array_ref(array).to_pyarrow(py)?.unbind())
}

/// The column as `pa.string()`.
pub fn strings(column: &PyArray) -> PyResult<StringArray> {
    column
        .array()
        .as_string_opt::<i32>()
        .cloned()
        .ok_or_else(|| PyTypeError::new_err(format!("a column of strings, not of {}", column.array().data_type())))
}

/// The bytes of a column of strings or of binary.
pub fn bytes(column: &PyArray) -> PyResult<BinaryArray> {
    match column.array().data_type() {
        DataType::Binary => Ok(column.array().as_binary::<i32>().clone()),
        _ => Ok(BinaryArray::from(strings(column)?)),
    }
}

/// Strings of a result, row by row; nulls where the result has none.
pub struct Writer {
    pub bytes: Vec<u8>,
    ends: Vec<i32>,
    valid: Vec<bool>,
    nulls: usize,
}

impl Writer {
    pub fn new(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            ends,
            valid: Vec::with_capacity(rows),
            nulls: 0,
        }
    }

    /// Where the current row starts.
    pub fn start(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// Ends a row with the bytes appended since the last one; false: the row is null, and drops these bytes.
    pub fn finish_row(&mut self, is_valid: bool) -> PyResult<()> {
        if !is_valid {
            self.bytes.truncate(self.start());
            self.nulls += 1;
        }
        let end = i32::try_from(self.bytes.len())
            .map_err(|_| PyValueError::new_err("the strings of a batch exceed 2 GiB: use smaller batches"))?;
        self.ends.push(end);
        self.valid.push(is_valid);
        Ok(())
    }

    pub fn finish_binary(self) -> BinaryArray {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let nulls = (self.nulls > 0).then(|| NullBuffer::from(self.valid));
        BinaryArray::new(offsets, Buffer::from_vec(self.bytes), nulls)
    }

    /// What was written must be UTF-8.
    pub fn finish(self) -> StringArray {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let nulls = (self.nulls > 0).then(|| NullBuffer::from(self.valid));
        StringArray::new(offsets, Buffer::from_vec(self.bytes), nulls)
    }

    pub fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        to_pyarrow(py, Arc::new(self.finish()))
    }
}

/// One string for each string; null for null. `write` returns whether the row has a value.
pub fn map_strings(
    py: Python<'_>,
    column: &PyArray,
    mut write: impl FnMut(&str, &mut Vec<u8>) -> PyResult<bool> + Send,
) -> PyResult<Py<PyAny>> {
    let texts = strings(column)?;
    let writer = py.detach(|| -> PyResult<Writer> {
        let mut writer = Writer::new(texts.len(), texts.values().len());
        for text in &texts {
            let is_valid = match text {
                Some(text) => write(text, &mut writer.bytes)?,
                None => false,
            };
            writer.finish_row(is_valid)?;
        }
        Ok(writer)
    })?;
    writer.into_python(py)
}
