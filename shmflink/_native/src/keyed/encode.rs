//! Key columns of a batch as words, null masks and hashes, some rows at a time. `keys.rs` describes the words.

use arrow_array::cast::AsArray;
use arrow_array::{AnyDictionaryArray, Array, ArrayRef};
use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer, OffsetBuffer};
use arrow_data::ArrayData;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, IntervalUnit};

use super::index::HASH_BIT;
use super::plain::plain;
use crate::error::TableError;
use crate::exchange::hash::{fold, hash_bytes, P0, P1, P2};

const INLINE_BYTES: usize = 15;
pub const LONG: u64 = 0xff << 56;
pub const LENGTH_MASK: u64 = (1 << 56) - 1;
const SEED_LONG: u64 = 0x6c6f_6e67_0000_0001;

/// Which bits of the two words a string of each length fills.
const INLINE_MASKS: [[u64; 2]; INLINE_BYTES + 1] = {
    let mut masks = [[0; 2]; INLINE_BYTES + 1];
    let mut bytes = 1;
    while bytes <= INLINE_BYTES {
        let bits = (1_u128 << (8 * bytes)) - 1;
        masks[bytes] = [bits as u64, (bits >> 64) as u64];
        bytes += 1;
    }
    masks
};

pub enum KeyEncoding {
    Nothing,
    Bits,
    /// A value of 1, 2, 4 or 8 bytes.
    Word(usize),
    Float(usize),
    /// A value of this many words.
    Words(usize),
    Bytes,
    Encoded(RowConverter),
}

impl KeyEncoding {
    pub fn of(data_type: &DataType) -> Result<Self, TableError> {
        Ok(match data_type {
            DataType::Null => Self::Nothing,
            DataType::Boolean => Self::Bits,
            DataType::Float16 => Self::Float(2),
            DataType::Float32 => Self::Float(4),
            DataType::Float64 => Self::Float(8),
            DataType::Interval(IntervalUnit::MonthDayNano) => Self::Words(2),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Bytes,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            other => match other.primitive_width() {
                Some(bytes) if bytes <= 8 => Self::Word(bytes),
                Some(bytes) => Self::Words(bytes / 8),
                None => {
                    let field = SortField::new(other.clone());
                    let converter = RowConverter::new(vec![field]).map_err(|_| {
                        TableError::Unfit(format!("a column of type {other} cannot be a key of an aggregate"))
                    })?;
                    Self::Encoded(converter)
                }
            },
        })
    }

    pub fn words(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Bits | Self::Word(_) | Self::Float(_) => 1,
            Self::Words(count) => *count,
            Self::Bytes | Self::Encoded(_) => 2,
        }
    }
}

/// The key columns of one batch.
#[derive(Default)]
pub struct KeyBatch {
    pub columns: Vec<Incoming>,
}

pub struct Incoming {
    array: ArrayRef,
    data: ArrayData,
    /// Of the rows, wherever they come from.
    pub nulls: Option<NullBuffer>,
    bytes: Bytes,
}

/// Where the bytes of a column's values are.
enum Bytes {
    Narrow(OffsetBuffer<i32>, Buffer),
    Wide(OffsetBuffer<i64>, Buffer),
    Encoded(Rows),
    /// In one of the values of a dictionary.
    Coded(Coded),
    /// In the array, if it has any.
    Elsewhere,
}

/// A dictionary whose values became words once: rows take those of their value.
struct Coded {
    values: Box<Incoming>,
    /// Two for each value.
    words: Vec<u64>,
    /// The value of each row; any value where the row is null.
    codes: Vec<usize>,
}

impl Bytes {
    fn of(array: &ArrayRef) -> Self {
        macro_rules! by_offsets {
            ($array:expr, $variant:ident) => {{
                let array = $array;
                Self::$variant(array.offsets().clone(), array.values().clone())
            }};
        }
        match array.data_type() {
            DataType::Utf8 => by_offsets!(array.as_string::<i32>(), Narrow),
            DataType::LargeUtf8 => by_offsets!(array.as_string::<i64>(), Wide),
            DataType::Binary => by_offsets!(array.as_binary::<i32>(), Narrow),
            DataType::LargeBinary => by_offsets!(array.as_binary::<i64>(), Wide),
            _ => Self::Elsewhere,
        }
    }
}

