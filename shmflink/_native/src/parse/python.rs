//! The parsers as Python sees them.

use std::sync::Arc;

use arrow_schema::{DataType, Schema};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_arrow::{PyRecordBatch, PySchema};

use super::csv::{Bad, Bounds, Csv, Parsed};
use super::json::Json;
use super::lines::Lines;
use super::records::Dialect;
use super::rules::{Rules, Words};
use super::times::Format;
use super::zones::Zones;

/// (batch, consumed, bad records as (start, end, column or -1, reason)).
type Answer<'py> = (Bound<'py, PyAny>, usize, Vec<(usize, usize, isize, String)>);

/// Reads CSV text into columns.
#[pyclass(frozen, module = "shmflink._core")]
pub struct CsvParser {
    csv: Csv,
}

#[pymethods]
impl CsvParser {
    #[new]
    #[pyo3(signature = (
        schema, sources, fields, *, delimiter, quote, escape, double_quotes, comment, quoted_newlines, null_values,
        true_values, false_values, timestamp_formats, decimal_point
    ))]
    #[allow(clippy::too_many_arguments)] // one for each option of the dialect, by name
    fn new(
        schema: PySchema,
        sources: Vec<isize>,
        fields: usize,
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        double_quotes: bool,
        comment: Option<u8>,
        quoted_newlines: bool,
        null_values: Vec<Vec<u8>>,
        true_values: Vec<Vec<u8>>,
        false_values: Vec<Vec<u8>>,
        timestamp_formats: Vec<String>,
        decimal_point: u8,
    ) -> PyResult<Self> {
        let schema: Arc<_> = schema.into_inner();
        let sources: Vec<_> = sources.into_iter().map(|source| usize::try_from(source).ok()).collect();
        if fields == 0
            || sources.len() != schema.fields().len()
            || sources.iter().flatten().any(|&source| source >= fields)
        {
            return Err(PyValueError::new_err(
                "one source below `fields` for each column of the schema",
            ));
        }
        let rules = Rules {
            nulls: Words::new(null_values),
            trues: Words::new(true_values),
            falses: Words::new(false_values),
            formats: compile(&timestamp_formats)?,
            point: decimal_point,
            zones: zones_of(&schema)?,
        };
        let dialect = Dialect {
            delimiter,
            quote,
            escape,
            double_quotes,
            comment,
            quoted_newlines,
        };
        let csv = Csv {
            dialect,
            rules,
            schema,
            sources,
            fields,
        };
        require_flat(&csv)?;
        Ok(Self { csv })
    }

    #[pyo3(signature = (text, start, end, *, limit, is_last, max_rows))]
    #[allow(clippy::too_many_arguments)] // places in one buffer
    fn parse<'py>(
        &self,
        py: Python<'py>,
        text: PyBuffer<u8>,
        start: usize,
        end: usize,
        limit: usize,
        is_last: bool,
        max_rows: usize,
    ) -> PyResult<Answer<'py>> {
        let bytes = slice_of(&text, start, end)?;
        let bounds = Bounds {
            limit: limit.saturating_sub(start),
            is_last,
            max_rows,
        };
        let parsed = py
            .detach(|| self.csv.parse(bytes, bounds))
            .map_err(PyValueError::new_err)?;
        answer(py, parsed)
    }

    #[pyo3(signature = (text, start, end, *, is_last, max_rows))]
    fn infer(
        &self,
        py: Python<'_>,
        text: PyBuffer<u8>,
        start: usize,
        end: usize,
        is_last: bool,
        max_rows: usize,
    ) -> PyResult<(usize, Vec<&'static str>)> {
        let bytes = slice_of(&text, start, end)?;
        Ok(py.detach(|| self.csv.infer(bytes, is_last, max_rows)))
    }

    #[pyo3(signature = (text, start, end, *, is_last))]
    fn first_record<'py>(
        &self,
        py: Python<'py>,
        text: PyBuffer<u8>,
        start: usize,
        end: usize,
        is_last: bool,
    ) -> PyResult<Option<(Vec<Bound<'py, PyBytes>>, usize)>> {
        let bytes = slice_of(&text, start, end)?;
        let Some((fields, used)) = self.csv.first_record(bytes, is_last) else {
            return Ok(None);
        };
        Ok(Some((
            fields.iter().map(|field| PyBytes::new(py, field)).collect(),
            start + used,
        )))
    }
}

/// Reads JSON lines into columns.
#[pyclass(frozen, module = "shmflink._core")]
pub struct JsonParser {
    json: Json,
}

