//! Lines of text as one column of strings, without their ends (LF, CR LF or CR, as Java's `BufferedReader`).

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use memchr::{memchr, memchr2};

use super::column::{columns_of, Column, Data};
use super::csv::{Bad, Bounds, Parsed};
use super::rules::utf8_fault;

pub struct Lines {
    /// One column of strings.
    pub schema: Arc<Schema>,
}

/// A line and where the next one starts.
struct Span {
    end: usize,
    next: usize,
}

impl Lines {
    pub fn parse(&self, text: &[u8], bounds: Bounds) -> Result<Parsed, String> {
        let mut column = columns_of(&self.schema, bounds.max_rows.min(text.len() / 32 + 1))?.remove(0);
        let Data::Text(values) = &mut column.data else {
            return Err("lines are strings".into());
        };
        values.bytes.reserve(text.len() + 32);
        let has_carriages = memchr(b'\r', text).is_some();
        let is_utf8 = simdutf8::basic::from_utf8(text).is_ok();
        let limit = text.len().min(bounds.limit);
        let (mut at, mut rows) = (0, 0);
        let mut bad = Vec::new();
        while at < limit && rows < bounds.max_rows {
            let found = if has_carriages {
                any_end(text, at, bounds.is_last)
            } else {
                feed(text, at)
            };
            let span = match found {
                Some(span) => span,
                None if bounds.is_last => Span {
                    end: text.len(),
                    next: text.len(),
                },
                None => break,
            };
            let fault = if is_utf8 { None } else { utf8_fault(&text[at..span.end]) };
            if let Some(reason) = fault {
                bad.push(Bad {
                    start: at,
                    end: span.end,
                    column: None,
                    reason,
                });
            } else {
                values.push_range(text, at, span.end);
                rows += 1;
            }
            at = span.next;
        }
        column.nulls.append_n_non_nulls(rows);
        finish(&self.schema, column, rows).map(|batch| Parsed {
            batch,
            consumed: at,
            bad,
        })
    }
}

#[inline(always)]
fn feed(text: &[u8], at: usize) -> Option<Span> {
    memchr(b'\n', &text[at..]).map(|place| Span {
        end: at + place,
        next: at + place + 1,
    })
}

fn any_end(text: &[u8], at: usize, is_last: bool) -> Option<Span> {
    let end = at + memchr2(b'\n', b'\r', &text[at..])?;
    let next = match text.get(end + 1) {
        _ if text[end] == b'\n' => end + 1,
        Some(b'\n') => end + 2,
        None if !is_last => return None, // an LF may follow
        _ => end + 1,
    };
    Some(Span { end, next })
}

fn finish(schema: &Arc<Schema>, column: Column, rows: usize) -> Result<RecordBatch, String> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), vec![column.finish()], &options)
        .map_err(|error| error.to_string())
}
