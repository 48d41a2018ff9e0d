//! Arrow arrays over an image, without a copy: C Data Interface structs that keep the image's memory alive.
//!
//! Everything read is checked before anything points to it: lengths, offsets and alignment; that the offsets of
//! variable-width columns never decrease and end within their data; that dictionary keys and views point to existing
//! values. A violation is `Corrupt`, never undefined behavior. (UTF-8 is not checked; Arrow's readers do not rely on it
//! for memory safety.)

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::{DataType, Field, FieldRef, Fields};

use super::columns::{fixed_width, Shape};
use super::error::corrupt;
use super::image::{body_offset, ALIGNMENT, BUFFER_BYTES, HEADER_BYTES, MAGIC, NODE_BYTES};
use crate::transport::error::TransportError;

/// Owner of the memory of an image; dropping the last clone returns the segment.
pub type Keep = Arc<dyn Send + Sync>;

type Checked<T> = Result<T, TransportError>;

/// Header of an image.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub schema: u32,
    pub rows: usize,
    pub bytes: usize,
    shape: Shape,
}

fn u32_at(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(image: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(image[at..at + 8].try_into().expect("8 bytes"))
}

impl Header {
    /// The header of an image; only its first bytes need to be present.
    pub fn read(image: &[u8]) -> Checked<Self> {
        if image.len() < HEADER_BYTES || u32_at(image, 0) != MAGIC {
            return Err(corrupt(format!("{} bytes that are not a batch image", image.len())));
        }
        let header = Self {
            schema: u32_at(image, 4),
            rows: u64_at(image, 8) as usize,
            bytes: u64_at(image, 24) as usize,
            shape: Shape {
                nodes: u32_at(image, 16) as usize,
                buffers: u32_at(image, 20) as usize,
            },
        };
        if i64::try_from(header.rows).is_err() || i64::try_from(header.bytes).is_err() {
            return Err(corrupt(format!(
                "a batch image of {} rows and {} bytes",
                header.rows, header.bytes
            )));
        }
        Ok(header)
    }
}

/// The record batch in `image` as one struct array. Requires that `shape` is that of `fields`; `keep` owns the image's
/// memory.
pub fn import(image: &[u8], fields: &Fields, shape: Shape, keep: &Keep) -> Checked<FFI_ArrowArray> {
    let header = Header::read(image)?;
    if header.bytes != image.len() || header.shape != shape || body_offset(shape) > image.len() {
        return Err(corrupt(format!(
            "an image of {} bytes with {} arrays and {} buffers where {} bytes, {} arrays and {} buffers were expected",
            header.bytes,
            header.shape.nodes,
            header.shape.buffers,
            image.len(),
            shape.nodes,
            shape.buffers
        )));
    }
    let mut reader = Reader {
        image,
        shape,
        keep,
        node: 0,
        buffer: 0,
    };
    let children = fields
        .iter()
        .map(|field| reader.array(field.data_type(), Some(header.rows)))
        .collect::<Checked<Vec<_>>>()?;
    Ok(finish(header.rows, 0, vec![ptr::null()], children, None, None, keep))
}

/// Owned by a C struct's private data.
struct Held {
    _keep: Keep,
    buffers: Vec<*const c_void>,
    children: Vec<*mut FFI_ArrowArray>,
    dictionary: *mut FFI_ArrowArray,
    _lengths: Option<Box<[i64; 1]>>,
}

unsafe extern "C" fn release(array: *mut FFI_ArrowArray) {
    // SAFETY: the consumer calls this once, with the struct (possibly moved) that `finish` made.
    let array = unsafe { &mut *array };
    // SAFETY: `private_data` came from `Box::into_raw` in `finish`; `release` is cleared below.
    let held = unsafe { Box::from_raw(array.private_data.cast::<Held>()) };
    for child in held
        .children
        .iter()
        .chain((!held.dictionary.is_null()).then_some(&held.dictionary))
    {
        // SAFETY: from `Box::into_raw`; dropping it releases the children that the consumer has not moved out.
        drop(unsafe { Box::from_raw(*child) });
    }
    array.release = None;
    array.private_data = ptr::null_mut();
}

fn finish(
    rows: usize,
    nulls: usize,
    buffers: Vec<*const c_void>,
    children: Vec<FFI_ArrowArray>,
    dictionary: Option<FFI_ArrowArray>,
    lengths: Option<Box<[i64; 1]>>,
    keep: &Keep,
) -> FFI_ArrowArray {
    let raw = |array| Box::into_raw(Box::new(array));
    let mut held = Box::new(Held {
        _keep: keep.clone(),
        buffers,
        children: children.into_iter().map(raw).collect(),
        dictionary: dictionary.map_or(ptr::null_mut(), raw),
        _lengths: lengths,
    });
    FFI_ArrowArray {
        length: rows as i64,
        null_count: nulls as i64,
        offset: 0,
        n_buffers: held.buffers.len() as i64,
        n_children: held.children.len() as i64,
        buffers: held.buffers.as_mut_ptr(),
        children: held.children.as_mut_ptr(),
        dictionary: held.dictionary,
        release: Some(release),
        private_data: Box::into_raw(held).cast(),
    }
}

struct Reader<'a> {
    image: &'a [u8],
    shape: Shape,
    keep: &'a Keep,
    node: usize,
    buffer: usize,
}

