//! The transport's Python classes. Thin: the modules that they wrap check and wait.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use super::arena::Arena;
use super::doorbell::Wake;
use super::error::TransportError;
use super::process;
use super::ring_memory::{Doorbell, RingMemory, RingMemoryShape};
use super::ring_words::RingShape;
use super::status::{Heartbeat, StatusPage};
use super::sync::monotonic_ns;

pyo3::import_exception!(shmflink.errors, CorruptChannelError);
pyo3::import_exception!(shmflink.errors, InternalError);
pyo3::import_exception!(shmflink.errors, ResourceError);

impl From<TransportError> for PyErr {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Resource(message) => ResourceError::new_err(message),
            TransportError::Corrupt(message) => CorruptChannelError::new_err(message),
            TransportError::Internal(message) => InternalError::new_err(message),
        }
    }
}

/// Takes ownership of a descriptor number from Python.
fn own(fd: RawFd) -> Result<OwnedFd, TransportError> {
    // SAFETY: F_GETFD only asks whether the number is a descriptor.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(TransportError::Internal(format!("{fd} is not an open descriptor")));
    }
    // SAFETY: it is open, and by contract the caller no longer owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn given_fd(fd: Option<RawFd>, what: &str) -> PyResult<RawFd> {
    Ok(fd.ok_or_else(|| TransportError::Internal(format!("only the creator of a {what} has its descriptor")))?)
}

#[pyclass(frozen, name = "RingMemory", module = "shmflink._core")]
pub struct PyRingMemory {
    pub inner: Arc<RingMemory>,
}

#[pymethods]
impl PyRingMemory {
    #[staticmethod]
    #[pyo3(signature = (epoch, doorbells, rings, data_capacity, control_capacity, *, start_position = 0))]
    fn create(
        epoch: u64,
        doorbells: u32,
        rings: u32,
        data_capacity: u32,
        control_capacity: u32,
        start_position: u64,
    ) -> PyResult<Self> {
        let ring = RingShape {
            data_capacity,
            control_capacity,
            start: start_position,
        };
        Ok(Self {
            inner: Arc::new(RingMemory::create(epoch, RingMemoryShape { doorbells, rings, ring })?),
        })
    }

    #[staticmethod]
    fn open(fd: RawFd, epoch: u64) -> PyResult<Self> {
        Ok(Self {
            inner: Arc::new(RingMemory::open(own(fd)?, epoch)?),
        })
    }

    fn fileno(&self) -> PyResult<RawFd> {
        given_fd(self.inner.fd(), "ring memory")
    }

    fn doorbell(&self, index: u32) -> PyResult<PyDoorbell> {
        Ok(PyDoorbell {
            inner: self.inner.doorbell(index)?,
        })
    }

    #[getter]
    fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.inner.epoch()
    }

    #[getter]
    fn doorbells(&self) -> u32 {
        self.inner.shape().doorbells
    }

    #[getter]
    fn rings(&self) -> u32 {
        self.inner.shape().rings
    }
}

#[pyclass(frozen, name = "Arena", module = "shmflink._core")]
pub struct PyArena {
    inner: Mutex<Option<Arc<Arena>>>,
}

impl PyArena {
    fn new(arena: Arena) -> Self {
        Self {
            inner: Mutex::new(Some(Arc::new(arena))),
        }
    }

    /// The arena, or Internal after `close`.
    pub fn get(&self) -> Result<Arc<Arena>, TransportError> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .clone()
            .ok_or_else(|| TransportError::Internal("the arena is closed".into()))
    }
}

#[pymethods]
impl PyArena {
    #[staticmethod]
    fn create(py: Python<'_>, epoch: u64, segment_bytes: usize, segments: usize) -> PyResult<Self> {
        let arena = py.detach(|| Arena::create(epoch, segment_bytes, segments))?; // zeroing pages takes time
        Ok(Self::new(arena))
    }

    #[staticmethod]
    fn open(fd: RawFd, epoch: u64) -> PyResult<Self> {
        Ok(Self::new(Arena::open(own(fd)?, epoch)?))
    }

