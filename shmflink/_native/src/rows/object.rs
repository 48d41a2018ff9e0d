//! The C-API calls per value. The stable ABI has no macros, so each is a real call. Nothing is wrapped twice, and no
//! reference is counted without need.
//!
//! `Raw` is a *borrowed* pointer: valid while the container from which it was read is neither modified nor freed.
//! Callers must hold the GIL and must not run Python code between reading a `Raw` and their last use of it.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::ptr::{addr_of_mut, null_mut};

pub type Raw = *mut ffi::PyObject;

/// The exact type of a value, if columns distinguish it.
#[inline(always)]
pub fn type_of(value: Raw) -> *mut ffi::PyTypeObject {
    // SAFETY: `value` is a valid object pointer (module contract).
    unsafe { ffi::Py_TYPE(value) }
}

#[inline(always)]
pub fn is_none(value: Raw) -> bool {
    // SAFETY: only compares the singleton's address.
    value == unsafe { ffi::Py_None() }
}

#[inline(always)]
pub fn is_int(value: Raw) -> bool {
    type_of(value) == addr_of_mut!(ffi::PyLong_Type)
}

#[inline(always)]
pub fn is_float(value: Raw) -> bool {
    type_of(value) == addr_of_mut!(ffi::PyFloat_Type)
}

#[inline(always)]
pub fn is_str(value: Raw) -> bool {
    type_of(value) == addr_of_mut!(ffi::PyUnicode_Type)
}

#[inline(always)]
pub fn is_bytes(value: Raw) -> bool {
    type_of(value) == addr_of_mut!(ffi::PyBytes_Type)
}

#[inline(always)]
pub fn is_tuple(value: Raw) -> bool {
    type_of(value) == addr_of_mut!(ffi::PyTuple_Type)
}

#[inline(always)]
pub fn is_list(value: Raw) -> bool {
    type_of(value) == addr_of_mut!(ffi::PyList_Type)
}

/// `True` or `False`, None for anything else.
#[inline(always)]
pub fn as_bool(value: Raw) -> Option<bool> {
    // SAFETY: only compares the singletons' addresses.
    unsafe {
        if value == ffi::Py_True() {
            Some(true)
        } else if value == ffi::Py_False() {
            Some(false)
        } else {
            None
        }
    }
}

/// The value of an exact int that fits 64 bits.
#[inline(always)]
pub fn as_i64(value: Raw) -> Option<i64> {
    if !is_int(value) {
        return None;
    }
    let mut overflow: c_int = 0;
    // SAFETY: `value` is an exact int, for which this sets `overflow` and raises nothing.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &mut overflow) };
    (overflow == 0).then_some(number)
}

/// The low 64 bits of an exact int of any size.
pub fn low_bits(value: Raw) -> i64 {
    debug_assert!(is_int(value));
    // SAFETY: `value` is an exact int, for which this raises nothing.
    unsafe { ffi::PyLong_AsUnsignedLongLongMask(value) as i64 }
}

/// The value of an exact float.
#[inline(always)]
pub fn as_f64(value: Raw) -> Option<f64> {
    // SAFETY: `value` is an exact float, for which this raises nothing.
    is_float(value).then(|| unsafe { ffi::PyFloat_AsDouble(value) })
}

/// The UTF-8 of an exact str, owned by it; None for other types and for lone surrogates.
#[inline(always)]
pub fn as_utf8<'a>(value: Raw) -> Option<&'a [u8]> {
    if !is_str(value) {
        return None;
    }
    let mut size: ffi::Py_ssize_t = 0;
    // SAFETY: `value` is an exact str; the bytes live as long as `value`, which outlives the caller's borrow (module
    // contract). A surrogate raises an exception, which is cleared.
    unsafe {
        let data = ffi::PyUnicode_AsUTF8AndSize(value, &mut size);
        if data.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(std::slice::from_raw_parts(data.cast(), size as usize))
    }
}

