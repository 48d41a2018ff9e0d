//! Regular expressions: Java's syntax as far as an automaton can have it. Look-around, back references and possessive
//! quantifiers are refused. `\d \w \s` are ASCII, as in Java.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;
use regex::{Captures, Regex};

use super::column::{to_pyarrow, write_booleans, write_numbers, write_strings, Numbers, Texts};

const PATTERNS_KEPT_MAX: usize = 256;

/// Java's pattern as this engine has it.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[a-zA-Z0-9_]"),
            Some('W') => out.push_str("[^a-zA-Z0-9_]"),
            Some('s') => out.push_str(r"[ \t\n\x0B\f\r]"),
            Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
            Some('h') => out.push_str(r"[ \t\u00A0]"),
            Some('Z') => out.push_str(r"\n?\z"),
            Some('Q') => {
                let rest = letters.as_str();
                let quoted = rest.find(r"\E").map_or(rest, |end| &rest[..end]);
                out.push_str(&regex::escape(quoted));
                letters = rest.get(quoted.len() + 2..).unwrap_or_default().chars();
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    Regex::new(&translated(pattern)).map_err(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("the regular expression '{pattern}': {last}")
    })
}

/// Patterns by row, each compiled once.
struct Patterns {
    texts: Texts,
    fixed: Option<Regex>,
    others: HashMap<String, Regex>,
    error: Option<String>,
}

impl Patterns {
    fn new(column: &PyArray, rows: usize) -> PyResult<Self> {
        let texts = Texts::new(column, rows)?;
        let fixed = texts
            .constant()
            .map(compiled)
            .transpose()
            .map_err(PyValueError::new_err)?;
        Ok(Self {
            texts,
            fixed,
            others: HashMap::new(),
            error: None,
        })
    }

    /// None: null, or a pattern that is none, which `checked` reports.
    fn get(&mut self, row: usize) -> Option<&Regex> {
        if self.fixed.is_some() {
            return self.fixed.as_ref();
        }
        let pattern = self.texts.get(row)?;
        if !self.others.contains_key(pattern) {
            if self.others.len() >= PATTERNS_KEPT_MAX {
                self.others.clear();
            }
            match compiled(pattern) {
                Ok(regex) => self.others.insert(pattern.to_owned(), regex),
                Err(error) => {
                    self.error.get_or_insert(error);
                    return None;
                }
            };
        }
        self.others.get(pattern)
    }

    fn checked(&self, result: Py<PyAny>) -> PyResult<Py<PyAny>> {
        match &self.error {
            Some(error) => Err(PyValueError::new_err(error.clone())),
            None => Ok(result),
        }
    }
}

/// Whether some part of each string matches.
#[pyfunction]
fn regex_test(py: Python<'_>, texts: PyArray, pattern: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let result = write_booleans(py, rows, |row| {
        let text = texts.get(row)?;
        Some(patterns.get(row)?.is_match(text))
    })?;
    patterns.checked(result)
}

/// How many parts match.
#[pyfunction]
fn regex_count(py: Python<'_>, texts: PyArray, pattern: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let result = write_numbers(py, rows, |row| {
        let text = texts.get(row)?;
        Some(patterns.get(row)?.find_iter(text).count() as i32)
    })?;
    patterns.checked(result)
}

/// Position in code points, from 1, of the first part that matches; 0: there is none.
#[pyfunction]
fn regex_position(py: Python<'_>, texts: PyArray, pattern: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let result = write_numbers(py, rows, |row| {
        let text = texts.get(row)?;
        let found = patterns.get(row)?.find(text);
        Some(found.map_or(0, |found| text[..found.start()].chars().count() as i32 + 1))
    })?;
    patterns.checked(result)
}

/// Group `group` (0: all) of the first part that matches; null where there is none, or no such group.
#[pyfunction]
fn regex_extract(py: Python<'_>, texts: PyArray, pattern: PyArray, group: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let groups = Numbers::new(&group, rows)?;
    let result = write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, group) = (texts.get(row)?, usize::try_from(groups.get(row)?).ok()?);
        let regex = patterns.get(row)?;
        let found = if group == 0 {
            regex.find(text)?
        } else {
            regex.captures(text)?.get(group)?
        };
        out.extend_from_slice(found.as_str().as_bytes());
        Some(())
    })?;
    patterns.checked(result)
}

/// Group `group` of all parts that match, as a list; null for no such group.
#[pyfunction]
fn regex_extract_all(
    py: Python<'_>,
    texts: PyArray,
    pattern: PyArray,
    group: PyArray,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let groups = Numbers::new(&group, rows)?;
    let lists = py.detach(|| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let is_valid = append_groups(&texts, &mut patterns, &groups, row, lists.values()).is_some();
            lists.append(is_valid);
        }
        lists.finish()
    });
    let result = to_pyarrow(py, Arc::new(lists))?;
    patterns.checked(result)
}