    fn fileno(&self) -> PyResult<RawFd> {
        given_fd(self.get()?.fd(), "arena")
    }

    #[getter]
    fn free_segments(&self) -> PyResult<usize> {
        Ok(self.get()?.free_segments())
    }

    #[getter]
    fn segment_bytes(&self) -> PyResult<usize> {
        Ok(self.get()?.segment_bytes())
    }

    #[getter]
    fn segments(&self) -> PyResult<u32> {
        Ok(self.get()?.segments())
    }

    #[getter]
    fn epoch(&self) -> PyResult<u64> {
        Ok(self.get()?.epoch())
    }

    #[getter]
    fn bytes(&self) -> PyResult<usize> {
        Ok(self.get()?.bytes())
    }

    fn close(&self, py: Python<'_>) {
        let arena = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(arena)); // unmapping the last reference takes time
    }
}

#[pyclass(frozen, name = "Doorbell", module = "shmflink._core")]
pub struct PyDoorbell {
    pub inner: Doorbell,
}

#[pymethods]
impl PyDoorbell {
    fn prepare(&self) -> u32 {
        self.inner.prepare()
    }

    #[pyo3(signature = (token, timeout_ns, spin_ns = 0))]
    fn wait(&self, py: Python<'_>, token: u32, timeout_ns: i64, spin_ns: u64) -> PyResult<bool> {
        let deadline_ns = u64::try_from(timeout_ns)
            .ok()
            .map(|timeout| monotonic_ns().saturating_add(timeout));
        let mut spin_ns = spin_ns;
        loop {
            match py.detach(|| self.inner.wait(token, deadline_ns, spin_ns)) {
                Wake::Rung => return Ok(true),
                Wake::TimedOut => return Ok(false),
                Wake::Interrupted => py.check_signals()?, // Ctrl-C reaches a sleeping main thread
            }
            spin_ns = 0;
        }
    }

    fn ring(&self) {
        self.inner.ring();
    }
}

#[pyclass(frozen, name = "StatusPage", module = "shmflink._core")]
pub struct PyStatusPage {
    pub inner: Arc<StatusPage>,
}

#[pymethods]
impl PyStatusPage {
    #[staticmethod]
    fn create(words: usize) -> PyResult<Self> {
        Ok(Self {
            inner: Arc::new(StatusPage::create(words)?),
        })
    }

    #[staticmethod]
    fn open(fd: RawFd) -> PyResult<Self> {
        Ok(Self {
            inner: Arc::new(StatusPage::open(own(fd)?)?),
        })
    }

    fn fileno(&self) -> PyResult<RawFd> {
        given_fd(self.inner.fd(), "status page")
    }

    #[getter]
    fn words(&self) -> usize {
        self.inner.words()
    }

    fn store(&self, offset: usize, values: Vec<u64>) -> PyResult<()> {
        Ok(self.inner.store(offset, &values)?)
    }

    fn load(&self, offset: usize, count: usize) -> PyResult<Vec<u64>> {
        Ok(self.inner.load(offset, count)?)
    }
}

#[pyclass(frozen, name = "Heartbeat", module = "shmflink._core")]
pub struct PyHeartbeat {
    inner: Mutex<Heartbeat>,
}

#[pymethods]
impl PyHeartbeat {
    #[new]
    fn new(page: &PyStatusPage, word: usize, interval_ms: u64) -> PyResult<Self> {
        let heartbeat = Heartbeat::start(page.inner.clone(), word, Duration::from_millis(interval_ms.max(1)))?;
        Ok(Self {
            inner: Mutex::new(heartbeat),
        })
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).stop());
    }
}

#[pyfunction]
fn set_parent_death_signal(signal: i32, expected_parent_pid: i32) -> PyResult<bool> {
    Ok(process::set_parent_death_signal(signal, expected_parent_pid)?)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyRingMemory>()?;
    module.add_class::<PyArena>()?;
    module.add_class::<PyDoorbell>()?;
    module.add_class::<PyStatusPage>()?;
    module.add_class::<PyHeartbeat>()?;
    module.add_function(wrap_pyfunction!(set_parent_death_signal, module)?)
}
