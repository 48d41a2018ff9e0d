//! `approx_count_distinct`: HyperLogLog with 2^14 registers; the standard error is 1.04 / sqrt(2^14) = 0.8 %.
//!
//! Registers are filled from the fixed key hash, so that sketches of different processes can be merged. A group starts
//! with a sorted list of (register, rank) and switches to all registers when the list would be larger. The estimate is
//! Ertl's (New cardinality estimation algorithms for HyperLogLog sketches, 2017), which needs no correction for small
//! or large counts.
//!
//! ```text
//! partial (binary)   0, then entries of 4 bytes LE: register << 8 | rank        1, then 2^14 bytes: a rank each
//! ```

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array};
use arrow_schema::DataType;

use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::state::{Groups, Slots, State};
use crate::error::TableError;
use crate::exchange::hash::write_column;

const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// The largest rank: leading zeros of the other bits of the hash, plus one.
const RANK_MAX: usize = 64 - BITS as usize + 1;
/// Entries of a list that has half the size of the registers.
const ENTRIES_MAX: usize = REGISTERS / 8;
const LIST: u8 = 0;
const ALL: u8 = 1;

#[derive(Clone)]
enum Sketch {
    /// Sorted: register << 8 | rank; the entries after `sorted` are not sorted yet.
    List {
        entries: Vec<u32>,
        sorted: usize,
    },
    All(Box<[u8; REGISTERS]>),
}

impl Sketch {
    const fn new() -> Self {
        Self::List {
            entries: Vec::new(),
            sorted: 0,
        }
    }

    fn add_hash(&mut self, hash: u64) {
        let register = (hash >> (64 - BITS)) as u32;
        let rank = ((hash << BITS | 1 << (BITS - 1)).leading_zeros() + 1) as u8;
        self.add(register, rank);
    }

    fn add(&mut self, register: u32, rank: u8) {
        match self {
            Self::All(ranks) => {
                let kept = &mut ranks[register as usize];
                *kept = rank.max(*kept);
            }
            Self::List { entries, sorted } => {
                entries.push(register << 8 | u32::from(rank));
                if entries.len() >= 2 * *sorted + 64 {
                    *sorted = tidy(entries);
                    if *sorted > ENTRIES_MAX {
                        self.spread();
                    }
                }
            }
        }
    }

    fn spread(&mut self) {
        if let Self::List { entries, .. } = self {
            let entries = std::mem::take(entries);
            *self = Self::All(vec![0; REGISTERS].try_into().expect("as many"));
            entries.iter().for_each(|entry| self.add(entry >> 8, *entry as u8));
        }
    }