impl Coded {
    /// None for values that are not byte strings, and if there are more values than rows.
    fn of(kind: &KeyEncoding, array: &dyn AnyDictionaryArray) -> Result<Option<Self>, TableError> {
        let (values, rows) = (array.values(), array.keys().len());
        if !matches!(kind, KeyEncoding::Bytes) || values.is_empty() || values.len() > rows {
            return Ok(None);
        }
        let values = Incoming::new(kind, values)?;
        let mut words = vec![0; 2 * values.array.len()];
        let out = Out {
            words: &mut words,
            offset: 0,
            step: 2,
        };
        write_bytes(&values, 0, values.array.len(), out);
        Ok(Some(Self {
            values: Box::new(values),
            words,
            codes: array.normalized_keys(),
        }))
    }

    fn write(&self, start: usize, len: usize, mut out: Out<'_>) -> bool {
        let mut has_long = false;
        for (row, code) in self.codes[start..start + len].iter().enumerate() {
            let pair = (self.words[2 * code], self.words[2 * code + 1]);
            has_long |= pair.1 >= LONG;
            out.put(row, pair);
        }
        has_long
    }
}

impl Incoming {
    /// A column, which may be a dictionary.
    pub fn of(kind: &KeyEncoding, array: &ArrayRef) -> Result<Self, TableError> {
        if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
            return Self::new(kind, array);
        }
        let Some(coded) = Coded::of(kind, array.as_any_dictionary())? else {
            return Self::new(kind, &plain(array)?);
        };
        Ok(Self {
            array: array.clone(),
            data: array.to_data(),
            nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            bytes: Bytes::Coded(coded),
        })
    }

    fn new(kind: &KeyEncoding, array: &ArrayRef) -> Result<Self, TableError> {
        let bytes = match kind {
            KeyEncoding::Encoded(converter) => Bytes::Encoded(converter.convert_columns(std::slice::from_ref(array))?),
            _ => Bytes::of(array),
        };
        Ok(Self {
            array: array.clone(),
            data: array.to_data(),
            nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            bytes,
        })
    }

    /// The bytes of a value in a column of strings, binary or encoded values.
    #[inline]
    pub fn bytes_at(&self, row: usize) -> &[u8] {
        match &self.bytes {
            Bytes::Narrow(offsets, data) => &data[offsets[row] as usize..offsets[row + 1] as usize],
            Bytes::Wide(offsets, data) => &data[offsets[row] as usize..offsets[row + 1] as usize],
            Bytes::Encoded(rows) => rows.row(row).data(),
            Bytes::Coded(coded) => coded.values.bytes_at(coded.codes[row]),
            Bytes::Elsewhere => match self.array.data_type() {
                DataType::Utf8View => self.array.as_string_view().value(row).as_bytes(),
                DataType::BinaryView => self.array.as_binary_view().value(row),
                _ => self.array.as_fixed_size_binary().value(row),
            },
        }
    }
}

/// Some rows of a batch, with their keys in the form of this module.
#[derive(Default)]
pub struct Run {
    pub words: Vec<u64>,
    pub masks: Vec<u64>,
    pub words_of_key: usize,
    pub has_nulls: bool,
    pub has_long: bool,
    pub start: usize,
    pub len: usize,
}

/// The destination of a column's words: from `offset` on, `step` words per row.
pub struct Out<'a> {
    pub words: &'a mut [u64],
    pub offset: usize,
    pub step: usize,
}

impl Out<'_> {
    /// Writes one word per value, in row order.
    #[inline(always)]
    fn fill(self, values: impl Iterator<Item = u64>) {
        match (self.step, self.offset) {
            (1, _) => self
                .words
                .iter_mut()
                .zip(values)
                .for_each(|(word, value)| *word = value),
            (2, 0) => {
                let words = self.words.as_chunks_mut::<2>().0;
                words.iter_mut().zip(values).for_each(|(words, value)| words[0] = value);
            }
            (2, _) => {
                let words = self.words.as_chunks_mut::<2>().0;
                words.iter_mut().zip(values).for_each(|(words, value)| words[1] = value);
            }
            _ => {
                let words = self.words[self.offset..].iter_mut().step_by(self.step);
                words.zip(values).for_each(|(word, value)| *word = value);
            }
        }
    }

    /// The same for values of two words.
    #[inline(always)]
    fn put(&mut self, row: usize, (first, second): (u64, u64)) {
        let at = row * self.step + self.offset;
        self.words[at..at + 2].copy_from_slice(&[first, second]);
    }
}

