//! Value semantics: detects values that can be modified in place by others, and copies them.
//!
//! A value that was just passed on is *owned* if every container in it has a single reference: only its receiver can
//! reach it, so no other code can modify it, and no copy is needed. A value with more references, or of a class whose
//! content cannot be inspected, is copied.

use super::object::{self, Raw, RowClass};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PyTuple, PyType};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Deeper values, and those with cycles, are left to Python's `copy`.
const DEPTH_MAX: usize = 24;

/// Classes that are remembered; more than any job has.
const KINDS_MAX: usize = 1 << 16;

/// What the instances of a class are. Python's `kind_of` determines it, once per class.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mutability {
    /// Cannot be modified in place.
    Immutable,
    /// A subclass of `tuple` without attributes.
    Tuple,
    /// Only attributes in a `__dict__`.
    Instance,
    /// The same, and its attributes cannot be set.
    Frozen,
    /// Anything else.
    Opaque,
}

impl Mutability {
    fn of(number: u8) -> PyResult<Self> {
        Ok(match number {
            0 => Self::Immutable,
            1 => Self::Tuple,
            2 => Self::Instance,
            3 => Self::Frozen,
            4 => Self::Opaque,
            other => return Err(PyValueError::new_err(format!("unknown kind of class: {other}"))),
        })
    }
}

/// Whether somebody else can modify a value in place.
enum Verdict {
    Owned,
    Shared,
    /// An unclassified class was met.
    Unknown(*mut ffi::PyTypeObject),
}

/// The references to an object. The high bits hold flags since Python 3.14.
#[inline(always)]
pub fn references(value: Raw) -> u32 {
    // SAFETY: `value` is a valid object pointer (contract of `object`).
    unsafe { ffi::Py_REFCNT(value) as u32 }
}

#[inline(always)]
fn is_dict(value: Raw) -> bool {
    object::type_of(value) == std::ptr::addr_of_mut!(ffi::PyDict_Type)
}

/// Distinguishes owned values from shared ones, and copies the latter. Shared by all threads.
#[pyclass(frozen, module = "shmflink._core")]
pub struct Isolation {
    classes: RowClass,
    immutable: Vec<Py<PyType>>,
    kinds: Mutex<HashMap<usize, (Py<PyType>, Mutability)>>,
    kind_of: Py<PyAny>,
    copied: Py<PyAny>,
    new_object: Py<PyAny>,
}

#[pymethods]
impl Isolation {
    /// `immutable`: exact types. `kind_of(class)`: the number of a `Mutability`. `copied(value)`: a copy of anything
    /// else.
    #[new]
    fn new(
        py: Python<'_>,
        row_class: &Bound<'_, PyAny>,
        insert: &Bound<'_, PyAny>,
        immutable: &Bound<'_, PyFrozenSet>,
        kind_of: Py<PyAny>,
        copied: Py<PyAny>,
    ) -> PyResult<Self> {
        let immutable = immutable.iter().map(|kind| Ok(kind.cast_into::<PyType>()?.unbind()));
        Ok(Self {
            classes: RowClass::new(row_class, insert)?,
            immutable: immutable.collect::<PyResult<_>>()?,
            kinds: Mutex::new(HashMap::new()),
            kind_of,
            copied,
            new_object: py.import("builtins")?.getattr("object")?.getattr("__new__")?.unbind(),
        })
    }

