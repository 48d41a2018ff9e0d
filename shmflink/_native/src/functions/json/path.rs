//! Paths into JSON: `$`, `.key`, `['key']`, `[n]` (from the end if negative), `[*]`, `.*` and `..key`, after `lax` or
//! `strict`. A path without `$` begins with a key.

use super::scan::{unescape, JsonType, Malformed, Scanner, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathStep {
    Key(Vec<u8>),
    Index(i64),
    All,
    /// A key, in the value and in everything below it.
    Below(Vec<u8>),
}

#[derive(Debug)]
pub struct Path {
    steps: Vec<PathStep>,
    has_star: bool,
    /// In lax mode a missing value is empty; in strict mode, the default, it is an error.
    pub is_lax: bool,
}

/// The result of following a path.
pub enum Found<'a> {
    One(Value<'a>),
    /// The values of a path with `*`, in order.
    Many(Vec<Value<'a>>),
    /// A key or an item is missing.
    Nothing,
}

impl Path {
    /// Err: what is wrong with the path.
    pub fn compile(path: &str) -> Result<Self, String> {
        let trimmed = path.trim();
        let (is_lax, spec) = match trimmed.split_once(char::is_whitespace) {
            Some((mode, spec)) if mode.eq_ignore_ascii_case("lax") => (true, spec.trim()),
            Some((mode, spec)) if mode.eq_ignore_ascii_case("strict") => (false, spec.trim()),
            _ => (false, trimmed),
        };
        let with_root = if spec.starts_with('$') {
            spec.to_owned()
        } else {
            format!("$.{spec}")
        };
        let mut rest = &with_root[1..];
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = next_step(rest).ok_or_else(|| {
                format!("the JSON path '{path}' at '{rest}': steps are .key, ['key'], [n], [*], .* and ..key")
            })?;
            steps.push(step);
            rest = after;
        }
        Ok(Self {
            has_star: steps
                .iter()
                .any(|step| matches!(step, PathStep::All | PathStep::Below(_))),
            steps,
            is_lax,
        })
    }

    /// Follows the path through a document.
    pub fn find<'a>(&self, text: &'a [u8], scratch: &mut Vec<u8>) -> Result<Found<'a>, Malformed> {
        let Some((first, rest)) = self.steps.split_first() else {
            return Ok(Found::One(Scanner::document(text)?));
        };
        let mut scanner = Scanner::new(text);
        if !self.has_star {
            let mut found = lead(&mut scanner, first, scratch)?;
            scanner.end()?;
            for step in rest {
                found = match found {
                    Some(value) => lead(&mut Scanner::new(value.text), step, scratch)?,
                    None => break,
                };
            }
            return Ok(found.map_or(Found::Nothing, Found::One));
        }
        let mut values = Vec::new();
        follow(&mut scanner, first, scratch, &mut values)?;
        scanner.end()?;
        for step in rest {
            let mut next = Vec::new();
            for value in &values {
                follow(&mut Scanner::new(value.text), step, scratch, &mut next)?;
            }
            values = next;
        }
        Ok(Found::Many(values))
    }
}

/// Reads the next value to its end; returns the value that a step without `*` selects.
fn lead<'a>(scanner: &mut Scanner<'a>, step: &PathStep, scratch: &mut Vec<u8>) -> Result<Option<Value<'a>>, Malformed> {
    let mut found = None;
    match (scanner.next_kind()?, step) {
        // If a key occurs twice, the last one counts.
        (JsonType::Object, PathStep::Key(wanted)) => scanner.members(0, |key, member| {
            if is_key(key, wanted, scratch) {
                found = Some(member);
            }
        })?,
        (JsonType::Array, PathStep::Index(index)) if *index >= 0 => {
            let mut at = 0;
            scanner.items(0, |item| {
                if at == *index {
                    found = Some(item);
                }
                at += 1;
            })?;
        }
        (JsonType::Array, PathStep::Index(index)) => {
            let mut items = Vec::new();
            scanner.items(0, |item| items.push(item))?;
            let at = items.len() as i64 + index;
            found = usize::try_from(at).ok().and_then(|at| items.get(at)).copied();
        }
        _ => drop(scanner.value(0)?),
    }
    Ok(found)
}

