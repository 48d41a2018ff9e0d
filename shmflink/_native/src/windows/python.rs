//! `WindowTable`: windows as Python sees them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch, PySchema};

use super::kept::{Maker, Windows};
use super::panes::PaneWindows;
use super::sessions::SessionWindows;
use super::slices::Slices;
use crate::aggregate::{call_specs, PyCall};
use crate::exchange::error::ExchangeError;

#[pyclass(frozen, name = "WindowTable", module = "shmflink._core")]
pub struct PyWindowTable {
    windows: Mutex<Box<dyn Windows>>,
}

impl PyWindowTable {
    fn locked(&self) -> MutexGuard<'_, Box<dyn Windows>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(windows: impl Windows + 'static) -> Self {
        Self {
            windows: Mutex::new(Box::new(windows)),
        }
    }

    fn take_rows(
        &self,
        py: Python<'_>,
        batch: PyRecordBatch,
        timestamps: PyArray,
        is_partial: bool,
    ) -> PyResult<Option<Py<PyAny>>> {
        let (batch, stamps) = (batch.into_inner(), int64(timestamps, "timestamps")?);
        let late = py.detach(|| {
            check_len(&batch, stamps.len())?;
            self.locked().update(batch.columns(), stamps.values(), is_partial)
        })?;
        if late.is_empty() {
            return Ok(None);
        }
        let rows: Py<PyAny> = PyArray::from_array_ref(Arc::new(Int64Array::from(late)))
            .to_pyarrow(py)?
            .unbind();
        Ok(Some(rows))
    }
}

fn int64(array: PyArray, what: &str) -> Result<Int64Array, ExchangeError> {
    let (array, _) = array.into_inner();
    match array.as_primitive_opt::<Int64Type>() {
        Some(values) if values.null_count() == 0 => Ok(values.clone()),
        _ => Err(ExchangeError::Unfit(format!(
            "{what} are int64 without nulls, got {} with {}",
            array.data_type(),
            array.null_count()
        ))),
    }
}

fn check_len(batch: &RecordBatch, len: usize) -> Result<(), ExchangeError> {
    if batch.num_rows() == len {
        return Ok(());
    }
    Err(ExchangeError::Unfit(format!(
        "{len} times for {} rows",
        batch.num_rows()
    )))
}

fn maker(
    keys: PySchema,
    arguments: PySchema,
    calls: Vec<PyCall>,
    (start, end): (String, String),
) -> Result<Maker, ExchangeError> {
    let arguments = arguments.into_inner();
    let calls = call_specs(calls, arguments.fields().len())?;
    Maker::new(keys.into_inner(), arguments, calls, (&start, &end))
}

fn check_positive(what: &str, value: i64) -> Result<(), ExchangeError> {
    if value > 0 {
        return Ok(());
    }
    Err(ExchangeError::Unfit(format!(
        "a window's {what} is more than 0 ms, got {value}"
    )))
}

#[pymethods]
impl PyWindowTable {
    #[staticmethod]
    #[pyo3(signature = (keys, arguments, calls, names, *, size, slide, offset = 0, lateness = 0))]
    #[allow(clippy::too_many_arguments)] // by keyword in Python
    fn sliding(
        keys: PySchema,
        arguments: PySchema,
        calls: Vec<PyCall>,
        names: (String, String),
        size: i64,
        slide: i64,
        offset: i64,
        lateness: i64,
    ) -> PyResult<Self> {
        check_positive("size", size)?;
        check_positive("slide", slide)?;
        let slices = Slices::new(size, slide, offset, lateness.max(0));
        Ok(Self::of(PaneWindows::new(
            maker(keys, arguments, calls, names)?,
            slices,
        )))
    }

    #[staticmethod]
    #[pyo3(signature = (keys, arguments, calls, names, *, gap, lateness = 0))]
    fn sessions(
        keys: PySchema,
        arguments: PySchema,
        calls: Vec<PyCall>,
        names: (String, String),
        gap: i64,
        lateness: i64,
    ) -> PyResult<Self> {
        check_positive("gap", gap)?;
        let maker = maker(keys, arguments, calls, names)?;
        Ok(Self::of(SessionWindows::new(maker, gap, lateness.max(0))?))
    }

    fn update(&self, py: Python<'_>, batch: PyRecordBatch, timestamps: PyArray) -> PyResult<Option<Py<PyAny>>> {
        self.take_rows(py, batch, timestamps, false)
    }

    fn merge(&self, py: Python<'_>, batch: PyRecordBatch, timestamps: PyArray) -> PyResult<Option<Py<PyAny>>> {
        self.take_rows(py, batch, timestamps, true)
    }

    fn advance(&self, py: Python<'_>, watermark: i64) {
        py.detach(|| self.locked().advance(watermark));
    }

    fn take_results<'py>(&self, py: Python<'py>, rows_max: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let batch = py.detach(|| self.locked().take(rows_max))?;
        batch
            .map(|batch| PyRecordBatch::new(batch).into_pyarrow(py))
            .transpose()
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let batches = py.detach(|| self.locked().snapshot())?;
        batches
            .into_iter()
            .map(|batch| PyRecordBatch::new(batch).into_pyarrow(py))
            .collect()
    }

    fn restore(&self, py: Python<'_>, batch: PyRecordBatch, fired_until: i64) -> PyResult<()> {
        let batch = batch.into_inner();
        let restored = py.detach(|| {
            let count = batch.num_columns();
            if count < 2 {
                return Err(ExchangeError::Unfit(
                    "rows of a snapshot have two hidden columns".into(),
                ));
            }
            let (columns, times) = batch.columns().split_at(count - 2);
            let [starts, ends] = [0, 1].map(|at: usize| times[at].as_primitive_opt::<Int64Type>());
            let (Some(starts), Some(ends)) = (starts, ends) else {
                return Err(ExchangeError::Unfit("hidden columns of a snapshot are int64".into()));
            };
            let mut windows = self.locked();
            windows.set_fired(i64::MIN);
            windows.restore(columns, starts.values(), ends.values())?;
            windows.set_fired(fired_until);
            Ok(())
        });
        Ok(restored?)
    }

    #[getter]
    fn next_due(&self) -> Option<i64> {
        self.locked().next_due()
    }

    #[getter]
    fn fired_until(&self) -> i64 {
        self.locked().fired()
    }

    #[getter]
    fn num_groups(&self) -> usize {
        self.locked().groups()
    }

    #[getter]
    fn bytes(&self) -> usize {
        self.locked().bytes()
    }
}

/// The start of the pane of each timestamp.
#[pyfunction]
#[pyo3(signature = (timestamps, size, slide, offset = 0))]
fn window_panes(py: Python<'_>, timestamps: PyArray, size: i64, slide: i64, offset: i64) -> PyResult<Py<PyAny>> {
    check_positive("size", size)?;
    check_positive("slide", slide)?;
    let stamps = int64(timestamps, "timestamps")?;
    let panes = py.detach(|| Int64Array::from(Slices::new(size, slide, offset, 0).panes(stamps.values())));
    Ok(PyArray::from_array_ref(Arc::new(panes)).to_pyarrow(py)?.unbind())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(window_panes, module)?)?;
    module.add_class::<PyWindowTable>()
}
