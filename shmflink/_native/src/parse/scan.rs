//! Finds delimiters and line ends outside quotes, 64 bytes at a time.
//!
//! Quotes are paired by parity (a prefix xor over the quote bits, as in simdjson): exact for text whose quotes open
//! at the start of a field and are doubled inside. Anything else (a quote inside an unquoted field, a lone CR, escapes,
//! comments) is only *detected* here (`Seen::is_odd`), and `records.rs` reads it byte by byte.

/// One bit per byte of a 64-byte block.
#[derive(Clone, Copy)]
pub struct Masks {
    pub delimiter: u64,
    pub newline: u64,
    pub quote: u64,
    pub carriage: u64,
}

/// What a window of text contains.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Seen {
    pub quotes: bool,
    /// Two adjacent quotes: an escaped quote, or an empty quoted field.
    pub doubled: bool,
    pub carriages: bool,
    /// The text ends inside quotes.
    pub is_open: bool,
    /// Parity does not suffice to read this text.
    pub is_odd: bool,
}

impl Seen {
    /// The assumption about text that has not been examined.
    pub const ALL: Self = Self {
        quotes: true,
        doubled: true,
        carriages: true,
        is_open: true,
        is_odd: true,
    };
}

trait Block {
    /// # Safety
    /// `at` must be readable for 64 bytes, and the CPU must have the instructions of the implementation.
    unsafe fn masks(at: *const u8, delimiter: u8, quote: u8) -> Masks;
}

#[cfg(target_arch = "x86_64")]
struct Avx2;
#[cfg(target_arch = "x86_64")]
impl Block for Avx2 {
    /// # Safety
    /// `at` must be readable for 64 bytes (no alignment is needed), and the CPU must have AVX2: `has_avx2` returned
    /// true.
    #[inline(always)]
    unsafe fn masks(at: *const u8, delimiter: u8, quote: u8) -> Masks {
        use std::arch::x86_64::{_mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8};
        // SAFETY: two unaligned loads of 32 bytes each, within the 64 bytes that the caller guarantees; the CPU has
        // AVX2.
        unsafe {
            let low = _mm256_loadu_si256(at.cast());
            let high = _mm256_loadu_si256(at.add(32).cast());
            let find = |byte: u8| {
                let wanted = _mm256_set1_epi8(byte as i8);
                let a = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted)) as u32;
                let b = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) as u32;
                u64::from(a) | (u64::from(b) << 32)
            };
            Masks {
                delimiter: find(delimiter),
                newline: find(b'\n'),
                quote: find(quote),
                carriage: find(b'\r'),
            }
        }
    }
}

/// For any machine: eight bytes per word.
struct Portable;
impl Block for Portable {
    /// # Safety
    /// `at` must be readable for 64 bytes (no alignment is needed).
    #[inline(always)]
    unsafe fn masks(at: *const u8, delimiter: u8, quote: u8) -> Masks {
        let mut masks = Masks {
            delimiter: 0,
            newline: 0,
            quote: 0,
            carriage: 0,
        };
        for word in 0..8 {
            // SAFETY: `word * 8 + 8 <= 64`, within the bytes that the caller guarantees; the read needs no alignment.
            let bytes = u64::from_le(unsafe { at.add(word * 8).cast::<u64>().read_unaligned() });
            let shift = word * 8;
            masks.delimiter |= equal_bytes(bytes, delimiter) << shift;
            masks.newline |= equal_bytes(bytes, b'\n') << shift;
            masks.quote |= equal_bytes(bytes, quote) << shift;
            masks.carriage |= equal_bytes(bytes, b'\r') << shift;
        }
        masks
    }
}