    /// The value itself if it is immutable or not reachable by others, otherwise a copy.
    fn isolated<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.copy(value, 0)
    }

    /// The values, with mutable ones copied; the same list if there are none.
    fn isolated_list<'py>(&self, values: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let mut result: Option<Bound<'py, PyList>> = None;
        for index in 0..values.len() {
            let value = values.get_item(index)?;
            if self.is_atom(value.as_ptr()) {
                continue;
            }
            let copy = self.copy(&value, 0)?;
            if !copy.is(&value) {
                let list = result.get_or_insert_with(|| values.get_slice(0, values.len()));
                list.set_item(index, copy)?;
            }
        }
        Ok(result.unwrap_or_else(|| values.clone()))
    }

    /// A list's items, in the same list, with those that others can reach copied. Pass the list as a temporary:
    /// otherwise its items count as shared. Anything except a list is returned unchanged.
    fn owned_items<'py>(&self, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let Ok(list) = values.cast_exact::<PyList>() else {
            return Ok(values.clone());
        };
        let is_shared = references(list.as_ptr()) > 1;
        for index in 0..list.len() {
            let item = list.get_item(index)?;
            if self.is_atom(item.as_ptr()) {
                continue;
            }
            if !self.is_owned(item.py(), item.as_ptr(), is_shared, 2)? {
                list.set_item(index, self.copy(&item, 0)?)?;
            }
        }
        Ok(values.clone())
    }

    /// The results of `results`, each copied at once if others can reach it. A result that is the row at its position
    /// in `rows` is held by that list, too.
    ///
    /// Ends when `results` ends: the caller compares lengths, because a StopIteration of the user's function ends it.
    fn owned_results<'py>(
        &self,
        results: &Bound<'py, PyAny>,
        rows: &Bound<'py, PyList>,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut owned = Vec::with_capacity(rows.len());
        while let Some(result) = next(results)? {
            let raw = result.as_ptr();
            if self.is_atom(raw) {
                owned.push(result);
            } else {
                // Compares addresses only.
                let is_row = owned.len() < rows.len() && object::list_item(rows.as_ptr(), owned.len()) == raw;
                owned.push(self.settle(result, 1 + u32::from(is_row))?);
            }
        }
        PyList::new(results.py(), owned)
    }

    /// The rows whose result is true, and for each row whether it is; a row that the function still holds is copied.
    ///
    /// Ends when `results` ends, like `owned_results`.
    fn kept_rows<'py>(
        &self,
        results: &Bound<'py, PyAny>,
        rows: &Bound<'py, PyList>,
    ) -> PyResult<(Bound<'py, PyList>, Vec<bool>)> {
        let kept = PyList::empty(results.py());
        let mut mask = Vec::with_capacity(rows.len());
        while let Some(result) = next(results)? {
            let keep = result.is_truthy()?;
            drop(result);
            if keep {
                kept.append(self.settle(rows.get_item(mask.len())?, 2)?)?;
            }
            mask.push(keep);
        }
        Ok((kept, mask))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.kind_of)?;
        visit.call(&self.copied)
    }
}

/// The next item of an iterator, as an owned reference.
#[inline(always)]
pub fn next<'py>(iterator: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = iterator.py();
    // SAFETY: `iterator` is an iterator; the result is a new reference, or null with or without an exception.
    unsafe {
        let item = ffi::PyIter_Next(iterator.as_ptr());
        if item.is_null() {
            // Most ends are not errors, and fetching an exception that does not exist costs more than checking.
            return if ffi::PyErr_Occurred().is_null() {
                Ok(None)
            } else {
                Err(PyErr::fetch(py))
            };
        }
        Ok(Some(Bound::from_owned_ptr(py, item)))
    }
}

impl Isolation {
    /// True for values of the usual immutable types.
    #[inline(always)]
    pub fn is_atom(&self, value: Raw) -> bool {
        object::is_int(value)
            || object::is_str(value)
            || object::is_float(value)
            || object::is_none(value)
            || (!object::is_tuple(value) && self.is_rare_atom(value))
    }

    /// True for those, and for tuples of them: what most functions return, decided without a call.
    #[inline(always)]
    fn is_fixed(&self, value: Raw) -> bool {
        if object::is_tuple(value) {
            return (0..object::tuple_len(value)).all(|index| self.is_atom(object::tuple_item(value, index)));
        }
        self.is_atom(value)
    }

    fn is_rare_atom(&self, value: Raw) -> bool {
        if object::is_list(value) || is_dict(value) || self.classes.is_row(value) {
            return false; // the usual containers: no need to look through the list
        }
        let kind = object::type_of(value);
        self.immutable.iter().any(|one| one.as_ptr().cast() == kind)
    }