impl<'a> Reader<'a> {
    /// The next array's rows and nulls. `rows` is what its parent requires, None if it may have more.
    fn next_node(&mut self, rows: Option<usize>) -> Checked<(usize, usize)> {
        let at = HEADER_BYTES + self.node * NODE_BYTES; // in bounds: there are as many nodes as the schema has
        self.node += 1;
        let (own, nulls) = (u64_at(self.image, at) as usize, u64_at(self.image, at + 8) as usize);
        if rows.is_some_and(|rows| rows != own) || nulls > own || i64::try_from(own).is_err() {
            return Err(corrupt(format!(
                "an array of {own} rows with {nulls} nulls where {rows:?} rows were expected"
            )));
        }
        Ok((own, nulls))
    }

    fn next_buffer(&mut self, bytes_min: usize) -> Checked<&'a [u8]> {
        let at = HEADER_BYTES + self.shape.nodes * NODE_BYTES + self.buffer * BUFFER_BYTES;
        self.buffer += 1;
        let (offset, bytes) = (u64_at(self.image, at) as usize, u64_at(self.image, at + 8) as usize);
        let end = offset.checked_add(bytes).filter(|end| *end <= self.image.len());
        let misplaced = offset % ALIGNMENT != 0 || (bytes > 0 && offset < body_offset(self.shape));
        match end {
            Some(end) if !misplaced && bytes >= bytes_min => Ok(&self.image[offset..end]),
            _ => Err(corrupt(format!(
                "a buffer of {bytes} bytes at offset {offset} of an image of {} bytes, where {bytes_min} were expected",
                self.image.len()
            ))),
        }
    }

    fn validity(&mut self, rows: usize, nulls: usize) -> Checked<Option<&'a [u8]>> {
        let bitmap = self.next_buffer(if nulls > 0 { rows.div_ceil(8) } else { 0 })?;
        Ok((nulls > 0).then_some(bitmap))
    }

    fn array(&mut self, data_type: &DataType, rows: Option<usize>) -> Checked<FFI_ArrowArray> {
        let (rows, nulls) = self.next_node(rows)?;
        if *data_type == DataType::Null {
            return Ok(self.made(rows, rows, &[], vec![]));
        }
        let validity = self.validity(rows, nulls)?;
        match data_type {
            DataType::Boolean => {
                let values = self.next_buffer(rows.div_ceil(8))?;
                Ok(self.made(rows, nulls, &[validity, Some(values)], vec![]))
            }
            DataType::Utf8 | DataType::Binary => self.bytes_array::<4>(rows, nulls, validity),
            DataType::LargeUtf8 | DataType::LargeBinary => self.bytes_array::<8>(rows, nulls, validity),
            DataType::Utf8View | DataType::BinaryView => self.view_array(rows, nulls, validity),
            DataType::List(item) | DataType::Map(item, _) => self.list_array::<4>(item, rows, nulls, validity),
            DataType::LargeList(item) => self.list_array::<8>(item, rows, nulls, validity),
            DataType::FixedSizeList(item, size) => {
                let items = rows.checked_mul(*size as usize);
                let items = items.ok_or_else(|| corrupt(format!("{rows} lists of {size} items")))?;
                let items = self.array(item.data_type(), Some(items))?;
                Ok(self.made(rows, nulls, &[validity], vec![items]))
            }
            DataType::Struct(fields) => {
                let children = self.fields(fields, rows)?;
                Ok(self.made(rows, nulls, &[validity], children))
            }
            DataType::Dictionary(keys, values) => self.dictionary_array(keys, values, rows, nulls, validity),
            other => {
                let width = fixed_width(other).ok_or_else(|| corrupt(format!("a column of type {other}")))?;
                let values = self.next_buffer(rows.saturating_mul(width))?;
                Ok(self.made(rows, nulls, &[validity, Some(values)], vec![]))
            }
        }
    }

    fn fields(&mut self, fields: &Fields, rows: usize) -> Checked<Vec<FFI_ArrowArray>> {
        fields
            .iter()
            .map(|field: &Arc<Field>| self.array(field.data_type(), Some(rows)))
            .collect()
    }

    fn made(
        &self,
        rows: usize,
        nulls: usize,
        buffers: &[Option<&[u8]>],
        children: Vec<FFI_ArrowArray>,
    ) -> FFI_ArrowArray {
        let buffers = buffers.iter().map(|buffer| pointer(*buffer)).collect();
        finish(rows, nulls, buffers, children, None, None, self.keep)
    }

    /// Checked offsets of `rows` variable-width values, and the last offset. WIDTH is 4 or 8.
    fn offsets<const WIDTH: usize>(&mut self, rows: usize) -> Checked<(&'a [u8], usize)> {
        let bytes = rows.checked_add(1).and_then(|count| count.checked_mul(WIDTH));
        let offsets = self.next_buffer(bytes.unwrap_or(usize::MAX))?;
        let used = &offsets[..(rows + 1) * WIDTH];
        let (first, last, rising) = if WIDTH == 4 {
            rising(
                used.as_chunks::<4>()
                    .0
                    .iter()
                    .map(|o| i64::from(i32::from_le_bytes(*o))),
            )
        } else {
            rising(used.as_chunks::<8>().0.iter().map(|o| i64::from_le_bytes(*o)))
        };
        if first != 0 || !rising {
            return Err(corrupt(format!(
                "offsets of {rows} values from {first} to {last} that decrease"
            )));
        }
        Ok((offsets, last as usize))
    }

    fn bytes_array<const WIDTH: usize>(
        &mut self,
        rows: usize,
        nulls: usize,
        validity: Option<&[u8]>,
    ) -> Checked<FFI_ArrowArray> {
        let (offsets, bytes) = self.offsets::<WIDTH>(rows)?;
        let data = self.next_buffer(bytes)?;
        Ok(self.made(rows, nulls, &[validity, Some(offsets), Some(data)], vec![]))
    }

    fn list_array<const WIDTH: usize>(
        &mut self,
        item: &FieldRef,
        rows: usize,
        nulls: usize,
        validity: Option<&[u8]>,
    ) -> Checked<FFI_ArrowArray> {
        let (offsets, count) = self.offsets::<WIDTH>(rows)?;
        let items = self.array(item.data_type(), Some(count))?;
        Ok(self.made(rows, nulls, &[validity, Some(offsets)], vec![items]))
    }

    fn view_array(&mut self, rows: usize, nulls: usize, validity: Option<&[u8]>) -> Checked<FFI_ArrowArray> {
        let views = self.next_buffer(rows.saturating_mul(16))?;
        let data = self.next_buffer(0)?;
        for view in views[..rows * 16].as_chunks::<16>().0 {
            let (bytes, buffer, offset) = (u32_at(view, 0), u32_at(view, 8), u32_at(view, 12));
            let end = u64::from(offset) + u64::from(bytes);
            if bytes > 12 && (buffer != 0 || bytes > i32::MAX as u32 || end > data.len() as u64) {
                return Err(corrupt(format!(
                    "a view of {bytes} bytes at {offset} of {} in buffer {buffer}",
                    data.len()
                )));
            }
        }
        let lengths = Box::new([data.len() as i64]);
        let buffers = vec![
            pointer(validity),
            pointer(Some(views)),
            pointer(Some(data)),
            lengths.as_ptr().cast(),
        ];
        Ok(finish(rows, nulls, buffers, vec![], None, Some(lengths), self.keep))
    }

    fn dictionary_array(
        &mut self,
        key_type: &DataType,
        value_type: &DataType,
        rows: usize,
        nulls: usize,
        validity: Option<&[u8]>,
    ) -> Checked<FFI_ArrowArray> {
        let width = fixed_width(key_type).ok_or_else(|| corrupt(format!("dictionary keys of type {key_type}")))?;
        let keys = self.next_buffer(rows.saturating_mul(width))?;
        let values = self.array(value_type, None)?;
        let signed = key_type.is_signed_integer();
        for (row, key) in keys[..rows * width].chunks_exact(width).enumerate() {
            let mut word = [if signed && key[width - 1] & 0x80 != 0 { 0xff } else { 0 }; 8];
            word[..width].copy_from_slice(key);
            let outside = u64::from_le_bytes(word) >= values.length as u64;
            if outside && validity.is_none_or(|bits| bits[row >> 3] >> (row & 7) & 1 == 1) {
                return Err(corrupt(format!(
                    "a key beyond the {} values of its dictionary",
                    values.length
                )));
            }
        }
        let buffers = vec![pointer(validity), pointer(Some(keys))];
        Ok(finish(rows, nulls, buffers, vec![], Some(values), None, self.keep))
    }
}

