//! CSV text to record batches: windows of text are cut into fields, then each column reads its fields of the window.
//!
//! A window (64 KiB, so that its text and its index stay in the second-level cache) starts at the start of a record.
//! The fast path finds fields by the index alone, while every record has as many fields as the schema. `records.rs`
//! parses irregular records and returns runs of regular ones.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{new_null_array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema};
use arrow_select::filter::filter_record_batch;

use super::column::{columns_of, Column};
use super::fields::{unquoted, Appender, BadField, Misfit, Run};
use super::records::{read_records, Dialect, Record};
use super::rules::{utf8_fault, Rules};
use super::scan::{scan, Seen};

const WINDOW_BYTES: usize = 64 << 10;

/// A record that could not be read; places count from the start of the text.
#[derive(Debug)]
pub struct Bad {
    pub start: usize,
    pub end: usize,
    /// The column of the schema that is malformed, if it is a single one.
    pub column: Option<usize>,
    pub reason: String,
}

/// The result of `Csv::parse`.
pub struct Parsed {
    pub batch: RecordBatch,
    /// Bytes of complete records; pass the rest again, followed by more text.
    pub consumed: usize,
    pub bad: Vec<Bad>,
}

/// Where a text ends.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Records that start here or later are not read.
    pub limit: usize,
    /// Nothing follows the text.
    pub is_last: bool,
    pub max_rows: usize,
}

pub struct Csv {
    pub dialect: Dialect,
    pub rules: Rules,
    pub schema: Arc<Schema>,
    /// For each column of the schema: its field in a record, or None if the file has no such column.
    pub sources: Vec<Option<usize>>,
    /// Fields of a record.
    pub fields: usize,
}

impl Csv {
    pub fn parse(&self, text: &[u8], bounds: Bounds) -> Result<Parsed, String> {
        let expected = bounds.max_rows.min(text.len() / (2 * self.fields).max(8) + 1);
        let mut work = Work {
            csv: self,
            text,
            columns: columns_of(&self.schema, expected)?,
            rows: 0,
            bad: Vec::new(),
            bad_rows: Vec::new(),
            ends: Vec::new(),
            records: Vec::new(),
        };
        let consumed = work.read(bounds);
        let (batch, bad) = work.finish()?;
        Ok(Parsed { batch, consumed, bad })
    }

    /// The fields of the first record that is not blank, and the start of the next one; None if it is not complete.
    pub fn first_record(&self, text: &[u8], is_last: bool) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut at = 0;
        while at < text.len() {
            let (mut ends, mut records) = (Vec::new(), Vec::new());
            let used = read_records(&text[at..], &self.dialect, is_last, 1, &mut ends, &mut records);
            let record = records.first()?;
            let (start, end) = (at + record.start, at + record.end);
            if !text[start..end].trim_ascii().is_empty() {
                return Some((self.fields_of(text, start, at, &ends), at + used));
            }
            at += used;
        }
        None
    }

    fn fields_of(&self, text: &[u8], mut start: usize, base: usize, ends: &[u32]) -> Vec<Vec<u8>> {
        let mut fields = Vec::with_capacity(ends.len());
        for (index, &end) in ends.iter().enumerate() {
            let mut field = &text[start..base + end as usize];
            if index + 1 == ends.len() {
                field = field.strip_suffix(b"\r").unwrap_or(field);
            }
            fields.push(unquoted(field, &self.dialect, true).map_or_else(|| field.to_vec(), Cow::into_owned));
            start = base + end as usize + 1;
        }
        fields
    }

    fn has_strings(&self) -> bool {
        let is_string =
            |field: &Arc<arrow_schema::Field>| matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8);
        self.schema.fields().iter().any(is_string)
    }
}

struct Work<'a> {
    csv: &'a Csv,
    text: &'a [u8],
    columns: Vec<Column>,
    rows: usize,
    bad: Vec<Bad>,
    /// Rows of the columns that have a malformed field, with an index into `bad`.
    bad_rows: Vec<usize>,
    ends: Vec<u32>,
    records: Vec<Record>,
}

