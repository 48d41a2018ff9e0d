//! Columns -> rows.

use super::object::{self, Raw, RowClass};
use super::shape::{Names, Node, ShapeKind};
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::*;
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Creates the Python value of any row of one column. The Arrow type determines how, so every width and layout of a
/// kind can be read; the shape determines what composites become.
pub enum Reader<'a> {
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    UInt8(&'a UInt8Array),
    UInt16(&'a UInt16Array),
    UInt32(&'a UInt32Array),
    UInt64(&'a UInt64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Bool(&'a BooleanArray),
    Str(&'a StringArray),
    LargeStr(&'a LargeStringArray),
    StrView(&'a StringViewArray),
    Bytes(&'a BinaryArray),
    LargeBytes(&'a LargeBinaryArray),
    BytesView(&'a BinaryViewArray),
    Null,
    Tuple {
        array: &'a StructArray,
        parts: Vec<Reader<'a>>,
    },
    Row {
        array: &'a StructArray,
        parts: Vec<Reader<'a>>,
        names: SharedNames,
    },
    /// Values that Python created.
    List(Raw),
}

/// The list of names that the rows of one batch share: a reference of its own, or `None`.
pub struct SharedNames(Raw);

impl SharedNames {
    pub fn new(names: Option<&Names>) -> Self {
        let list = names.map(Names::fresh_list).filter(|list| !list.is_null());
        Self(list.unwrap_or_else(none))
    }
}

impl Drop for SharedNames {
    fn drop(&mut self) {
        // SAFETY: owned since `new`; the GIL is held (module contract).
        unsafe { ffi::Py_DECREF(self.0) };
    }
}

impl<'a> Reader<'a> {
    /// Raises TypeError if the column does not fit the shape.
    pub fn new(node: &Node, array: &'a dyn Array) -> PyResult<Self> {
        if let (Some(items), DataType::Struct(fields)) = (node.items(), array.data_type()) {
            if items.len() != fields.len() {
                return Err(mismatch(array));
            }
            let array = array.as_struct();
            let parts = items
                .iter()
                .zip(array.columns())
                .map(|(item, column)| Reader::new(item, column.as_ref()))
                .collect::<PyResult<Vec<_>>>()?;
            return Ok(match &node.kind {
                ShapeKind::Row { names, .. } => Self::Row {
                    array,
                    parts,
                    names: SharedNames::new(names.as_ref()),
                },
                _ => Self::Tuple { array, parts },
            });
        }
        Self::leaf(array)
    }

    fn leaf(array: &'a dyn Array) -> PyResult<Self> {
        Ok(match array.data_type() {
            DataType::Int8 => Self::Int8(array.as_primitive::<Int8Type>()),
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::UInt8 => Self::UInt8(array.as_primitive::<UInt8Type>()),
            DataType::UInt16 => Self::UInt16(array.as_primitive::<UInt16Type>()),
            DataType::UInt32 => Self::UInt32(array.as_primitive::<UInt32Type>()),
            DataType::UInt64 => Self::UInt64(array.as_primitive::<UInt64Type>()),
            DataType::Float32 => Self::Float32(array.as_primitive::<Float32Type>()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Utf8 => Self::Str(array.as_string::<i32>()),
            DataType::LargeUtf8 => Self::LargeStr(array.as_string::<i64>()),
            DataType::Utf8View => Self::StrView(array.as_string_view()),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>()),
            DataType::LargeBinary => Self::LargeBytes(array.as_binary::<i64>()),
            DataType::BinaryView => Self::BytesView(array.as_binary_view()),
            DataType::Null => Self::Null,
            _ => return Err(mismatch(array)),
        })
    }

    /// A new reference; null with an exception set if memory is short.
    #[inline(always)]
    pub fn get(&self, classes: &RowClass, row: usize) -> Raw {
        // The array types' `value` panics if out of range; every caller iterates below the batch's row count.
        macro_rules! read {
            ($array:expr, $make:expr) => {
                if $array.is_null(row) {
                    none()
                } else {
                    $make($array.value(row))
                }
            };
        }
        match self {
            Self::Int8(a) => read!(a, |v| new_int(i64::from(v))),
            Self::Int16(a) => read!(a, |v| new_int(i64::from(v))),
            Self::Int32(a) => read!(a, |v| new_int(i64::from(v))),
            Self::Int64(a) => read!(a, new_int),
            Self::UInt8(a) => read!(a, |v| new_int(i64::from(v))),
            Self::UInt16(a) => read!(a, |v| new_int(i64::from(v))),
            Self::UInt32(a) => read!(a, |v| new_int(i64::from(v))),
            // SAFETY: makes a new int; the GIL is held.
            Self::UInt64(a) => read!(a, |v| unsafe { ffi::PyLong_FromUnsignedLongLong(v) }),
            Self::Float32(a) => read!(a, |v| new_float(f64::from(v))),
            Self::Float64(a) => read!(a, new_float),
            Self::Bool(a) => read!(a, new_bool),
            Self::Str(a) => read!(a, new_str),
            Self::LargeStr(a) => read!(a, new_str),
            Self::StrView(a) => read!(a, new_str),
            Self::Bytes(a) => read!(a, new_bytes),
            Self::LargeBytes(a) => read!(a, new_bytes),
            Self::BytesView(a) => read!(a, new_bytes),
            Self::Null => none(),
            Self::List(list) => object::new_ref(object::list_item(*list, row)),
            Self::Tuple { array, parts } => {
                if array.is_null(row) {
                    none()
                } else {
                    new_tuple_of(parts, classes, row)
                }
            }
            Self::Row { array, parts, names } => {
                if array.is_null(row) {
                    none()
                } else {
                    new_row_of(parts, names, classes, row)
                }
            }
        }
    }
}

#[inline(always)]
fn new_tuple_of(parts: &[Reader<'_>], classes: &RowClass, row: usize) -> Raw {
    object::new_tuple(parts.len(), |index| parts[index].get(classes, row))
}

#[inline(always)]
fn new_row_of(parts: &[Reader<'_>], names: &SharedNames, classes: &RowClass, row: usize) -> Raw {
    let values = object::new_list(parts.len(), |index| parts[index].get(classes, row));
    classes.make(values, names.0, None)
}

/// The rows of a batch. `columns` has a reader for each column.
pub fn rows_of<'py>(
    py: Python<'py>,
    node: &Node,
    classes: &RowClass,
    columns: &[Reader<'_>],
    num_rows: usize,
) -> PyResult<Bound<'py, PyList>> {
    let _pause = object::GcPause::new(py);
    let list = match &node.kind {
        ShapeKind::Tuple(_) => object::new_list(num_rows, |row| new_tuple_of(columns, classes, row)),
        ShapeKind::Row { names, .. } => {
            let names = SharedNames::new(names.as_ref());
            object::new_list(num_rows, |row| new_row_of(columns, &names, classes, row))
        }
        _ => object::new_list(num_rows, |row| columns[0].get(classes, row)),
    };
    Ok(object::owned(py, list)?.cast_into()?)
}

fn mismatch(array: &dyn Array) -> PyErr {
    PyTypeError::new_err(format!("no row values for a column of type {}", array.data_type()))
}

#[inline(always)]
fn none() -> Raw {
    // SAFETY: a new reference to the singleton; the GIL is held.
    object::new_ref(unsafe { ffi::Py_None() })
}

#[inline(always)]
fn new_int(value: i64) -> Raw {
    // SAFETY: makes a new int; the GIL is held.
    unsafe { ffi::PyLong_FromLongLong(value) }
}

#[inline(always)]
fn new_float(value: f64) -> Raw {
    // SAFETY: makes a new float; the GIL is held.
    unsafe { ffi::PyFloat_FromDouble(value) }
}

#[inline(always)]
fn new_bool(value: bool) -> Raw {
    // SAFETY: a new reference to a singleton; the GIL is held.
    object::new_ref(unsafe {
        if value {
            ffi::Py_True()
        } else {
            ffi::Py_False()
        }
    })
}

#[inline(always)]
fn new_str(value: &str) -> Raw {
    // SAFETY: makes a new str of valid UTF-8; the GIL is held.
    unsafe { ffi::PyUnicode_FromStringAndSize(value.as_ptr().cast(), value.len() as ffi::Py_ssize_t) }
}

#[inline(always)]
fn new_bytes(value: &[u8]) -> Raw {
    // SAFETY: makes new bytes; the GIL is held.
    unsafe { ffi::PyBytes_FromStringAndSize(value.as_ptr().cast(), value.len() as ffi::Py_ssize_t) }
}
