//! The exchange's Python classes and functions: they convert pyarrow objects; other modules do the work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::ffi::from_ffi_and_data_type;
use arrow_array::{Array, ArrayRef, Int32Array, StructArray, UInt64Array};
use arrow_buffer::Buffer;
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::{DataType, Fields, Schema};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use pyo3_arrow::{PyArray, PySchema};

use super::columns::{Column, Shape};
use super::error::ExchangeError;
use super::export::{array_of, flat_columns};
use super::gate::{Element, Gate, Image};
use super::hash::{combine_column, write_column, KeyGroups};
use super::import::import;
use super::incoming::{Incoming, PlannedSchema};

use super::open_rows::FlatPlan;
use super::partition::Partition;
use super::shared::shared_columns;
use super::targets::Strategy;
use super::wire::SCHEMAS_MAX;
use crate::transport::channel::{CreditPool, InputChannel, OutputChannel};
use crate::transport::error::TransportError;
use crate::transport::python::{PyArena, PyDoorbell, PyRingMemory};

pyo3::import_exception!(shmflink.errors, TypeMismatchError);

impl From<ExchangeError> for PyErr {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Unfit(message) => TypeMismatchError::new_err(message),
            ExchangeError::Transport(error) => error.into(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn internal(message: &str) -> PyErr {
    TransportError::Internal(message.into()).into()
}

const CANONICAL_KEY: (&str, &str) = ("shmflink.key", "canonical");

fn is_canonical(field: &arrow_schema::Field) -> bool {
    field
        .metadata()
        .get(CANONICAL_KEY.0)
        .is_some_and(|value| value == CANONICAL_KEY.1)
}

/// A schema that a partition has met.
struct KnownSchema {
    python: Py<PyAny>,
    planned: Arc<PlannedSchema>,
    fields: Fields,
    is_flat: bool,
    keys: Vec<(usize, bool)>,
}

impl KnownSchema {
    /// A batch of this schema and its key columns.
    fn incoming(&self, array: FFI_ArrowArray) -> Result<(Incoming, Vec<KeyColumn>), ExchangeError> {
        let (schema, rows) = (self.planned.clone(), array.length as usize);
        let exported = if self.is_flat {
            flat_columns(array, &self.fields)
        } else {
            Err(array)
        };
        let (arrays, columns) = match exported {
            Ok(columns) => (Vec::new(), columns),
            Err(array) => {
                let arrays = arrays_of(array, &self.fields)?;
                let columns = Column::of_all(&arrays)?;
                (arrays, columns)
            }
        };
        let key = |(index, canonical): &(usize, bool)| {
            let array = match arrays.get(*index) {
                Some(array) => Some(array.clone()),
                None => array_of(&columns[*index], self.fields[*index].data_type()),
            };
            array.map(|array| (array, *canonical))
        };
        let keys = self.keys.iter().map(key).collect::<Option<_>>();
        let keys =
            keys.ok_or_else(|| TransportError::Internal("a key column of a flat batch that is not flat".into()))?;
        Ok((
            Incoming {
                schema,
                arrays,
                columns,
                rows,
            },
            keys,
        ))
    }
}

/// A key column and whether it holds canonical bytes.
type KeyColumn = (ArrayRef, bool);

struct PartitionState {
    partition: Partition,
    schemas: Vec<Arc<KnownSchema>>,
    latest: usize,
}

#[pyclass(frozen, name = "ResultPartition", module = "shmflink._core")]
pub struct PyResultPartition {
    state: Mutex<PartitionState>,
    key_columns: Vec<String>,
}

type ChannelOfPartition<'py> = (PyRef<'py, PyRingMemory>, u32, PyRef<'py, PyDoorbell>);

#[pymethods]
impl PyResultPartition {
    #[new]
    #[pyo3(signature = (arena, channels, *, strategy, exclusive = 2, max_parallelism = 128, key_columns = None, seed = 0))]
    fn new(
        arena: &PyArena,
        channels: Vec<ChannelOfPartition<'_>>,
        strategy: &str,
        exclusive: u32,
        max_parallelism: u32,
        key_columns: Option<Vec<String>>,
        seed: u64,
    ) -> PyResult<Self> {
        if channels.is_empty() {
            return Err(internal("a partition has at least one channel"));
        }
        let strategy = Strategy::of(strategy, channels.len(), max_parallelism, seed)?;
        let arena = arena.get()?;
        let open = |(ring_memory, ring, doorbell): &ChannelOfPartition<'_>| {
            OutputChannel::new(
                arena.clone(),
                ring_memory.inner.clone(),
                *ring,
                doorbell.inner.clone(),
                exclusive,
            )
        };
        let channels = channels.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let partition = Partition::new(channels, strategy);
        Ok(Self {
            state: Mutex::new(PartitionState {
                partition,
                schemas: Vec::new(),
                latest: 0,
            }),
            key_columns: key_columns.unwrap_or_else(|| vec!["__key".into()]),
        })
    }

    #[pyo3(signature = (batch, targets = None))]
    fn write(&self, py: Python<'_>, batch: &Bound<'_, PyAny>, targets: Option<PyArray>) -> PyResult<bool> {
        let known = self.schema_of(py, batch)?;
        let exported = export(batch)?;
        let targets = targets_of(targets)?;
        py.detach(|| {
            let (incoming, keys) = known.incoming(exported)?;
            let targets = targets.as_ref().map_or(&[][..], |targets| targets.values());
            Ok(locked(&self.state).partition.write(incoming, &keys, targets)?)
        })
    }

    fn resume(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| Ok(locked(&self.state).partition.resume()?))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| Ok(locked(&self.state).partition.flush()?))
    }

    #[pyo3(signature = (kind, a = 0, b = 0, c = 0))]
    fn emit_control(&self, py: Python<'_>, kind: u16, a: i64, b: i64, c: i64) -> PyResult<bool> {
        py.detach(|| Ok(locked(&self.state).partition.emit(kind, a, b, c)?))
    }

    #[getter]
    fn is_blocked(&self) -> bool {
        locked(&self.state).partition.is_blocked()
    }

    #[getter]
    fn has_pending(&self) -> bool {
        locked(&self.state).partition.has_pending()
    }

    #[getter]
    fn rows_out(&self) -> u64 {
        locked(&self.state).partition.rows_out()
    }

    #[getter]
    fn bytes_out(&self) -> u64 {
        locked(&self.state).partition.bytes_out()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| locked(&self.state).partition.close());
    }
}

