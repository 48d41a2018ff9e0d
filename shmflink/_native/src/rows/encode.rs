//! Rows -> columns, strictly: if a row would not survive the round trip exactly, the whole batch is a misfit, and the
//! caller conforms it or pickles it. Column by column, so that each loop knows its type.

use super::object::{self, Raw, RowClass};
use super::shape::{Names, Node, ShapeKind};
use arrow_array::types::*;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, NullArray, PrimitiveArray, StringArray, StructArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::Arc;

/// `Ok(None)` is a misfit.
pub type Fit<T> = PyResult<Option<T>>;

/// Returns early with a misfit.
macro_rules! fit {
    ($option:expr) => {
        match $option {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

/// The values of one field over all rows: every `stride`-th pointer of a row-major table.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    table: &'a [Raw],
    stride: usize,
    field: usize,
    len: usize,
}

impl<'a> Column<'a> {
    pub fn single(table: &'a [Raw]) -> Self {
        Self {
            table,
            stride: 1,
            field: 0,
            len: table.len(),
        }
    }

    pub fn field(table: &'a [Raw], stride: usize, field: usize) -> Self {
        Self {
            table,
            stride,
            field,
            len: table.len() / stride,
        }
    }

    #[inline(always)]
    fn iter(self) -> impl Iterator<Item = Raw> + 'a {
        self.table[self.field.min(self.table.len())..]
            .iter()
            .step_by(self.stride)
            .copied()
    }

    /// A Python list of the values, for columns that Python converts.
    pub fn to_list<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut values = self.iter();
        let list = object::new_list(self.len, |_| {
            object::new_ref(values.next().expect("one value for each row"))
        });
        Ok(object::owned(py, list)?.cast_into()?)
    }
}

/// The pointers of a list, borrowed from it.
pub fn pointers(rows: &Bound<'_, PyList>) -> Vec<Raw> {
    (0..rows.len())
        .map(|index| object::list_item(rows.as_ptr(), index))
        .collect()
}

/// The values of tuples or rows as a row-major table. A None row is a misfit without `nulls`; with `nulls`, its
/// validity is recorded and its fields are None.
pub fn flatten(node: &Node, classes: &RowClass, rows: Column<'_>, nulls: Option<&mut Validity>) -> Option<Vec<Raw>> {
    match &node.kind {
        ShapeKind::Tuple(items) => flatten_tuples(items.len(), rows, nulls),
        ShapeKind::Row { names, items } => flatten_rows(items.len(), names.as_ref(), classes, rows, nulls),
        _ => None,
    }
}

fn flatten_tuples(arity: usize, rows: Column<'_>, mut nulls: Option<&mut Validity>) -> Option<Vec<Raw>> {
    let mut table = Vec::with_capacity(rows.len * arity);
    for (index, row) in rows.iter().enumerate() {
        if object::is_tuple(row) && object::tuple_len(row) == arity {
            table.extend((0..arity).map(|field| object::tuple_item(row, field)));
        } else if object::is_none(row) {
            nulls.as_deref_mut()?.null_at(index);
            table.extend(std::iter::repeat_n(row, arity));
        } else {
            return None;
        }
    }
    Some(table)
}

fn flatten_rows(
    arity: usize,
    names: Option<&Names>,
    classes: &RowClass,
    rows: Column<'_>,
    mut nulls: Option<&mut Validity>,
) -> Option<Vec<Raw>> {
    let mut table = Vec::with_capacity(rows.len * arity);
    let mut names_seen: Raw = std::ptr::null_mut();
    for (index, row) in rows.iter().enumerate() {
        if object::is_none(row) {
            nulls.as_deref_mut()?.null_at(index);
            table.extend(std::iter::repeat_n(row, arity));
            continue;
        }
        if !classes.is_row(row) || !classes.is_insert(row) {
            return None;
        }
        let row_names = classes.names(row)?;
        if row_names != names_seen {
            // Rows of one source share their list of names, so this runs about once per batch.
            match names {
                Some(names) if !names.equals(row_names) => return None,
                None if !object::is_none(row_names) => return None,
                _ => names_seen = row_names,
            }
        }
        let values = classes.values(row)?;
        if object::list_len(values) != arity {
            return None;
        }
        table.extend((0..arity).map(|field| object::list_item(values, field)));
    }
    Some(table)
}

/// Which values are not None. Nothing is built until the first None.
pub struct Validity {
    bits: Option<BooleanBufferBuilder>,
    len: usize,
}

impl Validity {
    fn new(len: usize) -> Self {
        Self { bits: None, len }
    }

    #[cold]
    fn null_at(&mut self, index: usize) {
        let len = self.len;
        self.bits
            .get_or_insert_with(|| {
                let mut bits = BooleanBufferBuilder::new(len);
                bits.append_n(len, true);
                bits
            })
            .set_bit(index, false);
    }

    fn finish(self) -> Option<NullBuffer> {
        self.bits.map(|mut bits| NullBuffer::new(bits.finish()))
    }
}

