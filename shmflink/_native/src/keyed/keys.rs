//! Key columns as 64-bit words: compared, hashed, and stored in the row of a group.
//!
//! ```text
//! bool, ints, dates, times, ...   1 word: the value, zero-extended
//! floats                          1 word: the bits; -0.0 as 0.0, one NaN
//! decimal128 | decimal256         2 | 4 words;  month-day-nano interval 2
//! strings, binary                 2 words: up to 15 bytes inline, with the length in the highest byte;
//!                                 longer: hash, then 0xff << 56 | length; the bytes are in the column's heap, and where
//!                                 they are is another word of the row of the group, behind the words of all columns
//! lists, structs                  as binary, in the comparable form of `arrow-row`
//! null                            zeros, and the column's bit in the null mask of the group
//! ```
//! The masks are stored beside the rows, and only from the first null on, so that columns without nulls cost nothing.

use std::sync::Arc;

use arrow_array::{make_array, new_null_array, Array, ArrayRef, BinaryArray, BinaryViewArray, StringViewArray};
use arrow_array::{FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayDataBuilder;
use arrow_schema::DataType;

use super::chunks::{Chunks, Heap};
use super::encode::{is_same_long, write_column, Incoming, KeyBatch, KeyEncoding, Out, Run, LENGTH_MASK, LONG};
use crate::error::TableError;

/// One bit of the null mask per column.
pub const COLUMNS_MAX: usize = 64;

/// One key column of a table: its layout in the rows, and the bytes of long keys.
struct KeyColumn {
    data_type: DataType,
    kind: KeyEncoding,
    offset: usize,
    heap: Heap,
    /// The word of a group's row that says where in the heap its bytes are.
    place: usize,
}

impl KeyColumn {
    fn long(&self, place: u64, words: &[u64]) -> &[u8] {
        self.heap.get(place, (words[1] & LENGTH_MASK) as usize)
    }

    /// Where the long key of the group with this row is.
    #[inline(always)]
    fn place_in(&self, row: *const u8) -> u64 {
        // SAFETY: the row of a group holds `row_words()` words.
        unsafe { row.cast::<u64>().add(self.place).read() }
    }

    fn has_bytes(&self) -> bool {
        matches!(self.kind, KeyEncoding::Bytes | KeyEncoding::Encoded(_))
    }

    /// The words of a row's key, if it is long.
    #[inline(always)]
    fn long_words<'a>(&self, run: &'a Run, row: usize) -> Option<&'a [u64]> {
        let at = row * run.words_of_key + self.offset;
        Some(&run.words[at..at + 2]).filter(|words| words[1] & LONG == LONG)
    }
}

/// The keys of a table.
pub struct Keys {
    columns: Vec<KeyColumn>,
    /// Words that are compared.
    pub words: usize,
    masks: Chunks<u64>,
    has_nulls: bool,
    has_long: bool,
}

