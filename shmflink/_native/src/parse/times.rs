//! Dates and times from text: ISO 8601 without a format, or `strptime` formats.

/// An instant as parsed from text: seconds since 1970 and nanoseconds; in UTC if the text has an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    pub seconds: i64,
    pub nanos: u32,
    pub has_offset: bool,
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Hinnant, "chrono-compatible low-level date algorithms").
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap(year)),
        _ => 31,
    }
}

fn valid_date(year: i64, month: u32, day: u32) -> Option<i64> {
    let fits = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    fits.then(|| days_from_civil(year, month, day))
}

#[inline(always)]
fn two(text: &[u8], at: usize) -> Option<u32> {
    let (a, b) = (text.get(at)?.wrapping_sub(b'0'), text.get(at + 1)?.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| u32::from(a) * 10 + u32::from(b))
}

/// `YYYY-MM-DD`, all of `text`.
#[inline]
pub fn parse_date(text: &[u8]) -> Option<i32> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    valid_date(i64::from(year), two(text, 5)?, two(text, 8)?).map(|days| days as i32)
}

/// `HH:MM`, `HH:MM:SS`, with up to nine digits of a second behind `.` or `,`: seconds, nanoseconds, and the rest.
#[inline]
fn clock(text: &[u8]) -> Option<(i64, u32, &[u8])> {
    let (hour, minute) = (two(text, 0)?, two(text, 3)?);
    if text[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60);
    if text.get(5) != Some(&b':') {
        return Some((seconds, 0, &text[5..]));
    }
    let second = two(text, 6)?;
    if second > 59 {
        return None;
    }
    let rest = &text[8..];
    let (nanos, rest) = match rest.first() {
        Some(b'.' | b',') => fraction(&rest[1..])?,
        _ => (0, rest),
    };
    Some((seconds + i64::from(second), nanos, rest))
}

fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 9 {
        return None;
    }
    let value = text[..digits]
        .iter()
        .fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    Some((value * 10_u32.pow(9 - digits as u32), &text[digits..]))
}

