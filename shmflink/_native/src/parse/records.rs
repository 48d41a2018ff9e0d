//! Finds records and their fields byte by byte: the full rules of a dialect, for text that parity cannot handle.

use super::scan::Marks;

/// How a CSV file is written.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    pub delimiter: u8,
    pub quote: Option<u8>,
    pub escape: Option<u8>,
    /// A quote inside quotes is written twice.
    pub double_quotes: bool,
    pub comment: Option<u8>,
    pub quoted_newlines: bool,
}

impl Dialect {
    /// True if quotes pair by parity, so that `scan` can read well-formed text.
    pub fn is_plain(&self) -> bool {
        self.escape.is_none() && self.comment.is_none() && (self.quote.is_none() || self.double_quotes)
    }

    pub fn marks(&self) -> Marks {
        Marks {
            delimiter: self.delimiter,
            quote: self.quote,
            quoted_newlines: self.quoted_newlines,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    UnclosedQuote,
    TextAfterQuote,
}

impl Fault {
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnclosedQuote => "a quote is not closed",
            Self::TextAfterQuote => "there is text between a closing quote and the delimiter",
        }
    }
}

/// One record. Places count from the start of the window.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub start: usize,
    /// Where its line end is (the LF of CR LF).
    pub end: usize,
    /// Index into `ends` of its first field's end.
    pub first: usize,
    pub fields: usize,
    pub fault: Option<Fault>,
}

/// The complete records of `text`, which starts at the start of one; `is_last`: nothing follows `text`.
///
/// Returns the number of bytes that they take, including comments between them.
pub fn read_records(
    text: &[u8],
    dialect: &Dialect,
    is_last: bool,
    max_records: usize,
    ends: &mut Vec<u32>,
    records: &mut Vec<Record>,
) -> usize {
    let mut reader = Reader {
        text,
        dialect,
        is_last,
        fault: None,
    };
    let mut start = 0;
    while start < text.len() && records.len() < max_records {
        let first = ends.len();
        if dialect.comment == Some(text[start]) {
            match reader.line_end(start) {
                Some(end) => start = end + 1,
                None => break,
            }
            continue;
        }
        reader.fault = None;
        let Some(end) = reader.record(start, ends) else {
            ends.truncate(first);
            break;
        };
        let fields = ends.len() - first;
        records.push(Record {
            start,
            end,
            first,
            fields,
            fault: reader.fault,
        });
        start = end + 1;
    }
    start.min(text.len())
}

struct Reader<'a> {
    text: &'a [u8],
    dialect: &'a Dialect,
    is_last: bool,
    fault: Option<Fault>,
}

/// What ended a field.
enum Stop {
    Delimiter(usize),
    Line(usize),
    /// The text ends inside it.
    Short,
}