/// One bit for each byte of `word` that equals `byte`.
#[inline(always)]
fn equal_bytes(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let differs = word ^ (LOW * u64::from(byte));
    // Exact, without borrows between bytes: the high bit is set if the byte is not zero.
    let nonzero = ((differs & SEVEN) + SEVEN) | differs;
    let zero = !nonzero & (LOW << 7);
    (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// What the scanner must know about a dialect. `quote` is None if quotes have no meaning.
#[derive(Clone, Copy)]
pub struct Marks {
    pub delimiter: u8,
    pub quote: Option<u8>,
    /// False: a line end inside quotes makes the text odd.
    pub quoted_newlines: bool,
}

/// Appends to `ends` the positions (from the start of `text`) of all delimiters and line ends outside quotes.
///
/// `text` must begin at the start of a record and be shorter than 4 GiB.
pub fn scan(text: &[u8], marks: Marks, ends: &mut Vec<u32>) -> Seen {
    assert!(text.len() < u32::MAX as usize, "a window of text is less than 4 GiB");
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: `has_avx2` checked for each of the features with which the function is compiled.
        return unsafe { scan_avx2(text, marks, ends) };
    }
    scan_blocks::<Portable>(text, marks, ends)
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2") && has!("bmi1") && has!("bmi2") && has!("popcnt") && has!("lzcnt")
}

/// # Safety
/// The CPU must have AVX2, BMI1, BMI2, POPCNT and LZCNT: `has_avx2` returned true.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
unsafe fn scan_avx2(text: &[u8], marks: Marks, ends: &mut Vec<u32>) -> Seen {
    scan_blocks::<Avx2>(text, marks, ends)
}

#[inline(always)]
fn scan_blocks<B: Block>(text: &[u8], marks: Marks, ends: &mut Vec<u32>) -> Seen {
    let mut scanner = Scanner::new(marks);
    let whole = text.len() / 64 * 64;
    for start in (0..whole).step_by(64) {
        // SAFETY: `start + 64 <= text.len()`.
        let masks = unsafe { B::masks(text.as_ptr().add(start), scanner.delimiter, scanner.quote) };
        scanner.block(masks, start as u32, ends);
    }
    if whole < text.len() {
        let mut last = [0_u8; 64];
        last[..text.len() - whole].copy_from_slice(&text[whole..]);
        // SAFETY: `last` has 64 bytes.
        let mut masks = unsafe { B::masks(last.as_ptr(), scanner.delimiter, scanner.quote) };
        let valid = (1_u64 << (text.len() - whole)) - 1;
        masks.delimiter &= valid;
        masks.quote &= valid;
        scanner.valid = valid;
        scanner.block(masks, whole as u32, ends);
    }
    scanner.seen.is_open = scanner.inside != 0;
    scanner.seen
}

struct Scanner {
    delimiter: u8,
    quote: u8,
    has_quote: bool,
    quoted_newlines: bool,
    /// The bits of this block that are text.
    valid: u64,
    /// All ones while inside quotes.
    inside: u64,
    /// Bit 0: the byte before this block is a border (start, delimiter, line end) or a quote.
    before_may_open: u64,
    before_is_quote: u64,
    before_is_carriage: u64,
    seen: Seen,
}

impl Scanner {
    fn new(marks: Marks) -> Self {
        Self {
            delimiter: marks.delimiter,
            quote: marks.quote.unwrap_or(b'"'),
            has_quote: marks.quote.is_some(),
            quoted_newlines: marks.quoted_newlines,
            valid: u64::MAX,
            inside: 0,
            before_may_open: 1,
            before_is_quote: 0,
            before_is_carriage: 0,
            seen: Seen::default(),
        }
    }

    #[inline(always)]
    fn block(&mut self, masks: Masks, start: u32, ends: &mut Vec<u32>) {
        let mut borders = masks.delimiter | masks.newline;
        let mut outside = u64::MAX;
        if self.has_quote && (masks.quote | self.inside) != 0 {
            let within = prefix_xor(masks.quote) ^ self.inside; // the opening quote is inside, the closing quote is not
            outside = !within;
            self.inside = ((within as i64) >> 63) as u64;
            let opening = masks.quote & within;
            let may_open = ((borders & outside) | masks.quote) << 1 | self.before_may_open;
            let after_quote = (masks.quote << 1) | self.before_is_quote;
            self.seen.quotes = true;
            self.seen.doubled |= masks.quote & after_quote != 0;
            self.seen.is_odd |= opening & !may_open != 0 || (!self.quoted_newlines && masks.newline & within != 0);
        }
        if masks.carriage | self.before_is_carriage != 0 {
            // A CR outside quotes ends a line of its own unless LF follows.
            let alone = ((masks.carriage & outside) << 1 | self.before_is_carriage) & !masks.newline & self.valid;
            self.seen.carriages = true;
            self.seen.is_odd |= alone != 0;
            self.before_is_carriage = (masks.carriage & outside) >> 63;
        }
        borders &= outside;
        self.before_may_open = (borders | masks.quote) >> 63;
        self.before_is_quote = masks.quote >> 63;
        push_bits(borders, start, ends);
    }
}

/// Bit i of the result: whether an odd number of the bits 0..=i is set.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Appends `start + i` for each set bit i. Always writes eight at a time: fewer branches.
#[inline(always)]
fn push_bits(mut bits: u64, start: u32, ends: &mut Vec<u32>) {
    let count = bits.count_ones() as usize;
    ends.reserve(64);
    let length = ends.len();
    // SAFETY: room for 64 was reserved; exactly `count` are initialized before the length is set.
    unsafe {
        let mut at = ends.as_mut_ptr().add(length);
        let mut left = count;
        while left > 0 {
            for lane in 0..8 {
                at.add(lane).write(start.wrapping_add(bits.trailing_zeros()));
                bits &= bits.wrapping_sub(1);
            }
            at = at.add(8);
            left = left.saturating_sub(8);
        }
        ends.set_len(length + count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks {
        delimiter: b',',
        quote: Some(b'"'),
        quoted_newlines: true,
    };

    fn slowly(text: &[u8]) -> Vec<u32> {
        let mut inside = false;
        let mut ends = Vec::new();
        for (place, &byte) in text.iter().enumerate() {
            inside ^= byte == b'"';
            if !inside && (byte == b',' || byte == b'\n') {
                ends.push(place as u32);
            }
        }
        ends
    }

    #[test]
    fn both_ways_find_what_a_loop_finds() {
        let mut state = 7_u64;
        for length in 0..400 {
            let text: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    b"ab,\n\"c,d9\xFF"[(state >> 33) as usize % 10]
                })
                .collect();
            let (mut fast, mut portable) = (Vec::new(), Vec::new());
            let seen = scan(&text, MARKS, &mut fast);
            assert_eq!(seen, scan_blocks::<Portable>(&text, MARKS, &mut portable));
            assert_eq!(fast, slowly(&text), "{length}");
            assert_eq!(portable, fast);
        }
    }

    #[test]
    fn what_parity_cannot_read_is_noticed() {
        let odd = |text: &[u8]| scan(text, MARKS, &mut Vec::new()).is_odd;
        assert!(!odd(b"\"a\",\"b\"\"c\"\n\"\",x\r\n"));
        assert!(odd(b"5\" pipe,1\n"));
        assert!(odd(b"a\rb\n"));
        assert!(!odd(b"\"a\rb\"\n"));
        let strict = Marks {
            quoted_newlines: false,
            ..MARKS
        };
        assert!(scan(b"\"a\nb\"\n", strict, &mut Vec::new()).is_odd);
    }
}
