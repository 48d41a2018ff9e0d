//! Text of moments without a pattern: ISO 8601, and the forms that Flink's `CAST` accepts.

use super::calendar::{days_in_month, days_of_civil};
use super::pattern::{number, offset, Fields, SECONDS_PER_DAY, YEAR_DIGITS_MAX};

/// `yyyy-M-d`, optionally a space or `T` and `H:m:s`, a fraction, an offset; or only a time if `is_time`.
pub fn parse_iso(text: &[u8], is_time: bool) -> Option<(i64, i64)> {
    let mut fields = Fields::default();
    let mut rest = text.trim_ascii();
    if !is_time {
        let (sign, unsigned) = rest.strip_prefix(b"-").map_or((1, rest), |after| (-1, after));
        let (year, after) = number(unsigned, 1, YEAR_DIGITS_MAX)?;
        let (month, after) = number(after.strip_prefix(b"-")?, 1, 2)?;
        let (day, after) = number(after.strip_prefix(b"-")?, 1, 2)?;
        (fields.year, fields.month, fields.day) = (sign * year, month as u32, day as u32);
        if after.is_empty() {
            return fields.has_day().then(|| fields.moment()).flatten();
        }
        rest = after.strip_prefix(b" ").or_else(|| after.strip_prefix(b"T"))?;
    }
    let (hour, after) = number(rest, 1, 2)?;
    let (minute, after) = number(after.strip_prefix(b":")?, 1, 2)?;
    (fields.hour, fields.minute, rest) = (hour as u32, minute as u32, after);
    if let Some(after) = rest.strip_prefix(b":") {
        let (second, after) = number(after, 1, 2)?;
        (fields.second, rest) = (second as u32, after);
    }
    if let Some(after) = rest.strip_prefix(b".") {
        let (value, behind) = number(after, 1, 9)?;
        fields.nanos = value * 10_i64.pow(9 - (after.len() - behind.len()) as u32);
        rest = behind;
    }
    if !rest.is_empty() {
        (fields.offset_seconds, rest) = offset(rest, true)?;
    }
    if rest.is_empty() && fields.has_day() {
        fields.moment()
    } else {
        None
    }
}

/// A timestamp as Flink's CAST accepts it: `yyyy-M-d`, optionally one space and `H:m:s` with a fraction. 24:00:00 is
/// the midnight of the next day.
pub fn parse_cast(text: &[u8]) -> Option<(i64, i64)> {
    let mut fields = Fields::default();
    let (year, after) = number(text, 1, YEAR_DIGITS_MAX)?;
    let (month, after) = number(after.strip_prefix(b"-")?, 1, 2)?;
    let (day, after) = number(after.strip_prefix(b"-")?, 1, 2)?;
    (fields.year, fields.month, fields.day) = (year, month as u32, day as u32);
    if after.is_empty() {
        return fields.moment();
    }
    let (hour, after) = number(after.strip_prefix(b" ")?, 1, 2)?;
    let (minute, after) = number(after.strip_prefix(b":")?, 1, 2)?;
    let (second, mut rest) = number(after.strip_prefix(b":")?, 1, 2)?;
    if let Some(after) = rest.strip_prefix(b".") {
        let (value, behind) = number(after, 1, 9)?;
        fields.nanos = value * 10_i64.pow(9 - (after.len() - behind.len()) as u32);
        rest = behind;
    }
    if !rest.is_empty() {
        return None;
    }
    if (hour, minute, second, fields.nanos) == (24, 0, 0, 0) {
        return fields
            .moment()
            .map(|(seconds, nanos)| (seconds + SECONDS_PER_DAY, nanos));
    }
    (fields.hour, fields.minute, fields.second) = (hour as u32, minute as u32, second as u32);
    fields.moment()
}

/// A date as Flink's CAST accepts it: `yyyy`, `yyyy-M` or `yyyy-M-d`, up to the first space; a year of at most four
/// digits.
pub fn parse_cast_date(text: &[u8]) -> Option<(i64, i64)> {
    let text = match text.iter().position(|byte| *byte == b' ') {
        Some(end) if end > 0 => &text[..end],
        _ => text,
    };
    let mut parts = text.splitn(3, |byte| *byte == b'-').map(whole);
    let year = parts.next()??;
    let month = parts.next().map_or(Some(1), |part| part)?;
    let day = parts.next().map_or(Some(1), |part| part)?;
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    let is_date = year <= 9999 && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    is_date.then(|| (days_of_civil(year, month, day) * SECONDS_PER_DAY, 0))
}

/// A time as Flink's CAST accepts it: `H`, `H:m` or `H:m:s` with a fraction.
pub fn parse_cast_time(text: &[u8]) -> Option<(i64, i64)> {
    if let Some(hour) = whole(text).filter(|hour| *hour < 24) {
        return Some((hour * 3600, 0));
    }
    parse_iso(text, true)
}

/// Digits, optionally with spaces around them.
fn whole(text: &[u8]) -> Option<i64> {
    let (value, rest) = number(text.trim_ascii(), 1, YEAR_DIGITS_MAX)?;
    rest.is_empty().then_some(value)
}
