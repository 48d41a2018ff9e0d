//! JSON lines (one object per row), RFC 8259 without spaces.

use super::cells::{CellKind, Column, Values};
use super::times::Standard;

#[derive(Clone, Copy)]
pub struct Style {
    pub standard: Standard,
    pub omits_nulls: bool,
    /// Floats as Jackson writes their `BigDecimal`, like Flink's JSON functions.
    pub has_java_floats: bool,
}

/// 0: the byte is written unchanged; otherwise the character after the backslash, `u` for numeric escapes.
static ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[8] = b'b';
    table[9] = b't';
    table[10] = b'n';
    table[12] = b'f';
    table[13] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

pub fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[*byte as usize];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            out.extend_from_slice(format!("{byte:04x}").as_bytes());
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

pub fn push_value(column: &Column, row: usize, style: Style, out: &mut Vec<u8>) {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match column.kind {
        CellKind::Bare if style.has_java_floats && column.float(row).is_some() => {
            push_java_float(column.float(row).expect("looked at above"), out);
        }
        CellKind::Bare if column.is_not_finite(row) => out.extend_from_slice(b"null"),
        CellKind::Bare => column.push(row, style.standard, out),
        CellKind::Plain => push_quoted(column, row, style, out),
        CellKind::Text => push_string(column.text(row), out),
        CellKind::Nested => push_nested(&column.values, row, style, out),
    }
}

/// `BigDecimal(Double.toString(value)).toString()`; a string if the value is not finite.
fn push_java_float(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let name = match value {
            _ if value.is_nan() => "\"NaN\"",
            _ if value > 0.0 => "\"Infinity\"",
            _ => "\"-Infinity\"",
        };
        return out.extend_from_slice(name.as_bytes());
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("scientific notation has an e");
    let exponent: i32 = exponent.parse().expect("an exponent");
    let mut digits = mantissa.replace('.', "");
    if value.is_sign_negative() && value != 0.0 {
        out.push(b'-');
    }
    if digits.len() == 1 && !(-3..7).contains(&exponent) {
        digits.push('0'); // Java writes at least one digit after the point
    }
    let scale = digits.len() as i32 - 1 - exponent;
    let is_plain = (-3..7).contains(&exponent) || (scale >= 0 && exponent >= -6);
    let text = match (value == 0.0, is_plain) {
        (true, _) => "0.0".to_owned(),
        (false, true) if exponent < 0 => format!("0.{}{digits}", "0".repeat(-exponent as usize - 1)),
        (false, true) => {
            let whole = exponent as usize + 1;
            let padded = format!("{digits:0<width$}", width = whole + 1);
            format!("{}.{}", &padded[..whole], &padded[whole..])
        }
        (false, false) => format!("{}.{}E{exponent:+}", &digits[..1], &digits[1..]),
    };
    out.extend_from_slice(text.as_bytes());
}

fn push_quoted(column: &Column, row: usize, style: Style, out: &mut Vec<u8>) {
    out.push(b'"');
    column.push(row, style.standard, out);
    out.push(b'"');
}

fn push_nested(values: &Values, row: usize, style: Style, out: &mut Vec<u8>) {
    match values {
        Values::Dictionary(keys, dictionary) => push_value(dictionary, keys[row] as usize, style, out),
        Values::List(offsets, items) => push_list(items, offsets[row] as usize, offsets[row + 1] as usize, style, out),
        Values::LargeList(offsets, items) => {
            push_list(items, offsets[row] as usize, offsets[row + 1] as usize, style, out);
        }
        Values::FixedList(size, items) => push_list(items, row * size, (row + 1) * size, style, out),
        Values::Map(offsets, keys, items) => {
            out.push(b'{');
            for at in offsets[row] as usize..offsets[row + 1] as usize {
                if at > offsets[row] as usize {
                    out.push(b',');
                }
                push_key(keys, at, style, out);
                out.push(b':');
                push_value(items, at, style, out);
            }
            out.push(b'}');
        }
        Values::Struct(fields) => {
            let mut is_first = true;
            out.push(b'{');
            for (name, field) in fields {
                if style.omits_nulls && field.is_null(row) {
                    continue;
                }
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                push_string(name, out);
                out.push(b':');
                push_value(field, row, style, out);
            }
            out.push(b'}');
        }
        _ => unreachable!("not nested"),
    }
}

fn push_list(items: &Column, start: usize, end: usize, style: Style, out: &mut Vec<u8>) {
    out.push(b'[');
    for at in start..end {
        if at > start {
            out.push(b',');
        }
        push_value(items, at, style, out);
    }
    out.push(b']');
}

/// Names in an object are strings, for every type of the map's keys.
fn push_key(keys: &Column, row: usize, style: Style, out: &mut Vec<u8>) {
    match keys.kind {
        CellKind::Text => push_string(keys.text(row), out),
        CellKind::Bare | CellKind::Plain => push_quoted(keys, row, style, out),
        CellKind::Nested => {
            let mut text = Vec::new();
            push_value(keys, row, style, &mut text);
            push_string(&String::from_utf8_lossy(&text), out);
        }
    }
}

/// The lines of a batch, each followed by LF.
pub fn lines(names: &[&str], columns: &[Column], rows: usize, style: Style) -> Vec<u8> {
    let labels: Vec<Vec<u8>> = names
        .iter()
        .map(|name| {
            let mut label = vec![b','];
            push_string(name, &mut label);
            label.push(b':');
            label
        })
        .collect();
    let mut out = Vec::with_capacity(rows * labels.iter().map(|label| label.len() + 8).sum::<usize>());
    for row in 0..rows {
        let start = out.len();
        out.push(b'{');
        for (label, column) in labels.iter().zip(columns) {
            if style.omits_nulls && column.is_null(row) {
                continue;
            }
            let is_first = out.len() == start + 1;
            out.extend_from_slice(&label[usize::from(is_first)..]);
            push_value(column, row, style, &mut out);
        }
        out.extend_from_slice(b"}\n");
    }
    out
}
