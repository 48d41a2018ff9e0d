//! Values of any type that states keep: appended batch by batch, read by number.

use std::mem;

use arrow_array::cast::AsArray;
use arrow_array::{new_null_array, Array, ArrayRef, UInt32Array};
use arrow_schema::DataType;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use std::sync::Arc;

use crate::error::TableError;

/// The number that means "no value".
pub const NONE: u32 = u32::MAX;

/// Chunks are immutable, so a clone is cheap. A chunk is merged with the next one once it is no larger: so there are
/// few.
#[derive(Clone)]
pub struct Log {
    data_type: DataType,
    chunks: Vec<ArrayRef>,
    starts: Vec<usize>,
    len: usize,
    bytes: usize,
}

impl Log {
    pub fn new(data_type: &DataType) -> Self {
        Self {
            data_type: data_type.clone(),
            chunks: Vec::new(),
            starts: Vec::new(),
            len: 0,
            bytes: 0,
        }
    }

    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn clear(&mut self) {
        *self = Self::new(&self.data_type);
    }

    /// Appends a copy of these rows of `array`, numbered from `len` on.
    pub fn append(&mut self, array: &dyn Array, rows: Vec<u32>) -> Result<(), TableError> {
        if rows.is_empty() {
            return Ok(());
        }
        let copied = take(array, &UInt32Array::from(rows), None)?;
        let copied: ArrayRef = match copied.data_type() {
            DataType::Utf8View => Arc::new(copied.as_string_view().gc()),
            DataType::BinaryView => Arc::new(copied.as_binary_view().gc()),
            _ => copied,
        };
        if self.len + copied.len() >= NONE as usize {
            return Err(TableError::Resource(format!(
                "an aggregate that keeps more than {NONE} values"
            )));
        }
        self.push(copied)
    }

    fn push(&mut self, mut chunk: ArrayRef) -> Result<(), TableError> {
        self.len += chunk.len();
        while let Some(last) = self.chunks.last().filter(|last| last.len() <= chunk.len()) {
            self.bytes -= last.get_array_memory_size();
            chunk = concat(&[last.as_ref(), chunk.as_ref()])?;
            self.chunks.pop();
            self.starts.pop();
        }
        self.starts.push(self.len - chunk.len());
        self.bytes += chunk.get_array_memory_size();
        self.chunks.push(chunk);
        Ok(())
    }

    /// The values with these numbers, null for `NONE`.
    pub fn take(&self, numbers: &[u32]) -> Result<ArrayRef, TableError> {
        let nothing = new_null_array(&self.data_type, 1);
        let mut chunks: Vec<&dyn Array> = self.chunks.iter().map(AsRef::as_ref).collect();
        chunks.push(nothing.as_ref());
        let place = |number: &u32| match *number {
            NONE => (self.chunks.len(), 0),
            number => {
                // Counted instead of searched: there are few chunks, and counting has no branches to mispredict.
                let begun = self.starts.iter().map(|start| usize::from(*start <= number as usize));
                let chunk = begun.sum::<usize>() - 1;
                (chunk, number as usize - self.starts[chunk])
            }
        };
        let places: Vec<_> = numbers.iter().map(place).collect();
        Ok(interleave(&chunks, &places)?)
    }

    /// Keeps only these values, renumbered 0, 1, ...
    pub fn retain(&mut self, numbers: &[u32]) -> Result<(), TableError> {
        let kept = self.take(numbers)?;
        self.clear();
        if kept.is_empty() {
            return Ok(());
        }
        self.push(kept)
    }
}

/// Which values belong to each group, in order of arrival.
#[derive(Clone, Default)]
pub struct Links {
    groups: Vec<Linked>,
    /// By value.
    next: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Linked {
    first: u32,
    last: u32,
    count: u32,
}

const UNLINKED: Linked = Linked {
    first: NONE,
    last: NONE,
    count: 0,
};

/// Groups whose links are followed concurrently, so that their cache misses overlap.
const LANES: usize = 16;

impl Links {
    pub fn bytes(&self) -> usize {
        self.groups.capacity() * mem::size_of::<Linked>() + self.next.capacity() * mem::size_of::<u32>()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next value belongs to this group.
    pub fn push(&mut self, group: u32) {
        let (value, group) = (self.next.len() as u32, group as usize);
        if self.groups.len() <= group {
            self.groups.resize(group + 1, UNLINKED);
        }
        self.next.push(NONE);
        let linked = &mut self.groups[group];
        match mem::replace(&mut linked.last, value) {
            NONE => linked.first = value,
            before => self.next[before as usize] = value,
        }
        linked.count += 1;
    }

    /// The values of all these groups, consecutively, and where those of each end.
    pub fn of_all(&self, groups: &[u32]) -> (Vec<u32>, Vec<usize>) {
        let linked = |group: &u32| self.groups.get(*group as usize).copied().unwrap_or(UNLINKED);
        let linked: Vec<Linked> = groups.iter().map(linked).collect();
        let mut ends = vec![0];
        ends.extend(linked.iter().scan(0, |end, linked| {
            *end += linked.count as usize;
            Some(*end)
        }));
        let mut values = vec![NONE; ends[groups.len()]];
        for (lanes, starts) in linked.chunks(LANES).zip(ends.chunks(LANES)) {
            let mut at: Vec<(usize, u32)> = starts
                .iter()
                .copied()
                .zip(lanes.iter().map(|lane| lane.first))
                .collect();
            at.retain(|(_, value)| *value != NONE);
            while !at.is_empty() {
                for (place, value) in &mut at {
                    values[*place] = *value;
                    (*place, *value) = (*place + 1, self.next[*value as usize]);
                }
                at.retain(|(_, value)| *value != NONE);
            }
        }
        (values, ends)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int64Type;
    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn values_are_found_by_number_however_chunks_were_joined() {
        let mut log = Log::new(&DataType::Int64);
        let source = Int64Array::from_iter_values(0..1000);
        let mut expected = Vec::new();
        for size in [1_u32, 500, 3, 3, 700, 1, 1, 2] {
            let rows: Vec<u32> = (0..size).map(|row| (row * 7) % 1000).collect();
            expected.extend(rows.iter().map(|row| i64::from(*row)));
            log.append(&source, rows).expect("a chunk");
        }
        assert_eq!(log.len(), expected.len());
        let numbers: Vec<u32> = (0..expected.len() as u32).rev().collect();
        let values = log.take(&numbers).expect("values");
        let values = values.as_primitive::<Int64Type>();
        assert!(values.values().iter().rev().eq(expected.iter()));
        log.retain(&[5, NONE, 6]).expect("values");
        assert!(log.take(&[1]).expect("a value").is_null(0));
    }

    #[test]
    fn links_keep_the_order_of_each_group() {
        let mut links = Links::default();
        [2, 0, 2, 2, 0].into_iter().for_each(|group| links.push(group));
        assert_eq!(links.of_all(&[0, 1, 2, 9]), (vec![1, 4, 0, 2, 3], vec![0, 2, 2, 5, 5]));
    }
}