impl PyResultPartition {
    /// The batch's schema if it is known; otherwise plans it.
    fn schema_of(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Arc<KnownSchema>> {
        let schema = batch.getattr(intern!(py, "schema"))?;
        let is_same = |known: &KnownSchema| {
            let equals = known
                .python
                .bind(py)
                .call_method1(intern!(py, "equals"), (&schema, true))?;
            equals.is_truthy()
        };
        let (latest, count) = {
            let state = locked(&self.state); // not held while Python runs
            (state.schemas.get(state.latest).cloned(), state.schemas.len())
        };
        match latest {
            Some(known) if is_same(&known)? => return Ok(known),
            _ => {}
        }
        for index in 0..count {
            let known = locked(&self.state).schemas.get(index).cloned();
            if let Some(known) = known {
                if is_same(&known)? {
                    locked(&self.state).latest = index;
                    return Ok(known);
                }
            }
        }
        self.add_schema(py, &schema)
    }

    fn add_schema(&self, py: Python<'_>, python: &Bound<'_, PyAny>) -> PyResult<Arc<KnownSchema>> {
        let schema: Arc<Schema> = python.extract::<PySchema>()?.into_inner();
        let fields = || schema.fields().iter().map(|field| field.as_ref());
        let shape = Shape::of_fields(fields())?;
        let is_wide = locked(&self.state).partition.is_wide(shape);
        let plan = FlatPlan::of(fields(), shape).filter(|_| !is_wide);
        let is_flat = plan.is_some();
        let message = python
            .call_method0(intern!(py, "serialize"))?
            .call_method0(intern!(py, "to_pybytes"))?;
        let message = message.cast::<PyBytes>()?.as_bytes().to_vec();
        let mut state = locked(&self.state);
        let keys = match state.partition.strategy() {
            Strategy::Hash { .. } => self.key_indices(&schema)?,
            _ => Vec::new(),
        };
        let id = state.partition.add_plan(plan)?;
        let number = (id % SCHEMAS_MAX) as u32;
        let planned = PlannedSchema {
            id,
            shape,
            message: Buffer::from_vec([number.to_le_bytes().to_vec(), message].concat()),
        };
        let known = Arc::new(KnownSchema {
            python: python.clone().unbind(),
            planned: Arc::new(planned),
            fields: schema.fields().clone(),
            is_flat,
            keys,
        });
        let place = number as usize;
        if place < state.schemas.len() {
            state.schemas[place] = known.clone();
        } else {
            state.schemas.push(known.clone());
        }
        state.latest = place;
        Ok(known)
    }

    fn key_indices(&self, schema: &Schema) -> PyResult<Vec<(usize, bool)>> {
        let find = |name: &String| {
            let index = schema.index_of(name).map_err(|_| {
                let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                ExchangeError::Unfit(format!("no key column {name} among the columns {}", names.join(", ")))
            })?;
            Ok((index, is_canonical(schema.field(index))))
        };
        self.key_columns.iter().map(find).collect()
    }
}

/// The C struct of a pyarrow record batch, without a copy of its columns.
fn export(batch: &Bound<'_, PyAny>) -> PyResult<FFI_ArrowArray> {
    let mut array = FFI_ArrowArray::empty();
    let address = &raw mut array as usize;
    batch.call_method1(intern!(batch.py(), "_export_to_c"), (address,))?;
    if array.is_released() {
        return Err(PyValueError::new_err("a record batch that exports nothing"));
    }
    Ok(array)
}

/// The general conversion from the C struct to columns.
fn arrays_of(array: FFI_ArrowArray, fields: &Fields) -> Result<Vec<ArrayRef>, ExchangeError> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    // SAFETY: pyarrow filled the struct according to the C Data Interface, with columns of these types.
    let data = unsafe { from_ffi_and_data_type(array, DataType::Struct(fields.clone())) }?;
    let (_, arrays, _) = StructArray::from(data).into_parts();
    Ok(arrays)
}