/// Writes the words of some rows; true if one of them is long. Nulls are ignored.
pub fn write_column(kind: &KeyEncoding, incoming: &Incoming, start: usize, len: usize, out: Out<'_>) -> bool {
    macro_rules! slice {
        ($kind:ty) => {
            incoming.data.buffer::<$kind>(0)[start..start + len].iter()
        };
    }
    match kind {
        KeyEncoding::Nothing => {}
        KeyEncoding::Bits => {
            let bits = incoming.array.as_boolean().values().slice(start, len);
            out.fill(bits.iter().map(u64::from));
        }
        KeyEncoding::Word(1) => out.fill(slice!(u8).map(|v| u64::from(*v))),
        KeyEncoding::Word(2) => out.fill(slice!(u16).map(|v| u64::from(*v))),
        KeyEncoding::Word(4) => out.fill(slice!(u32).map(|v| u64::from(*v))),
        KeyEncoding::Word(_) => out.fill(slice!(u64).copied()),
        KeyEncoding::Float(2) => out.fill(slice!(u16).map(|v| u64::from(plain_half(*v)))),
        KeyEncoding::Float(4) => out.fill(slice!(f32).map(|v| u64::from(plain_f32(*v)))),
        KeyEncoding::Float(_) => out.fill(slice!(f64).map(|v| plain_f64(*v))),
        KeyEncoding::Words(count) => {
            let bytes = &incoming.data.buffers()[0].as_slice()[incoming.data.offset() * count * 8..];
            let values = bytes[start * count * 8..].chunks_exact(count * 8);
            for (words, value) in out.words.chunks_exact_mut(out.step).zip(values) {
                let words = words[out.offset..].iter_mut();
                words
                    .zip(value.as_chunks::<8>().0)
                    .for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
            }
        }
        KeyEncoding::Bytes | KeyEncoding::Encoded(_) => return write_bytes(incoming, start, len, out),
    }
    false
}

fn write_bytes(incoming: &Incoming, start: usize, len: usize, mut out: Out<'_>) -> bool {
    match &incoming.bytes {
        Bytes::Narrow(offsets, data) => return write_texts(&offsets[start..=start + len], data, out),
        Bytes::Wide(offsets, data) => return write_texts(&offsets[start..=start + len], data, out),
        Bytes::Coded(coded) => return coded.write(start, len, out),
        Bytes::Encoded(_) | Bytes::Elsewhere => {}
    }
    let mut has_long = false;
    for row in 0..len {
        let bytes = incoming.bytes_at(start + row);
        let pair = words_of_bytes(bytes, 0, bytes.len());
        has_long |= pair.1 >= LONG;
        out.put(row, pair);
    }
    has_long
}

/// A plain loop: as an iterator it is not inlined, which costs a third.
fn write_texts<O: ArrowNativeType>(offsets: &[O], data: &[u8], mut out: Out<'_>) -> bool {
    let (mut start, mut has_long) = (offsets[0].as_usize(), false);
    for (row, end) in offsets[1..].iter().enumerate() {
        let end = end.as_usize();
        let pair = words_of_bytes(data, start, end);
        has_long |= pair.1 >= LONG;
        out.put(row, pair);
        start = end;
    }
    has_long
}

#[inline(always)]
fn words_of_bytes(data: &[u8], start: usize, end: usize) -> (u64, u64) {
    let len = end - start;
    if len > INLINE_BYTES {
        return words_of_long(&data[start..end]);
    }
    if start + 16 > data.len() {
        return words_at_the_end(&data[start..end]);
    }
    // SAFETY: the 16 bytes from `start` on are in bounds, as checked above.
    let bytes = unsafe { data.as_ptr().add(start).cast::<[u64; 2]>().read_unaligned() };
    let mask = &INLINE_MASKS[len];
    let (low, high) = (u64::from_le(bytes[0]), u64::from_le(bytes[1]));
    (low & mask[0], high & mask[1] | (len as u64) << 56)
}

