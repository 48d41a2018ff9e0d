//! Numbers and truth values from text. A field is `text[start..end]`: the bytes before it may be loaded, but are
//! ignored.

/// The digits of `text[start..end]` as a number; None for anything else, for empty text, or above 2^64 - 1.
#[inline(always)]
pub fn parse_digits(text: &[u8], start: usize, end: usize) -> Option<u64> {
    let length = end - start;
    if length == 0 || length > 20 {
        return None;
    }
    if length <= 8 {
        return eight_digits(load_right(text, start, end));
    }
    if length <= 16 {
        let low = eight_digits(load(text, end - 8))?;
        return Some(eight_digits(load_right(text, start, end - 8))? * 100_000_000 + low);
    }
    let low = eight_digits(load(text, end - 8))? + eight_digits(load(text, end - 16))? * 100_000_000;
    let high = eight_digits(load_right(text, start, end - 16))?;
    high.checked_mul(10_000_000_000_000_000)?.checked_add(low)
}

#[inline(always)]
fn load(text: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(text[at..at + 8].try_into().expect("eight bytes"))
}

/// The at most eight bytes of `text[start..end]`, preceded by as many `0` as are missing.
#[inline(always)]
fn load_right(text: &[u8], start: usize, end: usize) -> u64 {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let missing = 8 - (end - start) as u32;
    if end >= 8 {
        let word = load(text, end - 8);
        // The first characters are the low bytes: they give way to zeros.
        let keep = u64::MAX.checked_shl(missing * 8).unwrap_or(0);
        return (word & keep) | (ZEROS & !keep);
    }
    let mut bytes = [b'0'; 8];
    bytes[missing as usize..].copy_from_slice(&text[start..end]);
    u64::from_le_bytes(bytes)
}

/// Eight ASCII digits, the first in the lowest byte.
#[inline(always)]
fn eight_digits(word: u64) -> Option<u64> {
    let carried = word.wrapping_add(0x0606_0606_0606_0606);
    if (word & 0xF0F0_F0F0_F0F0_F0F0) | ((carried & 0xF0F0_F0F0_F0F0_F0F0) >> 4) != 0x3333_3333_3333_3333 {
        return None;
    }
    let digits = word & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let even = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let odd = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    Some(even.wrapping_add(odd) >> 32)
}

/// A signed whole number; a leading `+` is allowed.
#[inline(always)]
pub fn parse_i64(text: &[u8], start: usize, end: usize) -> Option<i64> {
    match text[start..end].first()? {
        b'-' => {
            let value = parse_digits(text, start + 1, end)?;
            (value <= 1 << 63).then(|| (value as i64).wrapping_neg())
        }
        b'+' => i64::try_from(parse_digits(text, start + 1, end)?).ok(),
        _ => i64::try_from(parse_digits(text, start, end)?).ok(),
    }
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A decimal number, `point` between whole and fraction; `nan`, `inf`, `infinity` in any case. Correctly rounded.
#[inline(always)]
pub fn parse_f64(text: &[u8], start: usize, end: usize, point: u8) -> Option<f64> {
    let field = &text[start..end];
    let (is_negative, digits) = match field.first()? {
        b'-' => (true, start + 1),
        b'+' => (false, start + 1),
        _ => (false, start),
    };
    let value = match short_decimal(text, digits, end, point) {
        Some(value) => value,
        None => plain_decimal(&text[digits..end], point).or_else(|| long_decimal(&text[digits..end], point))?,
    };
    Some(if is_negative { -value } else { value })
}

/// At most eight characters with at most one point: without a loop. None: not of that kind.
#[inline(always)]
fn short_decimal(text: &[u8], start: usize, end: usize, point: u8) -> Option<f64> {
    let length = end - start;
    if length == 0 || length > 8 {
        return None;
    }
    let word = load_right(text, start, end);
    let differs = word ^ (0x0101_0101_0101_0101 * u64::from(point));
    let zero = differs.wrapping_sub(0x0101_0101_0101_0101) & !differs & 0x8080_8080_8080_8080;
    if zero == 0 {
        return eight_digits(word).map(|value| value as f64);
    }
    let place = zero.trailing_zeros() / 8; // of the point, from the left
    if length == 1 {
        return None;
    }
    // Close the gap: the part left of the point moves right by one.
    let below = (1_u64 << (place * 8)) - 1;
    let above = u64::MAX.checked_shl((place + 1) * 8).unwrap_or(0);
    let digits = (word & above) | ((word & below) << 8) | 0x30;
    Some(eight_digits(digits)? as f64 / POWERS[7 - place as usize])
}

/// At most 15 digits and no exponent: exact by one division (Clinger).
#[inline]
fn plain_decimal(field: &[u8], point: u8) -> Option<f64> {
    let (mut mantissa, mut digits, mut fraction, mut has_point) = (0_u64, 0, 0, false);
    if field.len() > 16 {
        return None;
    }
    for &byte in field {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
            digits += 1;
            fraction += usize::from(has_point);
        } else if byte == point && !has_point {
            has_point = true;
        } else {
            return None;
        }
    }
    (1..=15).contains(&digits).then(|| mantissa as f64 / POWERS[fraction])
}

