//! Converts rows to their declared form. Values that fit cost one check per field. The usual kinds are converted here,
//! the others by `core/types/conform.py`, which also words the errors: a number beyond its type is an error, unless it
//! is narrowed by Java's casts.

use super::encode::{exact_f32, is_one_char};
use super::object::{self, Raw, RowClass};
use super::shape::{Node, ShapeKind};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// Whether the value already has its declared form. Runs no Python code.
#[inline(always)]
fn fits(node: &Node, classes: &RowClass, value: Raw) -> bool {
    match &node.kind {
        ShapeKind::Int64 => object::as_i64(value).is_some() || object::is_none(value),
        ShapeKind::Int32 => in_range::<i32>(value) || object::is_none(value),
        ShapeKind::Str => (object::is_str(value) && object::as_utf8(value).is_some()) || object::is_none(value),
        ShapeKind::Float64 => object::is_float(value) || object::is_none(value),
        _ => object::is_none(value) || fits_rarely(node, classes, value),
    }
}

fn fits_rarely(node: &Node, classes: &RowClass, value: Raw) -> bool {
    match &node.kind {
        ShapeKind::Int8 => in_range::<i8>(value),
        ShapeKind::Int16 => in_range::<i16>(value),
        ShapeKind::Float32 => object::as_f64(value).is_some_and(|number| exact_f32(number).is_some()),
        ShapeKind::Bool => object::as_bool(value).is_some(),
        ShapeKind::Char => object::as_utf8(value).is_some_and(is_one_char),
        ShapeKind::Bytes => object::is_bytes(value),
        ShapeKind::Object { any } => *any,
        ShapeKind::Tuple(items) => {
            object::is_tuple(value)
                && object::tuple_len(value) == items.len()
                && items
                    .iter()
                    .enumerate()
                    .all(|(i, item)| fits(item, classes, object::tuple_item(value, i)))
        }
        ShapeKind::Row { names, items } => row_fits(names.as_ref(), items, classes, value),
        _ => false,
    }
}

fn row_fits(names: Option<&super::shape::Names>, items: &[Node], classes: &RowClass, value: Raw) -> bool {
    if !classes.is_row(value) {
        return false;
    }
    let (Some(row_names), Some(values)) = (classes.names(value), classes.values(value)) else {
        return false;
    };
    let named = match names {
        Some(names) => names.equals(row_names),
        None => object::is_none(row_names),
    };
    named
        && object::list_len(values) == items.len()
        && items
            .iter()
            .enumerate()
            .all(|(i, item)| fits(item, classes, object::list_item(values, i)))
}

#[inline(always)]
fn in_range<T: TryFrom<i64>>(value: Raw) -> bool {
    object::as_i64(value).is_some_and(|number| T::try_from(number).is_ok())
}

/// What conforming one batch needs.
pub struct Conformer<'a, 'py> {
    pub py: Python<'py>,
    pub classes: &'a RowClass,
    /// `core.conform.conform_value(shape, value)`, or `narrow_value` where numbers are narrowed.
    pub convert: &'a Bound<'py, PyAny>,
    pub narrows: bool,
}

impl<'py> Conformer<'_, 'py> {
    /// The same list if all rows fit, otherwise another one.
    pub fn conform(&self, node: &Node, rows: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let len = rows.len();
        let first = (0..len).find(|index| !fits(node, self.classes, object::list_item(rows.as_ptr(), *index)));
        let Some(first) = first else {
            return Ok(rows.clone());
        };
        let result = rows.get_slice(0, len);
        for index in first..len {
            let row = result.get_item(index)?;
            if !fits(node, self.classes, row.as_ptr()) {
                result.set_item(index, self.value(node, &row)?)?;
            }
        }
        Ok(result)
    }

    /// `value` in its declared form; may run Python code, so everything here is owned.
    fn value(&self, node: &Node, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if fits(node, self.classes, value.as_ptr()) {
            return Ok(value.clone());
        }
        if self.narrows && object::is_int(value.as_ptr()) {
            let bits = object::low_bits(value.as_ptr());
            match node.kind {
                ShapeKind::Int8 => return Ok(self.int(i64::from(bits as i8))),
                ShapeKind::Int16 => return Ok(self.int(i64::from(bits as i16))),
                ShapeKind::Int32 => return Ok(self.int(i64::from(bits as i32))),
                ShapeKind::Int64 => return Ok(self.int(bits)),
                _ => {}
            }
        }
        if let (ShapeKind::Float32, Some(number)) = (&node.kind, object::as_f64(value.as_ptr())) {
            let rounded = number as f32;
            if self.narrows || rounded.is_finite() || !number.is_finite() {
                return Ok(f64::from(rounded).into_pyobject(self.py)?.into_any());
            }
        }
        if let Some(items) = node.items() {
            if let Some(parts) = self.parts(node, items.len(), value) {
                return self.composite(node, items, value, &parts);
            }
        }
        self.convert.call1((&node.shape, value))
    }

    fn int(&self, value: i64) -> Bound<'py, PyAny> {
        match value.into_pyobject(self.py) {
            Ok(number) => number.into_any(),
            Err(never) => match never {},
        }
    }

    /// The values of a tuple, list or row of the right length and names, in order.
    fn parts(&self, node: &Node, arity: usize, value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
        let raw = value.as_ptr();
        let (container, is_tuple) = if object::is_tuple(raw) {
            (raw, true)
        } else if object::is_list(raw) {
            (raw, false)
        } else if self.classes.is_row(raw) {
            let row_names = self.classes.names(raw)?;
            let in_order = object::is_none(row_names)
                || match &node.kind {
                    ShapeKind::Row { names, .. } => names.as_ref().is_none_or(|names| names.equals(row_names)),
                    _ => true,
                };
            if !in_order {
                return None;
            }
            (self.classes.values(raw)?, false)
        } else {
            return None;
        };
        let len = if is_tuple {
            object::tuple_len(container)
        } else {
            object::list_len(container)
        };
        if len != arity {
            return None;
        }
        let item = |index| {
            if is_tuple {
                object::tuple_item(container, index)
            } else {
                object::list_item(container, index)
            }
        };
        // SAFETY: borrowed items of a live container, owned from here on.
        Some(
            (0..arity)
                .map(|index| unsafe { Bound::from_borrowed_ptr(self.py, item(index)) })
                .collect(),
        )
    }

    fn composite(
        &self,
        node: &Node,
        items: &[Node],
        value: &Bound<'py, PyAny>,
        parts: &[Bound<'py, PyAny>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let converted = items
            .iter()
            .zip(parts)
            .map(|(item, part)| self.value(item, part))
            .collect::<PyResult<Vec<_>>>()?;
        let new = |index: usize| object::new_ref(converted[index].as_ptr());
        let ShapeKind::Row { names, .. } = &node.kind else {
            let is_same = object::is_tuple(value.as_ptr()) && converted.iter().zip(parts).all(|(a, b)| a.is(b));
            if is_same {
                return Ok(value.clone());
            }
            return object::owned(self.py, object::new_tuple(converted.len(), new));
        };
        let kind = self
            .classes
            .is_row(value.as_ptr())
            .then(|| self.classes.kind(value.as_ptr()))
            .flatten();
        // SAFETY: only takes the singleton's address.
        let list = names
            .as_ref()
            .map_or(unsafe { ffi::Py_None() }, |names| names.list(self.py).as_ptr());
        let values = object::new_list(converted.len(), new);
        object::owned(self.py, self.classes.make(values, list, kind))
    }
}