fn targets_of(targets: Option<PyArray>) -> PyResult<Option<Int32Array>> {
    let Some(targets) = targets else {
        return Ok(None);
    };
    let targets = targets
        .array()
        .as_any()
        .downcast_ref::<Int32Array>()
        .filter(|array| array.null_count() == 0);
    match targets {
        Some(targets) => Ok(Some(targets.clone())),
        None => Err(PyValueError::new_err("targets are an int32 array without nulls")),
    }
}

struct ReceivedSchema {
    python: Py<PyAny>,
    fields: Fields,
    shape: Shape,
}

struct GateState {
    gate: Gate,
    /// By channel and number.
    schemas: Vec<Vec<Option<Arc<ReceivedSchema>>>>,
}

#[pyclass(frozen, name = "InputGate", module = "shmflink._core")]
pub struct PyInputGate {
    state: Mutex<GateState>,
    import_batch: Py<PyAny>,
    read_schema: Py<PyAny>,
}

type ChannelOfGate<'py> = (u32, PyRef<'py, PyArena>, PyRef<'py, PyDoorbell>);

/// Images of at least this many bytes are checked without the GIL.
const DETACHED_BYTES: usize = 64 << 10;

#[pymethods]
impl PyInputGate {
    #[new]
    #[pyo3(signature = (ring_memory, channels, *, exclusive = 2, floating = 0))]
    fn new(
        py: Python<'_>,
        ring_memory: &PyRingMemory,
        channels: Vec<ChannelOfGate<'_>>,
        exclusive: u32,
        floating: u32,
    ) -> PyResult<Self> {
        let pool = Arc::new(CreditPool::new(floating));
        let open = |(ring, arena, doorbell): &ChannelOfGate<'_>| -> PyResult<InputChannel> {
            let (ring_memory, pool) = (ring_memory.inner.clone(), pool.clone());
            Ok(InputChannel::new(
                ring_memory,
                *ring,
                arena.get()?,
                doorbell.inner.clone(),
                exclusive,
                pool,
            )?)
        };
        let channels = channels.iter().map(open).collect::<PyResult<Vec<_>>>()?;
        let pyarrow = py.import("pyarrow")?;
        let no_schemas = || vec![None; SCHEMAS_MAX];
        Ok(Self {
            import_batch: pyarrow.getattr("RecordBatch")?.getattr("_import_from_c")?.unbind(),
            read_schema: pyarrow.getattr("ipc")?.getattr("read_schema")?.unbind(),
            state: Mutex::new(GateState {
                schemas: channels.iter().map(|_| no_schemas()).collect(),
                gate: Gate::new(channels),
            }),
        })
    }

    /// None, (channel, batch), or (channel, kind, a, b, c).
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        loop {
            let polled = locked(&self.state).gate.poll()?;
            match polled {
                None => return Ok(None),
                Some((channel, Element::Control { kind, a, b, c })) => {
                    return (channel, kind, a, b, c).into_pyobject(py).map(Some);
                }
                Some((channel, Element::Schema { number, message })) => {
                    let schema = self.read(py, &message)?;
                    locked(&self.state).schemas[channel][number] = Some(Arc::new(schema));
                }
                Some((channel, Element::Image { schema, image })) => {
                    let schema = locked(&self.state).schemas[channel][schema].clone();
                    let schema = schema.ok_or_else(|| {
                        TransportError::Corrupt(format!("a batch on channel {channel} before its schema"))
                    })?;
                    return (channel, self.batch(py, &schema, &image)?).into_pyobject(py).map(Some);
                }
            }
        }
    }

    fn block(&self, channel: usize) -> PyResult<()> {
        self.set_blocked(channel, true)
    }

    fn unblock(&self, channel: usize) -> PyResult<()> {
        self.set_blocked(channel, false)
    }

    #[getter]
    fn is_available(&self) -> bool {
        locked(&self.state).gate.is_available()
    }

    #[getter]
    fn num_channels(&self) -> usize {
        locked(&self.state).gate.channels()
    }

    #[getter]
    fn bytes_in(&self) -> u64 {
        locked(&self.state).gate.bytes_in
    }

    #[getter]
    fn rows_in(&self) -> u64 {
        locked(&self.state).gate.rows_in
    }

    #[getter]
    fn retained_copies(&self) -> u64 {
        locked(&self.state).gate.retained_copies
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| locked(&self.state).gate.close());
    }
}

