//! The fields of a run of records, column by column, into typed columns.

use std::borrow::Cow;

use arrow_schema::DataType;

use super::column::{Column, Data, Text};
use super::json_text::base64;
use super::records::Dialect;
use super::rules::{trim, Rules};

/// Records that follow each other directly and have the same number of fields.
pub struct Run<'a> {
    pub text: &'a [u8],
    /// Where the run's first record starts in `text`.
    pub start: usize,
    /// What the numbers in `ends` count from.
    pub base: usize,
    pub ends: &'a [u32],
    pub fields: usize,
    pub rows: usize,
    /// The last field of a record may end with the CR of its line end.
    pub carriages: bool,
    pub quotes: bool,
    /// Quoted fields may hold quotes or escapes.
    pub escapes: bool,
    /// All of the text is valid UTF-8.
    pub is_utf8: bool,
}

/// Why a field is not a value of its column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    Type,
    Utf8,
    TextAfterQuote,
}

/// A malformed field: `row` counts from the start of the run.
pub struct BadField {
    pub row: usize,
    pub start: usize,
    pub end: usize,
    pub misfit: Misfit,
}

impl Run<'_> {
    /// The bytes of a field, as they are written.
    #[inline(always)]
    pub fn range(&self, row: usize, column: usize) -> (usize, usize) {
        let index = row * self.fields + column;
        let start = if index == 0 {
            self.start
        } else {
            self.base + self.ends[index - 1] as usize + 1
        };
        let mut end = self.base + self.ends[index] as usize;
        if self.carriages && column == self.fields - 1 && end > start && self.text[end - 1] == b'\r' {
            end -= 1;
        }
        (start, end)
    }

    /// From the start of a record to the end of its last field.
    pub fn record(&self, row: usize) -> (usize, usize) {
        (self.range(row, 0).0, self.range(row, self.fields - 1).1)
    }
}

/// The content of a quoted or escaped field; None if text follows the closing quote.
pub fn unquoted<'a>(field: &'a [u8], dialect: &Dialect, escapes: bool) -> Option<Cow<'a, [u8]>> {
    let quote = dialect.quote.filter(|&quote| field.first() == Some(&quote));
    let inner = match quote {
        Some(quote) if field.len() < 2 || field[field.len() - 1] != quote => return None,
        Some(_) => &field[1..field.len() - 1],
        None => field,
    };
    let is_escape = |byte: &u8| Some(*byte) == dialect.escape || Some(*byte) == quote;
    if !escapes || !inner.iter().any(is_escape) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if is_escape(byte) {
            *bytes.next().unwrap_or(byte)
        } else {
            *byte
        });
    }
    Some(Cow::Owned(plain))
}

pub struct Appender<'a> {
    pub run: &'a Run<'a>,
    pub dialect: &'a Dialect,
    pub rules: &'a Rules,
    pub bad: &'a mut Vec<BadField>,
}

