//! IS JSON, JSON_EXISTS, JSON_VALUE, JSON_QUERY over a column.
//!
//! Each result has a status per row, so that the caller can apply ON EMPTY and ON ERROR. The rules are those of
//! Calcite's `JsonFunctions`, which Flink runs. JSON's null is empty. A value that is missing or of the wrong kind
//! (scalar or not) is empty in lax mode and an error in strict mode. Malformed text is an error in both modes.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int32Builder, Int64Builder};
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray, UInt8Array};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::path::{Found, Path};
use super::scan::{unescape, write_sorted, JsonType, Scanner, Value};
use crate::functions::texts::{strings, to_pyarrow, Writer};

/// The status of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    Fine = 0,
    Empty = 1,
    Error = 2,
}

/// A column and the status of its rows.
type Answer = (Py<PyAny>, Py<PyAny>);

fn compiled(path: &str) -> PyResult<Path> {
    Path::compile(path).map_err(PyTypeError::new_err)
}

fn answer(py: Python<'_>, values: ArrayRef, statuses: Vec<u8>) -> PyResult<Answer> {
    let statuses = Arc::new(UInt8Array::from(statuses));
    Ok((to_pyarrow(py, values)?, to_pyarrow(py, statuses)?))
}

/// Raises TypeError for an invalid path.
#[pyfunction]
fn json_path_check(path: &str) -> PyResult<()> {
    compiled(path).map(drop)
}

/// Whether each text is JSON, of the kind `value`, `scalar`, `array` or `object`. A null is not.
#[pyfunction]
fn is_json(py: Python<'_>, texts: PyArray, kind: &str) -> PyResult<Py<PyAny>> {
    let wanted: fn(JsonType) -> bool = match kind {
        "value" => |_| true,
        "scalar" => JsonType::is_scalar,
        "array" => |kind| kind == JsonType::Array,
        "object" => |kind| kind == JsonType::Object,
        other => return Err(PyValueError::new_err(format!("unknown kind of JSON: {other}"))),
    };
    let texts = strings(&texts)?;
    let is_such = |text: Option<&str>| {
        let value = text.and_then(|text| Scanner::document(text.as_bytes()).ok());
        Some(value.is_some_and(|value| wanted(value.kind)))
    };
    let answers: BooleanArray = py.detach(|| texts.iter().map(is_such).collect());
    to_pyarrow(py, Arc::new(answers))
}

/// Whether the path selects a value; false, with the status, in case of an error.
#[pyfunction]
fn json_exists(py: Python<'_>, texts: PyArray, path: &str) -> PyResult<Answer> {
    let path = compiled(path)?;
    let texts = strings(&texts)?;
    let (values, statuses) = py.detach(|| {
        let mut values = BooleanBuilder::with_capacity(texts.len());
        let statuses = each(&texts, &path, |found| {
            let status = match &found {
                Some(Found::Nothing) if !path.is_lax => Status::Error,
                _ => Status::Fine,
            };
            values.append_option(found.map(|found| match found {
                Found::One(value) => value.kind != JsonType::Null,
                Found::Many(items) => !items.is_empty(),
                Found::Nothing => false,
            }));
            Ok(status)
        })?;
        Ok::<_, PyErr>((values.finish(), statuses))
    })?;
    answer(py, Arc::new(values), statuses)
}

/// Scalars as `string`, `boolean`, `int32`, `int64` or `float64`; null unless the status is fine.
#[pyfunction]
fn json_value(py: Python<'_>, texts: PyArray, path: &str, kind: &str) -> PyResult<Answer> {
    let path = compiled(path)?;
    let texts = strings(&texts)?;
    let (values, statuses) = py.detach(|| match kind {
        "string" => string_values(&texts, &path),
        "boolean" => {
            let mut values = BooleanBuilder::with_capacity(texts.len());
            let statuses = each_scalar(&texts, &path, boolean, |value| values.append_option(value))?;
            Ok((Arc::new(values.finish()) as ArrayRef, statuses))
        }
        "int32" => {
            let mut values = Int32Builder::with_capacity(texts.len());
            let statuses = each_scalar(&texts, &path, parsed, |value| values.append_option(value))?;
            Ok((Arc::new(values.finish()) as ArrayRef, statuses))
        }
        "int64" => {
            let mut values = Int64Builder::with_capacity(texts.len());
            let statuses = each_scalar(&texts, &path, parsed, |value| values.append_option(value))?;
            Ok((Arc::new(values.finish()) as ArrayRef, statuses))
        }
        "float64" => {
            let mut values = Float64Builder::with_capacity(texts.len());
            let statuses = each_scalar(&texts, &path, parsed, |value| values.append_option(value))?;
            Ok((Arc::new(values.finish()) as ArrayRef, statuses))
        }
        other => Err(PyValueError::new_err(format!("unknown type of JSON values: {other}"))),
    })?;
    answer(py, values, statuses)
}

