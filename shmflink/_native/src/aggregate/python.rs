//! `GroupTable`: the table as Python sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use pyo3::prelude::*;
use pyo3_arrow::{PyRecordBatch, PySchema};

use super::states::Parameter;
use super::table::{CallSpec, Table};
use crate::exchange::error::ExchangeError;

impl<'a, 'py> FromPyObject<'a, 'py> for Parameter {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(value) = value.extract::<i64>() {
            return Ok(Self::Int(value));
        }
        if let Ok(value) = value.extract::<f64>() {
            return Ok(Self::Float(value));
        }
        if let Ok(values) = value.extract::<Vec<f64>>() {
            return Ok(Self::Floats(values));
        }
        Ok(Self::Text(value.extract()?))
    }
}

/// A call: name, function, indices of its arguments, parameters, whether distinct.
pub(crate) type PyCall = (String, String, Vec<usize>, Vec<Parameter>, bool);

#[pyclass(frozen, name = "GroupTable", module = "shmflink._core")]
pub struct PyGroupTable {
    table: Mutex<Table>,
}

impl PyGroupTable {
    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batch<'py>(
        &self,
        py: Python<'py>,
        take: impl FnOnce(&mut Table) -> Result<Option<RecordBatch>, ExchangeError> + Send,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let batch = py.detach(|| take(&mut self.locked()))?;
        batch
            .map(|batch| PyRecordBatch::new(batch).into_pyarrow(py))
            .transpose()
    }
}

#[pymethods]
impl PyGroupTable {
    #[new]
    #[pyo3(signature = (keys, arguments, calls, *, tracks_changes = false))]
    fn new(keys: PySchema, arguments: PySchema, calls: Vec<PyCall>, tracks_changes: bool) -> PyResult<Self> {
        let arguments = arguments.into_inner();
        let calls = call_specs(calls, arguments.fields().len())?;
        let table = Table::new(&keys.into_inner(), &arguments, &calls, tracks_changes)?;
        Ok(Self {
            table: Mutex::new(table),
        })
    }

    fn update(&self, py: Python<'_>, batch: PyRecordBatch) -> PyResult<()> {
        let batch = batch.into_inner();
        Ok(py.detach(|| self.locked().update(batch.columns(), batch.num_rows()))?)
    }

    fn merge(&self, py: Python<'_>, batch: PyRecordBatch) -> PyResult<()> {
        let batch = batch.into_inner();
        Ok(py.detach(|| self.locked().merge(batch.columns(), batch.num_rows()))?)
    }

    fn ensure_group(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.locked().ensure_group())?)
    }

    fn drain_partials<'py>(&self, py: Python<'py>, rows_max: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.batch(py, |table| table.drain_partials(rows_max))
    }

    fn drain_results<'py>(&self, py: Python<'py>, rows_max: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.batch(py, |table| table.drain_results(rows_max))
    }

    fn take_changed<'py>(&self, py: Python<'py>, rows_max: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.batch(py, |table| table.take_changed(rows_max))
    }

    fn clear(&self, py: Python<'_>) {
        py.detach(|| self.locked().clear());
    }

    #[getter]
    fn num_groups(&self) -> usize {
        self.locked().groups()
    }

    #[getter]
    fn bytes(&self) -> usize {
        self.locked().bytes()
    }

    #[getter]
    fn input_schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema(py, self.locked().input_schema())
    }

    #[getter]
    fn partial_schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema(py, self.locked().partial_schema())
    }

    #[getter]
    fn result_schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema(py, self.locked().result_schema())
    }
}

/// The calls of a table of so many arguments.
pub(crate) fn call_specs(calls: Vec<PyCall>, arguments: usize) -> Result<Vec<CallSpec>, ExchangeError> {
    let specs = calls
        .into_iter()
        .map(|(name, function, indices, parameters, is_distinct)| {
            if let Some(index) = indices.iter().find(|index| **index >= arguments) {
                let message = format!("call {name} has argument {index} of {arguments}");
                return Err(ExchangeError::Unfit(message));
            }
            Ok(CallSpec {
                name,
                function,
                arguments: indices,
                parameters,
                is_distinct,
            })
        });
    specs.collect()
}

fn schema<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyAny>> {
    PySchema::new(Arc::clone(schema)).into_pyarrow(py)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyGroupTable>()
}