#[cold]
fn long_decimal(field: &[u8], point: u8) -> Option<f64> {
    if matches!(field.first()?, b'-' | b'+') {
        return None; // the sign was taken already
    }
    if point == b'.' {
        return std::str::from_utf8(field).ok()?.parse().ok();
    }
    if field.contains(&b'.') {
        return None;
    }
    let text: Vec<u8> = field
        .iter()
        .map(|&byte| if byte == point { b'.' } else { byte })
        .collect();
    std::str::from_utf8(&text).ok()?.parse().ok()
}

/// A decimal number as an unscaled integer of this scale; None if it has more digits, or is not a number.
pub fn parse_decimal(field: &[u8], precision: u8, scale: i8, point: u8) -> Option<i128> {
    let (is_negative, digits) = match field.first()? {
        b'-' => (true, &field[1..]),
        b'+' => (false, &field[1..]),
        _ => (false, field),
    };
    let split = digits.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e'));
    let exponent = match split {
        Some(at) => parse_i64(digits, at + 1, digits.len()).and_then(|value| i32::try_from(value).ok())?,
        None => 0,
    };
    let (mut value, mut seen, mut fraction, mut has_point) = (0_i128, false, 0_i32, false);
    for &byte in &digits[..split.unwrap_or(digits.len())] {
        if byte == point && !has_point {
            has_point = true;
            continue;
        }
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        seen = true;
        fraction += i32::from(has_point);
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let shift = i32::from(scale).checked_sub(fraction)?.checked_add(exponent)?;
    let scaled = match shift {
        _ if !seen => return None,
        0..=38 => value.checked_mul(10_i128.checked_pow(shift as u32)?)?,
        -38..0 => {
            let divisor = 10_i128.checked_pow(shift.unsigned_abs())?;
            (value % divisor == 0).then_some(value / divisor)?
        }
        _ if value == 0 => 0,
        _ => return None,
    };
    let fits = precision >= 38 || scaled < 10_i128.pow(u32::from(precision));
    fits.then_some(if is_negative { -scaled } else { scaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a field inside a longer text, and alone.
    fn both<T: PartialEq + std::fmt::Debug>(
        field: &str,
        parse: impl Fn(&[u8], usize, usize) -> Option<T>,
    ) -> Option<T> {
        let inside = format!("123456789,{field},987654321");
        let alone = parse(field.as_bytes(), 0, field.len());
        assert_eq!(parse(inside.as_bytes(), 10, 10 + field.len()), alone, "{field}");
        alone
    }

    #[test]
    fn whole_numbers() {
        let mut value: i128 = 1;
        for _ in 0..64 {
            for text in [value, -value, value - 1, value + 1].map(|value| value.to_string()) {
                assert_eq!(both(&text, parse_i64), text.parse().ok(), "{text}");
            }
            value *= 2;
        }
        for text in [
            "",
            "-",
            "+",
            "1a",
            "a1",
            "1.0",
            " 1",
            "12345678:",
            "/2345678",
            "99999999999999999999",
            "0x1",
            "1_0",
        ] {
            assert_eq!(both(text, parse_i64), None, "{text}");
        }
        assert_eq!(both("+0007", parse_i64), Some(7));
        assert_eq!(both("18446744073709551615", parse_digits), Some(u64::MAX));
    }

    #[test]
    fn decimals_are_correctly_rounded() {
        let parse = |text: &[u8], start, end| parse_f64(text, start, end, b'.').map(f64::to_bits);
        for text in [
            "0",
            "1",
            "0.1",
            "547.77",
            ".5",
            "5.",
            "-0.0",
            "1234567.8",
            "12345678.9",
            "3.141592653589793",
            "1e10",
            "-1E-5",
            "123456789012345678901234567890",
            "0.30000000000000004",
            "9007199254740993",
            "1e400",
            "4.9e-324",
            "inf",
            "00000.10",
            "999999999999999.9",
            "-inf",
            "NaN",
            "infinity",
            "+1.5",
            "1234567",
            "0.000001",
            "1.7976931348623157e308",
        ] {
            assert_eq!(both(text, parse), text.parse::<f64>().ok().map(f64::to_bits), "{text}");
        }
        for text in [
            "", ".", "-", "1.2.3", "--1", "1,5", "e5", "1e", "abc", "1 ", "+-1", "-+1",
        ] {
            assert_eq!(both(text, parse), None, "{text}");
        }
        assert_eq!(parse_f64(b"1,5", 0, 3, b','), Some(1.5));
        assert_eq!(parse_f64(b"1.5", 0, 3, b','), None);
        assert_eq!(
            parse_f64(b"12345678901234567,5", 0, 19, b','),
            Some(12_345_678_901_234_567.5)
        );
    }

    #[test]
    fn fixed_decimals() {
        let parse = |text: &str| parse_decimal(text.as_bytes(), 10, 2, b'.');
        assert_eq!(parse("12.3"), Some(1230));
        assert_eq!(parse("-0.05"), Some(-5));
        assert_eq!(parse("1.230"), Some(123));
        assert_eq!(parse("1e3"), Some(100_000));
        assert_eq!(parse("1.234"), None);
        assert_eq!(parse("123456789"), None);
        assert_eq!(parse("."), None);
    }
}