impl PyInputGate {
    fn set_blocked(&self, channel: usize, is_blocked: bool) -> PyResult<()> {
        let gate = &mut locked(&self.state).gate;
        if channel >= gate.channels() {
            return Err(internal(&format!("channel {channel} of {}", gate.channels())));
        }
        gate.set_blocked(channel, is_blocked);
        Ok(())
    }

    fn read(&self, py: Python<'_>, message: &[u8]) -> PyResult<ReceivedSchema> {
        let buffer = py
            .import("pyarrow")?
            .call_method1("py_buffer", (PyBytes::new(py, message),))?;
        let python = self.read_schema.bind(py).call1((buffer,))?;
        let schema: Arc<Schema> = python.extract::<PySchema>()?.into_inner();
        let shape = Shape::of_fields(schema.fields().iter().map(|field| field.as_ref()))?;
        Ok(ReceivedSchema {
            python: python.unbind(),
            fields: schema.fields().clone(),
            shape,
        })
    }

    /// A pyarrow record batch over the image; its arrays keep the image's memory.
    fn batch<'py>(&self, py: Python<'py>, schema: &ReceivedSchema, image: &Image) -> PyResult<Bound<'py, PyAny>> {
        let keep = image.keep();
        let mut array = if image.len() >= DETACHED_BYTES {
            py.detach(|| import(image, &schema.fields, schema.shape, &keep))?
        } else {
            import(image, &schema.fields, schema.shape, &keep)?
        };
        let address = &raw mut array as usize;
        self.import_batch.bind(py).call1((address, schema.python.bind(py)))
    }
}

