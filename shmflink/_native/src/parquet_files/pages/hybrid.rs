//! Runs of repeated and of bit-packed integers (Parquet calls the encoding RLE).

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};

use super::{Result, ENDS_EARLY};

/// Bytes that must follow those of every page in memory, because packed integers are loaded eight bytes at a time.
pub const PADDING_BYTES: usize = 8;

pub const WIDTH_MAX: u8 = 32;

/// Four integers of this width fit into a 64-bit word, at any start bit of its first byte.
const FOUR_WIDTH_MAX: usize = (64 - 7) / 4;

#[derive(Clone, Copy)]
enum Run {
    Repeated {
        value: u32,
        left: usize,
    },
    /// The next integer begins at this bit of the bytes.
    Packed {
        bit: usize,
        left: usize,
    },
}

/// A position in runs. It owns no bytes: every call must pass the same bytes, with PADDING_BYTES after `end`.
pub struct Hybrid {
    at: usize,
    end: usize,
    width: u8,
    run: Run,
}

impl Hybrid {
    /// Runs of integers of `width` <= WIDTH_MAX bits in `bytes[at..end]`.
    pub fn new(at: usize, end: usize, width: u8) -> Self {
        debug_assert!(width <= WIDTH_MAX);
        let run = Run::Repeated { value: 0, left: 0 };
        Self { at, end, width, run }
    }

    fn next_run(&mut self, bytes: &[u8]) -> Result<()> {
        let mut head = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte(bytes)?;
            head |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.begin(bytes, head);
            }
        }
        Err("a run is too long".to_owned())
    }

    fn begin(&mut self, bytes: &[u8], head: u64) -> Result<()> {
        let (count, width) = ((head >> 1) as usize, usize::from(self.width));
        if head & 1 == 1 {
            let whole = count * width; // bytes of `count` groups of eight
            let held = whole.min(self.end - self.at); // some writers truncate the last group
            let left = (held * 8).checked_div(width).unwrap_or(count * 8);
            self.run = Run::Packed { bit: self.at * 8, left };
            self.at += held;
        } else {
            let mut value = 0;
            for place in 0..width.div_ceil(8) {
                value |= u32::from(self.byte(bytes)?) << (8 * place);
            }
            self.run = Run::Repeated { value, left: count };
        }
        Ok(())
    }

    fn byte(&mut self, bytes: &[u8]) -> Result<u8> {
        if self.at >= self.end {
            return Err(ENDS_EARLY.to_owned());
        }
        let byte = bytes[self.at];
        self.at += 1;
        Ok(byte)
    }

    /// Returns `count` integers, run by run.
    fn runs(&mut self, bytes: &[u8], mut count: usize, mut take: impl FnMut(Run)) -> Result<()> {
        while count > 0 {
            let width = usize::from(self.width);
            match &mut self.run {
                Run::Repeated { left: 0, .. } | Run::Packed { left: 0, .. } => self.next_run(bytes)?,
                Run::Repeated { value, left } => {
                    let taken = count.min(*left);
                    take(Run::Repeated {
                        value: *value,
                        left: taken,
                    });
                    *left -= taken;
                    count -= taken;
                }
                Run::Packed { bit, left } => {
                    let taken = count.min(*left);
                    take(Run::Packed { bit: *bit, left: taken });
                    *bit += taken * width;
                    *left -= taken;
                    count -= taken;
                }
            }
        }
        Ok(())
    }

    pub fn skip(&mut self, bytes: &[u8], count: usize) -> Result<()> {
        self.runs(bytes, count, |_| ())
    }

    /// Appends the next `count` integers. An integer that is not below `limit` is an error.
    pub fn read(&mut self, bytes: &[u8], count: usize, limit: usize, into: &mut Vec<u32>) -> Result<()> {
        let (width, from) = (usize::from(self.width), into.len());
        into.reserve(count);
        self.runs(bytes, count, |run| match run {
            Run::Repeated { value, left } => into.resize(into.len() + left, value),
            Run::Packed { bit, left } => unpack(bytes, bit, left, width, into),
        })?;
        let largest = into[from..].iter().fold(0, |largest, &value| value.max(largest));
        if count > 0 && largest as usize >= limit {
            return Err(format!("index {largest} into a dictionary of {limit} values"));
        }
        Ok(())
    }

    /// The next `count` bits, for `width` 1; None if all are set.
    pub fn bits(&mut self, bytes: &[u8], count: usize) -> Result<Option<BooleanBuffer>> {
        let mut bits = BooleanBufferBuilder::new(0);
        let mut is_all = true;
        let mut ones = 0;
        self.runs(bytes, count, |run| {
            let (Run::Repeated { left, .. } | Run::Packed { left, .. }) = run;
            if is_all && matches!(run, Run::Repeated { value, .. } if value != 0) {
                ones += left;
                return;
            }
            if is_all {
                bits.append_n(ones, true);
                is_all = false;
            }
            match run {
                Run::Repeated { value, left } => bits.append_n(left, value != 0),
                Run::Packed { bit, left } => bits.append_packed_range(bit..bit + left, bytes),
            }
        })?;
        if is_all {
            return Ok(None);
        }
        let bits = bits.finish();
        Ok((bits.count_set_bits() < count).then_some(bits))
    }
}