/// `Z`, `+HH`, `+HHMM`, `+HH:MM`: seconds east.
fn offset(text: &[u8]) -> Option<i64> {
    let sign = match text.first()? {
        b'Z' | b'z' if text.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = two(text, 1)?;
    let minutes = match text.len() {
        3 => 0,
        5 => two(text, 3)?,
        6 if text[3] == b':' => two(text, 4)?,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// ISO 8601: a date, or a date, `T` or a space, a time and perhaps an offset.
#[inline]
pub fn parse_instant(text: &[u8]) -> Option<Instant> {
    let days = i64::from(parse_date(text.get(..10)?)?);
    if text.len() == 10 {
        return Some(Instant {
            seconds: days * 86_400,
            nanos: 0,
            has_offset: false,
        });
    }
    if !matches!(text[10], b'T' | b't' | b' ') {
        return None;
    }
    let (seconds, nanos, rest) = clock(&text[11..])?;
    let seconds = days * 86_400 + seconds;
    if rest.is_empty() {
        return Some(Instant {
            seconds,
            nanos,
            has_offset: false,
        });
    }
    let rest = if rest[0] == b' ' { &rest[1..] } else { rest };
    Some(Instant {
        seconds: seconds - offset(rest)?,
        nanos,
        has_offset: true,
    })
}

/// `HH:MM[:SS[.fff]]`: nanoseconds of the day.
pub fn parse_clock(text: &[u8]) -> Option<i64> {
    let (seconds, nanos, rest) = clock(text)?;
    rest.is_empty().then(|| seconds * 1_000_000_000 + i64::from(nanos))
}

/// One piece of a `strptime` format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(u8),
    Space,
    Number { field: Field, digits: usize },
    Fraction,
    MonthName,
    DayName,
    HalfDay,
    Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    ShortYear,
    Month,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
    Epoch,
}

/// A `strptime` format, compiled.
#[derive(Clone, Debug)]
pub struct Format {
    pieces: Vec<Piece>,
    /// It has more fields than a date.
    pub has_time: bool,
}

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];
const DAYS: [&[u8]; 7] = [
    b"monday",
    b"tuesday",
    b"wednesday",
    b"thursday",
    b"friday",
    b"saturday",
    b"sunday",
];

impl Format {
    /// Understands `%Y %y %m %d %j %H %I %M %S %f %p %b %B %a %A %z %s %T %D %F %R %n %t %%`; else returns what it does
    /// not understand.
    pub fn compile(format: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut bytes = format.bytes();
        while let Some(byte) = bytes.next() {
            if byte.is_ascii_whitespace() {
                pieces.push(Piece::Space);
            } else if byte != b'%' {
                pieces.push(Piece::Text(byte));
            } else {
                let letter = bytes.next().ok_or("the format ends with `%`")?;
                Self::directive(letter, &mut pieces)?;
            }
        }
        let of_day = |field| {
            matches!(
                field,
                Field::Year | Field::ShortYear | Field::Month | Field::Day | Field::DayOfYear
            )
        };
        let has_time = pieces.iter().any(|piece| match piece {
            Piece::Number { field, .. } => !of_day(*field),
            Piece::Fraction | Piece::HalfDay | Piece::Offset => true,
            _ => false,
        });
        Ok(Self { pieces, has_time })
    }

    fn directive(letter: u8, pieces: &mut Vec<Piece>) -> Result<(), String> {
        let number = |field, digits| Piece::Number { field, digits };
        pieces.push(match letter {
            b'Y' => number(Field::Year, 4),
            b'y' => number(Field::ShortYear, 2),
            b'm' => number(Field::Month, 2),
            b'd' | b'e' => number(Field::Day, 2),
            b'j' => number(Field::DayOfYear, 3),
            b'H' | b'k' => number(Field::Hour, 2),
            b'I' | b'l' => number(Field::Hour12, 2),
            b'M' => number(Field::Minute, 2),
            b'S' => number(Field::Second, 2),
            b's' => number(Field::Epoch, 18),
            b'f' => Piece::Fraction,
            b'p' => Piece::HalfDay,
            b'b' | b'B' | b'h' => Piece::MonthName,
            b'a' | b'A' => Piece::DayName,
            b'z' => Piece::Offset,
            b'n' | b't' => Piece::Space,
            b'%' => Piece::Text(b'%'),
            b'T' => return Self::expand("%H:%M:%S", pieces),
            b'R' => return Self::expand("%H:%M", pieces),
            b'F' => return Self::expand("%Y-%m-%d", pieces),
            b'D' => return Self::expand("%m/%d/%y", pieces),
            other => return Err(format!("`%{}` is not understood", char::from(other))),
        });
        Ok(())
    }

    fn expand(format: &str, pieces: &mut Vec<Piece>) -> Result<(), String> {
        pieces.extend(Self::compile(format)?.pieces);
        Ok(())
    }

    /// All of `text`, or None.
    pub fn parse(&self, text: &[u8]) -> Option<Instant> {
        let mut parts = Parts::default();
        let mut rest = text;
        for piece in &self.pieces {
            rest = parts.take(piece, rest)?;
        }
        if rest.is_empty() {
            parts.instant()
        } else {
            None
        }
    }
}

struct Parts {
    year: i64,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    afternoon: Option<bool>,
    offset: Option<i64>,
    epoch: Option<i64>,
}

impl Default for Parts {
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
            afternoon: None,
            offset: None,
            epoch: None,
        }
    }
}