#[inline(never)]
fn words_of_long(bytes: &[u8]) -> (u64, u64) {
    (hash_bytes(bytes, SEED_LONG), LONG | bytes.len() as u64)
}

#[cold]
#[inline(never)]
fn words_at_the_end(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0; 16];
    padded[..bytes.len()].copy_from_slice(bytes);
    let (low, high) = padded.split_at(8);
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    (word(low), word(high) | (bytes.len() as u64) << 56)
}

/// Whether two byte strings of the same length, of at least 16 bytes, are equal. A call of `memcmp` costs more than
/// comparing keys of the usual length.
#[inline(always)]
pub fn is_same_long(left: &[u8], right: &[u8]) -> bool {
    debug_assert!(left.len() == right.len() && left.len() > INLINE_BYTES);
    let (left_chunks, right_chunks) = (left.as_chunks::<16>().0, right.as_chunks::<16>().0);
    let is_same = left_chunks.iter().zip(right_chunks).all(|(left, right)| left == right);
    is_same && left.last_chunk::<16>() == right.last_chunk::<16>()
}

impl Run {
    /// The hash of a row's key; its upper half is as good as the whole. `WORDS`: words of a key, 0 if known only at run
    /// time.
    ///
    /// Computed per row, on demand: the compiler would vectorize a loop over all rows, which is slower.
    #[inline(always)]
    pub fn hash<const WORDS: usize>(&self, row: usize) -> u64 {
        let words = if WORDS == 0 { self.words_of_key } else { WORDS };
        debug_assert!((row + 1) * words <= self.words.len());
        // SAFETY: a run has this many words for each of its rows.
        let word = |at: usize| unsafe { *self.words.get_unchecked(row * words + at) };
        let next = |hash: u64, word: u64| fold(hash ^ word, P2 | 1);
        let hash = match words {
            0 => P0,
            1 => next(fold(word(0) ^ P0, P1), P1),
            _ => (1..words).fold(fold(word(0) ^ P0, P1), |hash, at| next(hash, word(at))),
        };
        if self.has_nulls && self.masks[row] != 0 {
            return next(hash, self.masks[row]) | HASH_BIT;
        }
        hash | HASH_BIT
    }
}

fn plain_f64(value: f64) -> u64 {
    if value.is_nan() {
        0x7ff8 << 48
    } else {
        (value + 0.0).to_bits()
    }
}

fn plain_f32(value: f32) -> u32 {
    if value.is_nan() {
        0x7fc0 << 16
    } else {
        (value + 0.0).to_bits()
    }
}

fn plain_half(bits: u16) -> u16 {
    match bits {
        0x8000 => 0,
        bits if bits & 0x7fff > 0x7c00 => 0x7e00,
        bits => bits,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int8Type;
    use arrow_array::{Array, ArrayRef, DictionaryArray, Int8Array, StringArray};
    use arrow_schema::DataType;

    use crate::keyed::keys::Keys;
    use crate::keyed::plain::plain;
    use crate::keyed::rows::KeyedRows;

    const LONG: &str = "a value of more than fifteen bytes";

    fn groups(rows: &mut KeyedRows, array: &ArrayRef) -> Vec<u32> {
        rows.groups_of_keys(std::slice::from_ref(array), array.len())
            .expect("groups")
    }

    #[test]
    fn codes_and_texts_are_the_same_keys() {
        let codes = Int8Array::from(vec![Some(3), None, Some(0), Some(1), Some(2), Some(0), Some(3)]);
        let values = StringArray::from(vec![Some(""), Some(LONG), None, Some("b")]);
        let coded = DictionaryArray::<Int8Type>::new(codes, Arc::new(values));
        for (start, len) in [(0, 7), (1, 6), (2, 5), (4, 3)] {
            let array: ArrayRef = Arc::new(coded.slice(start, len));
            let texts = plain(&array).expect("texts");
            let mut rows = KeyedRows::new(Keys::new([DataType::Utf8].iter()).expect("a key"));
            let by_code = groups(&mut rows, &array);
            assert_eq!(groups(&mut rows, &texts), by_code);
            let ids: Vec<u32> = (0..rows.groups as u32).collect();
            let kept = rows.key_columns(&ids).expect("texts").remove(0);
            assert_eq!(groups(&mut rows, &kept), ids);
        }
    }
}
