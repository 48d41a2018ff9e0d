//! Canonical bytes of keys; `core/keys/columns.py` draws the format.

use super::object::{self, Raw};
use arrow_array::{Array, LargeBinaryArray, RecordBatch};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use pyo3_arrow::PyRecordBatch;
use std::sync::Arc;

const TUPLE_DEPTH_MAX: usize = 16;

/// The keys as a batch of one large_binary column; None is null. `canonical(index, key)` returns the bytes of other
/// keys.
#[pyfunction]
pub fn canonical_keys<'py>(
    py: Python<'py>,
    keys: &Bound<'py, PyList>,
    canonical: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let len = keys.len();
    let mut data: Vec<u8> = Vec::with_capacity(len * 24);
    let mut offsets: Vec<i64> = Vec::with_capacity(len + 1);
    let mut valid: Vec<bool> = Vec::with_capacity(len);
    offsets.push(0);
    for index in 0..len {
        // Owned, because `canonical` may run Python code that changes the list.
        let key = keys.get_item(index)?;
        let start = data.len();
        valid.push(!key.is_none());
        if !key.is_none() && !append(&mut data, key.as_ptr(), 0) {
            data.truncate(start);
            let bytes = canonical.call1((index, &key))?;
            data.extend_from_slice(bytes.cast::<PyBytes>()?.as_bytes());
        }
        offsets.push(data.len() as i64);
    }
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let array = LargeBinaryArray::new(offsets, Buffer::from_vec(data), nulls);
    debug_assert_eq!(array.len(), len);
    let schema = Schema::new(vec![Field::new("key", DataType::LargeBinary, true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(array)])
        .map_err(|error| PyTypeError::new_err(error.to_string()))?;
    PyRecordBatch::new(batch).into_pyarrow(py)
}

/// Appends the bytes of a key; false (with garbage at the end of `data`) if Python must encode its type.
fn append(data: &mut Vec<u8>, key: Raw, depth: usize) -> bool {
    if let Some(number) = object::as_i64(key) {
        data.push(b'i');
        data.extend_from_slice(&number.to_le_bytes());
    } else if let Some(text) = object::as_utf8(key) {
        data.push(b's');
        data.extend_from_slice(text);
    } else if object::is_none(key) {
        data.push(b'n');
    } else if let Some(bit) = object::as_bool(key) {
        data.extend_from_slice(&[b't', u8::from(bit)]);
    } else if let Some(number) = object::as_f64(key) {
        data.push(b'f');
        data.extend_from_slice(&normalised(number).to_le_bytes());
    } else if let Some(bytes) = object::as_bytes(key) {
        data.push(b'b');
        data.extend_from_slice(bytes);
    } else {
        return object::is_tuple(key) && depth < TUPLE_DEPTH_MAX && append_tuple(data, key, depth);
    }
    true
}

fn append_tuple(data: &mut Vec<u8>, key: Raw, depth: usize) -> bool {
    let len = object::tuple_len(key);
    data.push(b'T');
    data.extend_from_slice(&(len as u32).to_le_bytes());
    for index in 0..len {
        let at = data.len();
        data.extend_from_slice(&[0; 4]);
        if !append(data, object::tuple_item(key, index), depth + 1) {
            return false;
        }
        let size = (data.len() - at - 4) as u32;
        data[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
    true
}

/// One zero and one NaN.
fn normalised(number: f64) -> f64 {
    if number.is_nan() {
        f64::from_bits(0x7FF8_0000_0000_0000)
    } else {
        number + 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn zeros_and_nans_are_one_key_each() {
        assert_eq!(normalised(-0.0).to_bits(), 0.0f64.to_bits());
        assert_eq!(normalised(-f64::NAN).to_bits(), 0x7FF8_0000_0000_0000);
        assert_eq!(normalised(1.5), 1.5);
    }
}