impl Keys {
    pub fn new<'a>(types: impl Iterator<Item = &'a DataType>) -> Result<Self, TableError> {
        let (mut columns, mut words) = (Vec::new(), 0);
        for data_type in types {
            let kind = KeyEncoding::of(data_type)?;
            let offset = words;
            words += kind.words();
            columns.push(KeyColumn {
                data_type: data_type.clone(),
                kind,
                offset,
                heap: Heap::default(),
                place: 0,
            });
        }
        let with_bytes = columns.iter_mut().filter(|column: &&mut KeyColumn| column.has_bytes());
        with_bytes
            .enumerate()
            .for_each(|(number, column)| column.place = words + number);
        if columns.len() > COLUMNS_MAX {
            return Err(TableError::Unfit(format!(
                "{} key columns; an aggregate takes {COLUMNS_MAX}",
                columns.len()
            )));
        }
        Ok(Self {
            columns,
            words,
            masks: Chunks::default(),
            has_nulls: false,
            has_long: false,
        })
    }

    /// A copy that returns the same columns.
    pub fn frozen(&self) -> Self {
        let columns = self.columns.iter().map(|column| KeyColumn {
            data_type: column.data_type.clone(),
            kind: KeyEncoding::of(&column.data_type).expect("a type that was a key before"),
            heap: column.heap.clone(),
            ..*column
        });
        Self {
            columns: columns.collect(),
            masks: self.masks.clone(),
            ..*self
        }
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Words in the row of a group: those that are compared, then a place for each column that may have long keys.
    pub fn row_words(&self) -> usize {
        self.words + self.columns.iter().filter(|column| column.has_bytes()).count()
    }

    pub fn bytes(&self) -> usize {
        let heaps = self.columns.iter().map(|column| column.heap.bytes());
        self.masks.bytes() + heaps.sum::<usize>()
    }

    pub fn clear(&mut self) {
        (self.has_nulls, self.has_long) = (false, false);
        self.masks.clear();
        for column in &mut self.columns {
            column.heap.clear();
        }
    }

    /// True while equal words mean equal keys: there has been neither a null nor a long key.
    pub fn is_plain(&self) -> bool {
        !self.has_nulls && !self.has_long
    }

    pub fn batch(&self, arrays: &[ArrayRef]) -> Result<KeyBatch, TableError> {
        let columns = self.columns.iter().zip(arrays);
        let columns = columns.map(|(column, array)| Incoming::of(&column.kind, array));
        Ok(KeyBatch {
            columns: columns.collect::<Result<_, TableError>>()?,
        })
    }

    /// Words and masks of the rows `start` to `start + len`, which may become groups.
    pub fn encode(&mut self, batch: &KeyBatch, start: usize, len: usize, run: &mut Run) {
        self.encode_only(batch, start, len, run);
        self.has_nulls |= run.has_nulls;
        self.has_long |= run.has_long;
    }

    /// Like `encode`, for rows that do not become groups.
    pub fn encode_only(&self, batch: &KeyBatch, start: usize, len: usize, run: &mut Run) {
        (run.start, run.len, run.words_of_key) = (start, len, self.words);
        run.words.resize(len * self.words, 0);
        run.has_nulls = batch.columns.iter().any(|column| column.nulls.is_some());
        run.has_long = false;
        for (column, incoming) in self.columns.iter().zip(&batch.columns) {
            let out = Out {
                words: &mut run.words,
                offset: column.offset,
                step: self.words,
            };
            run.has_long |= write_column(&column.kind, incoming, start, len, out);
        }
        if run.has_nulls {
            self.write_masks(batch, run);
        }
    }

    fn write_masks(&self, batch: &KeyBatch, run: &mut Run) {
        run.masks.clear();
        run.masks.resize(run.len, 0);
        for (index, (column, incoming)) in self.columns.iter().zip(&batch.columns).enumerate() {
            let Some(nulls) = &incoming.nulls else { continue };
            for row in 0..run.len {
                if nulls.is_null(run.start + row) {
                    run.masks[row] |= 1 << index;
                    let at = row * self.words + column.offset;
                    run.words[at..at + column.kind.words()].fill(0);
                }
            }
        }
    }

    /// Stores what the words of a new group do not hold, and where, in its row `kept`. Groups must be stored in order.
    #[inline]
    pub fn keep(&mut self, batch: &KeyBatch, run: &Run, row: usize, group: u32, kept: &mut [u64]) {
        if self.has_nulls {
            let mask = if run.has_nulls { run.masks[row] } else { 0 };
            self.masks.push_at(group as usize, mask);
        }
        if run.has_long {
            for (column, incoming) in self.columns.iter_mut().zip(&batch.columns) {
                if column.has_bytes() && column.long_words(run, row).is_some() {
                    kept[column.place] = column.heap.push(incoming.bytes_at(run.start + row));
                }
            }
        }
    }

    /// Whether a group whose words equal a row's also has the same nulls and long keys.
    pub fn is_same(&self, batch: &KeyBatch, run: &Run, row: usize, (group, kept_row): (u32, *const u8)) -> bool {
        let kept = self.masks.get(group as usize).unwrap_or(0);
        let mask = if run.has_nulls { run.masks[row] } else { 0 };
        if kept != mask {
            return false;
        }
        if !run.has_long {
            return true;
        }
        self.columns.iter().zip(&batch.columns).all(|(column, incoming)| {
            let words = Some(column).filter(|column| column.has_bytes());
            words
                .and_then(|column| column.long_words(run, row))
                .is_none_or(|words| {
                    let kept = column.long(column.place_in(kept_row), words);
                    is_same_long(kept, incoming.bytes_at(run.start + row))
                })
        })
    }

    /// Prefetches the long keys of the groups, by their rows, with which the rows of a run will be compared.
    pub fn prefetch_long(&self, run: &Run, addresses: &[*mut u8]) {
        for column in self.columns.iter().filter(|column| column.has_bytes()) {
            for (row, address) in addresses.iter().enumerate() {
                if column.long_words(run, row).is_some() {
                    column.heap.prefetch(column.place_in(*address));
                }
            }
        }
    }

    /// The key columns of these groups; `words_of(group)` returns the first `row_words()` words of its row.
    pub fn arrays<'a>(
        &self,
        groups: &[u32],
        words_of: impl Fn(u32) -> &'a [u64] + Copy,
    ) -> Result<Vec<ArrayRef>, TableError> {
        let columns = self.columns.iter().enumerate();
        columns
            .map(|(index, column)| {
                let nulls = self.nulls_of(groups, index);
                self.array(column, groups, nulls, words_of)
            })
            .collect()
    }

    fn nulls_of(&self, groups: &[u32], column: usize) -> Option<NullBuffer> {
        if !self.has_nulls {
            return None;
        }
        let is_valid = |group: &u32| {
            self.masks
                .get(*group as usize)
                .is_none_or(|mask| mask >> column & 1 == 0)
        };
        Some(NullBuffer::new(groups.iter().map(is_valid).collect::<BooleanBuffer>())).filter(|n| n.null_count() > 0)
    }

    fn array<'a>(
        &self,
        column: &KeyColumn,
        groups: &[u32],
        nulls: Option<NullBuffer>,
        row_of: impl Fn(u32) -> &'a [u64],
    ) -> Result<ArrayRef, TableError> {
        let words_of = |group| &row_of(group)[column.offset..];
        let fixed = |bytes: Buffer| {
            let builder = ArrayDataBuilder::new(column.data_type.clone());
            let builder = builder.len(groups.len()).add_buffer(bytes).nulls(nulls.clone());
            // SAFETY: one value of the type's width for each group.
            make_array(unsafe { builder.align_buffers(true).build_unchecked() })
        };
        macro_rules! narrow {
            ($kind:ty) => {
                fixed(Buffer::from_vec(
                    groups
                        .iter()
                        .map(|group| words_of(*group)[0] as $kind)
                        .collect::<Vec<$kind>>(),
                ))
            };
        }
        Ok(match &column.kind {
            KeyEncoding::Nothing => new_null_array(&DataType::Null, groups.len()),
            KeyEncoding::Bits => {
                let bits: BooleanBuffer = groups.iter().map(|group| words_of(*group)[0] != 0).collect();
                fixed(bits.into_inner())
            }
            KeyEncoding::Word(1) | KeyEncoding::Float(1) => narrow!(u8),
            KeyEncoding::Word(2) | KeyEncoding::Float(2) => narrow!(u16),
            KeyEncoding::Word(4) | KeyEncoding::Float(4) => narrow!(u32),
            KeyEncoding::Word(_) | KeyEncoding::Float(_) => narrow!(u64),
            KeyEncoding::Words(count) => {
                let words: Vec<u64> = groups
                    .iter()
                    .flat_map(|group| words_of(*group)[..*count].iter().copied())
                    .collect();
                fixed(Buffer::from_vec(words))
            }
            KeyEncoding::Bytes | KeyEncoding::Encoded(_) => bytes_array(column, groups, nulls, row_of)?,
        })
    }
}

