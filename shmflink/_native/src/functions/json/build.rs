//! Values as JSON: quoted strings, objects and arrays of columns.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::scan::{unescape, write_compact, JsonType, Scanner};
use crate::functions::texts::{map_strings, Writer};
use crate::text::cells::Column;
use crate::text::json::{push_string, push_value, Style};
use crate::text::times::Standard;

const STYLE: Style = Style {
    standard: Standard::Iso,
    omits_nulls: false,
    has_java_floats: true,
};

/// Strings as JSON strings; `/` is escaped as well, as in Flink.
#[pyfunction]
fn json_quote(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    map_strings(py, &texts, |text, out| {
        let start = out.len();
        push_string(text, out);
        if text.contains('/') {
            let quoted = out.split_off(start);
            for byte in quoted {
                if byte == b'/' {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
        Ok(true)
    })
}

/// JSON strings as the text that they represent; text without quotes stays unchanged. ValueError for quotes around text
/// that is not a valid JSON string.
#[pyfunction]
fn json_unquote(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    map_strings(py, &texts, |text, out| {
        if text.len() < 2 || !text.starts_with('"') || !text.ends_with('"') {
            out.extend_from_slice(text.as_bytes());
            return Ok(true);
        }
        match Scanner::document(text.as_bytes()) {
            Ok(value) if value.kind == JsonType::String => unescape(&text.as_bytes()[1..text.len() - 1], out),
            _ => return Err(PyValueError::new_err(format!("{text} is not a JSON string"))),
        }
        Ok(true)
    })
}

/// A column of values; `is_raw`: a column of JSON text, which is inserted unchanged.
struct Part {
    column: Column,
    is_raw: bool,
}

impl Part {
    fn of(columns: &[PyArray], raw: &[bool]) -> PyResult<Vec<Self>> {
        let part = |(column, is_raw): (&PyArray, &bool)| {
            let column = Column::new(column.array().as_ref())
                .map_err(|unfit| PyTypeError::new_err(format!("{unfit} has no JSON form: cast it first")))?;
            Ok(Self {
                column,
                is_raw: *is_raw,
            })
        };
        columns.iter().zip(raw).map(part).collect()
    }

    /// Empty raw JSON counts as null.
    fn is_null(&self, row: usize) -> bool {
        self.column.is_null(row) || (self.is_raw && self.column.text(row).trim().is_empty())
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> PyResult<()> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
        } else if self.is_raw {
            let text = self.column.text(row);
            Scanner::document(text.as_bytes()).map_err(|_| PyValueError::new_err(format!("'{text}' is not JSON")))?;
            write_compact(text.as_bytes(), out);
        } else {
            push_value(&self.column, row, STYLE, out);
        }
        Ok(())
    }
}

fn rows_of(columns: &[PyArray]) -> usize {
    columns.first().map_or(0, |column| column.array().len())
}

/// An object for each row, with these keys. `omits_nulls`: a null value adds no member.
#[pyfunction]
fn json_object(
    py: Python<'_>,
    keys: Vec<String>,
    columns: Vec<PyArray>,
    raw: Vec<bool>,
    omits_nulls: bool,
) -> PyResult<Py<PyAny>> {
    let label = |key: &String| {
        let mut label = Vec::new();
        push_string(key, &mut label);
        label.push(b':');
        label
    };
    let labels: Vec<_> = keys.iter().map(label).collect();
    built(py, &columns, &raw, omits_nulls, (b'{', b'}'), &labels)
}

/// An array for each row.
#[pyfunction]
fn json_array(py: Python<'_>, columns: Vec<PyArray>, raw: Vec<bool>, omits_nulls: bool) -> PyResult<Py<PyAny>> {
    let labels = vec![Vec::new(); columns.len()];
    built(py, &columns, &raw, omits_nulls, (b'[', b']'), &labels)
}

fn built(
    py: Python<'_>,
    columns: &[PyArray],
    raw: &[bool],
    omits_nulls: bool,
    brackets: (u8, u8),
    labels: &[Vec<u8>],
) -> PyResult<Py<PyAny>> {
    let parts = Part::of(columns, raw)?;
    let rows = rows_of(columns);
    let writer = py.detach(|| -> PyResult<Writer> {
        let mut writer = Writer::new(rows, rows * 16 * parts.len());
        for row in 0..rows {
            writer.bytes.push(brackets.0);
            let start = writer.bytes.len();
            for (part, label) in parts.iter().zip(labels) {
                if omits_nulls && part.is_null(row) {
                    continue;
                }
                if writer.bytes.len() > start {
                    writer.bytes.push(b',');
                }
                writer.bytes.extend_from_slice(label);
                part.write(row, &mut writer.bytes)?;
            }
            writer.bytes.push(brackets.1);
            writer.finish_row(true)?;
        }
        Ok(writer)
    })?;
    writer.into_python(py)
}

/// Each value as JSON; null for null.
#[pyfunction]
fn json_string(py: Python<'_>, values: PyArray) -> PyResult<Py<PyAny>> {
    let rows = values.array().len();
    let parts = Part::of(&[values], &[false])?;
    let writer = py.detach(|| -> PyResult<Writer> {
        let mut writer = Writer::new(rows, rows * 16);
        for row in 0..rows {
            let is_valid = !parts[0].column.is_null(row);
            if is_valid {
                parts[0].write(row, &mut writer.bytes)?;
            }
            writer.finish_row(is_valid)?;
        }
        Ok(writer)
    })?;
    writer.into_python(py)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(json_quote, module)?)?;
    module.add_function(wrap_pyfunction!(json_unquote, module)?)?;
    module.add_function(wrap_pyfunction!(json_object, module)?)?;
    module.add_function(wrap_pyfunction!(json_array, module)?)?;
    module.add_function(wrap_pyfunction!(json_string, module)?)
}