/// Hash of each row over one or more columns; `canonical[i]`: whether column i holds canonical key bytes.
#[pyfunction]
#[pyo3(signature = (columns, canonical = None))]
fn key_hash(py: Python<'_>, columns: Vec<PyArray>, canonical: Option<Vec<bool>>) -> PyResult<Py<PyAny>> {
    let hashes = py.detach(|| hashes_of(&columns, canonical.as_deref()))?;
    to_pyarrow(py, Arc::new(UInt64Array::from(hashes)))
}

pub(crate) fn check_max_parallelism(max_parallelism: u32) -> PyResult<()> {
    if (1..=1 << 15).contains(&max_parallelism) {
        return Ok(());
    }
    let message = format!("max_parallelism {max_parallelism} not within 1 to 32768");
    Err(PyValueError::new_err(message))
}

/// Key group of each row, as int32.
#[pyfunction]
#[pyo3(signature = (columns, max_parallelism, canonical = None))]
fn key_groups(
    py: Python<'_>,
    columns: Vec<PyArray>,
    max_parallelism: u32,
    canonical: Option<Vec<bool>>,
) -> PyResult<Py<PyAny>> {
    check_max_parallelism(max_parallelism)?;
    let groups = py.detach(|| -> Result<Int32Array, ExchangeError> {
        let groups = KeyGroups::new(max_parallelism);
        let hashes = hashes_of(&columns, canonical.as_deref())?;
        Ok(hashes
            .iter()
            .map(|hash| groups.of(*hash) as i32)
            .collect::<Vec<_>>()
            .into())
    })?;
    to_pyarrow(py, Arc::new(groups))
}

fn hashes_of(columns: &[PyArray], canonical: Option<&[bool]>) -> Result<Vec<u64>, ExchangeError> {
    let rows = columns.first().map_or(0, |column| column.array().len());
    let mut hashes = vec![0; rows];
    let mut scratch = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        if column.array().len() != rows {
            let message = format!("key columns of {rows} and {} rows", column.array().len());
            return Err(ExchangeError::Unfit(message));
        }
        let is_canonical = canonical.and_then(|flags| flags.get(i)).copied().unwrap_or(false);
        if i == 0 {
            write_column(column.array(), is_canonical, &mut hashes)?;
        } else {
            combine_column(column.array(), is_canonical, &mut scratch, &mut hashes)?;
        }
    }
    Ok(hashes)
}

fn to_pyarrow(py: Python<'_>, array: ArrayRef) -> PyResult<Py<PyAny>> {
    Ok(PyArray::from_array_ref(array).to_pyarrow(py)?.unbind())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyResultPartition>()?;
    module.add_class::<PyInputGate>()?;
    module.add_function(wrap_pyfunction!(shared_columns, module)?)?;
    module.add_function(wrap_pyfunction!(key_hash, module)?)?;
    module.add_function(wrap_pyfunction!(key_groups, module)?)
}
