//! JSON lines to record batches: each line is one object, read once from left to right into the columns of a schema.
//!
//! Objects of a file mostly have the same keys in the same order: each object's plan remembers the order that it saw
//! last, and compares the next key with the expected one before looking it up.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema};

use super::column::{columns_of, Column, Data};
use super::csv::{type_name, Bad, Bounds, Parsed};
use super::json_plan::{Key, Object, Plan};
use super::json_text::{base64, fault, unescape, Cursor, Fault, Quoted, Read};
use super::rules::{utf8_fault, Rules};

const REMEMBERED_KEYS_MAX: usize = 1024;
const KEYS_AHEAD_MAX: usize = 8;

pub struct Json {
    pub rules: Rules,
    pub schema: Arc<Schema>,
    pub missing_fails: bool,
    pub extra_fails: bool,
    /// Keys of the lines that are not considered extra, although the schema may lack them.
    pub known_keys: Vec<String>,
}

impl Json {
    /// Reports the column whose type has no JSON values.
    pub fn check(&self) -> Result<(), String> {
        for field in self.schema.fields() {
            let of_column = |reason| format!("column `{}`: {reason}", field.name());
            Plan::new(field.data_type()).map_err(of_column)?;
            Column::new(field.data_type(), 0).map_err(of_column)?;
        }
        Ok(())
    }

    pub fn parse(&self, text: &[u8], bounds: Bounds) -> Result<Parsed, String> {
        let expected = bounds.max_rows.min(text.len() / 16 + 1);
        let mut columns = columns_of(&self.schema, expected)?;
        let mut root = Object::new(self.schema.fields())?;
        root.is_root = true;
        let is_utf8 = simdutf8::basic::from_utf8(text).is_ok();
        let mut bad = Vec::new();
        let (mut at, mut rows) = (0, 0);
        while at < text.len().min(bounds.limit) && rows < bounds.max_rows {
            let end = match line_end(text, at) {
                Some(end) => end,
                None if bounds.is_last => text.len(),
                None => break,
            };
            let mut line = Line {
                json: self,
                cursor: Cursor { text, at, end },
            };
            if line.cursor.skip_spaces() != 0 || line.cursor.at < end {
                let broken = if is_utf8 { None } else { utf8_fault(&text[at..end]) };
                let read = broken.map_or_else(|| line.record(&mut root, &mut columns, rows), fault);
                match read {
                    Ok(()) => rows += 1,
                    Err(fault) => {
                        columns.iter_mut().for_each(|column| column.truncate(rows));
                        bad.push(self.bad(text, at, end, fault));
                    }
                }
            }
            at = (end + 1).min(text.len());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let arrays = columns.into_iter().map(Column::finish).collect();
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| error.to_string())?;
        Ok(Parsed {
            batch,
            consumed: at,
            bad,
        })
    }

    fn bad(&self, text: &[u8], start: usize, end: usize, mut fault: Fault) -> Bad {
        let end = if end > start && text[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        fault.path.reverse();
        let column = fault.path.first().and_then(|name| self.schema.index_of(name).ok());
        let inner = if fault.path.len() > 1 {
            format!("in `{}`: ", fault.path.join("."))
        } else {
            String::new()
        };
        Bad {
            start,
            end,
            column,
            reason: format!("{inner}{}", fault.reason),
        }
    }
}

#[inline(always)]
fn line_end(text: &[u8], at: usize) -> Option<usize> {
    memchr::memchr(b'\n', &text[at..]).map(|place| at + place)
}

/// A value's text, unless it is a string that must be unescaped first.
enum Token {
    Range(usize, usize),
    Owned(Vec<u8>),
    /// An object or an array.
    Nested,
}

struct Line<'a> {
    json: &'a Json,
    cursor: Cursor<'a>,
}