impl Parts {
    fn take<'a>(&mut self, piece: &Piece, text: &'a [u8]) -> Option<&'a [u8]> {
        match piece {
            Piece::Text(byte) => (text.first() == Some(byte)).then(|| &text[1..]),
            Piece::Space => Some(text.trim_ascii_start()),
            Piece::Number { field, digits } => self.number(*field, *digits, text),
            Piece::Fraction => {
                let (nanos, rest) = fraction(text)?;
                self.nanos = nanos;
                Some(rest)
            }
            Piece::MonthName => {
                let (index, rest) = name(&MONTHS, text)?;
                self.month = index as u32 + 1;
                Some(rest)
            }
            Piece::DayName => name(&DAYS, text).map(|(_, rest)| rest),
            Piece::HalfDay => {
                let half = text.get(..2)?.to_ascii_lowercase();
                self.afternoon = Some(match &half[..] {
                    b"am" => false,
                    b"pm" => true,
                    _ => return None,
                });
                Some(&text[2..])
            }
            Piece::Offset => {
                let length = text.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
                self.offset = Some(offset(&text[..length])?);
                Some(&text[length..])
            }
        }
    }

    fn number<'a>(&mut self, field: Field, digits: usize, text: &'a [u8]) -> Option<&'a [u8]> {
        let sign = usize::from(field == Field::Epoch && text.first() == Some(&b'-'));
        let length = text[sign..]
            .iter()
            .take(digits)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length == 0 {
            return None;
        }
        let value = text[sign..sign + length]
            .iter()
            .fold(0_i64, |value, byte| value * 10 + i64::from(byte - b'0'));
        let small = value as u32;
        match field {
            Field::Year => self.year = value,
            Field::ShortYear => self.year = value + if value < 69 { 2000 } else { 1900 }, // POSIX
            Field::Month => self.month = small,
            Field::Day => self.day = small,
            Field::DayOfYear => self.day_of_year = Some(small),
            Field::Hour => self.hour = small,
            Field::Hour12 if small == 0 || small > 12 => return None,
            Field::Hour12 => {
                self.hour = small % 12;
                self.afternoon.get_or_insert(false);
            }
            Field::Minute => self.minute = small,
            Field::Second => self.second = small,
            Field::Epoch => self.epoch = Some(if sign == 1 { -value } else { value }),
        }
        Some(&text[sign + length..])
    }

    fn instant(&self) -> Option<Instant> {
        if let Some(seconds) = self.epoch {
            return Some(Instant {
                seconds,
                nanos: self.nanos,
                has_offset: true,
            });
        }
        let days = match self.day_of_year {
            Some(day) if day == 0 || day > 365 + u32::from(is_leap(self.year)) => return None,
            Some(day) => days_from_civil(self.year, 1, 1) + i64::from(day) - 1,
            None => valid_date(self.year, self.month, self.day)?,
        };
        let hour = if self.afternoon == Some(true) {
            self.hour % 12 + 12
        } else {
            self.hour
        };
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let seconds = days * 86_400 + i64::from(hour * 3600 + self.minute * 60 + self.second);
        Some(Instant {
            seconds: seconds - self.offset.unwrap_or(0),
            nanos: self.nanos,
            has_offset: self.offset.is_some(),
        })
    }
}

/// A full name or its first three letters, in any case.
fn name<'a>(names: &[&[u8]], text: &'a [u8]) -> Option<(usize, &'a [u8])> {
    let starts = |name: &[u8]| text.len() >= name.len() && text[..name.len()].eq_ignore_ascii_case(name);
    let index = names.iter().position(|name| starts(&name[..3]))?;
    let length = if starts(names[index]) { names[index].len() } else { 3 };
    Some((index, &text[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso() {
        let at = |text: &str| parse_instant(text.as_bytes()).map(|instant| (instant.seconds, instant.nanos));
        assert_eq!(at("1970-01-02"), Some((86_400, 0)));
        assert_eq!(at("2023-11-14 22:13:20"), Some((1_700_000_000, 0)));
        assert_eq!(at("2023-11-14T23:13:20.5+01:00"), Some((1_700_000_000, 500_000_000)));
        assert_eq!(at("2023-11-14T22:13Z"), Some((1_699_999_980, 0)));
        for wrong in [
            "2023-02-29",
            "2023-1-14",
            "2023-11-14 24:00:00",
            "2023-11-14x",
            "2023-11-14T22:13:20.",
            "",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn formats() {
        let at = |format: &str, text: &str| {
            Format::compile(format)
                .unwrap()
                .parse(text.as_bytes())
                .map(|i| i.seconds)
        };
        assert_eq!(at("%d/%m/%Y %H:%M", "14/11/2023 22:13"), Some(1_699_999_980));
        assert_eq!(at("%d-%b-%y %I:%M:%S %p", "14-Nov-23 10:13:20 PM"), Some(1_700_000_000));
        assert_eq!(at("%Y%m%d", "20231114"), Some(1_699_920_000));
        assert_eq!(at("%s", "-5"), Some(-5));
        assert_eq!(at("%Y%m%d", "2023111x"), None);
        assert!(Format::compile("%Q").is_err());
    }
}