fn append_groups(
    texts: &Texts,
    patterns: &mut Patterns,
    groups: &Numbers,
    row: usize,
    values: &mut StringBuilder,
) -> Option<()> {
    let (text, group) = (texts.get(row)?, usize::try_from(groups.get(row)?).ok()?);
    let regex = patterns.get(row)?;
    if group >= regex.captures_len() {
        return None;
    }
    for captures in regex.captures_iter(text) {
        values.append_option(captures.get(group).map(|found| found.as_str()));
    }
    Some(())
}

/// Parts of a replacement in Java's form: `$1` and `${name}` are groups, a backslash takes the next letter as it is.
enum Piece {
    Text(String),
    Group(usize),
    Name(String),
}

fn pieces(replacement: &str, groups: usize) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut letters = replacement.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.push(letters.next().ok_or("the replacement ends with a backslash")?),
            '$' => {
                found.push(Piece::Text(std::mem::take(&mut text)));
                if letters.next_if_eq(&'{').is_some() {
                    found.push(Piece::Name(
                        letters.by_ref().take_while(|letter| *letter != '}').collect(),
                    ));
                    continue;
                }
                let first = letters.next().and_then(|letter| letter.to_digit(10));
                let mut group = first.ok_or("a $ in the replacement is followed by no group: write \\$")? as usize;
                // More digits belong to the number as long as there are so many groups.
                while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
                    if group * 10 + digit as usize >= groups {
                        break;
                    }
                    group = group * 10 + digit as usize;
                    letters.next();
                }
                if group >= groups {
                    return Err(format!(
                        "the replacement names group {group}, and there are {}",
                        groups - 1
                    ));
                }
                found.push(Piece::Group(group));
            }
            _ => text.push(letter),
        }
    }
    found.push(Piece::Text(text));
    Ok(found)
}

fn append_replacement(pieces: &[Piece], captures: &Captures<'_>, out: &mut Vec<u8>) {
    for piece in pieces {
        let text = match piece {
            Piece::Text(text) => text,
            Piece::Group(group) => captures.get(*group).map_or("", |found| found.as_str()),
            Piece::Name(name) => captures.name(name).map_or("", |found| found.as_str()),
        };
        out.extend_from_slice(text.as_bytes());
    }
}

/// All parts that match replaced.
#[pyfunction]
fn regex_replace(
    py: Python<'_>,
    texts: PyArray,
    pattern: PyArray,
    replacement: PyArray,
    rows: usize,
) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let replacements = Texts::new(&replacement, rows)?;
    let fixed = match (&patterns.fixed, replacements.constant()) {
        (Some(regex), Some(text)) => Some(pieces(text, regex.captures_len()).map_err(PyValueError::new_err)?),
        _ => None,
    };
    let mut error = None;
    let result = write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, replacement) = (texts.get(row)?, replacements.get(row)?);
        let regex = patterns.get(row)?;
        let own;
        let wanted = match &fixed {
            Some(pieces) => pieces,
            None => match pieces(replacement, regex.captures_len()) {
                Ok(pieces) => {
                    own = pieces;
                    &own
                }
                Err(reason) => {
                    error.get_or_insert(reason);
                    return None;
                }
            },
        };
        let mut from = 0;
        if let [Piece::Text(literal)] = wanted.as_slice() {
            for found in regex.find_iter(text) {
                out.extend_from_slice(&text.as_bytes()[from..found.start()]);
                out.extend_from_slice(literal.as_bytes());
                from = found.end();
            }
        } else {
            for captures in regex.captures_iter(text) {
                let found = captures.get(0)?;
                out.extend_from_slice(&text.as_bytes()[from..found.start()]);
                append_replacement(wanted, &captures, out);
                from = found.end();
            }
        }
        out.extend_from_slice(&text.as_bytes()[from..]);
        Some(())
    })?;
    match error {
        Some(error) => Err(PyValueError::new_err(error)),
        None => patterns.checked(result),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(regex_test, module)?)?;
    module.add_function(wrap_pyfunction!(regex_count, module)?)?;
    module.add_function(wrap_pyfunction!(regex_position, module)?)?;
    module.add_function(wrap_pyfunction!(regex_extract, module)?)?;
    module.add_function(wrap_pyfunction!(regex_extract_all, module)?)?;
    module.add_function(wrap_pyfunction!(regex_replace, module)?)
}
