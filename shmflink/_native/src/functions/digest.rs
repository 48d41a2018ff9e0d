//! Digests as hexadecimal digits.

use md5::Md5;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::texts::{bytes, Writer};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// MD5, SHA-1 or SHA-2 of each value, in lower-case hexadecimal digits. Null where the value is null.
#[pyfunction]
fn hex_digest(py: Python<'_>, values: PyArray, algorithm: &str) -> PyResult<Py<PyAny>> {
    match algorithm {
        "md5" => digests::<Md5>(py, &values),
        "sha1" => digests::<Sha1>(py, &values),
        "sha224" => digests::<Sha224>(py, &values),
        "sha256" => digests::<Sha256>(py, &values),
        "sha384" => digests::<Sha384>(py, &values),
        "sha512" => digests::<Sha512>(py, &values),
        other => Err(PyValueError::new_err(format!("unknown digest {other}"))),
    }
}

fn digests<D: Digest>(py: Python<'_>, values: &PyArray) -> PyResult<Py<PyAny>> {
    let values = bytes(values)?;
    let writer = py.detach(|| -> PyResult<Writer> {
        let rows = arrow_array::Array::len(&values);
        let mut writer = Writer::new(rows, rows * 2 * <D as Digest>::output_size());
        for value in &values {
            if let Some(value) = value {
                for byte in D::digest(value).iter() {
                    let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                    writer.bytes.extend_from_slice(&digits);
                }
            }
            writer.finish_row(value.is_some())?;
        }
        Ok(writer)
    })?;
    writer.into_python(py)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(hex_digest, module)?)
}