/// The content of an exact bytes object, owned by it.
#[inline(always)]
pub fn as_bytes<'a>(value: Raw) -> Option<&'a [u8]> {
    if !is_bytes(value) {
        return None;
    }
    // SAFETY: `value` is exact bytes; immutable, and alive for longer than the caller's borrow (module contract).
    unsafe {
        let size = ffi::PyBytes_Size(value);
        Some(std::slice::from_raw_parts(
            ffi::PyBytes_AsString(value).cast(),
            size as usize,
        ))
    }
}

#[inline(always)]
pub fn tuple_len(value: Raw) -> usize {
    debug_assert!(is_tuple(value));
    // SAFETY: `value` is a tuple.
    unsafe { ffi::PyTuple_Size(value) as usize }
}

#[inline(always)]
pub fn tuple_item(value: Raw, index: usize) -> Raw {
    debug_assert!(is_tuple(value) && index < tuple_len(value));
    // SAFETY: `value` is a tuple and `index` within it.
    unsafe { ffi::PyTuple_GetItem(value, index as ffi::Py_ssize_t) }
}

#[inline(always)]
pub fn list_len(value: Raw) -> usize {
    debug_assert!(is_list(value));
    // SAFETY: `value` is a list.
    unsafe { ffi::PyList_Size(value) as usize }
}

#[inline(always)]
pub fn list_item(value: Raw, index: usize) -> Raw {
    debug_assert!(is_list(value) && index < list_len(value));
    // SAFETY: `value` is a list and `index` within it.
    unsafe { ffi::PyList_GetItem(value, index as ffi::Py_ssize_t) }
}

/// A new reference to a borrowed object.
#[inline(always)]
pub fn new_ref(value: Raw) -> Raw {
    // SAFETY: `value` is a valid object pointer (module contract).
    unsafe { ffi::Py_NewRef(value) }
}

/// A tuple of `values`, whose references it takes over; null with an exception set if memory is short.
#[inline(always)]
pub fn new_tuple(len: usize, mut value: impl FnMut(usize) -> Raw) -> Raw {
    // SAFETY: each slot of a fresh tuple is filled once, before any other code can see the tuple. A null item (out of
    // memory) leaves its slot empty, and the tuple is dropped.
    unsafe {
        let tuple = ffi::PyTuple_New(len as ffi::Py_ssize_t);
        if tuple.is_null() {
            return tuple;
        }
        for index in 0..len {
            let item = value(index);
            if item.is_null() {
                ffi::Py_DECREF(tuple);
                return null_mut();
            }
            ffi::PyTuple_SetItem(tuple, index as ffi::Py_ssize_t, item);
        }
        tuple
    }
}

/// A list of `values`, like `new_tuple`.
#[inline(always)]
pub fn new_list(len: usize, mut value: impl FnMut(usize) -> Raw) -> Raw {
    // SAFETY: as in `new_tuple`.
    unsafe {
        let list = ffi::PyList_New(len as ffi::Py_ssize_t);
        if list.is_null() {
            return list;
        }
        for index in 0..len {
            let item = value(index);
            if item.is_null() {
                ffi::Py_DECREF(list);
                return null_mut();
            }
            ffi::PyList_SetItem(list, index as ffi::Py_ssize_t, item);
        }
        list
    }
}

/// Owns a new reference from a C-API call; Err with the pending exception if it is null.
pub fn owned<'py>(py: Python<'py>, value: Raw) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `value` is a new reference or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, value) }
}

/// Disables the cyclic garbage collector, which could run user code, while many containers are created at once.
pub struct GcPause {
    was_enabled: bool,
}

impl GcPause {
    pub fn new(_py: Python<'_>) -> Self {
        // SAFETY: the GIL is held.
        let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled }
    }
}

