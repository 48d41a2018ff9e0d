//! Patterns of Java's `DateTimeFormatter`, compiled once: timestamps to text and back.
//!
//! Letters: `y u` year, `M L` month, `d` day, `D` day of the year, `E` weekday, `Q q` quarter, `a` AM/PM, `H` hour
//! 0-23, `k` 1-24, `K` 0-11, `h` 1-12, `m` minute, `s` second, `S` fraction, `A` millisecond of the day, when
//! formatting `G` era, `Y` `w` year and week and `e` `c` day of the week (of the United States: weeks begin on Sunday,
//! the first one holds January 1), and when parsing `X x Z` an offset from UTC. `'text'` is literal, `''` a quote; text
//! in `[]` is optional when parsing. Months and weekdays have their English names. Other letters are refused.

use super::calendar::{civil_of_days, days_in_month, days_of_civil, Civil};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];
const SHORT_NAME: usize = 3;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
pub(super) const SECONDS_PER_DAY: i64 = 86_400;
pub(super) const YEAR_DIGITS_MAX: usize = 9;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(Vec<u8>),
    /// A letter, and its number of repetitions.
    Field(u8, usize),
    /// A part that is optional when parsing.
    Optional(Vec<Part>),
}

#[derive(Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

/// The fields that were parsed; absent fields keep their defaults.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) day_of_year: Option<u32>,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanos: i64,
    pub(super) is_afternoon: Option<bool>,
    pub(super) offset_seconds: i64,
}

impl Pattern {
    /// Err: why the pattern is refused.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        let letters = pattern.as_bytes();
        let (mut parts, mut at, mut outer) = (Vec::new(), 0, Vec::new());
        while at < letters.len() {
            let letter = letters[at];
            if letter == b'\'' {
                let (text, next) = quoted(letters, at)?;
                push_text(&mut parts, &text);
                at = next;
            } else if letter.is_ascii_alphabetic() {
                let count = letters[at..].iter().take_while(|other| **other == letter).count();
                check(letter, count)?;
                parts.push(Part::Field(letter, count));
                at += count;
            } else if letter == b'[' {
                outer.push(std::mem::take(&mut parts));
                at += 1;
            } else if letter == b']' {
                let above = outer.pop().ok_or("a ] closes nothing")?;
                let inside = std::mem::replace(&mut parts, above);
                parts.push(Part::Optional(inside));
                at += 1;
            } else if b"{}#".contains(&letter) {
                return Err(format!("`{}` has no meaning here: quote it with '", letter as char));
            } else {
                push_text(&mut parts, &letters[at..=at]);
                at += 1;
            }
        }
        while let Some(mut above) = outer.pop() {
            above.push(Part::Optional(parts));
            parts = above;
        }
        Ok(Self { parts })
    }

    /// Appends the text of a moment: seconds since 1970 and nanoseconds of the second.
    pub fn format(&self, seconds: i64, nanos: i64, out: &mut Vec<u8>) -> Result<(), String> {
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let civil = civil_of_days(days);
        format_parts(&self.parts, days, &civil, second_of_day, nanos, out)
    }

    /// Seconds since 1970 and nanoseconds; None if the text does not match the pattern or is not a valid date.
    pub fn parse(&self, text: &[u8]) -> Option<(i64, i64)> {
        let (fields, rest) = parse_parts(&self.parts, Fields::default(), text)?;
        if rest.is_empty() {
            fields.moment()
        } else {
            None
        }
    }
}

fn parse_parts<'a>(parts: &[Part], mut fields: Fields, text: &'a [u8]) -> Option<(Fields, &'a [u8])> {
    let mut rest = text;
    for (index, part) in parts.iter().enumerate() {
        rest = match part {
            Part::Text(expected) => rest.strip_prefix(expected.as_slice())?,
            Part::Field(letter, count) => {
                let is_followed = matches!(parts.get(index + 1), Some(Part::Field(next, n)) if is_number(*next, *n));
                fields.parse(*letter, *count, is_followed, rest)?
            }
            Part::Optional(inside) => match parse_parts(inside, fields, rest) {
                Some((with, after)) => {
                    fields = with;
                    after
                }
                None => rest,
            },
        };
    }
    Some((fields, rest))
}