/// JSON text of the values that the path selects; `wrapper`: `without`, `conditional` or `unconditional` array around
/// it.
#[pyfunction]
fn json_query(py: Python<'_>, texts: PyArray, path: &str, wrapper: &str) -> PyResult<Answer> {
    let path = compiled(path)?;
    let texts = strings(&texts)?;
    let (values, statuses) = py.detach(|| {
        let mut out = Writer::new(texts.len(), texts.values().len());
        let statuses = each(&texts, &path, |found| {
            let status = match found {
                Some(found) => write_found(&found, &path, wrapper, &mut out.bytes),
                None => Status::Error,
            };
            out.finish_row(status == Status::Fine)?;
            Ok(status)
        })?;
        Ok::<_, PyErr>((out.finish(), statuses))
    })?;
    answer(py, Arc::new(values), statuses)
}

/// Runs over the rows; nulls and malformed texts are None, and only the latter an error.
fn each<'a>(
    texts: &'a StringArray,
    path: &Path,
    mut handle: impl FnMut(Option<Found<'a>>) -> PyResult<Status>,
) -> PyResult<Vec<u8>> {
    let mut scratch = Vec::new();
    let mut statuses = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) {
            handle(None)?;
            statuses.push(Status::Fine as u8);
            continue;
        }
        statuses.push(match path.find(texts.value(row).as_bytes(), &mut scratch) {
            Ok(found) => handle(Some(found))? as u8,
            Err(_) => {
                handle(None)?;
                Status::Error as u8
            }
        });
    }
    Ok(statuses)
}

/// The scalar of a result, or the status of a missing one. JSON's null is null, and does not count as missing.
fn scalar<'a>(found: Option<Found<'a>>, path: &Path) -> Result<Value<'a>, Status> {
    match found {
        Some(Found::One(value)) if value.kind == JsonType::Null => Err(Status::Fine),
        Some(Found::One(value)) if value.kind.is_scalar() => Ok(value),
        Some(_) if path.is_lax => Err(Status::Empty),
        _ => Err(Status::Error),
    }
}

fn each_scalar<T>(
    texts: &StringArray,
    path: &Path,
    convert: impl Fn(Value<'_>) -> Option<T>,
    mut append: impl FnMut(Option<T>),
) -> PyResult<Vec<u8>> {
    each(texts, path, |found| {
        let value = scalar(found, path).and_then(|value| convert(value).ok_or(Status::Error));
        let status = value.as_ref().err().copied().unwrap_or(Status::Fine);
        append(value.ok());
        Ok(status)
    })
}

fn string_values(texts: &StringArray, path: &Path) -> PyResult<(ArrayRef, Vec<u8>)> {
    let mut out = Writer::new(texts.len(), texts.values().len() / 4);
    let statuses = each(texts, path, |found| {
        let value = scalar(found, path);
        match value {
            Ok(value) if value.kind == JsonType::String => unescape(inside(value.text), &mut out.bytes),
            Ok(value) => out.bytes.extend_from_slice(value.text),
            Err(_) => {}
        }
        out.finish_row(value.is_ok())?;
        Ok(value.err().unwrap_or(Status::Fine))
    })?;
    Ok((Arc::new(out.finish()), statuses))
}

fn inside(quoted: &[u8]) -> &[u8] {
    &quoted[1..quoted.len() - 1]
}

fn boolean(value: Value<'_>) -> Option<bool> {
    match value.kind {
        JsonType::True => Some(true),
        JsonType::False => Some(false),
        _ => None,
    }
}

/// A number, or a string that contains one.
fn parsed<T: std::str::FromStr>(value: Value<'_>) -> Option<T> {
    let text = match value.kind {
        JsonType::Number => value.text,
        JsonType::String => inside(value.text),
        _ => return None,
    };
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn write_found(found: &Found<'_>, path: &Path, wrapper: &str, out: &mut Vec<u8>) -> Status {
    let missing = if path.is_lax { Status::Empty } else { Status::Error };
    let is_wrapped = match (wrapper, found) {
        (_, Found::Nothing) => return missing,
        (_, Found::One(value)) if value.kind == JsonType::Null => return Status::Empty,
        ("unconditional", _) => true,
        ("conditional", Found::One(value)) => value.kind != JsonType::Array,
        (_, Found::One(value)) if value.kind.is_scalar() => return missing,
        _ => false,
    };
    if is_wrapped {
        out.push(b'[');
    }
    match found {
        Found::One(value) => write_sorted(*value, out),
        Found::Many(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_sorted(*value, out);
            }
            out.push(b']');
        }
        Found::Nothing => {}
    }
    if is_wrapped {
        out.push(b']');
    }
    Status::Fine
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(json_path_check, module)?)?;
    module.add_function(wrap_pyfunction!(is_json, module)?)?;
    module.add_function(wrap_pyfunction!(json_exists, module)?)?;
    module.add_function(wrap_pyfunction!(json_value, module)?)?;
    module.add_function(wrap_pyfunction!(json_query, module)?)
}
