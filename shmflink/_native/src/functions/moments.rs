//! Columns of moments and of their text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::calendar;
use super::iso::{parse_cast, parse_cast_date, parse_cast_time, parse_iso};
use super::pattern::{in_unit, seconds_and_nanos, Pattern};
use super::texts::{strings, to_pyarrow, Writer};

const TEXT_SHOWN_MAX: usize = 80;
const DAYS_MAX: u64 = 1 << 48; // no 64-bit timestamp is further away

fn compiled(pattern: &str) -> PyResult<Pattern> {
    Pattern::compile(pattern).map_err(|reason| PyTypeError::new_err(format!("the date pattern '{pattern}': {reason}")))
}

/// Formats ticks since 1970, `per_second` ticks per second, as text.
#[pyfunction]
fn format_moments(py: Python<'_>, moments: PyArray, per_second: i64, pattern: &str) -> PyResult<Py<PyAny>> {
    let pattern = compiled(pattern)?;
    let moments: Int64Array = moments
        .array()
        .as_primitive_opt::<Int64Type>()
        .cloned()
        .ok_or_else(|| PyTypeError::new_err("moments are int64"))?;
    pattern.format(0, 0, &mut Vec::new()).map_err(PyTypeError::new_err)?;
    let writer = py.detach(|| -> PyResult<Writer> {
        let mut writer = Writer::new(moments.len(), moments.len() * 20);
        for moment in &moments {
            if let Some(moment) = moment {
                let (seconds, nanos) = seconds_and_nanos(moment, per_second);
                pattern
                    .format(seconds, nanos, &mut writer.bytes)
                    .map_err(PyTypeError::new_err)?;
            }
            writer.finish_row(moment.is_some())?;
        }
        Ok(writer)
    })?;
    writer.into_python(py)
}

/// Parses text as ticks since 1970 (of a time: since midnight). Text that does not match is null, or a ValueError if
/// strict. Without a pattern: ISO 8601, with a space or T; `cast`: a "date", "time" or "timestamp" as in Flink's CAST.
#[pyfunction]
#[pyo3(signature = (texts, per_second, *, pattern = None, is_time = false, is_strict = false, cast = None))]
fn parse_moments(
    py: Python<'_>,
    texts: PyArray,
    per_second: i64,
    pattern: Option<&str>,
    is_time: bool,
    is_strict: bool,
    cast: Option<&str>,
) -> PyResult<Py<PyAny>> {
    let read: fn(&[u8]) -> Option<(i64, i64)> = match (cast, is_time) {
        (Some("date"), _) => parse_cast_date,
        (Some("time"), _) => parse_cast_time,
        (Some(_), _) => parse_cast,
        (None, true) => |text| parse_iso(text, true),
        (None, false) => |text| parse_iso(text, false),
    };
    let pattern = pattern.map(compiled).transpose()?;
    let texts = strings(&texts)?;
    let parse = |text: &str| {
        let (seconds, nanos) = match &pattern {
            Some(pattern) => pattern.parse(text.as_bytes())?,
            None => read(text.as_bytes())?,
        };
        in_unit(seconds, nanos, per_second)
    };
    let moments = py.detach(|| -> Result<Int64Array, String> {
        let mut moments = Vec::with_capacity(texts.len());
        for text in &texts {
            let moment = text.and_then(parse);
            if let (true, None, Some(text)) = (is_strict, moment, text) {
                return Err(text.chars().take(TEXT_SHOWN_MAX).collect());
            }
            moments.push(moment);
        }
        Ok(Int64Array::from(moments))
    });
    let what = if is_time { "time" } else { "date or timestamp" };
    let moments = moments.map_err(|text| PyValueError::new_err(format!("'{text}' is not a {what}")))?;
    to_pyarrow(py, Arc::new(moments))
}

/// Days since 1970 (int64), moved by a number of months (int64): the same day of the month, or its last.
#[pyfunction]
fn months_later(py: Python<'_>, days: PyArray, months: PyArray) -> PyResult<Py<PyAny>> {
    let integers = |column: &PyArray| column.array().as_primitive_opt::<Int64Type>().cloned();
    let (Some(days), Some(months)) = (integers(&days), integers(&months)) else {
        return Err(PyTypeError::new_err("days and months are int64"));
    };
    if days.len() != months.len() {
        return Err(PyValueError::new_err("as many months as days"));
    }
    let pairs = || days.values().iter().zip(months.values());
    let is_far = |value: &i64| value.unsigned_abs() > DAYS_MAX;
    let later: Int64Array = py.detach(|| {
        // The values at nulls are undefined.
        let later = |(days, months)| {
            if is_far(days) || is_far(months) {
                0
            } else {
                calendar::months_later(*days, *months)
            }
        };
        pairs().map(later).collect::<Vec<_>>().into()
    });
    to_pyarrow(py, Arc::new(later))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(format_moments, module)?)?;
    module.add_function(wrap_pyfunction!(months_later, module)?)?;
    module.add_function(wrap_pyfunction!(parse_moments, module)?)
}