fn format_parts(
    parts: &[Part],
    days: i64,
    civil: &Civil,
    second_of_day: i64,
    nanos: i64,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Field(letter, count) => format_field(*letter, *count, days, civil, second_of_day, nanos, out)?,
            Part::Optional(inside) => format_parts(inside, days, civil, second_of_day, nanos, out)?,
        }
    }
    Ok(())
}

fn push_text(parts: &mut Vec<Part>, text: &[u8]) {
    if let Some(Part::Text(before)) = parts.last_mut() {
        before.extend_from_slice(text);
    } else {
        parts.push(Part::Text(text.to_vec()));
    }
}

/// The text from the quote at `start` on, and what comes after it.
fn quoted(letters: &[u8], start: usize) -> Result<(Vec<u8>, usize), String> {
    if letters.get(start + 1) == Some(&b'\'') {
        return Ok((vec![b'\''], start + 2));
    }
    let (mut text, mut at) = (Vec::new(), start + 1);
    while at < letters.len() {
        if letters[at] != b'\'' {
            text.push(letters[at]);
            at += 1;
        } else if letters.get(at + 1) == Some(&b'\'') {
            text.push(b'\'');
            at += 2;
        } else {
            return Ok((text, at + 1));
        }
    }
    Err("a quote ' is not closed".into())
}

fn check(letter: u8, count: usize) -> Result<(), String> {
    let most = match letter {
        b'y' | b'u' | b'Y' | b'S' | b'A' => 9,
        b'G' => 5,
        b'w' => 2,
        b'e' | b'c' => 1,
        b'M' | b'L' | b'E' | b'a' | b'Z' => 4,
        b'D' => 3,
        b'd' | b'H' | b'k' | b'K' | b'h' | b'm' | b's' | b'Q' | b'q' => 2,
        b'X' | b'x' => 3,
        _ => return Err(format!("the letter {} is not known", letter as char)),
    };
    if count > most {
        return Err(format!("{} times the letter {}", count, letter as char));
    }
    Ok(())
}

fn is_number(letter: u8, count: usize) -> bool {
    match letter {
        b'M' | b'L' => count <= 2,
        b'E' | b'a' | b'X' | b'x' | b'Z' => false,
        _ => true,
    }
}

fn format_field(
    letter: u8,
    count: usize,
    days: i64,
    civil: &Civil,
    second_of_day: i64,
    nanos: i64,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let hour = second_of_day / 3600;
    match letter {
        b'Y' if count == 2 => digits(week_of(days, civil).0.rem_euclid(100), 2, out),
        b'Y' => signed_digits(week_of(days, civil).0, count, out),
        b'w' => digits(week_of(days, civil).1, count, out),
        b'e' | b'c' => digits(day_of_week(days) + 1, count, out),
        b'G' => out.extend_from_slice(era(civil.year, count).as_bytes()),
        b'A' => digits(second_of_day * 1000 + nanos / 1_000_000, count, out),
        b'y' | b'u' if count == 2 => digits(civil.year.rem_euclid(100), 2, out),
        b'y' | b'u' => signed_digits(civil.year, count, out),
        b'M' | b'L' if count >= 3 => name(MONTHS[civil.month as usize - 1], count, out),
        b'M' | b'L' => digits(i64::from(civil.month), count, out),
        b'd' => digits(i64::from(civil.day), count, out),
        b'D' => digits(days - days_of_civil(civil.year, 1, 1) + 1, count, out),
        b'E' => name(WEEKDAYS[days.rem_euclid(7) as usize], count.max(3), out),
        b'Q' | b'q' => digits(i64::from((civil.month - 1) / 3 + 1), count, out),
        b'a' => out.extend_from_slice(if hour < 12 { b"AM" } else { b"PM" }),
        b'H' => digits(hour, count, out),
        b'k' => digits(if hour == 0 { 24 } else { hour }, count, out),
        b'K' => digits(hour % 12, count, out),
        b'h' => digits(if hour % 12 == 0 { 12 } else { hour % 12 }, count, out),
        b'm' => digits(second_of_day / 60 % 60, count, out),
        b's' => digits(second_of_day % 60, count, out),
        b'S' => digits(nanos / 10_i64.pow(9 - count as u32), count, out),
        _ => {
            return Err(format!(
                "the letter {} is for parsing only: a timestamp has no offset",
                letter as char
            ))
        }
    }
    Ok(())
}

