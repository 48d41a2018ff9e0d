//! Columns of a batch directly from the C Data Interface struct that pyarrow filled: flat types only, no Arrow objects.
//!
//! The general way (`arrow_array::ffi`) costs more than copying a small batch does.

use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::{make_array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ffi::FFI_ArrowArray;
use arrow_data::ArrayDataBuilder;
use arrow_schema::{DataType, Fields};

use super::columns::{fixed_width, Column, Offsets, Values};

/// The columns of an exported record batch, sharing its memory; returns the struct if a column is not flat.
pub fn flat_columns(batch: FFI_ArrowArray, fields: &Fields) -> Result<Vec<Column>, FFI_ArrowArray> {
    if batch.n_children as usize != fields.len() || batch.offset != 0 || batch.length == 0 {
        return Err(batch);
    }
    let owner = Arc::new(batch);
    // SAFETY: the C Data Interface guarantees `n_children` pointers to structs that live until the parent is released.
    let child = |i: usize| unsafe { &**owner.children.add(i) };
    let columns: Option<Vec<_>> = fields
        .iter()
        .enumerate()
        .map(|(i, field)| {
            Source {
                array: child(i),
                owner: &owner,
            }
            .column(field.data_type())
        })
        .collect();
    columns.ok_or_else(|| Arc::into_inner(owner).expect("the columns made so far are gone"))
}

struct Source<'a> {
    array: &'a FFI_ArrowArray,
    owner: &'a Arc<FFI_ArrowArray>,
}

impl Source<'_> {
    fn pointer(&self, index: usize) -> Option<NonNull<u8>> {
        // SAFETY: by the C Data Interface there are `n_buffers` pointers; `column` requests only those that its type
        // has.
        let pointer = unsafe { *self.array.buffers.add(index) };
        NonNull::new(pointer.cast_mut().cast::<u8>())
    }

    /// Buffer `index` from byte `from` to byte `to`; a null pointer counts as empty if no bytes are needed.
    fn buffer(&self, index: usize, from: usize, to: usize, alignment: usize) -> Option<Buffer> {
        if from == to {
            return Some(Buffer::from(&[]));
        }
        let pointer = self
            .pointer(index)
            .filter(|pointer| (pointer.as_ptr() as usize).is_multiple_of(alignment))?;
        // SAFETY: the exporter guarantees that the buffer reaches to the last value; `owner` keeps it alive.
        Some(unsafe { Buffer::from_custom_allocation(pointer.add(from), to - from, self.owner.clone()) })
    }

    fn bits(&self, index: usize, offset: usize, rows: usize) -> Option<BooleanBuffer> {
        let bytes = (offset + rows).div_ceil(8);
        Some(BooleanBuffer::new(self.buffer(index, 0, bytes, 1)?, offset, rows))
    }

    fn column(&self, data_type: &DataType) -> Option<Column> {
        let (rows, offset) = (self.array.length as usize, self.array.offset as usize);
        let buffers = match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
            _ => 2,
        };
        if self.array.n_buffers != buffers || self.array.n_children != 0 || !self.array.dictionary.is_null() {
            return None;
        }
        let nulls = match self.array.null_count {
            0 => None,
            _ if self.pointer(0).is_none() => None,
            _ => Some(NullBuffer::new(self.bits(0, offset, rows)?)).filter(|nulls| nulls.null_count() > 0),
        };
        let values = match data_type {
            DataType::Boolean => Values::Bits {
                values: self.bits(1, offset, rows)?,
            },
            DataType::Utf8 | DataType::Binary => self.bytes(offset, rows, 4)?,
            DataType::LargeUtf8 | DataType::LargeBinary => self.bytes(offset, rows, 8)?,
            other => {
                let width = fixed_width(other)?;
                Values::Fixed {
                    values: self.buffer(1, offset * width, (offset + rows) * width, 1)?,
                    width,
                }
            }
        };
        Some(Column { rows, nulls, values })
    }

    fn bytes(&self, offset: usize, rows: usize, width: usize) -> Option<Values> {
        let buffer = self.buffer(1, offset * width, (offset + rows + 1) * width, width)?;
        let offsets = Offsets {
            buffer,
            wide: width == 8,
        };
        let data = self.buffer(2, 0, offsets.at(rows), 1)?;
        Some(Values::Bytes { offsets, data })
    }
}

/// A flat column as an Arrow array, for the key hash.
pub fn array_of(column: &Column, data_type: &DataType) -> Option<ArrayRef> {
    let builder = ArrayDataBuilder::new(data_type.clone())
        .len(column.rows)
        .nulls(column.nulls.clone());
    let builder = match &column.values {
        Values::Fixed { values, .. } => builder.add_buffer(values.clone()),
        Values::Bits { values } => builder.offset(values.offset()).add_buffer(values.inner().clone()),
        Values::Bytes { offsets, data } => builder.add_buffer(offsets.buffer.clone()).add_buffer(data.clone()),
        _ => return None,
    };
    // SAFETY: the buffers are those of an array of this type, starting at its row 0; the exporter guarantees it.
    Some(make_array(unsafe { builder.align_buffers(true).build_unchecked() }))
}
