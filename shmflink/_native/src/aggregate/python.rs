//! `GroupTable`: the table's Python class.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use pyo3::prelude::*;
use pyo3_arrow::{PyRecordBatch, PySchema};

use super::restore::{Collapse, Restored};
use super::snapshot::{Barrier, Freeze, Part, Snapshot, Times};
use super::states::Parameter;
use super::table::{CallSpec, Table};
use crate::error::TableError;
use crate::exchange::check_max_parallelism;
use crate::keyed::ledger::{Ledger, Outcome};
use crate::keyed::marks::Marks;

pyo3::import_exception!(shmflink.errors, DataFormatError);
pyo3::import_exception!(shmflink.errors, InternalError);
pyo3::import_exception!(shmflink.errors, ResourceError);
pyo3::import_exception!(shmflink.errors, TypeMismatchError);

impl From<TableError> for PyErr {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unfit(message) => TypeMismatchError::new_err(message),
            TableError::Value(message) => DataFormatError::new_err(message),
            TableError::Resource(message) => ResourceError::new_err(message),
            TableError::Internal(message) => InternalError::new_err(message),
        }
    }
}

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
    /// For checkpoints: the changed groups.
    ledger: Mutex<Ledger<Arc<Marks>>>,
    /// Batches of snapshots, restored when all have arrived.
    restored: Mutex<Collapse>,
}

impl PyGroupTable {
    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<Arc<Marks>>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn frozen(&self, max_parallelism: u32, barrier: Barrier) -> Result<Snapshot, TableError> {
        let (mut table, mut ledger) = (self.locked(), self.ledger());
        let freeze = freeze(&mut table, &mut ledger, barrier)?;
        let (keys, partials) = table.partial_schema().fields().split_at(table.key_count());
        let keys = keys.iter().map(|field| field.as_ref().clone()).collect();
        Ok(Snapshot::new(freeze, keys, partials.into(), max_parallelism))
    }

    /// Restores rows at once if they replace existing ones, otherwise at the end.
    fn take_restored(&self, batch: &RecordBatch) -> Result<(), TableError> {
        let mut table = self.locked();
        let batch = Restored::new(batch, table.partial_schema().fields().len())?;
        match &batch.deleted {
            None if table.can_replace() => table.merge(&batch.columns, batch.rows),
            Some(deleted) if table.can_replace() => {
                if deleted.true_count() > 0 {
                    let message = "removed groups in the changes of a table that never removes groups";
                    return Err(TableError::Internal(message.into()));
                }
                table.replace(&batch.columns, batch.rows)
            }
            _ => {
                self.restored.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
                Ok(())
            }
        }
    }

    fn batch<'py>(
        &self,
        py: Python<'py>,
        take: impl FnOnce(&mut Table) -> Result<Option<RecordBatch>, TableError> + Send,
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
            ledger: Mutex::default(),
            restored: Mutex::default(),
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
        py.detach(|| {
            self.ledger().forget();
            self.locked().clear();
        });
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
        Ok(PyFrozenTable::new(py.detach(|| self.frozen(max_parallelism, barrier))?))
    }

    fn restore(&self, py: Python<'_>, batch: PyRecordBatch) -> PyResult<()> {
        let batch = batch.into_inner();
        Ok(py.detach(|| self.take_restored(&batch))?)
    }

    fn end_restore(&self, py: Python<'_>) -> PyResult<()> {
        let ended = py.detach(|| {
            let mut table = self.locked();
            let keys = table.key_count();
            let mut collapse = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
            collapse.each(keys, |columns, rows| table.merge(columns, rows))?;
            table.end_restore();
            Ok::<_, TableError>(())
        });
        Ok(ended?)
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

/// What a barrier requests.
pub(crate) fn barrier(max_parallelism: u32, is_incremental: bool, is_savepoint: bool) -> PyResult<Barrier> {
    check_max_parallelism(max_parallelism)?;
    Ok(Barrier {
        is_incremental,
        is_savepoint,
    })
}

fn freeze(table: &mut Table, ledger: &mut Ledger<Arc<Marks>>, barrier: Barrier) -> Result<Freeze, TableError> {
    let part = |groups| {
        vec![Part {
            groups,
            keys: None,
            times: Times::None,
            is_deleted: false,
        }]
    };
    if barrier.is_savepoint {
        return Ok(Freeze {
            parts: part(table.freeze(None)?),
            is_delta: false,
            outcome: Outcome::default(),
        });
    }
    ledger.settle(|marks| table.mark(&marks));
    let changed = table.marks().map_or(0, Marks::count);
    let is_delta = barrier.is_incremental && ledger.allows_delta(changed, table.groups());
    let marks = if barrier.is_incremental {
        table.track_changes_anew()
    } else {
        Marks::default()
    };
    let groups = table.freeze(is_delta.then_some(&marks))?;
    Ok(Freeze {
        parts: part(groups),
        is_delta,
        outcome: if is_delta {
            ledger.delta(changed, Arc::new(marks))
        } else {
            ledger.full()
        },
    })
}

/// The frozen content of a table, for the thread that writes it.
#[pyclass(frozen, name = "FrozenTable", module = "shmflink._core")]
pub struct PyFrozenTable {
    snapshot: Mutex<Snapshot>,
}

impl PyFrozenTable {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot: Mutex::new(snapshot),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyFrozenTable {
    fn next_batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let batch = py.detach(|| self.locked().next_batch())?;
        batch
            .map(|batch| PyRecordBatch::new(batch).into_pyarrow(py))
            .transpose()
    }

    fn saved(&self, is_saved: bool) {
        self.locked().outcome().set(is_saved);
    }

    #[getter]
    fn is_delta(&self) -> bool {
        self.locked().is_delta()
    }

    #[getter]
    fn num_rows(&self) -> usize {
        self.locked().rows()
    }

    #[getter]
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema(py, self.locked().schema())
    }
}

/// The calls of a table with this many arguments.
pub(crate) fn call_specs(calls: Vec<PyCall>, arguments: usize) -> Result<Vec<CallSpec>, TableError> {
    let specs = calls
        .into_iter()
        .map(|(name, function, indices, parameters, is_distinct)| {
            if let Some(index) = indices.iter().find(|index| **index >= arguments) {
                let message = format!("call {name} has argument {index} of {arguments}");
                return Err(TableError::Unfit(message));
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
    module.add_class::<PyFrozenTable>()?;
    module.add_class::<PyGroupTable>()
}
