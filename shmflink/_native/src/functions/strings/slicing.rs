//! Parts of strings by positions of code points, from 1; concatenation.

use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::column::{write_strings, Numbers, Texts};

/// Bytes before code point `index`, from 0; the length of the text if it has fewer.
fn byte_at(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

fn code_points(text: &str) -> usize {
    text.chars().count()
}

/// The part from `begin` on: counted from 1, from the end if negative; 0 means 1. Empty if it begins outside; null for
/// a negative length.
fn substring_of(text: &str, begin: i64, length: Option<i64>) -> Option<&str> {
    if length.is_some_and(|length| length < 0) {
        return None;
    }
    let start = match begin {
        1.. => begin as usize - 1,
        0 => 0,
        _ => match code_points(text).checked_sub(begin.unsigned_abs() as usize) {
            Some(start) => start,
            None => return Some(""),
        },
    };
    let rest = &text[byte_at(text, start)..];
    Some(length.map_or(rest, |length| &rest[..byte_at(rest, length as usize)]))
}

#[pyfunction]
#[pyo3(signature = (texts, begin, length, rows))]
fn substring(
    py: Python<'_>,
    texts: PyArray,
    begin: PyArray,
    length: Option<PyArray>,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, begins) = (Texts::new(&texts, rows)?, Numbers::new(&begin, rows)?);
    let lengths = length.map(|length| Numbers::new(&length, rows)).transpose()?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, begin) = (texts.get(row)?, begins.get(row)?);
        let length = match &lengths {
            Some(lengths) => Some(lengths.get(row)?),
            None => None,
        };
        out.extend_from_slice(substring_of(text, begin, length)?.as_bytes());
        Some(())
    })
}

/// The first or the last code points; empty for a negative number.
#[pyfunction]
fn text_end(py: Python<'_>, texts: PyArray, length: PyArray, is_left: bool, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, lengths) = (Texts::new(&texts, rows)?, Numbers::new(&length, rows)?);
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, length) = (texts.get(row)?, lengths.get(row)?.max(0) as usize);
        let part = if is_left {
            &text[..byte_at(text, length)]
        } else {
            &text[byte_at(text, code_points(text).saturating_sub(length))..]
        };
        out.extend_from_slice(part.as_bytes());
        Some(())
    })
}

/// Pads or truncates to a length in code points. Null for a negative length or an empty padding.
#[pyfunction]
fn pad_text(
    py: Python<'_>,
    texts: PyArray,
    length: PyArray,
    padding: PyArray,
    is_left: bool,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, lengths) = (Texts::new(&texts, rows)?, Numbers::new(&length, rows)?);
    let paddings = Texts::new(&padding, rows)?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, padding) = (texts.get(row)?, paddings.get(row)?);
        let length = usize::try_from(lengths.get(row)?).ok()?;
        if padding.is_empty() {
            return None;
        }
        let missing = length.saturating_sub(code_points(text));
        let mut letters = [0; 4];
        let mut pad = |out: &mut Vec<u8>| {
            for letter in padding.chars().cycle().take(missing) {
                out.extend_from_slice(letter.encode_utf8(&mut letters).as_bytes());
            }
        };
        if is_left {
            pad(out);
        }
        out.extend_from_slice(&text.as_bytes()[..byte_at(text, length)]);
        if !is_left {
            pad(out);
        }
        Some(())
    })
}

/// Replaces `length` code points from `start` on; without a length, as many as the replacement has. Returns the text
/// unchanged if `start` is outside it.
#[pyfunction]
#[pyo3(signature = (texts, replacement, start, length, rows))]
fn overlay_text(
    py: Python<'_>,
    texts: PyArray,
    replacement: PyArray,
    start: PyArray,
    length: Option<PyArray>,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, replacements) = (Texts::new(&texts, rows)?, Texts::new(&replacement, rows)?);
    let starts = Numbers::new(&start, rows)?;
    let lengths = length.map(|length| Numbers::new(&length, rows)).transpose()?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, replacement, start) = (texts.get(row)?, replacements.get(row)?, starts.get(row)?);
        let length = match &lengths {
            Some(lengths) => lengths.get(row)?.max(0) as usize,
            None => code_points(replacement),
        };
        if start < 1 || start as usize > code_points(text) {
            out.extend_from_slice(text.as_bytes());
            return Some(());
        }
        let from = byte_at(text, start as usize - 1);
        out.extend_from_slice(&text.as_bytes()[..from]);
        out.extend_from_slice(replacement.as_bytes());
        out.extend_from_slice(&text.as_bytes()[from + byte_at(&text[from..], length)..]);
        Some(())
    })
}

/// The strings of a row that are not null, joined by the separator; null if the separator is null.
#[pyfunction]
fn join_text(py: Python<'_>, separator: PyArray, texts: Vec<PyArray>, rows: usize) -> PyResult<Py<PyAny>> {
    let separators = Texts::new(&separator, rows)?;
    let texts = texts
        .iter()
        .map(|text| Texts::new(text, rows))
        .collect::<PyResult<Vec<Texts>>>()?;
    let size = texts.iter().map(|text| text.size(rows)).sum::<usize>() + rows * texts.len();
    write_strings(py, rows, size, |row, out| {
        let separator = separators.get(row)?.as_bytes();
        let mut is_first = true;
        for text in texts.iter().filter_map(|text| text.get(row)) {
            if !is_first {
                out.extend_from_slice(separator);
            }
            is_first = false;
            out.extend_from_slice(text.as_bytes());
        }
        Some(())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(substring, module)?)?;
    module.add_function(wrap_pyfunction!(join_text, module)?)?;
    module.add_function(wrap_pyfunction!(text_end, module)?)?;
    module.add_function(wrap_pyfunction!(pad_text, module)?)?;
    module.add_function(wrap_pyfunction!(overlay_text, module)?)
}
