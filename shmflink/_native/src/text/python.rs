//! The Python functions.

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_arrow::PyRecordBatch;

use super::cells::Column;
use super::csv::{self, NeedsQuotes, Quoting};
use super::json;
use super::times::Standard;

pyo3::import_exception!(shmflink.errors, DataFormatError);
pyo3::import_exception!(shmflink.errors, TypeMismatchError);

fn standard(is_iso: bool) -> Standard {
    if is_iso {
        Standard::Iso
    } else {
        Standard::Sql
    }
}

fn columns(batch: &RecordBatch) -> PyResult<Vec<Column>> {
    let schema = batch.schema_ref();
    let pairs = schema.fields().iter().zip(batch.columns());
    pairs
        .map(|(field, array)| {
            Column::new(array.as_ref()).map_err(|unfit| {
                TypeMismatchError::new_err(format!(
                    "column {:?} of type {}: {unfit} has no text form; cast it before the sink",
                    field.name(),
                    field.data_type()
                ))
            })
        })
        .collect()
}

fn names(batch: &RecordBatch) -> Vec<&str> {
    let fields = batch.schema_ref().fields();
    fields.iter().map(|field| field.name().as_str()).collect()
}

#[pyfunction]
#[pyo3(signature = (batch, *, iso_timestamps = false, omit_nulls = false))]
fn json_lines(
    py: Python<'_>,
    batch: PyRecordBatch,
    iso_timestamps: bool,
    omit_nulls: bool,
) -> PyResult<Bound<'_, PyBytes>> {
    let batch = batch.into_inner();
    let columns = columns(&batch)?;
    let style = json::Style {
        standard: standard(iso_timestamps),
        omits_nulls: omit_nulls,
        has_java_floats: false,
    };
    let text = py.detach(|| json::lines(&names(&batch), &columns, batch.num_rows(), style));
    Ok(PyBytes::new(py, &text))
}

#[pyfunction]
#[pyo3(signature = (
    batch, *, delimiter, quote, quoting, null_text, crlf = false, iso_timestamps = false, header = false
))]
#[expect(clippy::too_many_arguments, reason = "the options of a dialect, by name")]
fn csv_lines<'py>(
    py: Python<'py>,
    batch: PyRecordBatch,
    delimiter: u8,
    quote: u8,
    quoting: &str,
    null_text: String,
    crlf: bool,
    iso_timestamps: bool,
    header: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let batch = batch.into_inner();
    let style = csv::Style {
        standard: standard(iso_timestamps),
        delimiter,
        quote,
        quoting: match quoting {
            "all" => Quoting::All,
            "none" => Quoting::Never,
            _ => Quoting::Minimal,
        },
        null_text,
        line_end: if crlf { "\r\n" } else { "\n" },
    };
    let text = if header {
        csv::header(&names(&batch), &style)
    } else {
        let columns = columns(&batch)?;
        py.detach(|| csv::lines(&columns, batch.num_rows(), &style))
    };
    match text {
        Ok(text) => Ok(PyBytes::new(py, &text)),
        Err(NeedsQuotes { row, column, text }) => Err(DataFormatError::new_err(format!(
            "row {row} of the batch, column {:?}: {text:?} cannot be written with quoting=\"none\": it holds a \
             delimiter, a quote or a line end, or is the text for null",
            names(&batch)[column]
        ))),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(json_lines, module)?)?;
    module.add_function(wrap_pyfunction!(csv_lines, module)?)?;
    Ok(())
}
