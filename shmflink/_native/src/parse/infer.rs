//! Infers the types of a CSV text's columns: reads each field of its first records once.

use super::csv::Csv;
use super::fields::unquoted;
use super::records::read_records;
use super::rules::{trim, Rules};
use super::values::parse_i64;

const EXACT_DIGITS_MAX: usize = 38; // of a decimal of 128 bits

/// The types that all fields of a column seen so far could have.
#[derive(Clone, Debug)]
struct Guess {
    is_null: bool,
    i64: bool,
    u64: bool,
    /// A whole number of at most 38 digits.
    whole: bool,
    /// Of any number of digits: a double would lose some.
    integral: bool,
    truth: bool,
    float: bool,
    date: bool,
    timestamp: bool,
    has_offset: bool,
    has_nanos: bool,
}

impl Guess {
    const ANY: Self = Self {
        is_null: true,
        i64: true,
        u64: true,
        whole: true,
        integral: true,
        truth: true,
        float: true,
        date: true,
        timestamp: true,
        has_offset: false,
        has_nanos: false,
    };

    const NONE: Self = Self {
        is_null: false,
        i64: false,
        u64: false,
        whole: false,
        integral: false,
        truth: false,
        float: false,
        date: false,
        timestamp: false,
        has_offset: false,
        has_nanos: false,
    };

    fn look(&mut self, field: &[u8], rules: &Rules) {
        self.is_null = false;
        self.i64 = self.i64 && parse_i64(field, 0, field.len()).is_some();
        if !self.i64 {
            let digits = digits_of(field);
            self.integral = self.integral && digits.is_some();
            self.whole = self.whole && digits.is_some_and(|digits| digits <= EXACT_DIGITS_MAX);
            let text = std::str::from_utf8(field);
            self.u64 = self.u64 && self.whole && text.is_ok_and(|text| text.parse::<u64>().is_ok());
            self.float = self.float && rules.float(field, 0, field.len()).is_some();
            self.date = self.date && rules.date(field).is_some();
            if self.timestamp {
                let instant = rules.instant(field);
                self.timestamp = instant.is_some();
                self.has_offset |= instant.is_some_and(|instant| instant.has_offset);
                self.has_nanos |= instant.is_some_and(|instant| instant.nanos % 1000 != 0);
            }
        } else {
            self.u64 = self.u64 && field[0] != b'-';
            self.date = self.date && rules.date(field).is_some();
            self.timestamp = self.timestamp && rules.instant(field).is_some();
        }
        self.truth = self.truth && rules.is_true(field).is_some();
    }

    /// The first type that fits all of them.
    fn name(&self) -> &'static str {
        match self {
            Self { is_null: true, .. } => "null",
            Self { i64: true, .. } => "int64",
            Self { truth: true, .. } => "bool",
            Self { u64: true, .. } => "uint64",
            Self { whole: true, .. } => "decimal",
            Self { integral: true, .. } => "string",
            Self { float: true, .. } => "double",
            Self { date: true, .. } => "date",
            Self { timestamp: true, .. } => match (self.has_nanos, self.has_offset) {
                (false, false) => "timestamp[us]",
                (true, false) => "timestamp[ns]",
                (false, true) => "timestamp[us, UTC]",
                (true, true) => "timestamp[ns, UTC]",
            },
            _ => "string",
        }
    }
}

/// How many digits a whole number has, zeros at its start not counted; None for any other text.
fn digits_of(field: &[u8]) -> Option<usize> {
    let digits = field
        .strip_prefix(b"-")
        .or_else(|| field.strip_prefix(b"+"))
        .unwrap_or(field);
    let is_whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_whole.then(|| digits.len() - digits.iter().take_while(|&&digit| digit == b'0').count())
}

impl Csv {
    /// A type for each field of the first `max_rows` good records, and how many there were.
    ///
    /// Text without a type of its own is `string`; a column of nulls only is `null`.
    pub fn infer(&self, text: &[u8], is_last: bool, max_rows: usize) -> (usize, Vec<&'static str>) {
        let mut guesses = vec![Guess::ANY; self.fields];
        let (mut ends, mut records) = (Vec::new(), Vec::new());
        let (mut at, mut rows) = (0, 0);
        while at < text.len() && rows < max_rows {
            ends.clear();
            records.clear();
            let used = read_records(&text[at..], &self.dialect, is_last, 1024, &mut ends, &mut records);
            for record in &records {
                if record.fault.is_some() || record.fields != self.fields || rows == max_rows {
                    continue;
                }
                rows += 1;
                let mut start = at + record.start;
                for (index, guess) in guesses.iter_mut().enumerate() {
                    let mut end = at + ends[record.first + index] as usize;
                    let next = end + 1;
                    if index + 1 == self.fields && end > start && text[end - 1] == b'\r' {
                        end -= 1;
                    }
                    self.look(&text[start..end], guess);
                    start = next;
                }
            }
            if used == 0 {
                break;
            }
            at += used;
        }
        (rows, guesses.iter().map(Guess::name).collect())
    }

    fn look(&self, written: &[u8], guess: &mut Guess) {
        let Some(field) = unquoted(written, &self.dialect, true) else {
            *guess = Guess::NONE;
            return;
        };
        let (from, to) = trim(&field, 0, field.len());
        if !self.rules.nulls.has(&field) && !self.rules.nulls.has(&field[from..to]) {
            guess.look(&field[from..to], &self.rules);
        }
    }
}