impl Work<'_> {
    fn read(&mut self, bounds: Bounds) -> usize {
        let limit = bounds.limit.min(self.text.len());
        let mut at = 0;
        let mut window_bytes = WINDOW_BYTES;
        while at < limit && self.rows < bounds.max_rows {
            let end = self.text.len().min(at + window_bytes);
            let is_last = bounds.is_last && end == self.text.len();
            let used = self.window(at, end, is_last, limit, bounds.max_rows);
            if used > 0 {
                at += used;
                window_bytes = WINDOW_BYTES;
            } else if end == self.text.len() {
                break;
            } else {
                window_bytes *= 2; // a record longer than the window
            }
        }
        at
    }

    /// Reads the complete records of one window; returns how many bytes they took.
    fn window(&mut self, at: usize, end: usize, is_last: bool, limit: usize, max_rows: usize) -> usize {
        let window = &self.text[at..end];
        self.ends.clear();
        let mut seen = Seen::ALL;
        if self.csv.dialect.is_plain() {
            seen = scan(window, self.csv.dialect.marks(), &mut self.ends);
            seen.is_odd |= is_last && seen.is_open;
            if is_last && window.last() != Some(&b'\n') {
                self.ends.push(window.len() as u32);
            }
        }
        if seen.is_odd {
            self.ends.clear();
            return self.odd_window(at, window, is_last, limit, max_rows);
        }
        let fields = self.csv.fields;
        let is_line_end = |place: u32| window.get(place as usize).is_none_or(|&byte| byte == b'\n');
        let complete = self
            .ends
            .iter()
            .rposition(|&place| is_line_end(place))
            .map_or(0, |last| last + 1);
        let is_regular = complete % fields == 0
            && count_lines(window, &self.ends[..complete]) * fields == complete
            && self.ends[..complete]
                .chunks_exact(fields)
                .all(|record| is_line_end(record[fields - 1]));
        if !is_regular {
            return self.irregular_window(at, window, complete, seen, limit, max_rows);
        }
        let mut rows = (complete / fields).min(max_rows - self.rows);
        if at + window.len() > limit {
            // Record r starts after the end of record r - 1.
            let starts_inside = |row: usize| row == 0 || at + self.ends[row * fields - 1] as usize + 1 < limit;
            rows = (0..rows).take_while(|&row| starts_inside(row)).count();
        }
        if rows == 0 {
            return 0;
        }
        let used = (self.ends[rows * fields - 1] as usize + 1).min(window.len());
        self.run(at, at, 0, rows, seen, at + used);
        used
    }

    /// Reads byte by byte what parity cannot handle.
    fn odd_window(&mut self, at: usize, window: &[u8], is_last: bool, limit: usize, max_rows: usize) -> usize {
        self.records.clear();
        let mut records = std::mem::take(&mut self.records);
        let used = read_records(
            window,
            &self.csv.dialect,
            is_last,
            usize::MAX,
            &mut self.ends,
            &mut records,
        );
        let seen = Seen::ALL;
        let used = self.runs(at, &records, used, seen, limit, max_rows);
        self.records = records;
        used
    }

    /// Correctly quoted, but some records have another number of fields, or none.
    fn irregular_window(
        &mut self,
        at: usize,
        window: &[u8],
        complete: usize,
        seen: Seen,
        limit: usize,
        max_rows: usize,
    ) -> usize {
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let (mut start, mut first) = (0, 0);
        for index in 0..complete {
            let end = self.ends[index] as usize;
            if window.get(end).is_none_or(|&byte| byte == b'\n') {
                records.push(Record {
                    start,
                    end,
                    first,
                    fields: index + 1 - first,
                    fault: None,
                });
                start = end + 1;
                first = index + 1;
            }
        }
        let used = self.runs(at, &records, start.min(window.len()), seen, limit, max_rows);
        self.records = records;
        used
    }

    /// Reads the regular records in runs, skips blank lines, and records the others as bad.
    fn runs(&mut self, at: usize, records: &[Record], used: usize, seen: Seen, limit: usize, max_rows: usize) -> usize {
        let fields = self.csv.fields;
        let mut index = 0;
        while index < records.len() {
            let record = records[index];
            if at + record.start >= limit || self.rows >= max_rows {
                return record.start;
            }
            let is_good = |record: &Record| record.fault.is_none() && record.fields == fields;
            if !is_good(&record) {
                self.irregular(at, &record);
                index += 1;
                continue;
            }
            let mut rows = 1;
            while let Some(next) = records.get(index + rows) {
                let follows = next.start == records[index + rows - 1].end + 1 && at + next.start < limit;
                if !follows || !is_good(next) || self.rows + rows >= max_rows {
                    break;
                }
                rows += 1;
            }
            let end = records[index + rows - 1].end;
            self.run(at + record.start, at, record.first, rows, seen, at + end);
            index += rows;
        }
        used
    }

    fn irregular(&mut self, at: usize, record: &Record) {
        let mut end = at + record.end;
        if end > at + record.start && self.text[end - 1] == b'\r' {
            end -= 1;
        }
        let start = at + record.start;
        if record.fault.is_none() && start == end && self.csv.fields > 1 {
            return; // a blank line
        }
        let reason = match record.fault {
            Some(fault) => fault.reason().to_string(),
            None => format!("{} fields where {} were expected", record.fields, self.csv.fields),
        };
        self.bad.push(Bad {
            start,
            end,
            column: None,
            reason,
        });
    }

    /// `start`: of the first record; `base`: what `ends` counts from; `end`: of the last record; all in the text.
    fn run(&mut self, start: usize, base: usize, first: usize, rows: usize, seen: Seen, end: usize) {
        let csv = self.csv;
        let run = Run {
            text: self.text,
            start,
            base,
            ends: &self.ends[first..first + rows * csv.fields],
            fields: csv.fields,
            rows,
            carriages: seen.carriages,
            quotes: seen.quotes && csv.dialect.quote.is_some(),
            escapes: seen.doubled || csv.dialect.escape.is_some(),
            is_utf8: !csv.has_strings() || simdutf8::basic::from_utf8(&self.text[start..end]).is_ok(),
        };
        let mut found = Vec::new();
        for (index, (column, source)) in self.columns.iter_mut().zip(&csv.sources).enumerate() {
            let Some(source) = *source else { continue };
            Appender {
                run: &run,
                dialect: &csv.dialect,
                rules: &csv.rules,
                bad: &mut found,
            }
            .append(source, column);
            for bad in found.drain(..) {
                let (start, end) = run.record(bad.row);
                self.bad_rows.push(self.rows + bad.row);
                self.bad.push(Bad {
                    start,
                    end,
                    column: Some(index),
                    reason: reason(self.text, (start, end), column, &bad),
                });
            }
        }
        self.rows += rows;
    }

    fn finish(mut self) -> Result<(RecordBatch, Vec<Bad>), String> {
        let rows = self.rows;
        let arrays = self
            .columns
            .into_iter()
            .zip(&self.csv.sources)
            .map(|(column, source)| -> ArrayRef {
                match source {
                    Some(_) => column.finish(),
                    None => new_null_array(&column.data_type, rows),
                }
            });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let arrays = arrays.collect();
        let mut batch = RecordBatch::try_new_with_options(Arc::clone(&self.csv.schema), arrays, &options)
            .map_err(|error| error.to_string())?;
        if !self.bad_rows.is_empty() {
            let mut keep = vec![true; rows];
            self.bad_rows.iter().for_each(|&row| keep[row] = false);
            batch = filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(|error| error.to_string())?;
        }
        // In text order, one per record: the first malformed column.
        self.bad.sort_by_key(|bad| (bad.start, bad.column));
        self.bad.dedup_by_key(|bad| bad.start);
        Ok((batch, self.bad))
    }
}