/// The Arrow array of one column.
pub fn array_of(py: Python<'_>, node: &Node, classes: &RowClass, column: Column<'_>) -> Fit<ArrayRef> {
    Ok(match &node.kind {
        ShapeKind::Int8 => primitive::<Int8Type>(column, |v| object::as_i64(v)?.try_into().ok()),
        ShapeKind::Int16 => primitive::<Int16Type>(column, |v| object::as_i64(v)?.try_into().ok()),
        ShapeKind::Int32 => primitive::<Int32Type>(column, |v| object::as_i64(v)?.try_into().ok()),
        ShapeKind::Int64 => primitive::<Int64Type>(column, object::as_i64),
        ShapeKind::Float32 => primitive::<Float32Type>(column, |v| exact_f32(object::as_f64(v)?)),
        ShapeKind::Float64 => primitive::<Float64Type>(column, object::as_f64),
        ShapeKind::Bool => booleans(column),
        ShapeKind::Null => nulls(column),
        ShapeKind::Str => return strings(column, object::as_utf8),
        ShapeKind::Char => return strings(column, |v| object::as_utf8(v).filter(|text| is_one_char(text))),
        ShapeKind::Bytes => return bytes(column),
        ShapeKind::Tuple(items) | ShapeKind::Row { items, .. } => return structs(py, node, items, classes, column),
        ShapeKind::Object { .. } => None,
    })
}

/// `value` as a 32-bit float, if that is lossless.
pub fn exact_f32(value: f64) -> Option<f32> {
    let narrow = value as f32;
    (f64::from(narrow).to_bits() == value.to_bits()).then_some(narrow)
}

pub fn is_one_char(text: &[u8]) -> bool {
    // Continuation bytes are 0b10xxxxxx.
    text.iter().filter(|byte| (**byte & 0xC0) != 0x80).count() == 1
}

#[inline(always)]
fn primitive<T: ArrowPrimitiveType>(column: Column<'_>, read: impl Fn(Raw) -> Option<T::Native>) -> Option<ArrayRef> {
    let mut values: Vec<T::Native> = Vec::with_capacity(column.len);
    let mut validity = Validity::new(column.len);
    for (index, value) in column.iter().enumerate() {
        match read(value) {
            Some(number) => values.push(number),
            None if object::is_none(value) => {
                validity.null_at(index);
                values.push(T::Native::default());
            }
            None => return None,
        }
    }
    Some(Arc::new(PrimitiveArray::<T>::new(
        ScalarBuffer::from(values),
        validity.finish(),
    )))
}

fn booleans(column: Column<'_>) -> Option<ArrayRef> {
    let mut values = BooleanBufferBuilder::new(column.len);
    let mut validity = Validity::new(column.len);
    for (index, value) in column.iter().enumerate() {
        match object::as_bool(value) {
            Some(bit) => values.append(bit),
            None if object::is_none(value) => {
                validity.null_at(index);
                values.append(false);
            }
            None => return None,
        }
    }
    Some(Arc::new(BooleanArray::new(values.finish(), validity.finish())))
}

fn nulls(column: Column<'_>) -> Option<ArrayRef> {
    column
        .iter()
        .all(object::is_none)
        .then(|| Arc::new(NullArray::new(column.len)) as ArrayRef)
}

type Variable = (OffsetBuffer<i32>, Buffer, Option<NullBuffer>);

#[inline(always)]
fn variable<'a>(column: Column<'_>, read: impl Fn(Raw) -> Option<&'a [u8]>) -> Fit<Variable> {
    let mut offsets: Vec<i32> = Vec::with_capacity(column.len + 1);
    let mut values: Vec<u8> = Vec::with_capacity(column.len * 8);
    let mut validity = Validity::new(column.len);
    offsets.push(0);
    for (index, value) in column.iter().enumerate() {
        match read(value) {
            Some(part) => values.extend_from_slice(part),
            None if object::is_none(value) => validity.null_at(index),
            None => return Ok(None),
        }
        offsets.push(values.len() as i32);
    }
    if values.len() > i32::MAX as usize {
        return Err(PyOverflowError::new_err(
            "a batch holds more than 2 GiB of text or bytes in one column; use smaller batches",
        ));
    }
    // `values` only grows and its end fits i32, so no offset has wrapped.
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Some((offsets, Buffer::from_vec(values), validity.finish())))
}

#[inline(always)]
fn strings<'a>(column: Column<'_>, read: impl Fn(Raw) -> Option<&'a [u8]>) -> Fit<ArrayRef> {
    let (offsets, values, validity) = fit!(variable(column, read)?);
    // SAFETY: every value is the UTF-8 that Python produced from a str.
    Ok(Some(Arc::new(unsafe {
        StringArray::new_unchecked(offsets, values, validity)
    })))
}

fn bytes(column: Column<'_>) -> Fit<ArrayRef> {
    let (offsets, values, validity) = fit!(variable(column, object::as_bytes)?);
    Ok(Some(Arc::new(BinaryArray::new(offsets, values, validity))))
}

fn structs(py: Python<'_>, node: &Node, items: &[Node], classes: &RowClass, column: Column<'_>) -> Fit<ArrayRef> {
    let mut validity = Validity::new(column.len);
    let table = fit!(flatten(node, classes, column, Some(&mut validity)));
    let mut fields = Vec::with_capacity(items.len());
    let mut arrays = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let array = fit!(array_of(py, item, classes, Column::field(&table, items.len(), index))?);
        fields.push(Field::new(node.field_name(py, index)?, array.data_type().clone(), true));
        arrays.push(array);
    }
    debug_assert!(!items.is_empty(), "a shape without fields is pickled");
    Ok(Some(Arc::new(StructArray::new(
        Fields::from(fields),
        arrays,
        validity.finish(),
    ))))
}

/// The Arrow field of a column, always nullable: None is a value of every shape.
pub fn field_of(name: String, data_type: &DataType) -> Field {
    Field::new(name, data_type.clone(), true)
}
