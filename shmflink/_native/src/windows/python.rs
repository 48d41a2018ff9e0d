//! `WindowTable`: the Python class of windows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch, PySchema};

use super::fired::{Fired, FiredRange};
use super::kept::{Maker, Windows};
use super::panes::PaneWindows;
use super::sessions::SessionWindows;
use super::slices::Slices;
use crate::aggregate::{barrier, call_specs, Collapse, PyCall, PyFrozenTable, Restored, Snapshot};
use crate::error::TableError;
use crate::exchange::check_max_parallelism;

#[pyclass(frozen, name = "WindowTable", module = "shmflink._core")]
pub struct PyWindowTable {
    windows: Mutex<Box<dyn Windows>>,
    restored: Mutex<Collapse>,
}

impl PyWindowTable {
    fn locked(&self) -> MutexGuard<'_, Box<dyn Windows>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collapse(&self) -> MutexGuard<'_, Collapse> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(windows: impl Windows + 'static) -> Self {
        Self {
            windows: Mutex::new(Box::new(windows)),
            restored: Mutex::default(),
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

fn int64(array: PyArray, what: &str) -> Result<Int64Array, TableError> {
    let (array, _) = array.into_inner();
    match array.as_primitive_opt::<Int64Type>() {
        Some(values) if values.null_count() == 0 => Ok(values.clone()),
        _ => Err(TableError::Unfit(format!(
            "{what} are int64 without nulls, got {} with {}",
            array.data_type(),
            array.null_count()
        ))),
    }
}

fn check_len(batch: &RecordBatch, len: usize) -> Result<(), TableError> {
    if batch.num_rows() == len {
        return Ok(());
    }
    Err(TableError::Unfit(format!("{len} times for {} rows", batch.num_rows())))
}

fn maker(
    keys: PySchema,
    arguments: PySchema,
    calls: Vec<PyCall>,
    (start, end): (String, String),
) -> Result<Maker, TableError> {
    let arguments = arguments.into_inner();
    let calls = call_specs(calls, arguments.fields().len())?;
    Maker::new(keys.into_inner(), arguments, calls, (&start, &end))
}

fn check_positive(what: &str, value: i64) -> Result<(), TableError> {
    if value > 0 {
        return Ok(());
    }
    Err(TableError::Unfit(format!(
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

    #[pyo3(signature = (max_parallelism, *, is_incremental = false, is_savepoint = false))]
    fn freeze(
        &self,
        py: Python<'_>,
        max_parallelism: u32,
        is_incremental: bool,
        is_savepoint: bool,
    ) -> PyResult<PyFrozenTable> {
        let barrier = barrier(max_parallelism, is_incremental, is_savepoint)?;
        let snapshot = py.detach(|| {
            let mut windows = self.locked();
            let (fields, partials) = windows.fields();
            let freeze = windows.freeze(barrier)?;
            Ok::<_, TableError>(Snapshot::new(freeze, fields, partials, max_parallelism))
        })?;
        Ok(PyFrozenTable::new(snapshot))
    }

    fn restore(&self, py: Python<'_>, batch: PyRecordBatch) -> PyResult<()> {
        let batch = batch.into_inner();
        let restored = py.detach(|| {
            let (fields, partials) = self.locked().fields();
            self.collapse()
                .push(Restored::new(&batch, fields.len() + partials.len())?);
            Ok::<_, TableError>(())
        });
        Ok(restored?)
    }

    fn end_restore(
        &self,
        py: Python<'_>,
        fired: Vec<(u32, u32, i64)>,
        watermark: i64,
        max_parallelism: u32,
    ) -> PyResult<()> {
        check_max_parallelism(max_parallelism)?;
        let ranges = fired
            .into_iter()
            .map(|(start, stop, until)| FiredRange { start, stop, until });
        let fired = Fired::new(ranges.collect(), max_parallelism);
        let ended = py.detach(|| {
            let mut windows = self.locked();
            let end_of_keys = windows.fields().0.len() - 2;
            // A pane or session is identified by its key and start.
            self.collapse().each(end_of_keys + 1, |columns, _| {
                let times = |at: usize| columns[end_of_keys + at].as_primitive_opt::<Int64Type>();
                let (Some(starts), Some(ends)) = (times(0), times(1)) else {
                    return Err(TableError::Unfit("hidden columns of a snapshot are int64".into()));
                };
                let (keys, rest) = columns.split_at(end_of_keys);
                windows.restore(&[keys, &rest[2..]].concat(), starts.values(), ends.values())
            })?;
            windows.resume(fired, watermark)?;
            Ok::<_, TableError>(())
        });
        Ok(ended?)
    }

    #[getter]
    fn next_due(&self) -> Option<i64> {
        self.locked().next_due()
    }

    #[getter]
    fn fired_until(&self) -> i64 {
        self.locked().fired()
    }

    fn fired_ranges(&self, start: u32, stop: u32) -> Vec<(u32, u32, i64)> {
        let windows = self.locked();
        let until = windows.fired();
        match windows.fired_before() {
            None => vec![(start, stop, until)],
            Some(before) => {
                let ranges = before.within(start, stop, until).into_iter();
                ranges.map(|range| (range.start, range.stop, range.until)).collect()
            }
        }
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
