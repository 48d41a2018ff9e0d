//! Ascending row numbers: `rows[i] < rows[i + 1]` for all i. Only this file can construct them, so the condition holds.
//!
//! Kernels check the last one against the length of their column, and read all of them without a further check.

/// Ascending rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Ascending<'a>(&'a [u32]);

impl<'a> Ascending<'a> {
    pub fn rows(self) -> &'a [u32] {
        self.0
    }

    pub fn len(self) -> usize {
        self.0.len()
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The first `at` rows, and the others.
    pub fn split(self, at: usize) -> (Self, Self) {
        let (before, behind) = self.0.split_at(at);
        (Self(before), Self(behind))
    }

    /// Copies these rows of a column of `values`, each to its place.
    #[inline(always)]
    pub fn gather<T: Copy>(self, values: &[T], to: &mut [T]) {
        assert!(
            self.0.last().is_none_or(|last| (*last as usize) < values.len()),
            "rows of the batch"
        );
        for (place, row) in to.iter_mut().zip(self.0) {
            // SAFETY: the rows ascend (invariant of this type), so no row exceeds the last one, which was checked.
            *place = unsafe { *values.get_unchecked(*row as usize) };
        }
    }
}

/// Owned ascending rows that grow at their end.
#[derive(Debug, Default)]
pub struct AscendingList(Vec<u32>);

impl AscendingList {
    /// Panics unless every new row is greater than the last row already here.
    pub fn extend(&mut self, more: Ascending<'_>) {
        if let (Some(last), Some(first)) = (self.0.last(), more.0.first()) {
            assert!(last < first, "row {first} behind row {last}");
        }
        self.0.extend_from_slice(more.0);
    }

    pub fn from(&self, start: usize) -> Ascending<'_> {
        Ascending(&self.0[start..])
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Rows of one block by channel, at most `block` for each.
pub struct ChannelRows {
    rows: Vec<u32>,
    counts: Vec<u32>,
    block: usize,
}

impl ChannelRows {
    pub fn new(channels: usize, block: usize) -> Self {
        Self {
            rows: vec![0; block * channels],
            counts: vec![0; channels],
            block,
        }
    }

    pub fn channels(&self) -> usize {
        self.counts.len()
    }

    pub fn block(&self) -> usize {
        self.block
    }

    pub fn of(&self, channel: usize) -> Ascending<'_> {
        Ascending(&self.rows[channel * self.block..][..self.counts[channel] as usize])
    }

    /// Groups the rows from `start` on, at most a block, by channel; discards the previous ones.
    ///
    /// Panics if a channel does not exist, or if a row index exceeds u32.
    #[inline(always)]
    pub fn fill(&mut self, start: usize, channels: impl ExactSizeIterator<Item = usize>) {
        assert!(channels.len() <= self.block, "at most a block of rows at a time");
        assert!(
            start + channels.len() <= u32::MAX as usize,
            "a batch of less than 2^32 rows"
        );
        self.counts.fill(0);
        for (row, channel) in (start as u32..).zip(channels).take(self.block) {
            let count = &mut self.counts[channel];
            // SAFETY: `channel < counts.len()` (checked above), and each channel has `block` places in `rows`. Its
            // count was 0 before the first of at most `block` rows, so the place is in bounds.
            unsafe { *self.rows.get_unchecked_mut(channel * self.block + *count as usize) = row };
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_each_channel_ascend() {
        let mut lists = ChannelRows::new(3, 8);
        lists.fill(0, [2, 0, 2, 2].into_iter());
        lists.fill(4, [1, 0, 1].into_iter());
        assert_eq!((lists.of(0).rows(), lists.of(1).rows()), (&[5][..], &[4, 6][..]));
        assert!(lists.of(2).is_empty());
    }

    #[test]
    fn a_list_grows_at_its_end_alone() {
        let mut lists = ChannelRows::new(1, 4);
        let mut kept = AscendingList::default();
        lists.fill(3, [0, 0].into_iter());
        kept.extend(lists.of(0));
        lists.fill(5, [0].into_iter());
        kept.extend(lists.of(0));
        assert_eq!(kept.from(1).rows(), [4, 5]);
    }

    #[test]
    #[should_panic(expected = "row 3 behind row 4")]
    fn rows_that_lie_before_the_end_are_refused() {
        let mut lists = ChannelRows::new(1, 4);
        let mut kept = AscendingList::default();
        lists.fill(3, [0, 0].into_iter());
        kept.extend(lists.of(0));
        kept.extend(lists.of(0));
    }

    #[test]
    #[should_panic(expected = "rows of the batch")]
    fn a_row_beyond_the_column_is_refused() {
        let mut lists = ChannelRows::new(1, 4);
        lists.fill(3, [0, 0].into_iter());
        lists.of(0).gather(&[0_u8; 4], &mut [0; 2]);
    }
}
