//! Columns in and out. A column of one row stands for all rows: a constant.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

pub fn to_pyarrow(py: Python<'_>, array: ArrayRef) -> PyResult<Py<PyAny>> {
    Ok(PyArray::from_array_ref(array).to_pyarrow(py)?.unbind())
}

pub fn too_long() -> PyErr {
    PyValueError::new_err("the strings of a batch are more than 2 GiB: use smaller batches")
}

/// The column as `pa.string()`.
pub fn strings(column: &PyArray) -> PyResult<StringArray> {
    let found = column.array().as_string_opt::<i32>().cloned();
    found.ok_or_else(|| PyTypeError::new_err(format!("a column of strings, not of {}", column.array().data_type())))
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

    /// The value of all rows where there is one and it is not null.
    pub fn constant(&self) -> Option<&str> {
        if self.is_constant {
            self.get(0)
        } else {
            None
        }
    }

    /// Bytes of all values: a guess at the size of a result.
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

/// Strings or binary of a result, row by row.
pub struct Writer {
    pub bytes: Vec<u8>,
    ends: Vec<i32>,
    valid: BooleanBufferBuilder,
    nulls: usize,
}

impl Writer {
    pub fn new(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            ends,
            valid: BooleanBufferBuilder::new(rows),
            nulls: 0,
        }
    }

    /// The bytes appended since the last row are one; false: a null, and they are dropped.
    pub fn finish_row(&mut self, is_valid: bool) -> PyResult<()> {
        if !is_valid {
            self.bytes.truncate(self.ends[self.ends.len() - 1] as usize);
            self.nulls += 1;
        }
        self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| too_long())?);
        self.valid.append(is_valid);
        Ok(())
    }

    fn parts(mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let nulls = (self.nulls > 0).then(|| NullBuffer::from(self.valid.finish()));
        (offsets, Buffer::from_vec(self.bytes), nulls)
    }

    /// What was written must be UTF-8.
    pub fn into_strings(self) -> StringArray {
        let (offsets, bytes, nulls) = self.parts();
        StringArray::new(offsets, bytes, nulls)
    }

    pub fn into_binary(self) -> BinaryArray {
        let (offsets, bytes, nulls) = self.parts();
        BinaryArray::new(offsets, bytes, nulls)
    }
}

/// A string for each row. `write` appends it and says whether there is one.
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
        Ok(writer.into_strings())
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