/// Reads the next value to its end; appends the values that the step selects to `out`.
fn follow<'a>(
    scanner: &mut Scanner<'a>,
    step: &PathStep,
    scratch: &mut Vec<u8>,
    out: &mut Vec<Value<'a>>,
) -> Result<(), Malformed> {
    match (scanner.next_kind()?, step) {
        (JsonType::Object, PathStep::All) => scanner.members(0, |_, member| out.push(member))?,
        (JsonType::Array, PathStep::All) => scanner.items(0, |item| out.push(item))?,
        (_, PathStep::Below(wanted)) => {
            let value = scanner.value(0)?;
            below(value, wanted, scratch, out)?;
        }
        _ => out.extend(lead(scanner, step, scratch)?),
    }
    Ok(())
}

/// The values of a key in a value and in everything below it, top-down.
fn below<'a>(
    value: Value<'a>,
    wanted: &[u8],
    scratch: &mut Vec<u8>,
    out: &mut Vec<Value<'a>>,
) -> Result<(), Malformed> {
    let mut inner = Vec::new();
    let mut scanner = Scanner::new(value.text);
    match value.kind {
        JsonType::Object => scanner.members(0, |key, member| {
            if is_key(key, wanted, scratch) {
                out.push(member);
            }
            inner.push(member);
        })?,
        JsonType::Array => scanner.items(0, |item| inner.push(item))?,
        _ => return Ok(()),
    }
    inner
        .into_iter()
        .try_for_each(|value| below(value, wanted, scratch, out))
}

fn is_key(key: &[u8], wanted: &[u8], scratch: &mut Vec<u8>) -> bool {
    // An escaped key is longer than the key that it represents.
    if key.len() <= wanted.len() || !key.contains(&b'\\') {
        return key == wanted;
    }
    scratch.clear();
    unescape(key, scratch);
    scratch == wanted
}

/// The first step of a path without its `$`, and what follows.
fn next_step(path: &str) -> Option<(PathStep, &str)> {
    if let Some(after) = path.strip_prefix("..") {
        let end = after.find(['.', '[']).unwrap_or(after.len());
        return (end > 0 && !after.starts_with('*'))
            .then(|| (PathStep::Below(after.as_bytes()[..end].to_vec()), &after[end..]));
    }
    if let Some(after) = path.strip_prefix('.') {
        if after.starts_with('[') {
            return next_step(after);
        }
        let end = after.find(['.', '[']).unwrap_or(after.len());
        let step = match &after[..end] {
            "" => return None,
            "*" => PathStep::All,
            key => PathStep::Key(key.as_bytes().to_vec()),
        };
        return Some((step, &after[end..]));
    }
    let inside = path.strip_prefix('[')?.trim_start();
    if let Some(quote) = inside.chars().next().filter(|first| "'\"".contains(*first)) {
        let (key, after) = quoted(&inside[1..], quote)?;
        return Some((PathStep::Key(key.into_bytes()), after.trim_start().strip_prefix(']')?));
    }
    let (index, after) = inside.split_once(']')?;
    let step = match index.trim() {
        "*" => PathStep::All,
        index => PathStep::Index(index.parse().ok()?),
    };
    Some((step, after))
}

/// Text up to the quote; the character after a backslash is literal.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => key.push(letters.next()?.1),
            _ if letter == quote => return Some((key, &text[at + 1..])),
            _ => key.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let path = Path::compile(path).unwrap();
        let texts = |values: Vec<Value>| {
            values
                .iter()
                .map(|v| String::from_utf8(v.text.to_vec()).unwrap())
                .collect()
        };
        match path.find(text.as_bytes(), &mut Vec::new()).unwrap() {
            Found::One(value) => texts(vec![value]),
            Found::Many(values) => texts(values),
            Found::Nothing => vec![],
        }
    }

    #[test]
    fn steps() {
        let text = r#" {"a": [1, {"b c": "x"}, 3], "a.b": {"\u0061": 7}, "n": null} "#;
        assert_eq!(found("$.a[1]['b c']", text), ["\"x\""]);
        assert_eq!(found("lax $.a[-1]", text), ["3"]);
        assert_eq!(found("$.['a.b'].a", text), ["7"]);
        assert_eq!(found("$.a[*]", text), ["1", "{\"b c\": \"x\"}", "3"]);
        assert_eq!(found("$.*", r#"{"x":1,"y":[2]}"#), ["1", "[2]"]);
        assert!(found("$.missing.b", text).is_empty());
        assert_eq!(found("n", text), ["null"]);
        assert_eq!(found("$..a", r#"{"a":1,"b":[{"a":2}]}"#), ["1", "2"]);
        assert!(Path::compile("$..").is_err());
        assert!(Path::compile("$[?(@.a)]").is_err());
    }
}