/// The day of the week; Sunday is 0.
fn day_of_week(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// Year and week in the United States: the first week contains January 1.
fn week_of(days: i64, civil: &Civil) -> (i64, i64) {
    let first_week = |year: i64| {
        let january = days_of_civil(year, 1, 1);
        january - day_of_week(january)
    };
    let next = first_week(civil.year + 1);
    if days >= next {
        return (civil.year + 1, 1);
    }
    (civil.year, (days - first_week(civil.year)) / 7 + 1)
}

fn era(year: i64, count: usize) -> &'static str {
    match (year > 0, count) {
        (true, 4) => "Anno Domini",
        (true, 5) => "A",
        (true, _) => "AD",
        (false, 4) => "Before Christ",
        (false, 5) => "B",
        (false, _) => "BC",
    }
}

fn name(full: &str, count: usize, out: &mut Vec<u8>) {
    let end = if count >= 4 { full.len() } else { SHORT_NAME };
    out.extend_from_slice(&full.as_bytes()[..end]);
}

/// A number of at least `width` digits.
fn digits(value: i64, width: usize, out: &mut Vec<u8>) {
    if width == 2 && (0..100).contains(&value) {
        out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
        return;
    }
    if width == 4 && (0..10_000).contains(&value) {
        let (high, low) = ((value / 100) as u8, (value % 100) as u8);
        out.extend_from_slice(&[b'0' + high / 10, b'0' + high % 10, b'0' + low / 10, b'0' + low % 10]);
        return;
    }
    let mut buffer = [b'0'; 20];
    let (mut left, mut at) = (value.unsigned_abs(), buffer.len());
    while left > 0 || buffer.len() - at < width.max(1) {
        at -= 1;
        buffer[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&buffer[at..]);
}

/// A year: `-` before Christ (in Java's proleptic years), `+` if it has more digits than the pattern.
fn signed_digits(year: i64, width: usize, out: &mut Vec<u8>) {
    if year < 0 {
        out.push(b'-');
    } else if width >= 4 && year >= 10_i64.pow(width as u32) {
        out.push(b'+');
    }
    digits(year, width, out);
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            minute: 0,
            second: 0,
            nanos: 0,
            is_afternoon: None,
            offset_seconds: 0,
        }
    }
}

