//! `JoinTable`: the table's Python class.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::UInt32Array;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch, PySchema};

use super::table::JoinTable;

#[pyclass(frozen, name = "JoinTable", module = "shmflink._core")]
pub struct PyJoinTable {
    table: Mutex<JoinTable>,
}

impl PyJoinTable {
    fn locked(&self) -> MutexGuard<'_, JoinTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyJoinTable {
    #[new]
    #[pyo3(signature = (keys, *, marks = false))]
    fn new(keys: PySchema, marks: bool) -> PyResult<Self> {
        let table = JoinTable::new(&keys.into_inner(), marks)?;
        Ok(Self {
            table: Mutex::new(table),
        })
    }

    fn __len__(&self) -> usize {
        self.locked().len()
    }

    #[getter]
    fn bytes(&self) -> usize {
        self.locked().bytes()
    }

    fn insert(&self, py: Python<'_>, keys: PyRecordBatch) -> PyResult<()> {
        let keys = keys.into_inner();
        Ok(py.detach(|| self.locked().insert(keys.columns(), keys.num_rows()))?)
    }

    fn seal(&self, py: Python<'_>) {
        py.detach(|| self.locked().seal());
    }

    #[pyo3(signature = (keys, *, pairs_max, keeps_probe = false))]
    fn probe(
        &self,
        py: Python<'_>,
        keys: PyRecordBatch,
        pairs_max: usize,
        keeps_probe: bool,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>, usize)> {
        let keys = keys.into_inner();
        let pairs = py.detach(|| {
            self.locked()
                .probe(keys.columns(), keys.num_rows(), keeps_probe, pairs_max)
        })?;
        let build = UInt32Array::new(pairs.build.into(), pairs.build_exists);
        Ok((indices(py, pairs.probe.into())?, indices(py, build)?, pairs.rows))
    }

    #[pyo3(signature = (keys, *, is_anti = false))]
    fn probe_rows(&self, py: Python<'_>, keys: PyRecordBatch, is_anti: bool) -> PyResult<Py<PyAny>> {
        let keys = keys.into_inner();
        let rows = py.detach(|| self.locked().probe_rows(keys.columns(), keys.num_rows(), is_anti))?;
        indices(py, rows.into())
    }

    fn unmatched(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let rows = py.detach(|| self.locked().unmatched())?;
        indices(py, rows.into())
    }
}

fn indices(py: Python<'_>, rows: UInt32Array) -> PyResult<Py<PyAny>> {
    Ok(PyArray::from_array_ref(Arc::new(rows)).to_pyarrow(py)?.unbind())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyJoinTable>()
}
