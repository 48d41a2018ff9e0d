//! CSV (RFC 4180) in common dialects.

use super::cells::{CellKind, Column};
use super::json;
use super::times::Standard;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Only where a reader would otherwise read another value.
    Minimal,
    /// Everything that is not null.
    All,
    /// Never; a cell that needs quotes is an error.
    Never,
}

pub struct Style {
    pub standard: Standard,
    pub delimiter: u8,
    pub quote: u8,
    pub quoting: Quoting,
    pub null_text: String,
    pub line_end: &'static str,
}

/// A cell that cannot be written without quotes.
#[derive(Debug)]
pub struct NeedsQuotes {
    pub row: usize,
    pub column: usize,
    pub text: String,
}

impl Style {
    /// By byte: whether a cell that contains it needs quotes.
    fn special(&self) -> [bool; 256] {
        let mut special = [false; 256];
        for byte in [self.delimiter, self.quote, b'\r', b'\n'] {
            special[byte as usize] = true;
        }
        special
    }

    fn push_text(&self, special: &[bool; 256], text: &[u8], out: &mut Vec<u8>) -> bool {
        let must = || text == self.null_text.as_bytes() || text.iter().any(|byte| special[*byte as usize]);
        if self.quoting == Quoting::All || (self.quoting == Quoting::Minimal && must()) {
            self.push_quoted(text, out);
        } else if self.quoting == Quoting::Never && must() {
            return false;
        } else {
            out.extend_from_slice(text);
        }
        true
    }

    fn push_quoted(&self, text: &[u8], out: &mut Vec<u8>) {
        out.push(self.quote);
        for &byte in text {
            if byte == self.quote {
                out.push(byte);
            }
            out.push(byte);
        }
        out.push(self.quote);
    }
}

/// The lines of a batch.
pub fn lines(columns: &[Column], rows: usize, style: &Style) -> Result<Vec<u8>, NeedsQuotes> {
    let special = style.special();
    let json = json::Style {
        standard: style.standard,
        omits_nulls: false,
        has_java_floats: false,
    };
    let mut out = Vec::with_capacity(rows * columns.len() * 10);
    let mut scratch = Vec::new();
    for row in 0..rows {
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(style.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(style.null_text.as_bytes());
                continue;
            }
            let text = match column.kind {
                CellKind::Bare if style.quoting != Quoting::All => {
                    column.push(row, style.standard, &mut out);
                    continue;
                }
                CellKind::Text => column.text(row).as_bytes(),
                CellKind::Bare | CellKind::Plain => {
                    scratch.clear();
                    column.push(row, style.standard, &mut scratch);
                    scratch.as_slice()
                }
                CellKind::Nested => {
                    scratch.clear();
                    json::push_value(column, row, json, &mut scratch);
                    scratch.as_slice()
                }
            };
            if !style.push_text(&special, text, &mut out) {
                return Err(NeedsQuotes {
                    row,
                    column: index,
                    text: String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned(),
                });
            }
        }
        // Readers interpret an empty line as a null.
        let may_be_empty = columns.len() != 1 || columns[0].is_null(row) || style.quoting == Quoting::Never;
        if !may_be_empty && is_line_empty(&out, style) {
            out.extend_from_slice(&[style.quote, style.quote]);
        }
        out.extend_from_slice(style.line_end.as_bytes());
    }
    Ok(out)
}

fn is_line_empty(out: &[u8], style: &Style) -> bool {
    out.is_empty() || out.ends_with(style.line_end.as_bytes())
}

/// The first line of a file.
pub fn header(names: &[&str], style: &Style) -> Result<Vec<u8>, NeedsQuotes> {
    let special = style.special();
    let mut out = Vec::new();
    for (column, name) in names.iter().enumerate() {
        if column > 0 {
            out.push(style.delimiter);
        }
        if !style.push_text(&special, name.as_bytes(), &mut out) {
            let text = (*name).to_owned();
            return Err(NeedsQuotes { row: 0, column, text });
        }
    }
    out.extend_from_slice(style.line_end.as_bytes());
    Ok(out)
}