fn count_lines(window: &[u8], ends: &[u32]) -> usize {
    ends.iter()
        .filter(|&&place| window.get(place as usize).is_none_or(|&byte| byte == b'\n'))
        .count()
}

fn reason(text: &[u8], record: (usize, usize), column: &Column, bad: &BadField) -> String {
    const SHOWN_BYTES: usize = 60;
    let field = &text[bad.start..bad.end];
    let shown = String::from_utf8_lossy(&field[..field.len().min(SHOWN_BYTES)]);
    let dots = if field.len() > SHOWN_BYTES { "..." } else { "" };
    match bad.misfit {
        Misfit::Utf8 => utf8_fault(&text[record.0..record.1]).unwrap_or_default(),
        Misfit::TextAfterQuote => "there is text between a closing quote and the delimiter".to_string(),
        Misfit::Type if matches!(column.data_type, DataType::Binary | DataType::LargeBinary) => {
            format!("`{shown}{dots}` is not base64, the form of bytes in CSV")
        }
        Misfit::Type => format!("`{shown}{dots}` is not a valid {}", type_name(&column.data_type)),
    }
}

/// A type as pyarrow names it.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".into(),
        DataType::LargeUtf8 => "large_string".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Boolean => "bool".into(),
        DataType::Null => "null".into(),
        DataType::Timestamp(unit, None) => format!("timestamp[{}]", unit_name(*unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit_name(*unit)),
        DataType::Date32 => "date".into(),
        DataType::Struct(_) => "object".into(),
        DataType::List(_) => "array".into(),
        other => other.to_string().to_lowercase(),
    }
}

fn unit_name(unit: arrow_schema::TimeUnit) -> &'static str {
    match unit {
        arrow_schema::TimeUnit::Second => "s",
        arrow_schema::TimeUnit::Millisecond => "ms",
        arrow_schema::TimeUnit::Microsecond => "us",
        arrow_schema::TimeUnit::Nanosecond => "ns",
    }
}
