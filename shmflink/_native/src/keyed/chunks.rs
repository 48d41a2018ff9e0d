//! Append-only data of a table, in chunks: a copy shares all chunks except the last one.

use std::mem::{size_of, take};
use std::sync::Arc;

use super::index::prefetch;

const CHUNK_ITEMS: usize = 1 << 16;
const BLOCK_BYTES: usize = 1 << 20;

/// A list that grows.
#[derive(Clone, Default)]
pub struct Chunks<T> {
    full: Vec<Arc<Vec<T>>>,
    last: Vec<T>,
}

impl<T: Copy + Default> Chunks<T> {
    pub fn len(&self) -> usize {
        self.full.len() * CHUNK_ITEMS + self.last.len()
    }

    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        let chunk = self.full.get(index / CHUNK_ITEMS).map_or(&self.last, AsRef::as_ref);
        chunk.get(index % CHUNK_ITEMS).copied().filter(|_| index < self.len())
    }

    /// Stores an item at `index`, filling the gap before it with default items.
    pub fn push_at(&mut self, index: usize, item: T) {
        while self.len() < index {
            self.push(T::default());
        }
        self.push(item);
    }

    fn push(&mut self, item: T) {
        self.last.push(item);
        if self.last.len() == CHUNK_ITEMS {
            self.full.push(Arc::new(take(&mut self.last)));
        }
    }

    pub fn clear(&mut self) {
        self.full.clear();
        self.last.clear();
    }

    pub fn bytes(&self) -> usize {
        (self.full.len() * CHUNK_ITEMS + self.last.capacity()) * size_of::<T>()
    }
}

/// Byte strings, by the position at which they were stored.
#[derive(Clone, Default)]
pub struct Heap {
    full: Vec<Arc<Vec<u8>>>,
    last: Vec<u8>,
    full_bytes: usize,
}

impl Heap {
    /// Stores a copy of these bytes; returns its position.
    pub fn push(&mut self, bytes: &[u8]) -> u64 {
        if !self.last.is_empty() && self.last.len() + bytes.len() > BLOCK_BYTES {
            self.full_bytes += self.last.capacity();
            self.full.push(Arc::new(take(&mut self.last)));
        }
        let place = (self.full.len() as u64) << 32 | self.last.len() as u64;
        self.last.extend_from_slice(bytes);
        place
    }

    #[inline]
    pub fn get(&self, place: u64, len: usize) -> &[u8] {
        let (block, start) = ((place >> 32) as usize, place as u32 as usize);
        &self.full.get(block).map_or(&self.last, AsRef::as_ref)[start..start + len]
    }

    #[inline]
    pub fn prefetch(&self, place: u64) {
        let block = self.full.get((place >> 32) as usize).map_or(&self.last, AsRef::as_ref);
        prefetch(block.as_ptr().wrapping_add(place as u32 as usize));
    }

    pub fn clear(&mut self) {
        self.full.clear();
        self.last.clear();
        self.full_bytes = 0;
    }

    pub fn bytes(&self) -> usize {
        self.full_bytes + self.last.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Heap, CHUNK_ITEMS};

    #[test]
    fn copies_stay_as_they_were() {
        let mut chunks = Chunks::default();
        (0..CHUNK_ITEMS + 10).for_each(|index| chunks.push_at(index, index));
        let copy = chunks.clone();
        chunks.push_at(3 * CHUNK_ITEMS, 7);
        assert_eq!((copy.len(), chunks.len()), (CHUNK_ITEMS + 10, 3 * CHUNK_ITEMS + 1));
        assert_eq!(copy.get(CHUNK_ITEMS + 9), Some(CHUNK_ITEMS + 9));
        assert_eq!([copy.get(CHUNK_ITEMS + 10), copy.get(9 * CHUNK_ITEMS)], [None, None]);
        assert_eq!(
            [5, CHUNK_ITEMS + 10, 3 * CHUNK_ITEMS].map(|at| chunks.get(at)),
            [Some(5), Some(0), Some(7)]
        );
    }

    #[test]
    fn bytes_are_found_at_their_place_however_long_they_are() {
        let mut heap = Heap::default();
        let texts: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 70_000 * usize::from(n % 20)]).collect();
        let places: Vec<u64> = texts.iter().map(|text| heap.push(text)).collect();
        let copy = heap.clone();
        heap.push(&[9; 3_000_000]);
        for (place, text) in places.iter().zip(&texts) {
            assert_eq!(copy.get(*place, text.len()), text);
            assert_eq!(heap.get(*place, text.len()), text);
        }
    }
}
