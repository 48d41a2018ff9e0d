//! Search in strings.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::column::{write_booleans, write_numbers, write_strings, Numbers, Texts};

/// Whether each string starts with, ends with or contains another.
#[pyfunction]
fn text_matches(py: Python<'_>, texts: PyArray, others: PyArray, place: &str, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, others) = (Texts::new(&texts, rows)?, Texts::new(&others, rows)?);
    match place {
        "start" => write_booleans(py, rows, |row| Some(texts.get(row)?.starts_with(others.get(row)?))),
        "end" => write_booleans(py, rows, |row| Some(texts.get(row)?.ends_with(others.get(row)?))),
        "anywhere" => write_booleans(py, rows, |row| Some(texts.get(row)?.contains(others.get(row)?))),
        other => Err(PyValueError::new_err(format!("unknown place {other}"))),
    }
}

/// Position of the first occurrence of `needle` from code point `from` on, counted from 1; 0 if there is none.
#[pyfunction]
fn text_position(py: Python<'_>, texts: PyArray, needles: PyArray, from_: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, needles) = (Texts::new(&texts, rows)?, Texts::new(&needles, rows)?);
    let starts = Numbers::new(&from_, rows)?;
    write_numbers(py, rows, |row| {
        let (text, needle, start) = (texts.get(row)?, needles.get(row)?, starts.get(row)?);
        if start < 1 {
            return Some(0);
        }
        let skipped = match text.char_indices().nth(start as usize - 1) {
            Some((at, _)) => at,
            None if start == 1 => 0,
            None => return Some(0),
        };
        let found = text[skipped..].find(needle);
        Some(found.map_or(0, |at| text[..skipped + at].chars().count() as i32 + 1))
    })
}

/// Replaces all occurrences.
#[pyfunction]
fn replace_text(
    py: Python<'_>,
    texts: PyArray,
    search: PyArray,
    replacement: PyArray,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, searches) = (Texts::new(&texts, rows)?, Texts::new(&search, rows)?);
    let replacements = Texts::new(&replacement, rows)?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, search) = (texts.get(row)?, searches.get(row)?);
        let replacement = replacements.get(row)?;
        let mut from = 0;
        for (at, found) in text.match_indices(search) {
            out.extend_from_slice(&text.as_bytes()[from..at]);
            out.extend_from_slice(replacement.as_bytes());
            from = at + found.len();
        }
        out.extend_from_slice(&text.as_bytes()[from..]);
        Some(())
    })
}

/// The replacement of each letter; None: the letter is removed. The first of several rules for a letter counts.
fn translation(from: &str, to: &str) -> HashMap<char, Option<char>> {
    let mut rules = HashMap::new();
    let mut targets = to.chars();
    for letter in from.chars() {
        let target = targets.next();
        rules.entry(letter).or_insert(target);
    }
    rules
}

fn translated(text: &str, rules: &HashMap<char, Option<char>>, out: &mut Vec<u8>) {
    let mut letters = [0; 4];
    for letter in text.chars() {
        if let Some(target) = rules.get(&letter).copied().unwrap_or(Some(letter)) {
            out.extend_from_slice(target.encode_utf8(&mut letters).as_bytes());
        }
    }
}

/// Replaces letters of `from` by those of `to` at the same position; removes those without a counterpart.
#[pyfunction]
fn translate_text(py: Python<'_>, texts: PyArray, from_: PyArray, to: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let texts = Texts::new(&texts, rows)?;
    let (from, to) = (Texts::new(&from_, rows)?, Texts::new(&to, rows)?);
    let fixed = from
        .constant()
        .zip(to.constant())
        .map(|(from, to)| translation(from, to));
    write_strings(py, rows, texts.size(rows), |row, out| {
        let text = texts.get(row)?;
        match &fixed {
            Some(rules) => translated(text, rules, out),
            None => translated(text, &translation(from.get(row)?, to.get(row)?), out),
        }
        Some(())
    })
}

/// Removes the letters of `letters` from the start, the end, or both.
#[pyfunction]
fn trim_text(
    py: Python<'_>,
    texts: PyArray,
    letters: PyArray,
    is_leading: bool,
    is_trailing: bool,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, letters) = (Texts::new(&texts, rows)?, Texts::new(&letters, rows)?);
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (mut text, letters) = (texts.get(row)?, letters.get(row)?);
        if is_leading {
            text = text.trim_start_matches(|letter| letters.contains(letter));
        }
        if is_trailing {
            text = text.trim_end_matches(|letter| letters.contains(letter));
        }
        out.extend_from_slice(text.as_bytes());
        Some(())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(text_matches, module)?)?;
    module.add_function(wrap_pyfunction!(text_position, module)?)?;
    module.add_function(wrap_pyfunction!(replace_text, module)?)?;
    module.add_function(wrap_pyfunction!(translate_text, module)?)?;
    module.add_function(wrap_pyfunction!(trim_text, module)?)
}