impl Fields {
    /// Parses one field at the front of the text; returns the rest.
    fn parse<'a>(&mut self, letter: u8, count: usize, is_followed: bool, text: &'a [u8]) -> Option<&'a [u8]> {
        if !is_number(letter, count) {
            return self.parse_name(letter, count, text);
        }
        if letter == b'S' {
            let (value, rest) = number(text, count, count)?;
            self.nanos = value * 10_i64.pow(9 - count as u32);
            return Some(rest);
        }
        if letter == b'y' || letter == b'u' {
            return self.parse_year(count, is_followed, text);
        }
        // A single letter consumes all digits, unless another number follows directly.
        let most = if count == 1 && !is_followed { 9 } else { count };
        let (value, rest) = number(text, count, most)?;
        let small = u32::try_from(value).ok()?;
        match letter {
            b'M' | b'L' => self.month = small,
            b'd' => self.day = small,
            b'D' => self.day_of_year = Some(small),
            b'H' => self.hour = small,
            b'k' => self.hour = if small == 24 { 0 } else { small },
            b'K' | b'h' => {
                let limit = if letter == b'h' { 12 } else { 11 };
                if small > limit || (letter == b'h' && small == 0) {
                    return None;
                }
                self.hour = small % 12;
                self.is_afternoon.get_or_insert(false);
            }
            b'm' => self.minute = small,
            b's' => self.second = small,
            b'Q' | b'q' if (1..=4).contains(&small) => self.month = small * 3 - 2,
            _ => return None,
        }
        Some(rest)
    }

    fn parse_year<'a>(&mut self, count: usize, is_followed: bool, text: &'a [u8]) -> Option<&'a [u8]> {
        let (sign, text) = match text.first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let most = if is_followed || count == 2 {
            count
        } else {
            YEAR_DIGITS_MAX
        };
        let (value, rest) = number(text, count, most)?;
        self.year = if count == 2 { 2000 + value } else { sign * value };
        Some(rest)
    }

    fn parse_name<'a>(&mut self, letter: u8, count: usize, text: &'a [u8]) -> Option<&'a [u8]> {
        match letter {
            b'M' | b'L' => {
                let (index, rest) = named(&MONTHS, count, text)?;
                self.month = index as u32 + 1;
                Some(rest)
            }
            b'E' => Some(named(&WEEKDAYS, count, text)?.1),
            b'a' => {
                self.is_afternoon = Some(match text.get(..2)? {
                    half if half.eq_ignore_ascii_case(b"AM") => false,
                    half if half.eq_ignore_ascii_case(b"PM") => true,
                    _ => return None,
                });
                Some(&text[2..])
            }
            _ => {
                let (seconds, rest) = offset(text, letter != b'x')?;
                self.offset_seconds = seconds;
                Some(rest)
            }
        }
    }

    /// Whether the month has the day.
    pub(super) fn has_day(&self) -> bool {
        (1..=12).contains(&self.month) && self.day <= days_in_month(self.year, self.month)
    }

    pub(super) fn moment(&self) -> Option<(i64, i64)> {
        let hour = match self.is_afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let is_time = hour < 24 && self.minute < 60 && self.second < 60;
        if !is_time || !(1..=12).contains(&self.month) {
            return None;
        }
        let days = match self.day_of_year {
            Some(day) if (1..=366).contains(&day) => {
                let days = days_of_civil(self.year, 1, 1) + i64::from(day) - 1;
                (days < days_of_civil(self.year + 1, 1, 1)).then_some(days)?
            }
            Some(_) => return None,
            None if (1..=31).contains(&self.day) => {
                // As in Java: a day that the month lacks becomes its last day.
                let day = self.day.min(days_in_month(self.year, self.month));
                days_of_civil(self.year, self.month, day)
            }
            None => return None,
        };
        let seconds = i64::from(hour * 3600 + self.minute * 60 + self.second);
        Some((days * SECONDS_PER_DAY + seconds - self.offset_seconds, self.nanos))
    }
}

/// Parses `least` to `most` digits at the front.
pub(super) fn number(text: &[u8], least: usize, most: usize) -> Option<(i64, &[u8])> {
    let mut value = 0_i64;
    let mut taken = 0;
    while taken < most && taken < text.len() && text[taken].is_ascii_digit() {
        value = value * 10 + i64::from(text[taken] - b'0');
        taken += 1;
    }
    (taken >= least).then(|| (value, &text[taken..]))
}

fn named<'a>(names: &[&str], count: usize, text: &'a [u8]) -> Option<(usize, &'a [u8])> {
    for (index, full) in names.iter().enumerate() {
        let wanted = if count >= 4 {
            full.as_bytes()
        } else {
            &full.as_bytes()[..SHORT_NAME]
        };
        if text.len() >= wanted.len() && text[..wanted.len()].eq_ignore_ascii_case(wanted) {
            return Some((index, &text[wanted.len()..]));
        }
    }
    None
}

/// `Z`, `+hh`, `+hhmm` or `+hh:mm`: seconds east of UTC.
pub(super) fn offset(text: &[u8], has_zulu: bool) -> Option<(i64, &[u8])> {
    let sign = match text.first()? {
        b'Z' if has_zulu => return Some((0, &text[1..])),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = number(&text[1..], 2, 2)?;
    let after_colon = rest.strip_prefix(b":").unwrap_or(rest);
    let (minutes, rest) = number(after_colon, 2, 2).unwrap_or((0, rest));
    (hours <= 18 && minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), rest))
}

pub fn seconds_and_nanos(value: i64, per_second: i64) -> (i64, i64) {
    (
        value.div_euclid(per_second),
        value.rem_euclid(per_second) * (NANOS_PER_SECOND / per_second),
    )
}

/// None if it does not fit into 64 bits.
pub fn in_unit(seconds: i64, nanos: i64, per_second: i64) -> Option<i64> {
    seconds
        .checked_mul(per_second)?
        .checked_add(nanos / (NANOS_PER_SECOND / per_second))
}
