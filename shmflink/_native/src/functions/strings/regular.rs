//! Regular expressions: the part of Java's syntax that an automaton can match. Look-around, back references and
//! possessive quantifiers are refused. `\d \w \s` are ASCII, as in Java. A pattern that is invalid in Java as well
//! yields null, as in Flink. Matches follow each other as in Java: an empty match may begin where another match ends.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;
use regex::{Captures, Match, Regex};

use super::column::{to_pyarrow, write_booleans, write_numbers, write_strings, Numbers, Texts};

const PATTERNS_KEPT_MAX: usize = 256;

/// Java's pattern in this engine's syntax.
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

/// Constructs that are invalid in Java as well.
const NO_PATTERN: [&str; 7] = [
    "unclosed group",
    "unopened group",
    "unclosed character class",
    "invalid character class range",
    "repetition operator missing expression",
    "incomplete escape sequence",
    "invalid repetition count range",
];

/// None: the pattern is invalid. Err: it may be valid in Java.
fn compiled(pattern: &str) -> Result<Option<Regex>, String> {
    Regex::new(&translated(pattern)).map(Some).or_else(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        if NO_PATTERN.iter().any(|known| last.contains(known)) {
            return Ok(None);
        }
        Err(format!("the regular expression '{pattern}': {last}"))
    })
}

/// Calls `visit` with each match, like Java's `Matcher.find`.
fn each_match<'t>(regex: &Regex, text: &'t str, mut visit: impl FnMut(Match<'t>)) {
    let mut at = 0;
    while let Some(found) = regex.find_at(text, at) {
        visit(found);
        match next_start(text, found.start(), found.end()) {
            Some(next) => at = next,
            None => return,
        }
    }
}

/// Like `each_match`, with groups.
fn each_captures<'t>(regex: &Regex, text: &'t str, mut visit: impl FnMut(&Captures<'t>)) {
    let mut at = 0;
    while let Some(captures) = regex.captures_at(text, at) {
        visit(&captures);
        let found = captures.get_match();
        match next_start(text, found.start(), found.end()) {
            Some(next) => at = next,
            None => return,
        }
    }
}

/// The position after a match; after an empty match, one character further.
fn next_start(text: &str, start: usize, end: usize) -> Option<usize> {
    if start < end {
        return Some(end);
    }
    let letter = text[end..].chars().next()?;
    Some(end + letter.len_utf8())
}

/// Patterns by row, each compiled once.
struct Patterns {
    texts: Texts,
    fixed: Option<Regex>,
    others: HashMap<String, Option<Regex>>,
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
            fixed: fixed.flatten(),
            others: HashMap::new(),
            error: None,
        })
    }

    /// None: null, an invalid pattern, or a refused one, which `checked` reports.
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
        self.others.get(pattern)?.as_ref()
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

/// The number of matches.
#[pyfunction]
fn regex_count(py: Python<'_>, texts: PyArray, pattern: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let result = write_numbers(py, rows, |row| {
        let text = texts.get(row)?;
        let mut count = 0;
        each_match(patterns.get(row)?, text, |_| count += 1);
        Some(count)
    })?;
    patterns.checked(result)
}

/// Position in code points, from 1, of the first match; 0 if there is none.
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

/// Group `group` (0: all) of the first match; null if there is no match, or no such group.
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

/// Group `group` of all matches, as a list; null if there is no such group.
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
    each_captures(regex, text, |captures| {
        values.append_option(captures.get(group).map(|found| found.as_str()));
    });
    Some(())
}

/// Replaces all matches by a literal text.
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
    let result = write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, replacement) = (texts.get(row)?, replacements.get(row)?);
        let mut from = 0;
        each_match(patterns.get(row)?, text, |found| {
            out.extend_from_slice(&text.as_bytes()[from..found.start()]);
            out.extend_from_slice(replacement.as_bytes());
            from = found.end();
        });
        out.extend_from_slice(&text.as_bytes()[from..]);
        Some(())
    })?;
    patterns.checked(result)
}

/// Parts between matches, like Java's `String.split`: at most `limit`; 0: all, without trailing empty ones.
#[pyfunction]
fn regex_split(py: Python<'_>, texts: PyArray, pattern: PyArray, limit: usize, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, mut patterns) = (Texts::new(&texts, rows)?, Patterns::new(&pattern, rows)?);
    let lists = py.detach(|| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let parts = texts.get(row).zip(patterns.get(row));
            let parts = parts.map(|(text, regex)| split(regex, text, limit));
            parts
                .iter()
                .flatten()
                .for_each(|part| lists.values().append_value(part));
            lists.append(parts.is_some());
        }
        lists.finish()
    });
    let result = to_pyarrow(py, Arc::new(lists))?;
    patterns.checked(result)
}

fn split<'t>(regex: &Regex, text: &'t str, limit: usize) -> Vec<&'t str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    each_match(regex, text, |found| {
        if (limit == 0 || parts.len() + 1 < limit) && found.end() > 0 {
            parts.push(&text[from..found.start()]);
            from = found.end();
        }
    });
    parts.push(&text[from..]);
    while limit == 0 && parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(regex_test, module)?)?;
    module.add_function(wrap_pyfunction!(regex_count, module)?)?;
    module.add_function(wrap_pyfunction!(regex_position, module)?)?;
    module.add_function(wrap_pyfunction!(regex_extract, module)?)?;
    module.add_function(wrap_pyfunction!(regex_extract_all, module)?)?;
    module.add_function(wrap_pyfunction!(regex_replace, module)?)?;
    module.add_function(wrap_pyfunction!(regex_split, module)?)
}