fn pointer(buffer: Option<&[u8]>) -> *const c_void {
    buffer.map_or(ptr::null(), |bytes| bytes.as_ptr().cast())
}

/// First and last offset, and whether `offsets[i] <= offsets[i + 1]` for all i. No early exit, so that it vectorizes.
fn rising(offsets: impl Iterator<Item = i64> + Clone) -> (i64, i64, bool) {
    let first = offsets.clone().next().unwrap_or(0);
    let (last, falls) = offsets.fold((first, false), |(before, falls), offset| {
        (offset, falls | (offset < before))
    });
    (first, last, !falls)
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{FixedSizeListBuilder, Int64Builder, ListBuilder};
    use arrow_array::types::Int8Type;
    use arrow_array::{
        ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int64Array, NullArray, RecordBatch, StringArray,
        StringViewArray, StructArray,
    };
    use arrow_buffer::{Buffer, MutableBuffer};

    use super::super::columns::Column;
    use super::super::image;
    use super::*;

    fn lists() -> ArrayRef {
        let mut builder = ListBuilder::new(Int64Builder::new());
        builder.append_value([Some(1), None]);
        builder.append_null();
        builder.append_value([Some(2), Some(3), Some(4)]);
        builder.append_value([]);
        Arc::new(builder.finish())
    }

    fn pairs() -> ArrayRef {
        let mut builder = FixedSizeListBuilder::new(Int64Builder::new(), 2);
        for row in 0..4 {
            builder.values().append_value(row);
            builder.values().append_null();
            builder.append(row != 2);
        }
        Arc::new(builder.finish())
    }

    fn varied() -> RecordBatch {
        let words = ["one", "two", "one"].into_iter().map(Some).chain([None]);
        let long = "a view that is longer than twelve bytes";
        let texts = StringArray::from(vec![Some("a"), None, Some(""), Some("four")]);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("numbers", numbers.clone()),
            ("texts", Arc::new(texts)),
            (
                "flags",
                Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
            ),
            ("lists", lists()),
            ("pairs", pairs()),
            ("words", Arc::new(words.collect::<DictionaryArray<Int8Type>>())),
            (
                "views",
                Arc::new(StringViewArray::from(vec![Some(long), None, Some("short"), Some(long)])),
            ),
            (
                "struct",
                Arc::new(StructArray::try_from(vec![("inner", numbers)]).expect("equal lengths")),
            ),
            ("nothing", Arc::new(NullArray::new(4))),
            ("money", Arc::new(Decimal128Array::from(vec![1_i128, 2, 3, 4]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .expect("columns of one length")
    }

    fn image_of(batch: &RecordBatch, start: usize, rows: usize) -> (MutableBuffer, Shape) {
        let shape = Shape::of_fields(batch.schema().fields().iter().map(|field| field.as_ref())).expect("known types");
        let columns = Column::of_all(batch.columns()).expect("known types");
        let mut bytes = MutableBuffer::from_len_zeroed(image::image_bytes(&columns, shape, start, rows));
        let length = image::write(&mut bytes, 0, &columns, shape, start, rows);
        bytes.truncate(length);
        (bytes, shape)
    }

    fn read(bytes: MutableBuffer, shape: Shape, fields: &Fields) -> Checked<arrow_data::ArrayData> {
        let bytes: Buffer = bytes.into();
        let keep: Keep = Arc::new(bytes.clone());
        let array = import(&bytes, fields, shape, &keep)?;
        // SAFETY: `import` made it according to the C Data Interface; that is what this test checks.
        let data = unsafe { arrow_array::ffi::from_ffi_and_data_type(array, DataType::Struct(fields.clone())) };
        Ok(data.expect("a struct that Arrow takes"))
    }

    #[test]
    fn images_of_slices_hold_what_was_written() {
        let batch = varied();
        for start in 0..4 {
            for rows in 0..=4 - start {
                let (bytes, shape) = image_of(&batch, start, rows);
                let data = read(bytes, shape, batch.schema().fields()).expect("our own image");
                data.validate_full().expect("valid");
                let expected = StructArray::from(batch.slice(start, rows));
                assert_eq!(StructArray::from(data), expected, "rows {start} to {}", start + rows);
            }
        }
    }

    /// Any bytes in shared memory are refused, or yield arrays that are structurally valid.
    #[test]
    fn corrupt_images_are_refused_never_followed() {
        let batch = varied();
        let (bytes, shape) = image_of(&batch, 0, 4);
        let (mut state, mut refused) = (7_u64, 0);
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % limit
        };
        for _ in 0..20_000 {
            let mut damaged = MutableBuffer::from_len_zeroed(bytes.len());
            damaged.copy_from_slice(&bytes);
            for _ in 0..=below(3) {
                let limit = if below(2) == 0 { body_offset(shape) } else { bytes.len() };
                let (at, value) = (below(limit), [0, 1, 0x7f, 0x80, 0xff, below(256)][below(6)]);
                damaged[at] = value as u8;
            }
            if below(10) == 0 {
                damaged.truncate(below(bytes.len()));
            }
            match read(damaged, shape, batch.schema().fields()) {
                Ok(data) => data
                    .child_data()
                    .iter()
                    .for_each(|child| child.validate().expect("valid")),
                Err(TransportError::Corrupt(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 2_000, "{refused} refused");
    }

    #[test]
    fn released_arrays_let_their_memory_go() {
        let batch = varied();
        let (bytes, shape) = image_of(&batch, 0, 4);
        let bytes: Buffer = bytes.into();
        let keep: Keep = Arc::new(());
        let array = import(&bytes, batch.schema().fields(), shape, &keep).expect("our own image");
        assert!(Arc::strong_count(&keep) > batch.num_columns());
        drop(array);
        assert_eq!(Arc::strong_count(&keep), 1);
    }
}
