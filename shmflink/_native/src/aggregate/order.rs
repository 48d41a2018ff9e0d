//! Values of any type by their order: as words if they are narrow, otherwise as bytes that compare like the values.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use half::f16;

use super::argument::{Argument, Physical};
use super::log::NONE;
use crate::error::TableError;

/// Garbage above which a heap is rewritten, if it is more than half.
const GARBAGE_BYTES: usize = 1 << 20;

/// How the values of a type are ordered: numbers by value, NaN greatest, false before true, strings by their bytes.
pub enum Order {
    Words(Physical),
    Bits,
    Bytes,
    Encoded(RowConverter),
}

/// The order of the rows of one batch.
pub enum Ranks {
    Words(Vec<u64>),
    Bytes(ArrayRef),
    Rows(Rows),
}

impl Order {
    /// None for types without an order.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match (Physical::of(data_type), data_type) {
            (Some(physical), _) if !matches!(physical, Physical::I128 | Physical::I256) => Self::Words(physical),
            (_, DataType::Boolean) => Self::Bits,
            (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Self::Bytes,
            (_, DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => Self::Bytes,
            _ => Self::Encoded(RowConverter::new(vec![SortField::new(data_type.clone())]).ok()?),
        })
    }

    pub fn is_words(&self) -> bool {
        matches!(self, Self::Words(_) | Self::Bits)
    }

    pub fn ranks(&self, argument: &Argument) -> Result<Ranks, TableError> {
        let rows = argument.array.len();
        macro_rules! words {
            ($kind:ty, $of:expr) => {
                Ranks::Words(
                    argument
                        .values::<$kind>(0, rows)
                        .iter()
                        .map(|value| $of(*value))
                        .collect(),
                )
            };
        }
        let signed = |value: i64| value as u64 ^ 1 << 63;
        Ok(match self {
            Self::Words(Physical::I8) => words!(i8, |v| signed(i64::from(v))),
            Self::Words(Physical::I16) => words!(i16, |v| signed(i64::from(v))),
            Self::Words(Physical::I32) => words!(i32, |v| signed(i64::from(v))),
            Self::Words(Physical::I64) => words!(i64, signed),
            Self::Words(Physical::U8) => words!(u8, u64::from),
            Self::Words(Physical::U16) => words!(u16, u64::from),
            Self::Words(Physical::U32) => words!(u32, u64::from),
            Self::Words(Physical::U64) => words!(u64, u64::from),
            Self::Words(Physical::F16) => words!(f16, |v: f16| rank_of_float(v.to_f64())),
            Self::Words(Physical::F32) => words!(f32, |v| rank_of_float(f64::from(v))),
            Self::Words(_) => words!(f64, rank_of_float),
            Self::Bits => Ranks::Words(argument.array.as_boolean().values().iter().map(u64::from).collect()),
            Self::Bytes => Ranks::Bytes(argument.array.clone()),
            Self::Encoded(converter) => Ranks::Rows(converter.convert_columns(std::slice::from_ref(&argument.array))?),
        })
    }
}

impl Ranks {
    /// The bytes of a row's rank, if ranks are bytes.
    pub fn bytes(&self, row: usize) -> &[u8] {
        match self {
            Self::Words(_) => &[],
            Self::Rows(rows) => rows.row(row).data(),
            Self::Bytes(array) => bytes_at(array, row),
        }
    }
}

/// The bytes of a value in a string or binary column.
pub fn bytes_at(array: &dyn Array, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes(),
        DataType::Utf8View => array.as_string_view().value(row).as_bytes(),
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        _ => array.as_binary_view().value(row),
    }
}