    /// Its bytes as a partial state.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::All(ranks) => {
                out.push(ALL);
                out.extend_from_slice(ranks.as_slice());
            }
            Self::List { entries, .. } => {
                let mut entries = entries.clone();
                tidy(&mut entries);
                out.push(LIST);
                entries
                    .iter()
                    .for_each(|entry| out.extend_from_slice(&entry.to_le_bytes()));
            }
        }
    }

    fn merge(&mut self, bytes: &[u8]) -> Option<()> {
        match bytes.split_first()? {
            (&LIST, rest) => {
                for entry in rest.chunks(4) {
                    let entry = u32::from_le_bytes(entry.try_into().ok()?);
                    ((entry >> 8) < REGISTERS as u32 && (entry & 0xff) as usize <= RANK_MAX).then_some(())?;
                    self.add(entry >> 8, entry as u8);
                }
            }
            (&ALL, ranks) if ranks.len() == REGISTERS => {
                self.spread();
                for (register, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                    (usize::from(*rank) <= RANK_MAX).then_some(())?;
                    self.add(register as u32, *rank);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn estimate(&self) -> i64 {
        let mut counts = [0_usize; RANK_MAX + 1];
        match self {
            Self::All(ranks) => ranks.iter().for_each(|rank| counts[usize::from(*rank)] += 1),
            Self::List { entries, .. } => {
                let mut entries = entries.clone();
                tidy(&mut entries);
                entries.iter().for_each(|entry| counts[(entry & 0xff) as usize] += 1);
                counts[0] = REGISTERS - entries.len();
            }
        }
        estimate_of(&counts)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::List { entries, .. } => entries.capacity() * 4,
            Self::All(_) => REGISTERS,
        }
    }
}

/// Sorts the entries and keeps the largest rank of each register; returns their number.
fn tidy(entries: &mut Vec<u32>) -> usize {
    entries.sort_unstable_by(|a, b| b.cmp(a));
    entries.dedup_by_key(|entry| *entry >> 8);
    entries.reverse();
    entries.len()
}

/// Ertl's improved raw estimator; `counts`: how many registers have each rank.
fn estimate_of(counts: &[usize; RANK_MAX + 1]) -> i64 {
    let registers = REGISTERS as f64;
    if counts[0] == REGISTERS {
        return 0;
    }
    let mut z = registers * tau(1.0 - counts[RANK_MAX] as f64 / registers);
    for rank in (1..RANK_MAX).rev() {
        z = 0.5 * (z + counts[rank] as f64);
    }
    z += registers * sigma(counts[0] as f64 / registers);
    (registers * registers / (2.0 * std::f64::consts::LN_2 * z)).round() as i64
}

fn sigma(mut x: f64) -> f64 {
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

struct ApproximateCount {
    sketches: Vec<Sketch>,
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let nothing = arrow_array::new_empty_array(call.argument(0)?);
    write_column(nothing.as_ref(), false, &mut []).map_err(|_| call.takes("values that can be keys"))?;
    Ok(Box::new(ApproximateCount { sketches: Vec::new() }))
}

impl ApproximateCount {
    fn make_room(&mut self, slots: &Slots<'_>) {
        self.sketches
            .resize_with(slots.groups_now.max(self.sketches.len()), Sketch::new);
    }
}

impl State for ApproximateCount {
    fn takes_whole_batches(&self) -> bool {
        true
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("", DataType::Binary)]
    }

    fn result_type(&self) -> DataType {
        DataType::Int64
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.make_room(slots);
        let argument = arguments[0];
        let mut hashes = vec![0; slots.len()];
        write_column(argument.array.as_ref(), false, &mut hashes)?;
        for (row, (group, hash)) in slots.groups.iter().zip(hashes).enumerate() {
            if argument.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                self.sketches[*group as usize].add_hash(hash);
            }
        }
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.make_room(slots);
        let sketches = partials[0].array.as_binary::<i32>();
        for (row, group) in slots
            .groups
            .iter()
            .enumerate()
            .filter(|(row, _)| sketches.is_valid(*row))
        {
            let merged = self.sketches[*group as usize].merge(sketches.value(row));
            merged.ok_or_else(|| TableError::Internal("an invalid sketch of approx_count_distinct".into()))?;
        }
        Ok(())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let mut bytes = Vec::new();
        let sketches = groups.ids.iter().map(|group| {
            bytes.clear();
            self.sketches[*group as usize].write(&mut bytes);
            Some(bytes.clone())
        });
        Ok(vec![Arc::new(sketches.collect::<BinaryArray>())])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let counts = groups.ids.iter().map(|group| self.sketches[*group as usize].estimate());
        Ok(Arc::new(Int64Array::from_iter_values(counts)))
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            sketches: self.sketches.clone(),
        })
    }

    fn clear(&mut self) {
        self.sketches.clear();
    }

    fn bytes(&self) -> usize {
        let lists: usize = self.sketches.iter().map(Sketch::bytes).sum();
        lists + self.sketches.capacity() * std::mem::size_of::<Sketch>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(value: u64) -> u64 {
        let mut x = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    #[test]
    fn estimates_are_within_three_standard_errors() {
        for count in [0_u64, 1, 10, 1_000, 5_000, 20_000, 100_000, 1_000_000] {
            let mut sketch = Sketch::new();
            (0..count)
                .chain(0..count / 2)
                .for_each(|value| sketch.add_hash(hash(value)));
            let error = sketch.estimate() - count as i64;
            assert!(
                error.unsigned_abs() as f64 <= 0.025 * count as f64 + 0.1,
                "{count}: off by {error}"
            );
        }
    }

    #[test]
    fn merged_sketches_are_that_of_all_values() {
        for (first, second) in [(10, 20), (100, 50_000), (50_000, 100), (60_000, 60_000)] {
            let (mut left, mut right, mut both) = (Sketch::new(), Sketch::new(), Sketch::new());
            (0..first).for_each(|value| left.add_hash(hash(value)));
            (5..second).for_each(|value| right.add_hash(hash(value)));
            (0..first.max(second)).for_each(|value| both.add_hash(hash(value)));
            let mut bytes = Vec::new();
            right.write(&mut bytes);
            left.merge(&bytes).expect("a sketch");
            assert_eq!(left.estimate(), both.estimate());
        }
        assert!(Sketch::new().merge(&[7]).is_none());
        assert!(Sketch::new().merge(&[LIST, 0xff, 0xff, 0xff, 0xff]).is_none());
    }
}