impl Reader<'_> {
    /// Pushes the ends of the record's fields and returns the last one, or None if the record is not complete.
    fn record(&mut self, start: usize, ends: &mut Vec<u32>) -> Option<usize> {
        let first = ends.len();
        let mut at = start;
        loop {
            match self.field(at) {
                Stop::Delimiter(end) => {
                    ends.push(end as u32);
                    at = end + 1;
                }
                Stop::Line(end) => {
                    ends.push(end as u32);
                    return Some(end);
                }
                Stop::Short => {
                    if !self.is_last {
                        return None;
                    }
                    // An unclosed quote affects only this line, not everything after it.
                    self.fault = Some(Fault::UnclosedQuote);
                    let end = self.line_end(start)?;
                    ends.truncate(first);
                    ends.push(end as u32);
                    return Some(end);
                }
            }
        }
    }

    fn field(&mut self, start: usize) -> Stop {
        let mut at = start;
        if self.dialect.quote.is_some() && self.text.get(at).copied() == self.dialect.quote {
            match self.quoted(at + 1) {
                Ok(end) => at = end,
                Err(stop) => return stop,
            }
        }
        let is_quoted = at > start;
        while at < self.text.len() {
            let byte = self.text[at];
            if byte == self.dialect.delimiter {
                return Stop::Delimiter(at);
            }
            if byte == b'\n' {
                return Stop::Line(at);
            }
            if byte == b'\r' {
                return self.carriage(at);
            }
            if is_quoted {
                self.fault = Some(Fault::TextAfterQuote);
            }
            at += if Some(byte) == self.dialect.escape { 2 } else { 1 };
        }
        if self.is_last {
            Stop::Line(self.text.len())
        } else {
            Stop::Short
        }
    }

    /// After the closing quote; the text from `at` on is inside quotes.
    fn quoted(&mut self, mut at: usize) -> Result<usize, Stop> {
        let quote = self.dialect.quote;
        while at < self.text.len() {
            let byte = Some(self.text[at]);
            if byte == self.dialect.escape && (byte != quote || self.text.get(at + 1).copied() == quote) {
                at += 2;
            } else if byte == quote {
                match self.text.get(at + 1).copied() {
                    None if !self.is_last => return Err(Stop::Short),
                    next if next == quote && self.dialect.double_quotes => at += 2,
                    _ => return Ok(at + 1),
                }
            } else if byte == Some(b'\n') && !self.dialect.quoted_newlines {
                self.fault = Some(Fault::UnclosedQuote);
                return Err(Stop::Line(at));
            } else {
                at += 1;
            }
        }
        Err(Stop::Short)
    }

    /// A CR outside quotes: the end of a line, alone or with LF.
    fn carriage(&self, at: usize) -> Stop {
        match self.text.get(at + 1) {
            Some(b'\n') => Stop::Line(at + 1),
            None if !self.is_last => Stop::Short,
            _ => Stop::Line(at),
        }
    }

    /// The end of the line that contains `start`, ignoring quotes.
    fn line_end(&self, start: usize) -> Option<usize> {
        let rest = &self.text[start..];
        match rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(place) if rest[place] == b'\n' => Some(start + place),
            Some(place) => match self.carriage(start + place) {
                Stop::Line(end) => Some(end),
                _ => None,
            },
            None => self.is_last.then_some(self.text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        double_quotes: true,
        comment: None,
        quoted_newlines: true,
    };

    fn read(text: &str, dialect: &Dialect, is_last: bool) -> (Vec<Vec<String>>, Vec<Option<Fault>>, usize) {
        let (mut ends, mut records) = (Vec::new(), Vec::new());
        let used = read_records(text.as_bytes(), dialect, is_last, usize::MAX, &mut ends, &mut records);
        let fields = |record: &Record| {
            let mut start = record.start;
            let mut fields = Vec::new();
            for &end in &ends[record.first..record.first + record.fields] {
                fields.push(text[start..end as usize].to_string());
                start = end as usize + 1;
            }
            fields
        };
        (
            records.iter().map(fields).collect(),
            records.iter().map(|record| record.fault).collect(),
            used,
        )
    }

    #[test]
    fn stray_quotes_are_text() {
        let (rows, faults, used) = read("5\" pipe,1\n\"a\"\"\n\",2\nrest", &DIALECT, false);
        assert_eq!(rows, [["5\" pipe", "1"], ["\"a\"\"\n\"", "2"]]);
        assert_eq!(faults, [None, None]);
        assert_eq!(used, 19);
    }

    #[test]
    fn a_quote_that_nothing_closes_costs_one_line() {
        let (rows, faults, used) = read("a,\"b\nc,d\n", &DIALECT, true);
        assert_eq!(rows.len(), 2);
        assert_eq!(faults, [Some(Fault::UnclosedQuote), None]);
        assert_eq!(used, 9);
        let line = Dialect {
            quoted_newlines: false,
            ..DIALECT
        };
        let (_, faults, _) = read("a,\"b\nc,\"d\"x\n", &line, false);
        assert_eq!(faults, [Some(Fault::UnclosedQuote), Some(Fault::TextAfterQuote)]);
    }

    #[test]
    fn escapes_comments_and_line_ends() {
        let dialect = Dialect {
            escape: Some(b'\\'),
            double_quotes: false,
            comment: Some(b'#'),
            ..DIALECT
        };
        let (rows, faults, used) = read("#x\"\na\\,b,\"c\\\"\"\r#y\r\nd,e\r\n#z", &dialect, true);
        assert_eq!(rows, [["a\\,b", "\"c\\\"\""], ["d", "e\r"]]);
        assert_eq!(faults, [None, None]);
        assert_eq!(used, 26);
    }
}