impl Line<'_> {
    #[inline(always)]
    fn record(&mut self, root: &mut Object, columns: &mut [Column], rows: usize) -> Read<()> {
        if self.cursor.skip_spaces() != b'{' {
            return self.cursor.unexpected("an object");
        }
        self.object(root, columns, rows)?;
        match self.cursor.skip_spaces() {
            _ if self.cursor.at >= self.cursor.end => Ok(()),
            _ => self.cursor.unexpected("the end of the line"),
        }
    }

    /// The cursor is at `{`; each column has `rows` values and gets one.
    fn object(&mut self, object: &mut Object, columns: &mut [Column], rows: usize) -> Read<()> {
        self.cursor.at += 1;
        let mut found = 0;
        if self.cursor.skip_spaces() == b'}' {
            self.cursor.at += 1;
            return self.complete(object, columns, rows);
        }
        let mut place = 0;
        loop {
            if self.cursor.skip_spaces() != b'"' {
                return self.cursor.unexpected("a key");
            }
            let target = match object.order.get(place) {
                Some((key, target)) if key.is_at(self.cursor.text, self.cursor.at + 1) => {
                    self.cursor.at += 1 + key.bytes.len();
                    *target
                }
                _ => self.key(object, &mut place)?,
            };
            place += 1;
            self.cursor.expect(b':')?;
            match target {
                Some(index) => {
                    let column = &mut columns[index];
                    if column.len() > rows {
                        column.truncate(rows); // the last one counts
                    } else {
                        found += 1;
                    }
                    if let Err(mut fault) = self.value(&mut object.plans[index], column) {
                        fault.path.push(object.names[index].clone());
                        return Err(fault);
                    }
                }
                None => self.cursor.skip_value()?,
            }
            match self.cursor.skip_spaces() {
                b',' => self.cursor.at += 1,
                b'}' => break,
                _ => return self.cursor.unexpected("`,` or `}`"),
            }
        }
        self.cursor.at += 1;
        if found == columns.len() {
            return Ok(());
        }
        self.complete(object, columns, rows)
    }

    /// A key that was not expected at this position: it comes later in the order, or is looked up and remembered.
    #[cold]
    fn key(&mut self, object: &mut Object, place: &mut usize) -> Read<Option<usize>> {
        let (text, at) = (self.cursor.text, self.cursor.at + 1);
        let ahead = object.order.iter().skip(*place).take(KEYS_AHEAD_MAX);
        if let Some((skipped, (key, target))) = ahead.enumerate().find(|(_, (key, _))| key.is_at(text, at)) {
            *place += skipped;
            self.cursor.at = at + key.bytes.len();
            return Ok(*target);
        }
        let quoted = self.cursor.string()?;
        let written = &text[quoted.start..quoted.end];
        let mut name = Vec::new();
        unescape(written, &mut name)?;
        let target = object.by_name.get(&name).copied();
        if target.is_none() && self.json.extra_fails && !self.is_known(object, &name) {
            return fault(format!(
                "the key `{}` is not in the schema",
                String::from_utf8_lossy(&name)
            ));
        }
        if object.order.len() >= REMEMBERED_KEYS_MAX {
            object.order.clear();
            *place = 0;
        }
        if !quoted.has_escapes {
            object
                .order
                .insert((*place).min(object.order.len()), (Key::new(written), target));
        }
        Ok(target)
    }

    #[cold]
    fn is_known(&self, object: &Object, name: &[u8]) -> bool {
        object.is_root && self.json.known_keys.iter().any(|known| known.as_bytes() == name)
    }

    /// Keys that an object lacks become null.
    fn complete(&mut self, object: &Object, columns: &mut [Column], rows: usize) -> Read<()> {
        for (index, column) in columns.iter_mut().enumerate() {
            if column.len() > rows {
                continue;
            }
            if self.json.missing_fails {
                return fault(format!("the key `{}` is missing", object.names[index]));
            }
            column.push_null();
        }
        Ok(())
    }

    #[inline(always)]
    fn value(&mut self, plan: &mut Plan, column: &mut Column) -> Read<()> {
        if self.cursor.skip_spaces() == b'n' && self.cursor.take(b"null") {
            column.push_null();
            return Ok(());
        }
        match plan {
            Plan::Plain => self.plain(column),
            Plan::Special => self.special(column),
            _ => self.nested(plan, column),
        }
    }

    #[inline(always)]
    fn plain(&mut self, column: &mut Column) -> Read<()> {
        let Column { data, data_type, nulls } = column;
        let json = self.json;
        let rules = &json.rules;
        macro_rules! number {
            ($values:expr, $parse:expr) => {{
                let value = self.number($parse, data_type)?;
                $values.push(value);
            }};
        }
        macro_rules! small {
            ($values:expr) => {
                number!($values, |t: &[u8], s, e| rules
                    .i64(t, s, e)
                    .and_then(|value| value.try_into().ok()))
            };
        }
        match data {
            Data::I64(values) => number!(values, |t: &[u8], s, e| rules.i64(t, s, e)),
            Data::F64(values) => number!(values, |t: &[u8], s, e| rules.float(t, s, e)),
            Data::Text(text) => self.text(&mut text.bytes, data_type).map(|()| text.end())?,
            Data::LargeText(text) => self.text(&mut text.bytes, data_type).map(|()| text.end())?,
            Data::Bool(values) => {
                let value = match self.cursor.peek() {
                    b't' if self.cursor.take(b"true") => true,
                    b'f' if self.cursor.take(b"false") => false,
                    _ => return self.misfit(data_type),
                };
                values.append(value);
            }
            Data::I8(values) => small!(values),
            Data::I16(values) => small!(values),
            Data::I32(values) => small!(values),
            Data::U8(values) => small!(values),
            Data::U16(values) => small!(values),
            Data::U32(values) => small!(values),
            Data::U64(values) => number!(values, |t: &[u8], s, e| rules.u64(t, s, e)),
            Data::F32(values) => number!(values, |t: &[u8], s: usize, e: usize| {
                std::str::from_utf8(&t[s..e]).ok().and_then(|field| field.parse().ok())
            }),
            Data::I128(values) => {
                let DataType::Decimal128(precision, scale) = *data_type else {
                    unreachable!("i128 is a decimal")
                };
                number!(values, |t: &[u8], s: usize, e: usize| rules.decimal(
                    &t[s..e],
                    precision,
                    scale
                ));
            }
            Data::Null | Data::Struct(_) | Data::List { .. } => return self.misfit(data_type),
        }
        nulls.append_non_null();
        Ok(())
    }

    /// A number, bare or in quotes.
    #[inline(always)]
    fn number<T>(&mut self, parse: impl Fn(&[u8], usize, usize) -> Option<T>, data_type: &DataType) -> Read<T> {
        let from = self.cursor.at;
        let value = match self.cursor.peek() {
            b'0'..=b'9' | b'-' => {
                let (start, end) = self.cursor.number();
                parse(self.cursor.text, start, end)
            }
            _ => None,
        };
        match value {
            Some(value) => Ok(value),
            None => {
                self.cursor.at = from;
                self.odd_number(parse, data_type)
            }
        }
    }

    #[cold]
    fn odd_number<T>(&mut self, parse: impl Fn(&[u8], usize, usize) -> Option<T>, data_type: &DataType) -> Read<T> {
        let from = self.cursor.at;
        let value = match self.token()? {
            Token::Range(start, end) => parse(self.cursor.text, start, end),
            Token::Owned(text) => parse(&text, 0, text.len()),
            Token::Nested => None,
        };
        if value.is_none() {
            self.cursor.at = from;
            return self.misfit(data_type);
        }
        value.map_or_else(|| fault(""), Ok)
    }

    /// The text of a number, of a bare word like `NaN`, or of a string.
    fn token(&mut self) -> Read<Token> {
        if self.cursor.peek() == b'"' {
            let quoted = self.cursor.string()?;
            if !quoted.has_escapes {
                return Ok(Token::Range(quoted.start, quoted.end));
            }
            let mut text = Vec::new();
            unescape(&self.cursor.text[quoted.start..quoted.end], &mut text)?;
            return Ok(Token::Owned(text));
        }
        if matches!(self.cursor.peek(), b'{' | b'[') {
            return Ok(Token::Nested);
        }
        let start = self.cursor.at;
        self.cursor.skip_value()?;
        Ok(Token::Range(start, self.cursor.at))
    }

    /// A string; any other value as its JSON text.
    #[inline(always)]
    fn text(&mut self, bytes: &mut Vec<u8>, data_type: &DataType) -> Read<()> {
        if self.cursor.peek() != b'"' {
            return self.raw(bytes, data_type);
        }
        let Quoted {
            start,
            end,
            has_escapes,
        } = self.cursor.string()?;
        let written = &self.cursor.text[start..end];
        if matches!(data_type, DataType::Binary | DataType::LargeBinary) {
            return base64(written, bytes);
        }
        if has_escapes {
            return unescape(written, bytes);
        }
        bytes.extend_from_slice(written);
        Ok(())
    }

    fn raw(&mut self, bytes: &mut Vec<u8>, data_type: &DataType) -> Read<()> {
        if matches!(data_type, DataType::Binary | DataType::LargeBinary) {
            return self.misfit(data_type);
        }
        let start = self.cursor.at;
        self.cursor.skip_value()?;
        bytes.extend_from_slice(&self.cursor.text[start..self.cursor.at]);
        Ok(())
    }

    fn special(&mut self, column: &mut Column) -> Read<()> {
        let from = self.cursor.at;
        if self.cursor.peek() != b'"' {
            return self.misfit(&column.data_type);
        }
        let json = self.json;
        let (rules, token) = (&json.rules, self.token()?);
        let (text, start, end) = match &token {
            Token::Owned(text) => (&text[..], 0, text.len()),
            Token::Range(start, end) => (self.cursor.text, *start, *end),
            Token::Nested => (self.cursor.text, 0, 0),
        };
        let is_value = match &mut column.data {
            Data::I64(values) => {
                let value = rules.special_i64(&column.data_type, text, start, end);
                value.map(|value| values.push(value)).is_some()
            }
            Data::I32(values) => {
                let value = rules.special_i32(&column.data_type, text, start, end);
                value.map(|value| values.push(value)).is_some()
            }
            _ => unreachable!("dates and times are of 32 or 64 bits"),
        };
        if !is_value {
            self.cursor.at = from;
            return self.misfit(&column.data_type);
        }
        column.nulls.append_non_null();
        Ok(())
    }

    fn nested(&mut self, plan: &mut Plan, column: &mut Column) -> Read<()> {
        let rows = column.len();
        match (plan, &mut column.data, self.cursor.peek()) {
            (Plan::Object(object), Data::Struct(children), b'{') => self.object(object, children, rows)?,
            (Plan::List(item), Data::List { ends, item: values }, b'[') => {
                self.array(item, values)?;
                ends.push(length_of(values)?);
            }
            (Plan::Map(value), Data::List { ends, item: entries }, b'{') => {
                self.entries(value, entries)?;
                ends.push(length_of(entries)?);
            }
            _ => return self.misfit(&column.data_type),
        }
        column.nulls.append_non_null();
        Ok(())
    }

    fn array(&mut self, plan: &mut Plan, values: &mut Column) -> Read<()> {
        self.cursor.at += 1;
        if self.cursor.skip_spaces() == b']' {
            self.cursor.at += 1;
            return Ok(());
        }
        loop {
            self.value(plan, values)?;
            match self.cursor.skip_spaces() {
                b',' => self.cursor.at += 1,
                b']' => break,
                _ => return self.cursor.unexpected("`,` or `]`"),
            }
        }
        self.cursor.at += 1;
        Ok(())
    }

    fn entries(&mut self, plan: &mut Plan, entries: &mut Column) -> Read<()> {
        self.cursor.at += 1;
        if self.cursor.skip_spaces() == b'}' {
            self.cursor.at += 1;
            return Ok(());
        }
        loop {
            let Data::Struct(pair) = &mut entries.data else {
                unreachable!("entries of a map are structs")
            };
            let [keys, values] = &mut pair[..] else {
                unreachable!("entries of a map are pairs")
            };
            if self.cursor.skip_spaces() != b'"' {
                return self.cursor.unexpected("a key");
            }
            self.plain(keys)?;
            self.cursor.expect(b':')?;
            self.value(plan, values)?;
            entries.nulls.append_non_null();
            match self.cursor.skip_spaces() {
                b',' => self.cursor.at += 1,
                b'}' => break,
                _ => return self.cursor.unexpected("`,` or `}`"),
            }
        }
        self.cursor.at += 1;
        Ok(())
    }

    #[cold]
    fn misfit<T>(&mut self, data_type: &DataType) -> Read<T> {
        const SHOWN_BYTES: usize = 60;
        let start = self.cursor.at;
        self.cursor.skip_value()?;
        let value = &self.cursor.text[start..self.cursor.at];
        let shown = String::from_utf8_lossy(&value[..value.len().min(SHOWN_BYTES)]);
        let dots = if value.len() > SHOWN_BYTES { "..." } else { "" };
        fault(format!("`{shown}{dots}` is not a valid {}", type_name(data_type)))
    }
}

fn length_of(column: &Column) -> Read<i32> {
    i32::try_from(column.len()).or_else(|_| fault("more than 2^31 values in the arrays of one batch"))
}