fn bytes_array<'a>(
    column: &KeyColumn,
    groups: &[u32],
    nulls: Option<NullBuffer>,
    row_of: impl Fn(u32) -> &'a [u64],
) -> Result<ArrayRef, TableError> {
    let (mut data, mut ends) = (
        Vec::with_capacity(groups.len() * 16),
        Vec::with_capacity(groups.len() + 1),
    );
    ends.push(0_i64);
    for group in groups {
        let row = row_of(*group);
        let words = &row[column.offset..];
        if words[1] & LONG == LONG {
            data.extend_from_slice(column.long(row[column.place], words));
        } else {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&words[0].to_le_bytes());
            bytes[8..].copy_from_slice(&words[1].to_le_bytes());
            data.extend_from_slice(&bytes[..(words[1] >> 56) as usize]);
        }
        ends.push(data.len() as i64);
    }
    let narrow = || -> Result<OffsetBuffer<i32>, TableError> {
        i32::try_from(data.len()).map_err(|_| TableError::Unfit("more than 2 GiB of keys in one batch".into()))?;
        Ok(OffsetBuffer::new(
            ends.iter().map(|end| *end as i32).collect::<ScalarBuffer<_>>(),
        ))
    };
    let wide = || OffsetBuffer::new(ScalarBuffer::from(ends.clone()));
    Ok(match &column.data_type {
        DataType::Utf8 => {
            let offsets = narrow()?;
            // SAFETY: the bytes were values of a string column.
            let texts = unsafe { StringArray::new_unchecked(offsets, Buffer::from_vec(data), nulls) };
            Arc::new(texts)
        }
        DataType::LargeUtf8 => {
            // SAFETY: as above.
            let texts = unsafe { LargeStringArray::new_unchecked(wide(), Buffer::from_vec(data), nulls) };
            Arc::new(texts)
        }
        DataType::Binary => {
            let offsets = narrow()?;
            Arc::new(BinaryArray::new(offsets, Buffer::from_vec(data), nulls))
        }
        DataType::LargeBinary => Arc::new(LargeBinaryArray::new(wide(), Buffer::from_vec(data), nulls)),
        DataType::FixedSizeBinary(size) => {
            let values = (0..groups.len()).map(|i| match &nulls {
                Some(nulls) if nulls.is_null(i) => None,
                _ => Some(&data[ends[i] as usize..ends[i + 1] as usize]),
            });
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, *size)?)
        }
        other => {
            let array = LargeBinaryArray::new(wide(), Buffer::from_vec(data), nulls);
            return match (&column.kind, other) {
                (KeyEncoding::Encoded(converter), _) => {
                    let parser = converter.parser();
                    let null = converter.convert_columns(&[new_null_array(other, 1)])?;
                    let row_of = |i| {
                        if array.is_null(i) {
                            null.row(0).data().to_vec()
                        } else {
                            array.value(i).to_vec()
                        }
                    };
                    let rows: Vec<Vec<u8>> = (0..array.len()).map(row_of).collect();
                    let rows = rows.iter().map(|bytes| parser.parse(bytes));
                    Ok(converter.convert_rows(rows)?.remove(0))
                }
                (_, DataType::Utf8View) => {
                    // SAFETY: as above.
                    let strings = array
                        .iter()
                        .map(|v| v.map(|b| unsafe { std::str::from_utf8_unchecked(b) }));
                    Ok(Arc::new(strings.collect::<StringViewArray>()))
                }
                _ => Ok(Arc::new(array.iter().collect::<BinaryViewArray>())),
            };
        }
    })
}
