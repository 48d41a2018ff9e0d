//! Bytes as text and text as bytes: base64, hexadecimal digits, character sets.

use std::sync::Arc;

use arrow_array::Array;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::column::{bytes, to_pyarrow, Writer};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

fn base64_encoded(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    for chunk in bytes.chunks(3) {
        let group = [
            chunk[0],
            chunk.get(1).copied().unwrap_or(0),
            chunk.get(2).copied().unwrap_or(0),
        ];
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > chunk.len() { b'=' } else { letter });
        }
    }
    Some(())
}

fn base64_decoded(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut count) = (0_u32, 0);
    let body = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    for byte in body {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    (count < 6).then_some(())
}

fn hex_encoded(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    Some(())
}

/// With an odd number of digits, the digit without a partner is dropped and a zero byte takes its place, as in Flink.
fn hex_decoded(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if text.len() % 2 == 1 {
        digit(text[0])?;
        out.push(0);
    }
    for pair in text[text.len() % 2..].chunks(2) {
        out.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(())
}

fn utf16_encoded(text: &str, is_big: bool, out: &mut Vec<u8>) {
    for unit in text.encode_utf16() {
        out.extend_from_slice(&if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() });
    }
}

/// Letters that the character set lacks become `?`, as in Java.
fn encoded(text: &[u8], charset: &str, out: &mut Vec<u8>) -> Option<()> {
    let text = std::str::from_utf8(text).ok()?;
    let narrow = |limit: u32| {
        move |letter: char| {
            if (letter as u32) < limit {
                letter as u32 as u8
            } else {
                b'?'
            }
        }
    };
    match charset {
        "UTF-8" => out.extend_from_slice(text.as_bytes()),
        "US-ASCII" => out.extend(text.chars().map(narrow(0x80))),
        "ISO-8859-1" => out.extend(text.chars().map(narrow(0x100))),
        "UTF-16LE" => utf16_encoded(text, false, out),
        "UTF-16BE" => utf16_encoded(text, true, out),
        _ => {
            out.extend_from_slice(&[0xFE, 0xFF]);
            utf16_encoded(text, true, out);
        }
    }
    Some(())
}

fn utf16_decoded(bytes: &[u8], is_big: bool, out: &mut Vec<u8>) {
    let units = bytes.chunks(2).map(|pair| match pair {
        [first, second] if is_big => u16::from_be_bytes([*first, *second]),
        [first, second] => u16::from_le_bytes([*first, *second]),
        _ => 0xFFFD,
    });
    let text: String = char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    out.extend_from_slice(text.as_bytes());
}

/// Invalid bytes become U+FFFD, as in Java.
fn decoded(bytes: &[u8], charset: &str, out: &mut Vec<u8>) -> Option<()> {
    let wide = |limit: u8| {
        move |byte: &u8| {
            if *byte <= limit {
                char::from(*byte)
            } else {
                char::REPLACEMENT_CHARACTER
            }
        }
    };
    match charset {
        "UTF-8" => out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
        "US-ASCII" => out.extend_from_slice(bytes.iter().map(wide(0x7F)).collect::<String>().as_bytes()),
        "ISO-8859-1" => out.extend_from_slice(bytes.iter().map(wide(0xFF)).collect::<String>().as_bytes()),
        "UTF-16LE" => utf16_decoded(bytes, false, out),
        "UTF-16BE" => utf16_decoded(bytes, true, out),
        _ => match bytes {
            [0xFF, 0xFE, rest @ ..] => utf16_decoded(rest, false, out),
            [0xFE, 0xFF, rest @ ..] => utf16_decoded(rest, true, out),
            _ => utf16_decoded(bytes, true, out),
        },
    }
    Some(())
}

fn converted(
    py: Python<'_>,
    values: &PyArray,
    convert: impl Fn(&[u8], &mut Vec<u8>) -> Option<()> + Send + Sync,
) -> PyResult<Writer> {
    let values = bytes(values)?;
    py.detach(|| {
        let mut writer = Writer::new(values.len(), values.values().len() * 2);
        for value in &values {
            let is_valid = value.is_some_and(|value| convert(value, &mut writer.bytes).is_some());
            writer.finish_row(is_valid)?;
        }
        Ok(writer)
    })
}

/// Bytes, or strings as UTF-8, in `base64` or `hex`.
#[pyfunction]
fn encode_bytes(py: Python<'_>, values: PyArray, form: &str) -> PyResult<Py<PyAny>> {
    let writer = match form {
        "base64" => converted(py, &values, base64_encoded)?,
        "hex" => converted(py, &values, hex_encoded)?,
        other => return Err(PyTypeError::new_err(format!("unknown encoding {other}"))),
    };
    to_pyarrow(py, Arc::new(writer.finish()))
}

/// The bytes of `base64` or `hex`, as binary; null for invalid text.
#[pyfunction]
fn decode_bytes(py: Python<'_>, values: PyArray, form: &str) -> PyResult<Py<PyAny>> {
    let writer = match form {
        "base64" => converted(py, &values, base64_decoded)?,
        "hex" => converted(py, &values, hex_decoded)?,
        other => return Err(PyTypeError::new_err(format!("unknown encoding {other}"))),
    };
    to_pyarrow(py, Arc::new(writer.finish_binary()))
}

/// Strings as bytes of a character set: one of Java's six standard ones.
#[pyfunction]
fn encode_charset(py: Python<'_>, texts: PyArray, charset: &str) -> PyResult<Py<PyAny>> {
    let writer = converted(py, &texts, |text, out| encoded(text, charset, out))?;
    to_pyarrow(py, Arc::new(writer.finish_binary()))
}

/// Bytes of a character set as strings.
#[pyfunction]
fn decode_charset(py: Python<'_>, values: PyArray, charset: &str) -> PyResult<Py<PyAny>> {
    let writer = converted(py, &values, |bytes, out| decoded(bytes, charset, out))?;
    to_pyarrow(py, Arc::new(writer.finish()))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(encode_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(decode_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(encode_charset, module)?)?;
    module.add_function(wrap_pyfunction!(decode_charset, module)?)
}
