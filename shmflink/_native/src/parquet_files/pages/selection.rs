//! Which rows of a span are selected.

use arrow_buffer::BooleanBuffer;

const WORD_BITS: usize = u64::BITS as usize;

/// Consecutive rows, some of which are selected.
pub struct Span {
    /// One bit per row; None: all are selected.
    words: Option<Vec<u64>>,
    pub rows: usize,
    pub wanted: usize,
}

impl Span {
    /// The `rows` rows of a mask from `at` on.
    pub fn of(mask: Option<&BooleanBuffer>, at: usize, rows: usize) -> Self {
        let part = mask.map(|mask| mask.slice(at, rows));
        let wanted = part.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        let words = part.filter(|_| wanted < rows).map(|part| words_of(&part));
        Self { words, rows, wanted }
    }

    pub fn is_all(&self) -> bool {
        self.words.is_none()
    }

    /// Calls `visit` for each selected row, counted from the start of the span.
    #[inline]
    pub fn each(&self, mut visit: impl FnMut(usize)) {
        let Some(words) = &self.words else {
            (0..self.rows).for_each(visit);
            return;
        };
        for (index, &word) in words.iter().enumerate() {
            let base = index * WORD_BITS;
            if word == u64::MAX {
                (base..base + WORD_BITS).for_each(&mut visit);
                continue;
            }
            let mut left = word;
            while left != 0 {
                visit(base + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }

    /// Calls `visit` for each selected row with its index among the `valid` rows; None if the row is null.
    pub fn each_of(&self, valid: &BooleanBuffer, mut visit: impl FnMut(Option<usize>)) {
        let all = self.words.is_none();
        let mut before = 0;
        for (index, valid) in words_of(valid).into_iter().enumerate() {
            let rows = WORD_BITS.min(self.rows.saturating_sub(index * WORD_BITS));
            let mut left = match &self.words {
                Some(words) => words.get(index).copied().unwrap_or(0),
                None => low_bits(rows),
            };
            debug_assert!(!all || left.count_ones() as usize == rows);
            while left != 0 {
                let bit = left.trailing_zeros();
                let rank = (valid & low_bits(bit as usize)).count_ones() as usize;
                visit((valid >> bit & 1 == 1).then_some(before + rank));
                left &= left - 1;
            }
            before += valid.count_ones() as usize;
        }
    }

    /// Calls `visit` for each row in order with whether it is selected.
    #[inline]
    pub fn every(&self, mut visit: impl FnMut(bool) -> Result<(), String>) -> Result<(), String> {
        let Some(words) = &self.words else {
            return (0..self.rows).try_for_each(|_| visit(true));
        };
        (0..self.rows).try_for_each(|row| visit(words[row / WORD_BITS] >> (row % WORD_BITS) & 1 == 1))
    }
}

/// The bits from the first row on; bits beyond the end are not set.
fn words_of(bits: &BooleanBuffer) -> Vec<u64> {
    bits.bit_chunks().iter_padded().collect()
}

fn low_bits(count: usize) -> u64 {
    if count >= WORD_BITS {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_rows_of_a_slice() {
        let mask: BooleanBuffer = (0..300).map(|row| row % 3 == 0).collect();
        let span = Span::of(Some(&mask), 100, 150);
        let mut found = Vec::new();
        span.each(|row| found.push(row + 100));
        let wanted: Vec<_> = (100..250).filter(|row| row % 3 == 0).collect();
        assert_eq!(found, wanted);
        assert_eq!(span.wanted, wanted.len());
    }

    #[test]
    fn places_among_valid_rows() {
        let mask: BooleanBuffer = (0..200).map(|row| row >= 60).collect();
        let valid: BooleanBuffer = (0..200).map(|row| row % 7 != 0).collect();
        for mask in [Some(&mask), None] {
            let span = Span::of(mask, 0, 200);
            let mut found = Vec::new();
            span.each_of(&valid, |place| found.push(place));
            let mut place = 0;
            let mut expected = Vec::new();
            for row in 0..200 {
                if mask.is_none_or(|mask| mask.value(row)) {
                    expected.push(valid.value(row).then_some(place));
                }
                place += usize::from(valid.value(row));
            }
            assert_eq!(found, expected);
        }
    }
}
