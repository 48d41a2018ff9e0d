//! Upper, lower and capital letters.

use std::sync::Arc;

use arrow_array::{Array, StringArray};
use arrow_buffer::Buffer;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::column::{strings, to_pyarrow, write_strings, Texts};

/// All letters in upper (or lower) case. Pure ASCII text, the usual case, is converted as one buffer.
#[pyfunction]
fn change_case(py: Python<'_>, texts: PyArray, is_upper: bool) -> PyResult<Py<PyAny>> {
    let array = strings(&texts)?;
    if array.is_empty() {
        return to_pyarrow(py, Arc::new(StringArray::new_null(0))); // its offsets may lie outside its bytes
    }
    let offsets = array.value_offsets();
    let used = &array.values()[offsets[0] as usize..offsets[array.len()] as usize];
    if !used.is_ascii() {
        return changed(py, &texts, array.len(), is_upper);
    }
    let result = py.detach(|| {
        let mut bytes = used.to_vec();
        if is_upper {
            bytes.make_ascii_uppercase();
        } else {
            bytes.make_ascii_lowercase();
        }
        let ends = if offsets[0] == 0 {
            array.offsets().clone()
        } else {
            arrow_buffer::OffsetBuffer::new(offsets.iter().map(|end| end - offsets[0]).collect::<Vec<i32>>().into())
        };
        StringArray::new(ends, Buffer::from_vec(bytes), array.nulls().cloned())
    });
    to_pyarrow(py, Arc::new(result))
}

fn changed(py: Python<'_>, texts: &PyArray, rows: usize, is_upper: bool) -> PyResult<Py<PyAny>> {
    let texts = Texts::new(texts, rows)?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let text = texts.get(row)?;
        let text = if is_upper {
            text.to_uppercase()
        } else {
            text.to_lowercase()
        };
        out.extend_from_slice(text.as_bytes());
        Some(())
    })
}

/// The first letter of each word in upper case, the others in lower case. Words are runs of letters and digits.
#[pyfunction]
fn capitalize_words(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    let rows = texts.array().len();
    let texts = Texts::new(&texts, rows)?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let mut is_inside = false;
        let mut letters = [0; 4];
        for letter in texts.get(row)?.chars() {
            let changed = if is_inside {
                letter.to_lowercase().next()
            } else {
                letter.to_uppercase().next()
            };
            let changed = changed.unwrap_or(letter);
            out.extend_from_slice(changed.encode_utf8(&mut letters).as_bytes());
            is_inside = letter.is_alphanumeric();
        }
        Some(())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(change_case, module)?)?;
    module.add_function(wrap_pyfunction!(capitalize_words, module)?)
}