    /// The value, copied if others can reach it; `holders`: references that do not count.
    #[inline(always)]
    pub fn settle<'py>(&self, value: Bound<'py, PyAny>, holders: u32) -> PyResult<Bound<'py, PyAny>> {
        if self.is_fixed(value.as_ptr()) || self.is_owned(value.py(), value.as_ptr(), false, holders)? {
            return Ok(value);
        }
        self.copy(&value, 0)
    }

    /// Whether no other code can modify the value. `is_shared`: others can reach it in a way that its references do not
    /// show.
    pub fn is_owned(&self, py: Python<'_>, value: Raw, is_shared: bool, holders: u32) -> PyResult<bool> {
        loop {
            match self.verdict(value, is_shared || references(value) > holders, 0) {
                Verdict::Owned => return Ok(true),
                Verdict::Shared => return Ok(false),
                Verdict::Unknown(class) => {
                    // SAFETY: the class of a live object, owned before Python runs. Nothing borrowed is used
                    // afterwards: the value, which the caller owns, is examined again from the start.
                    let class = unsafe { Bound::from_borrowed_ptr(py, class.cast()) };
                    self.learn(&class.cast_into::<PyType>()?)?;
                }
            }
        }
    }

    /// Runs no Python code.
    fn verdict(&self, value: Raw, is_shared: bool, depth: usize) -> Verdict {
        if self.is_atom(value) {
            return Verdict::Owned;
        }
        if depth > DEPTH_MAX {
            return Verdict::Shared;
        }
        if object::is_tuple(value) {
            let items = (0..object::tuple_len(value)).map(|index| object::tuple_item(value, index));
            return self.all(items, is_shared, depth);
        }
        if object::is_list(value) || is_dict(value) || self.classes.is_row(value) {
            return if is_shared {
                Verdict::Shared
            } else {
                self.contents(value, depth)
            };
        }
        match self.known(value) {
            None => Verdict::Unknown(object::type_of(value)),
            Some(Mutability::Immutable) => Verdict::Owned,
            Some(Mutability::Opaque) => Verdict::Shared,
            Some(Mutability::Tuple) => {
                // SAFETY: an instance of a subclass of tuple, to which these calls apply.
                let len = unsafe { ffi::PyTuple_Size(value) };
                // SAFETY: as above, and the index is within it.
                let items = (0..len).map(|index| unsafe { ffi::PyTuple_GetItem(value, index) });
                self.all(items, is_shared, depth)
            }
            Some(Mutability::Instance) if is_shared => Verdict::Shared,
            Some(Mutability::Instance | Mutability::Frozen) => self.attributes(value, is_shared, depth),
        }
    }

    fn all(&self, items: impl Iterator<Item = Raw>, is_shared: bool, depth: usize) -> Verdict {
        for item in items {
            if self.is_atom(item) {
                continue;
            }
            match self.verdict(item, is_shared || references(item) > 1, depth + 1) {
                Verdict::Owned => {}
                other => return other,
            }
        }
        Verdict::Owned
    }

    /// For a list, dict or row that is not reachable by others.
    fn contents(&self, value: Raw, depth: usize) -> Verdict {
        if is_dict(value) {
            return self.all(DictValues::of(value), false, depth);
        }
        let list = if object::is_list(value) {
            value
        } else {
            match self.classes.values(value) {
                Some(values) if references(values) == 1 => values,
                _ => return Verdict::Shared,
            }
        };
        let items = (0..object::list_len(list)).map(|index| object::list_item(list, index));
        self.all(items, false, depth)
    }

    /// Of an instance with a `__dict__`.
    fn attributes(&self, value: Raw, is_shared: bool, depth: usize) -> Verdict {
        // SAFETY: returns a new reference to the dict of a plain object, or null with an exception, which is cleared.
        // The object keeps its dict alive after this reference is dropped.
        unsafe {
            let dict = ffi::PyObject_GenericGetDict(value, std::ptr::null_mut());
            if dict.is_null() {
                ffi::PyErr_Clear();
                return Verdict::Shared;
            }
            ffi::Py_DECREF(dict);
            if !is_dict(dict) || references(dict) > 1 {
                return Verdict::Shared;
            }
            self.all(DictValues::of(dict), is_shared, depth)
        }
    }

    fn known(&self, value: Raw) -> Option<Mutability> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.get(&(object::type_of(value) as usize)).map(|(_, kind)| *kind)
    }

    fn learn(&self, class: &Bound<'_, PyType>) -> PyResult<Mutability> {
        let kind = Mutability::of(self.kind_of.bind(class.py()).call1((class,))?.extract()?)?;
        let mut forgotten = HashMap::new();
        {
            let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            if kinds.len() >= KINDS_MAX {
                std::mem::swap(&mut *kinds, &mut forgotten);
            }
            kinds.insert(class.as_ptr() as usize, (class.clone().unbind(), kind));
        }
        drop(forgotten); // outside the lock: dropping a class may run Python code, which may request a kind
        Ok(kind)
    }

    /// The value itself if it is immutable or not reachable by others, otherwise a copy. May run Python code, so it
    /// holds owned references only.
    pub fn copy<'py>(&self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        if self.is_atom(value.as_ptr()) {
            return Ok(value.clone());
        }
        if depth > DEPTH_MAX {
            return self.copied.bind(value.py()).call1((value,));
        }
        if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            return self.copy_tuple(tuple, depth);
        }
        if let Ok(list) = value.cast_exact::<PyList>() {
            return Ok(self.copy_list(list, depth)?.into_any());
        }
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            return Ok(self.copy_dict(dict, depth)?.into_any());
        }
        if self.classes.is_row(value.as_ptr()) {
            return self.copy_row(value, depth);
        }
        let kind = match self.known(value.as_ptr()) {
            Some(kind) => kind,
            None => self.learn(&value.get_type())?,
        };
        match kind {
            Mutability::Immutable => Ok(value.clone()),
            Mutability::Instance | Mutability::Frozen => self.copy_instance(value, kind == Mutability::Frozen, depth),
            Mutability::Tuple | Mutability::Opaque => match value.cast::<PyTuple>() {
                Ok(tuple) if kind == Mutability::Tuple && self.are_atoms(tuple) => Ok(value.clone()),
                _ => self.copied.bind(value.py()).call1((value,)),
            },
        }
    }

    fn are_atoms(&self, tuple: &Bound<'_, PyTuple>) -> bool {
        tuple.iter_borrowed().all(|item| self.is_atom(item.as_ptr()))
    }

    fn copy_tuple<'py>(&self, tuple: &Bound<'py, PyTuple>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        if self.are_atoms(tuple) {
            return Ok(tuple.clone().into_any());
        }
        let items = tuple.iter().map(|item| self.copy(&item, depth + 1));
        let items = items.collect::<PyResult<Vec<_>>>()?;
        if items.iter().zip(tuple.iter()).all(|(new, old)| new.is(&old)) {
            return Ok(tuple.clone().into_any());
        }
        Ok(PyTuple::new(tuple.py(), items)?.into_any())
    }

    fn copy_list<'py>(&self, list: &Bound<'py, PyList>, depth: usize) -> PyResult<Bound<'py, PyList>> {
        let new = list.get_slice(0, list.len());
        for index in 0..new.len() {
            let item = new.get_item(index)?;
            if !self.is_atom(item.as_ptr()) {
                new.set_item(index, self.copy(&item, depth + 1)?)?;
            }
        }
        Ok(new)
    }

    /// Keys are hashable, so they are not copied.
    fn copy_dict<'py>(&self, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<Bound<'py, PyDict>> {
        let new = dict.copy()?;
        if DictValues::of(new.as_ptr()).all(|value| self.is_atom(value)) {
            return Ok(new);
        }
        let items: Vec<_> = new.iter().filter(|(_, value)| !self.is_atom(value.as_ptr())).collect();
        for (key, value) in items {
            new.set_item(key, self.copy(&value, depth + 1)?)?;
        }
        Ok(new)
    }

    fn copy_row<'py>(&self, row: &Bound<'py, PyAny>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let raw = row.as_ptr();
        let (Some(values), Some(names)) = (self.classes.values(raw), self.classes.names(raw)) else {
            return self.copied.bind(row.py()).call1((row,));
        };
        // SAFETY: borrowed from the live row, owned from here on.
        let (values, names, kind) = unsafe {
            (
                Bound::from_borrowed_ptr(row.py(), values).cast_into::<PyList>()?,
                Bound::from_borrowed_ptr(row.py(), names),
                self.classes
                    .kind(raw)
                    .map(|kind| Bound::from_borrowed_ptr(row.py(), kind)),
            )
        };
        let copy = self.copy_list(&values, depth)?;
        let kind = kind.as_ref().map(|kind| kind.as_ptr());
        object::owned(row.py(), self.classes.make(copy.into_ptr(), names.as_ptr(), kind))
    }

    fn copy_instance<'py>(
        &self,
        value: &Bound<'py, PyAny>,
        is_frozen: bool,
        depth: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        // SAFETY: a plain object: a new reference to its dict, or null with an exception.
        let dict = unsafe {
            let dict = ffi::PyObject_GenericGetDict(value.as_ptr(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, dict)?.cast_into::<PyDict>()?
        };
        if is_frozen && DictValues::of(dict.as_ptr()).all(|value| self.is_atom(value)) {
            return Ok(value.clone());
        }
        let attributes = self.copy_dict(&dict, depth)?;
        let new = self.new_object.bind(py).call1((value.get_type(),))?;
        // SAFETY: `new` is a fresh instance of the same class, which has a dict; it takes a reference of its own.
        let result = unsafe { ffi::PyObject_GenericSetDict(new.as_ptr(), attributes.as_ptr(), std::ptr::null_mut()) };
        if result != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(new)
    }
}

/// The values of a dict, borrowed; no Python code may run during the iteration.
struct DictValues {
    dict: Raw,
    position: ffi::Py_ssize_t,
}

impl DictValues {
    fn of(dict: Raw) -> Self {
        debug_assert!(is_dict(dict));
        Self { dict, position: 0 }
    }
}

impl Iterator for DictValues {
    type Item = Raw;

    fn next(&mut self) -> Option<Raw> {
        let mut value: Raw = std::ptr::null_mut();
        // SAFETY: `dict` is a dict that is not modified in the meantime (contract of the type).
        let has_more = unsafe { ffi::PyDict_Next(self.dict, &mut self.position, std::ptr::null_mut(), &mut value) };
        (has_more != 0).then_some(value)
    }
}