/// `count` integers of `width` bits from bit `start` on.
fn unpack(bytes: &[u8], start: usize, count: usize, width: usize, into: &mut Vec<u32>) {
    let mask = ((1_u64 << width) - 1) as u32;
    let word_at = |bit: usize| {
        let eight = &bytes[bit / 8..bit / 8 + PADDING_BYTES];
        u64::from_le_bytes(eight.try_into().expect("they are eight")) >> (bit % 8)
    };
    let mut bit = start;
    let fours = if width <= FOUR_WIDTH_MAX { count / 4 } else { 0 };
    for _ in 0..fours {
        let word = word_at(bit);
        into.extend([0, width, 2 * width, 3 * width].map(|shift| (word >> shift) as u32 & mask));
        bit += 4 * width;
    }
    into.extend((0..count - 4 * fours).map(|index| word_at(bit + index * width) as u32 & mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(bytes: &[u8]) -> Vec<u8> {
        [bytes, &[0; PADDING_BYTES]].concat()
    }

    #[test]
    fn runs_and_packed_groups_in_pieces() {
        // five times 4, then 0..8 in three bits (the example of the format's description)
        let bytes = padded(&[10, 4, 3, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
        let (mut hybrid, mut found) = (Hybrid::new(0, 6, 3), Vec::new());
        for count in [3, 4, 2, 4] {
            hybrid.read(&bytes, count, 8, &mut found).unwrap();
        }
        assert_eq!(found, [4, 4, 4, 4, 4, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hybrid.skip(&bytes, 1), Err(ENDS_EARLY.to_owned()));
    }

    #[test]
    fn an_index_beyond_the_dictionary_is_an_error() {
        let bytes = padded(&[10, 4]);
        let found = Hybrid::new(0, 2, 3).read(&bytes, 5, 4, &mut Vec::new());
        assert_eq!(found, Err("index 4 into a dictionary of 4 values".to_owned()));
    }

    #[test]
    fn definition_levels_that_are_all_set_are_none() {
        assert_eq!(Hybrid::new(0, 2, 1).bits(&padded(&[20, 1]), 10), Ok(None));
        assert_eq!(Hybrid::new(0, 2, 1).bits(&padded(&[3, 0xff]), 8), Ok(None));
        // four times 1, then the bits of a byte
        let bits = Hybrid::new(0, 4, 1)
            .bits(&padded(&[8, 1, 3, 0b101]), 8)
            .unwrap()
            .unwrap();
        let bits: Vec<_> = bits.iter().collect();
        assert_eq!(bits, [true, true, true, true, true, false, true, false]);
    }
}