#[pymethods]
impl JsonParser {
    #[new]
    #[pyo3(signature = (schema, *, missing_fails, extra_fails, known_keys, timestamp_formats))]
    fn new(
        schema: PySchema,
        missing_fails: bool,
        extra_fails: bool,
        known_keys: Vec<String>,
        timestamp_formats: Vec<String>,
    ) -> PyResult<Self> {
        let schema: Arc<_> = schema.into_inner();
        let rules = Rules {
            formats: compile(&timestamp_formats)?,
            point: b'.',
            zones: zones_of(&schema)?,
            ..Rules::default()
        };
        let json = Json {
            rules,
            schema,
            missing_fails,
            extra_fails,
            known_keys,
        };
        json.check().map_err(PyValueError::new_err)?;
        Ok(Self { json })
    }

    #[pyo3(signature = (text, start, end, *, limit, is_last, max_rows))]
    #[allow(clippy::too_many_arguments)] // places in one buffer
    fn parse<'py>(
        &self,
        py: Python<'py>,
        text: PyBuffer<u8>,
        start: usize,
        end: usize,
        limit: usize,
        is_last: bool,
        max_rows: usize,
    ) -> PyResult<Answer<'py>> {
        let bytes = slice_of(&text, start, end)?;
        let bounds = Bounds {
            limit: limit.saturating_sub(start),
            is_last,
            max_rows,
        };
        let parsed = py
            .detach(|| self.json.parse(bytes, bounds))
            .map_err(PyValueError::new_err)?;
        answer(py, parsed)
    }
}

/// Reads lines of text into one column of strings.
#[pyclass(frozen, module = "shmflink._core")]
pub struct LineParser {
    lines: Lines,
}

#[pymethods]
impl LineParser {
    #[new]
    fn new(schema: PySchema) -> PyResult<Self> {
        let schema = schema.into_inner();
        if schema.fields().len() != 1 || schema.field(0).data_type() != &DataType::Utf8 {
            return Err(PyValueError::new_err("lines are one column of strings"));
        }
        Ok(Self {
            lines: Lines { schema },
        })
    }

    #[pyo3(signature = (text, start, end, *, limit, is_last, max_rows))]
    #[allow(clippy::too_many_arguments)] // places in one buffer
    fn parse<'py>(
        &self,
        py: Python<'py>,
        text: PyBuffer<u8>,
        start: usize,
        end: usize,
        limit: usize,
        is_last: bool,
        max_rows: usize,
    ) -> PyResult<Answer<'py>> {
        let bytes = slice_of(&text, start, end)?;
        let bounds = Bounds {
            limit: limit.saturating_sub(start),
            is_last,
            max_rows,
        };
        let parsed = py
            .detach(|| self.lines.parse(bytes, bounds))
            .map_err(PyValueError::new_err)?;
        answer(py, parsed)
    }
}

fn require_flat(csv: &Csv) -> PyResult<()> {
    for field in csv.schema.fields() {
        if field.data_type().is_nested() {
            let message = format!(
                "column `{}`: CSV has no columns of type {}",
                field.name(),
                field.data_type()
            );
            return Err(PyValueError::new_err(message));
        }
    }
    super::column::columns_of(&csv.schema, 0).map_err(PyValueError::new_err)?;
    Ok(())
}

/// Raises ValueError for an unknown zone.
fn zones_of(schema: &Schema) -> PyResult<Zones> {
    Zones::of(schema).map_err(PyValueError::new_err)
}

pub fn compile(formats: &[String]) -> PyResult<Vec<Format>> {
    let compiled = formats.iter().map(|format| {
        Format::compile(format)
            .map_err(|reason| PyValueError::new_err(format!("timestamp format `{format}`: {reason}")))
    });
    compiled.collect()
}

/// The bytes of a buffer. The caller must not change it during the call.
pub fn slice_of(text: &PyBuffer<u8>, start: usize, end: usize) -> PyResult<&[u8]> {
    if !text.is_c_contiguous() || start > end || end > text.len_bytes() || end - start > i32::MAX as usize {
        return Err(PyValueError::new_err(
            "text must be less than 2 GiB inside a contiguous buffer",
        ));
    }
    // SAFETY: the buffer is held while `text` lives, so it is neither moved nor freed. Readers own their buffers and
    // write to them only between two calls (contract in `_core.pyi`).
    Ok(unsafe { std::slice::from_raw_parts(text.buf_ptr().cast::<u8>().add(start), end - start) })
}

pub fn answer(py: Python<'_>, parsed: Parsed) -> PyResult<Answer<'_>> {
    let place = |bad: Bad| {
        (
            bad.start,
            bad.end,
            bad.column.map_or(-1, |column| column as isize),
            bad.reason,
        )
    };
    let bad = parsed.bad.into_iter().map(place).collect();
    Ok((PyRecordBatch::new(parsed.batch).into_pyarrow(py)?, parsed.consumed, bad))
}