fn rank_of_float(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// Bytes by group, occasionally replaced.
#[derive(Default)]
pub struct ByteSlots {
    heap: Vec<u8>,
    /// Start, length, capacity; start `usize::MAX`: none.
    slots: Vec<(usize, u32, u32)>,
    garbage: usize,
}

const NOTHING: (usize, u32, u32) = (usize::MAX, 0, 0);

impl ByteSlots {
    pub fn get(&self, group: u32) -> Option<&[u8]> {
        let (start, length, _) = self.slots.get(group as usize).copied().unwrap_or(NOTHING);
        (start != usize::MAX).then(|| &self.heap[start..start + length as usize])
    }

    pub fn set(&mut self, group: u32, bytes: &[u8]) {
        let group = group as usize;
        if self.slots.len() <= group {
            self.slots.resize(group + 1, NOTHING);
        }
        let (start, _, room) = self.slots[group];
        if start != usize::MAX && bytes.len() <= room as usize {
            self.heap[start..start + bytes.len()].copy_from_slice(bytes);
            self.slots[group].1 = bytes.len() as u32;
            return;
        }
        self.garbage += room as usize;
        self.slots[group] = (self.heap.len(), bytes.len() as u32, bytes.len() as u32);
        self.heap.extend_from_slice(bytes);
        if self.garbage > GARBAGE_BYTES && self.garbage > self.heap.len() / 2 {
            self.compact();
        }
    }

    pub fn bytes(&self) -> usize {
        self.heap.capacity() + self.slots.capacity() * std::mem::size_of_val(&NOTHING)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn compact(&mut self) {
        let mut heap = Vec::with_capacity(self.heap.len() - self.garbage);
        for slot in self.slots.iter_mut().filter(|slot| slot.0 != usize::MAX) {
            let start = heap.len();
            heap.extend_from_slice(&self.heap[slot.0..slot.0 + slot.1 as usize]);
            *slot = (start, slot.1, slot.1);
        }
        (self.heap, self.garbage) = (heap, 0);
    }
}

/// The rank of the value that a group keeps.
pub enum KeptRanks {
    Words(Vec<u64>),
    Bytes(ByteSlots),
}

impl KeptRanks {
    pub fn new(order: &Order) -> Self {
        if order.is_words() {
            Self::Words(Vec::new())
        } else {
            Self::Bytes(ByteSlots::default())
        }
    }

    /// Keeps the rank of a row if the group has none (`number` is `NONE`) or the row's rank beats it.
    pub fn beats(&mut self, ranks: &Ranks, row: usize, group: u32, number: u32, is_least: bool) -> bool {
        match (self, ranks) {
            (Self::Words(kept), Ranks::Words(words)) => {
                if kept.len() <= group as usize {
                    kept.resize(group as usize + 1, 0);
                }
                let (old, new) = (kept[group as usize], words[row]);
                let is_better = number == NONE || if is_least { new < old } else { new > old };
                if is_better {
                    kept[group as usize] = new;
                }
                is_better
            }
            (Self::Bytes(kept), ranks) => {
                let new = ranks.bytes(row);
                let is_better = match kept.get(group) {
                    Some(old) if number != NONE => {
                        if is_least {
                            new < old
                        } else {
                            new > old
                        }
                    }
                    _ => true,
                };
                if is_better {
                    kept.set(group, new);
                }
                is_better
            }
            _ => unreachable!("ranks of one order"),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Words(words) => words.capacity() * 8,
            Self::Bytes(slots) => slots.bytes(),
        }
    }

    pub fn clear(&mut self) {
        match self {
            Self::Words(words) => words.clear(),
            Self::Bytes(slots) => slots.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_ranked_as_they_compare_and_nan_last() {
        let ordered = [
            f64::NEG_INFINITY,
            -2.5,
            -1e-300,
            0.0,
            1e-300,
            2.0,
            f64::INFINITY,
            f64::NAN,
        ];
        let ranks: Vec<_> = ordered.iter().map(|value| rank_of_float(*value)).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b));
        assert_eq!(rank_of_float(-0.0), rank_of_float(0.0));
        assert_eq!(rank_of_float(-f64::NAN), rank_of_float(f64::NAN));
    }

    #[test]
    fn replaced_bytes_do_not_pile_up() {
        let mut slots = ByteSlots::default();
        for length in 1..3000 {
            slots.set(3, &vec![b'x'; length]);
            slots.set(0, b"short");
        }
        assert_eq!(slots.get(3).map(<[u8]>::len), Some(2999));
        assert_eq!(slots.get(0), Some(&b"short"[..]));
        assert_eq!(slots.get(1), None);
        assert!(slots.bytes() < 4 << 20);
    }
}
