//! Keyed state for functions, fast enough that the surrounding Python code dominates the cost per record.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyTuple, PyType};

/// The value of the current key in a `StateTable`, read and written by value (`core/isolation.py`).
///
/// It holds the GIL. It runs Python code only for a key's hash, for values that can be modified in place, and for
/// layers below the live one.
#[pyclass(frozen, subclass, module = "shmflink._core")]
pub struct ValueCell {
    table: Py<PyAny>,
    current: Py<PyAny>,
    absent: Py<PyAny>,
    isolated: Py<PyAny>,
    /// Exact types of immutable values.
    immutable: Vec<Py<PyType>>,
}

#[pymethods]
impl ValueCell {
    /// `table`: has `live`, `below`, `old(key)`, `remove(key)`; `current`: has `entry`; `isolated` copies a value.
    #[new]
    fn new(
        table: Py<PyAny>,
        current: Py<PyAny>,
        absent: Py<PyAny>,
        immutable: &Bound<'_, PyFrozenSet>,
        isolated: Py<PyAny>,
    ) -> PyResult<Self> {
        let immutable = immutable.iter().map(|kind| Ok(kind.cast_into::<PyType>()?.unbind()));
        Ok(Self {
            table,
            current,
            absent,
            isolated,
            immutable: immutable.collect::<PyResult<_>>()?,
        })
    }

    /// The current value, or None.
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let entry = self.entry(py)?;
        let found = match self.live(py)?.get_item(&entry)? {
            Some(value) => value,
            None => {
                let table = self.table.bind(py);
                if !table.getattr(intern!(py, "below"))?.is_truthy()? {
                    return Ok(py.None().into_bound(py));
                }
                table.call_method1(intern!(py, "old"), (entry,))?
            }
        };
        if found.is(&self.absent) {
            return Ok(py.None().into_bound(py));
        }
        self.by_value(found)
    }

    /// Sets the value; None clears it.
    fn update(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
        if value.is_none() {
            return self.clear(py);
        }
        let kept = self.by_value(value)?;
        self.live(py)?.set_item(self.entry(py)?, kept)
    }

    /// Removes the value.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let entry = self.entry(py)?;
        self.table.call_method1(py, intern!(py, "remove"), (entry,))?;
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.table)?;
        visit.call(&self.current)?;
        visit.call(&self.absent)?;
        visit.call(&self.isolated)
    }
}

impl ValueCell {
    fn entry<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.current.bind(py).getattr(intern!(py, "entry"))
    }

    /// Read each time, because a freeze begins a new live layer.
    fn live<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.table.bind(py).getattr(intern!(py, "live"))?.cast_into()?)
    }

    /// The value itself if it is immutable, otherwise a copy.
    fn by_value<'py>(&self, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let is_fixed = match value.cast_exact::<PyTuple>() {
            Ok(tuple) => tuple.iter_borrowed().all(|item| self.is_immutable(&item)),
            Err(_) => self.is_immutable(&value),
        };
        if is_fixed {
            return Ok(value);
        }
        self.isolated.bind(value.py()).call1((value,))
    }

    fn is_immutable(&self, value: &Bound<'_, PyAny>) -> bool {
        let kind = value.get_type_ptr();
        self.immutable.iter().any(|one| one.as_ptr().cast() == kind)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ValueCell>()
}
