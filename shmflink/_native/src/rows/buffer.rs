//! Gathers the rows that a user's function emits, with their timestamps.

use super::isolate::{next, references, Isolation};
use super::object::{self, Raw};
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pyo3_arrow::PyRecordBatch;
use std::sync::Arc;

/// The rows of one output until they are emitted as a batch. Only the slot's thread uses it.
#[pyclass(module = "shmflink._core")]
pub struct RecordBuffer {
    rows: Py<PyList>,
    stamps: Vec<i64>,
    limit: usize,
    /// None if functions promise not to modify rows that they have emitted.
    isolation: Option<Py<Isolation>>,
    /// The class of tags, and `put_aside(tag, row, timestamp)`; None if there are no side outputs.
    sides: Option<(Py<PyAny>, Py<PyAny>)>,
}

#[pymethods]
impl RecordBuffer {
    /// `limit`: rows at which it is full. `sides`: the class of the tag in front of a row of a side output, and
    /// `put_aside(tag, row, timestamp)`, which takes it.
    #[new]
    #[pyo3(signature = (limit, isolation, sides = None))]
    fn new(
        py: Python<'_>,
        limit: usize,
        isolation: Option<Py<Isolation>>,
        sides: Option<(Py<PyAny>, Py<PyAny>)>,
    ) -> Self {
        Self {
            rows: PyList::empty(py).unbind(),
            stamps: Vec::new(),
            limit,
            isolation,
            sides,
        }
    }

    fn __len__(&self) -> usize {
        self.stamps.len()
    }

    /// Adds what a function returned: None, or an iterable of rows and of `(tag, row)`. Pass it as a temporary:
    /// otherwise the items of a list or tuple count as shared, because another reference to it exists.
    ///
    /// Returns the remainder if the buffer is full: pass it again after its rows have been taken.
    fn extend<'py>(&mut self, emitted: &Bound<'py, PyAny>, stamp: i64) -> PyResult<Option<Bound<'py, PyAny>>> {
        if emitted.is_none() {
            return Ok(None);
        }
        let raw = emitted.as_ptr();
        if object::is_list(raw) || object::is_tuple(raw) {
            return self.extend_from_items(emitted, stamp);
        }
        let iterator = emitted.try_iter()?.into_any();
        while let Some(row) = next(&iterator)? {
            self.put(row, stamp, 1, false)?;
            if self.stamps.len() >= self.limit {
                return Ok(Some(iterator));
            }
        }
        Ok(None)
    }

    /// The rows and their timestamps since the last call: a list, and an int64 column, or None if no row has a
    /// timestamp (`none` represents it).
    fn take<'py>(&mut self, py: Python<'py>, none: i64) -> PyResult<(Py<PyList>, Option<Bound<'py, PyAny>>)> {
        let rows = std::mem::replace(&mut self.rows, PyList::empty(py).unbind());
        let stamps = std::mem::take(&mut self.stamps);
        if stamps.iter().all(|stamp| *stamp == none) {
            return Ok((rows, None));
        }
        let schema = Schema::new(vec![Field::new("timestamp", DataType::Int64, true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(stamps))])
            .map_err(|error| PyTypeError::new_err(error.to_string()))?;
        let column = PyRecordBatch::new(batch)
            .into_pyarrow(py)?
            .call_method1("column", (0,))?;
        Ok((rows, Some(column)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.rows)?;
        match &self.sides {
            Some((_, put_aside)) => visit.call(put_aside),
            None => Ok(()),
        }
    }

    fn __clear__(&mut self, py: Python<'_>) {
        self.rows = PyList::empty(py).unbind();
        self.sides = None;
    }
}

impl RecordBuffer {
    fn extend_from_items<'py>(
        &mut self,
        emitted: &Bound<'py, PyAny>,
        stamp: i64,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let is_shared = references(emitted.as_ptr()) > 1;
        let mut index = 0;
        while let Some(row) = item(emitted, index) {
            index += 1;
            self.put(row, stamp, 2, is_shared)?;
            if self.stamps.len() >= self.limit {
                let len = emitted.len()?;
                return Ok(Some(emitted.get_item(pyo3::types::PySlice::new(
                    emitted.py(),
                    index as isize,
                    len as isize,
                    1,
                ))?));
            }
        }
        Ok(None)
    }

    /// `holders`: references to the row that do not count; `is_shared`: others can reach it in another way.
    #[inline(always)]
    fn put(&mut self, row: Bound<'_, PyAny>, stamp: i64, holders: u32, is_shared: bool) -> PyResult<()> {
        let py = row.py();
        let raw = row.as_ptr();
        if let Some((class, put_aside)) = &self.sides {
            if object::is_tuple(raw) && is_tagged(raw, class.as_ptr()) {
                let is_shared = is_shared || references(raw) > holders;
                return self.put_tagged(&row, stamp, is_shared, put_aside);
            }
        }
        let row = match &self.isolation {
            Some(isolation) => settled(isolation.get(), row, is_shared, holders)?,
            None => row,
        };
        self.rows.bind(py).append(row)?;
        self.stamps.push(stamp);
        Ok(())
    }

    fn put_tagged(
        &self,
        tagged: &Bound<'_, PyAny>,
        stamp: i64,
        is_shared: bool,
        put_aside: &Py<PyAny>,
    ) -> PyResult<()> {
        let pair = tagged.cast::<PyTuple>()?;
        if pair.len() < 2 {
            return Err(PyIndexError::new_err(
                "a side output takes (tag, record), a tag came alone",
            ));
        }
        let (tag, row) = (pair.get_item(0)?, pair.get_item(1)?);
        let row = match &self.isolation {
            Some(isolation) => settled(isolation.get(), row, is_shared, 2)?,
            None => row,
        };
        put_aside.bind(tagged.py()).call1((tag, row, stamp))?;
        Ok(())
    }
}

#[inline(always)]
fn is_tagged(tuple: Raw, class: Raw) -> bool {
    object::tuple_len(tuple) > 0 && object::type_of(object::tuple_item(tuple, 0)).cast() == class
}

#[inline(always)]
fn settled<'py>(
    isolation: &Isolation,
    row: Bound<'py, PyAny>,
    is_shared: bool,
    holders: u32,
) -> PyResult<Bound<'py, PyAny>> {
    if isolation.is_atom(row.as_ptr()) || isolation.is_owned(row.py(), row.as_ptr(), is_shared, holders)? {
        return Ok(row);
    }
    isolation.copy(&row, 0)
}

/// An item of a list or tuple, owned; None after the last one.
#[inline(always)]
fn item<'py>(items: &Bound<'py, PyAny>, index: usize) -> Option<Bound<'py, PyAny>> {
    let raw = items.as_ptr();
    let found = if object::is_list(raw) {
        (index < object::list_len(raw)).then(|| object::list_item(raw, index))
    } else {
        (index < object::tuple_len(raw)).then(|| object::tuple_item(raw, index))
    };
    // SAFETY: borrowed from the live container, owned from here on.
    found.map(|found| unsafe { Bound::from_borrowed_ptr(items.py(), found) })
}
