//! Bits at any position: Arrow's validity bitmaps and booleans, least significant bit first.

#[inline(always)]
fn get(bits: &[u8], at: usize) -> bool {
    bits[at >> 3] >> (at & 7) & 1 == 1
}

/// Sets or clears one bit; the other bits of the byte are unchanged.
#[inline(always)]
pub fn put(bits: &mut [u8], at: usize, value: bool) {
    let (byte, bit) = (&mut bits[at >> 3], at & 7);
    *byte = *byte & !(1 << bit) | u8::from(value) << bit;
}

/// The 64 bits from bit `at` on. `bits` must contain the last of them; caller guarantees it.
#[inline(always)]
fn load(bits: &[u8], at: usize) -> u64 {
    let (byte, shift) = (at >> 3, at & 7);
    let low = u64::from_le_bytes(bits[byte..byte + 8].try_into().expect("8 bytes"));
    if shift == 0 {
        return low;
    }
    low >> shift | u64::from(bits[byte + 8]) << (64 - shift)
}

/// Copies `count` bits.
pub fn copy(from: &[u8], mut from_at: usize, to: &mut [u8], mut to_at: usize, count: usize) {
    let mut left = count;
    while left > 0 && to_at & 7 != 0 {
        put(to, to_at, get(from, from_at));
        (from_at, to_at, left) = (from_at + 1, to_at + 1, left - 1);
    }
    while left >= 64 {
        let byte = to_at >> 3;
        to[byte..byte + 8].copy_from_slice(&load(from, from_at).to_le_bytes());
        (from_at, to_at, left) = (from_at + 64, to_at + 64, left - 64);
    }
    for i in 0..left {
        put(to, to_at + i, get(from, from_at + i));
    }
}

/// Sets `count` bits, starting at bit 0.
pub fn set_all(bits: &mut [u8], count: usize) {
    bits[..count >> 3].fill(0xff);
    for at in count & !7..count {
        put(bits, at, true);
    }
}

/// Copies the bits at `rows` (offset by `from_at`); returns the number of ones.
pub fn gather(from: &[u8], from_at: usize, rows: &[u32], to: &mut [u8], to_at: usize) -> usize {
    let mut ones = 0;
    for (i, row) in rows.iter().enumerate() {
        let value = get(from, from_at + *row as usize);
        ones += usize::from(value);
        put(to, to_at + i, value);
    }
    ones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_at_every_offset() {
        let from: Vec<u8> = (0..40_u32).map(|i| (i * 73 + 11) as u8).collect();
        for from_at in 0..9 {
            for to_at in 0..9 {
                for count in [0, 1, 5, 8, 63, 64, 65, 130, 200] {
                    let mut to = vec![0xaa; 40];
                    copy(&from, from_at, &mut to, to_at, count);
                    for i in 0..320 {
                        let inside = i >= to_at && i < to_at + count;
                        let expected = if inside {
                            get(&from, from_at + i - to_at)
                        } else {
                            i % 2 == 1
                        };
                        assert_eq!(get(&to, i), expected, "{from_at} {to_at} {count} {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn sets_the_first_bits_only() {
        let mut bits = vec![0; 3];
        set_all(&mut bits, 11);
        assert_eq!(bits, [0xff, 0x07, 0]);
    }
}