impl Appender<'_> {
    /// Appends field `source` of each record; malformed ones become null and are added to `bad`.
    pub fn append(&mut self, source: usize, column: &mut Column) {
        let Column { data, data_type, nulls } = column;
        let rules = self.rules;
        let whole = |t: &[u8], s, e| rules.i64(t, s, e);
        macro_rules! small {
            ($values:expr) => {
                self.values(source, $values, nulls, |t, s, e| {
                    whole(t, s, e).and_then(|value| value.try_into().ok())
                })
            };
        }
        match data {
            Data::I8(values) => small!(values),
            Data::I16(values) => small!(values),
            Data::I32(values) if *data_type == DataType::Int32 => small!(values),
            Data::I32(values) => self.values(source, values, nulls, |t, s, e| rules.special_i32(data_type, t, s, e)),
            Data::I64(values) if *data_type == DataType::Int64 => self.values(source, values, nulls, whole),
            Data::I64(values) => self.values(source, values, nulls, |t, s, e| rules.special_i64(data_type, t, s, e)),
            Data::U8(values) => small!(values),
            Data::U16(values) => small!(values),
            Data::U32(values) => small!(values),
            Data::U64(values) => self.values(source, values, nulls, |t, s, e| rules.u64(t, s, e)),
            Data::F32(values) => self.values(source, values, nulls, |t, s, e| float32(rules, t, s, e)),
            Data::F64(values) => self.values(source, values, nulls, |t, s, e| rules.float(t, s, e)),
            Data::I128(values) => {
                let DataType::Decimal128(precision, scale) = *data_type else {
                    unreachable!("i128 is a decimal")
                };
                self.values(source, values, nulls, |t, s, e| {
                    rules.decimal(&t[s..e], precision, scale)
                });
            }
            Data::Bool(values) => {
                let mut truths: Vec<bool> = Vec::with_capacity(self.run.rows);
                self.values(source, &mut truths, nulls, |t, s, e| rules.is_true(&t[s..e]));
                values.append_slice(&truths);
            }
            Data::Text(text) if *data_type == DataType::Binary => self.bytes(source, text, nulls),
            Data::LargeText(text) if *data_type == DataType::LargeBinary => self.bytes(source, text, nulls),
            Data::Text(text) => self.text(source, text, nulls),
            Data::LargeText(text) => self.text(source, text, nulls),
            Data::Null => {
                let mut nothing: Vec<()> = Vec::new();
                self.values(source, &mut nothing, nulls, |_, _, _| None);
            }
            Data::Struct(_) | Data::List { .. } => unreachable!("CSV has no nested columns; the reader refuses them"),
        }
    }

    #[inline(always)]
    fn values<T: Default>(
        &mut self,
        source: usize,
        values: &mut Vec<T>,
        nulls: &mut arrow_buffer::NullBufferBuilder,
        parse: impl Fn(&[u8], usize, usize) -> Option<T>,
    ) {
        values.reserve(self.run.rows);
        let mut clean = 0; // values since the last null: validity is noted for all of them at once
        for row in 0..self.run.rows {
            let (start, end) = self.run.range(row, source);
            if let Some(value) = parse(self.run.text, start, end) {
                values.push(value);
                clean += 1;
                continue;
            }
            nulls.append_n_non_nulls(clean);
            clean = 0;
            let value = self.second_look(row, start, end, &parse);
            nulls.append(value.is_some());
            values.push(value.unwrap_or_default());
        }
        nulls.append_n_non_nulls(clean);
    }

    /// A field that is not a plain value: null, quoted, surrounded by spaces, or malformed.
    #[cold]
    fn second_look<T>(
        &mut self,
        row: usize,
        start: usize,
        end: usize,
        parse: &impl Fn(&[u8], usize, usize) -> Option<T>,
    ) -> Option<T> {
        let Some(field) = unquoted(&self.run.text[start..end], self.dialect, true) else {
            self.bad.push(BadField {
                row,
                start,
                end,
                misfit: Misfit::TextAfterQuote,
            });
            return None;
        };
        if self.rules.nulls.has(&field) {
            return None;
        }
        let (from, to) = trim(&field, 0, field.len());
        let value = parse(&field, from, to);
        if value.is_none() && !self.rules.nulls.has(&field[from..to]) {
            self.bad.push(BadField {
                row,
                start,
                end,
                misfit: Misfit::Type,
            });
        }
        value
    }

    #[inline(always)]
    fn text<O: Copy + Default + TryFrom<usize>>(
        &mut self,
        source: usize,
        text: &mut Text<O>,
        nulls: &mut arrow_buffer::NullBufferBuilder,
    ) {
        let run = self.run;
        let validate = !run.is_utf8;
        let is_simple = !run.quotes && self.dialect.escape.is_none();
        text.ends.reserve(run.rows);
        let mut clean = 0;
        for row in 0..run.rows {
            let (start, end) = run.range(row, source);
            let field = &run.text[start..end];
            let is_quoted = run.quotes && field.first().copied() == self.dialect.quote;
            if validate && std::str::from_utf8(field).is_err() {
                self.bad.push(BadField {
                    row,
                    start,
                    end,
                    misfit: Misfit::Utf8,
                });
            } else if is_simple || (!is_quoted && self.dialect.escape.is_none()) {
                if !self.rules.nulls.has(field) {
                    text.push_range(run.text, start, end);
                    clean += 1;
                    continue;
                }
            } else if let Some(plain) = unquoted(field, self.dialect, run.escapes) {
                // Quotes mean that it is text, even if it looks like a null.
                if is_quoted || !self.rules.nulls.has(field) {
                    match plain {
                        Cow::Borrowed(plain) => {
                            let from = start + (field.len() - plain.len()) / 2;
                            text.push_range(run.text, from, from + plain.len());
                        }
                        Cow::Owned(plain) => text.push(&plain),
                    }
                    clean += 1;
                    continue;
                }
            } else {
                self.bad.push(BadField {
                    row,
                    start,
                    end,
                    misfit: Misfit::TextAfterQuote,
                });
            }
            nulls.append_n_non_nulls(clean);
            clean = 0;
            nulls.append_null();
            text.end();
        }
        nulls.append_n_non_nulls(clean);
    }
}

impl Appender<'_> {
    /// Bytes, which are written as base64.
    fn bytes<O: Copy + Default + TryFrom<usize>>(
        &mut self,
        source: usize,
        text: &mut Text<O>,
        nulls: &mut arrow_buffer::NullBufferBuilder,
    ) {
        for row in 0..self.run.rows {
            let (start, end) = self.run.range(row, source);
            let field = &self.run.text[start..end];
            let is_quoted = !field.is_empty() && field.first().copied() == self.dialect.quote;
            let plain = unquoted(field, self.dialect, true);
            let is_null = !is_quoted && self.rules.nulls.has(field);
            let is_value = !is_null
                && plain
                    .as_ref()
                    .is_some_and(|plain| base64(plain, &mut text.bytes).is_ok());
            if !is_value && !is_null {
                let misfit = if plain.is_some() {
                    Misfit::Type
                } else {
                    Misfit::TextAfterQuote
                };
                self.bad.push(BadField {
                    row,
                    start,
                    end,
                    misfit,
                });
            }
            nulls.append(is_value);
            text.end();
        }
    }
}

#[inline(always)]
fn float32(rules: &Rules, text: &[u8], start: usize, end: usize) -> Option<f32> {
    if rules.point != b'.' {
        return rules.float(text, start, end).map(|value| value as f32);
    }
    // Not via a double: rounding twice can be off by one unit.
    std::str::from_utf8(&text[start..end]).ok()?.parse().ok()
}
