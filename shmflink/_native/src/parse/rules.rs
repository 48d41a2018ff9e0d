//! How text becomes values of a type: nulls, true, false, times. Shared by CSV and JSON.

use arrow_schema::{DataType, TimeUnit};

use super::column::per_second;
use super::times::{parse_clock, parse_date, parse_instant, Format, Instant};
use super::values::{parse_decimal, parse_digits, parse_f64, parse_i64};
use super::zones::Zones;

/// A few words to compare fields with; their lengths alone rule out most fields.
#[derive(Clone, Debug, Default)]
pub struct Words {
    lengths: u64,
    words: Vec<Vec<u8>>,
}

impl Words {
    pub fn new(words: Vec<Vec<u8>>) -> Self {
        let lengths = words.iter().fold(0, |lengths, word| lengths | 1 << word.len().min(63));
        Self { lengths, words }
    }

    #[inline(always)]
    pub fn has(&self, field: &[u8]) -> bool {
        self.lengths >> field.len().min(63) & 1 == 1 && self.words.iter().any(|word| word == field)
    }
}

/// The rules of one source of text.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub nulls: Words,
    pub trues: Words,
    pub falses: Words,
    pub formats: Vec<Format>,
    pub point: u8,
    pub zones: Zones,
}

/// Why a row is not text, if it is not.
#[cold]
pub fn utf8_fault(row: &[u8]) -> Option<String> {
    let error = std::str::from_utf8(row).err()?;
    Some(format!("byte {} of the row is not valid UTF-8", error.valid_up_to()))
}

/// Strips spaces around `text[start..end]`.
#[inline]
pub fn trim(text: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    while start < end && matches!(text[start], b' ' | b'\t') {
        start += 1;
    }
    while start < end && matches!(text[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    (start, end)
}

impl Rules {
    pub fn is_true(&self, field: &[u8]) -> Option<bool> {
        if self.trues.has(field) {
            return Some(true);
        }
        self.falses.has(field).then_some(false)
    }

    #[inline(always)]
    pub fn float(&self, text: &[u8], start: usize, end: usize) -> Option<f64> {
        parse_f64(text, start, end, self.point)
    }

    pub fn decimal(&self, field: &[u8], precision: u8, scale: i8) -> Option<i128> {
        parse_decimal(field, precision, scale, self.point)
    }

    #[inline]
    pub fn instant(&self, field: &[u8]) -> Option<Instant> {
        if self.formats.is_empty() {
            return parse_instant(field);
        }
        self.formats
            .iter()
            .find_map(|format| format.parse(field))
            .or_else(|| parse_instant(field))
    }

    /// A whole number; also one with an empty fraction or an exponent, written by tools that only have doubles.
    #[inline(always)]
    pub fn i64(&self, text: &[u8], start: usize, end: usize) -> Option<i64> {
        parse_i64(text, start, end).or_else(|| self.exact(&text[start..end])?.try_into().ok())
    }

    /// As `i64`, without a sign.
    #[inline(always)]
    pub fn u64(&self, text: &[u8], start: usize, end: usize) -> Option<u64> {
        parse_digits(text, start, end).or_else(|| self.exact(&text[start..end])?.try_into().ok())
    }

    #[cold]
    fn exact(&self, field: &[u8]) -> Option<i128> {
        parse_decimal(field, 38, 0, self.point)
    }

    /// In a unit since 1970; finer digits are truncated, as in Flink. Text without an offset is local time of `zone`,
    /// if there is one.
    #[inline]
    pub fn timestamp(&self, field: &[u8], unit: TimeUnit, zone: Option<&str>) -> Option<i64> {
        let mut instant = self.instant(field)?;
        if let Some(zone) = zone.filter(|_| !instant.has_offset) {
            instant.seconds = self.zones.utc_of_local(instant.seconds, zone)?;
        }
        let scale = per_second(unit);
        let fine = i64::from(instant.nanos) / (1_000_000_000 / scale);
        instant.seconds.checked_mul(scale)?.checked_add(fine)
    }

    pub fn date(&self, field: &[u8]) -> Option<i32> {
        let by_format = |format: &Format| if format.has_time { None } else { format.parse(field) };
        match self.formats.iter().find_map(by_format) {
            Some(instant) => i32::try_from(instant.seconds.div_euclid(86_400)).ok(),
            None => parse_date(field),
        }
    }

    /// Values stored in an i64 that are not plain numbers: timestamps, times, dates in milliseconds.
    #[inline]
    pub fn special_i64(&self, data_type: &DataType, text: &[u8], start: usize, end: usize) -> Option<i64> {
        let field = &text[start..end];
        match data_type {
            DataType::Timestamp(unit, zone) => self.timestamp(field, *unit, zone.as_deref()),
            DataType::Date64 => self.date(field).map(|days| i64::from(days) * 86_400_000),
            DataType::Time64(unit) => parse_clock(field).map(|nanos| nanos / (1_000_000_000 / per_second(*unit))),
            _ => parse_i64(text, start, end),
        }
    }

    /// Values stored in an i32 that are not plain numbers: dates, times.
    #[inline]
    pub fn special_i32(&self, data_type: &DataType, text: &[u8], start: usize, end: usize) -> Option<i32> {
        let field = &text[start..end];
        match data_type {
            DataType::Date32 => self.date(field),
            DataType::Time32(unit) => {
                parse_clock(field).map(|nanos| (nanos / (1_000_000_000 / per_second(*unit))) as i32)
            }
            _ => parse_i64(text, start, end).and_then(|value| value.try_into().ok()),
        }
    }
}