impl Drop for GcPause {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: the GIL is held, as in `new`.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

/// One slot (`__slots__`) of a Python class, read and written through its descriptor's C functions: past the class's
/// own `__getattr__` and `__setattr__`.
struct Slot {
    descriptor: Py<PyAny>,
    get: ffi::descrgetfunc,
    set: ffi::descrsetfunc,
}

impl Slot {
    fn new(class: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        let descriptor = class.getattr("__dict__")?.get_item(name)?;
        let kind = descriptor.get_type();
        // SAFETY: the slots are read of the descriptor's own type and called only with objects of `class`.
        unsafe {
            let get = ffi::PyType_GetSlot(kind.as_type_ptr(), ffi::Py_tp_descr_get);
            let set = ffi::PyType_GetSlot(kind.as_type_ptr(), ffi::Py_tp_descr_set);
            if get.is_null() || set.is_null() {
                return Err(PyTypeError::new_err(format!("{name} is not a slot")));
            }
            Ok(Self {
                descriptor: descriptor.unbind(),
                get: std::mem::transmute::<*mut std::ffi::c_void, ffi::descrgetfunc>(get),
                set: std::mem::transmute::<*mut std::ffi::c_void, ffi::descrsetfunc>(set),
            })
        }
    }

    /// Borrowed: the row holds the reference.
    #[inline(always)]
    fn get(&self, row: Raw) -> Option<Raw> {
        // SAFETY: `row` is exactly of the class; the reference that the row itself holds keeps the value alive.
        unsafe {
            let value = (self.get)(self.descriptor.as_ptr(), row, type_of(row).cast());
            if value.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            ffi::Py_DECREF(value);
            Some(value)
        }
    }

    #[inline(always)]
    fn set(&self, row: Raw, value: Raw) {
        // SAFETY: `row` is exactly of the class; the slot takes its own reference.
        unsafe { (self.set)(self.descriptor.as_ptr(), row, value) };
    }
}

/// How to read and create `shmflink.core.row.Row`s.
pub struct RowClass {
    class: Py<PyAny>,
    insert: Py<PyAny>,
    names: Slot,
    values: Slot,
    kind: Slot,
}

impl RowClass {
    pub fn new(class: &Bound<'_, PyAny>, insert: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            names: Slot::new(class, "_names")?,
            values: Slot::new(class, "_values")?,
            kind: Slot::new(class, "_row_kind")?,
            class: class.clone().unbind(),
            insert: insert.clone().unbind(),
        })
    }

    #[inline(always)]
    pub fn is_row(&self, value: Raw) -> bool {
        type_of(value).cast() == self.class.as_ptr()
    }

    /// The row's values: an exact list, borrowed.
    #[inline(always)]
    pub fn values(&self, row: Raw) -> Option<Raw> {
        self.values.get(row).filter(|values| is_list(*values))
    }

    /// The row's names: a list, or `None`.
    #[inline(always)]
    pub fn names(&self, row: Raw) -> Option<Raw> {
        self.names.get(row)
    }

    #[inline(always)]
    pub fn kind(&self, row: Raw) -> Option<Raw> {
        self.kind.get(row)
    }

    #[inline(always)]
    pub fn is_insert(&self, row: Raw) -> bool {
        self.kind.get(row) == Some(self.insert.as_ptr())
    }

    /// A row that takes over the reference to the list `values` (null: passed on) and shares `names`.
    #[inline(always)]
    pub fn make(&self, values: Raw, names: Raw, kind: Option<Raw>) -> Raw {
        if values.is_null() {
            return values;
        }
        // SAFETY: an instance of a plain Python class with slots only needs allocation; `values` is owned here.
        unsafe {
            let row = ffi::PyType_GenericAlloc(self.class.as_ptr().cast(), 0);
            if !row.is_null() {
                self.values.set(row, values);
                self.names.set(row, names);
                self.kind.set(row, kind.unwrap_or(self.insert.as_ptr()));
            }
            ffi::Py_DECREF(values);
            row
        }
    }
}
