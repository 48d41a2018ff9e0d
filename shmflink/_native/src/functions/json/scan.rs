//! A validating scanner of JSON (RFC 8259): it walks over values and finds their ends, without building anything.
//!
//! Members and items are returned as slices of the text. Hence extracting a value reads the document once, allocates
//! nothing for skipped parts, and still refuses a document that is malformed anywhere.

const DEPTH_MAX: usize = 512; // limit of nested arrays and objects, which bounds the stack

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

impl JsonType {
    pub fn is_scalar(self) -> bool {
        !matches!(self, JsonType::Object | JsonType::Array)
    }
}

/// A value of a document: its text without surrounding whitespace.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    pub kind: JsonType,
    pub text: &'a [u8],
}

/// The document is malformed.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

type Scanned<T> = Result<T, Malformed>;

pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The type of the next value, by its first byte alone.
    pub fn next_kind(&mut self) -> Scanned<JsonType> {
        self.skip_space();
        Ok(match self.peek()? {
            b'{' => JsonType::Object,
            b'[' => JsonType::Array,
            b'"' => JsonType::String,
            b't' => JsonType::True,
            b'f' => JsonType::False,
            b'n' => JsonType::Null,
            _ => JsonType::Number,
        })
    }

    /// The whole document as a value; all of it has been validated.
    pub fn document(text: &'a [u8]) -> Scanned<Value<'a>> {
        let mut scanner = Self::new(text);
        let value = scanner.value(0)?;
        scanner.end()?;
        Ok(value)
    }

    /// Checks that only whitespace is left.
    pub fn end(&mut self) -> Scanned<()> {
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Scanned<u8> {
        self.text.get(self.at).copied().ok_or(Malformed)
    }

    fn expect(&mut self, byte: u8) -> Scanned<()> {
        self.skip_space();
        if self.peek()? != byte {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    /// The next value, of any type.
    pub fn value(&mut self, depth: usize) -> Scanned<Value<'a>> {
        let kind = self.next_kind()?;
        let start = self.at;
        match kind {
            JsonType::Object => self.members(depth, |_, _| ())?,
            JsonType::Array => self.items(depth, |_| ())?,
            JsonType::String => self.string().map(drop)?,
            JsonType::True => self.word(b"true")?,
            JsonType::False => self.word(b"false")?,
            JsonType::Null => self.word(b"null")?,
            JsonType::Number => self.number()?,
        }
        Ok(Value {
            kind,
            text: &self.text[start..self.at],
        })
    }

    /// Calls `visit` with the text of each key (between its quotes) and the value.
    pub fn members(&mut self, depth: usize, mut visit: impl FnMut(&'a [u8], Value<'a>)) -> Scanned<()> {
        self.expect(b'{')?;
        if self.is_closed(b'}', depth)? {
            return Ok(());
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            visit(key, value);
            if self.is_last(b'}')? {
                return Ok(());
            }
        }
    }

    /// Calls `visit` with each item.
    pub fn items(&mut self, depth: usize, mut visit: impl FnMut(Value<'a>)) -> Scanned<()> {
        self.expect(b'[')?;
        if self.is_closed(b']', depth)? {
            return Ok(());
        }
        loop {
            visit(self.value(depth + 1)?);
            if self.is_last(b']')? {
                return Ok(());
            }
        }
    }

    fn is_closed(&mut self, bracket: u8, depth: usize) -> Scanned<bool> {
        if depth >= DEPTH_MAX {
            return Err(Malformed);
        }
        self.skip_space();
        let is_closed = self.peek()? == bracket;
        self.at += usize::from(is_closed);
        Ok(is_closed)
    }

    fn is_last(&mut self, bracket: u8) -> Scanned<bool> {
        self.skip_space();
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Ok(false),
            _ if byte == bracket => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn word(&mut self, word: &[u8]) -> Scanned<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// A string from its quote on: the text between the quotes, escapes checked.
    fn string(&mut self) -> Scanned<&'a [u8]> {
        if self.peek()? != b'"' {
            return Err(Malformed);
        }
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.escape()?,
                0..=0x1f => return Err(Malformed),
                _ => self.at += 1 + plain(&self.text[self.at + 1..]),
            }
        }
        self.at += 1;
        Ok(&self.text[start..self.at - 1])
    }

    fn escape(&mut self) -> Scanned<()> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6).ok_or(Malformed)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Malformed);
                }
                self.at += 6;
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        self.at += usize::from(self.peek()? == b'-');
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(Malformed),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Scanned<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// A lower bound for the number of plain text bytes at the front of a string; examines eight at a time.
fn plain(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while let Some(chunk) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let controls = word.wrapping_sub(0x20 * ONES) & !word & HIGH;
        let special = zeros(word ^ (ONES * b'"' as u64)) | zeros(word ^ (ONES * b'\\' as u64)) | controls;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// Appends the text of a JSON string; `quoted` is a valid string between its quotes. A lone surrogate becomes U+FFFD.
pub fn unescape(quoted: &[u8], out: &mut Vec<u8>) {
    let mut rest = quoted;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let after = &rest[at + 2..];
        rest = match rest[at + 1] {
            b'b' => push(out, 8, after),
            b'f' => push(out, 12, after),
            b'n' => push(out, b'\n', after),
            b'r' => push(out, b'\r', after),
            b't' => push(out, b'\t', after),
            b'u' => unescape_code(after, out),
            other => push(out, other, after),
        };
    }
    out.extend_from_slice(rest);
}

fn push<'a>(out: &mut Vec<u8>, byte: u8, rest: &'a [u8]) -> &'a [u8] {
    out.push(byte);
    rest
}

/// Four hexadecimal digits, or eight of a surrogate pair with `\u` between.
fn unescape_code<'a>(digits: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let high = code(digits);
    let (mut character, mut rest) = (char::from_u32(high), &digits[4..]);
    if (0xd800..0xdc00).contains(&high) && rest.starts_with(b"\\u") {
        let low = code(&rest[2..]);
        if (0xdc00..0xe000).contains(&low) {
            character = char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            rest = &rest[6..];
        }
    }
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

fn code(digits: &[u8]) -> u32 {
    digits[..4]
        .iter()
        .fold(0, |code, digit| code << 4 | (*digit as char).to_digit(16).unwrap_or(0))
}

/// Appends a valid JSON text without the whitespace between its tokens.
pub fn write_compact(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b' ' | b'\n' | b'\r' | b'\t' => at += 1,
            b'"' => {
                let start = at;
                at += 1;
                while text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                out.extend_from_slice(&text[start..at]);
            }
            other => {
                out.push(other);
                at += 1;
            }
        }
    }
}

/// Like `write_compact`, but with the members of objects sorted by key; if a key occurs twice, keeps the last.
pub fn write_sorted(value: Value<'_>, out: &mut Vec<u8>) {
    let mut scanner = Scanner::new(value.text);
    match value.kind {
        JsonType::Object => {
            let mut members = Vec::new();
            let collected = scanner.members(0, |key, member| {
                let mut name = Vec::with_capacity(key.len());
                unescape(key, &mut name);
                members.push((name, key, member));
            });
            debug_assert!(collected.is_ok(), "it was validated before");
            members.sort_by(|left, right| left.0.cmp(&right.0));
            out.push(b'{');
            let mut is_first = true;
            for (at, (name, key, member)) in members.iter().enumerate() {
                if members.get(at + 1).is_some_and(|next| next.0 == *name) {
                    continue;
                }
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                out.push(b'"');
                out.extend_from_slice(key);
                out.extend_from_slice(b"\":");
                write_sorted(*member, out);
            }
            out.push(b'}');
        }
        JsonType::Array => {
            out.push(b'[');
            let mut at = 0;
            let _ = scanner.items(0, |item| {
                if at > 0 {
                    out.push(b',');
                }
                at += 1;
                write_sorted(item, out);
            });
            out.push(b']');
        }
        _ => out.extend_from_slice(value.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_json_and_nothing_else() {
        for good in [
            "1",
            "-0.5e+3",
            "\"a\\u00e9\"",
            "[]",
            "{ }",
            " [1, {\"a\":null}] ",
            "true",
        ] {
            assert!(Scanner::document(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "", "01", "1.", ".5", "+1", "[1,]", "{\"a\"}", "{a:1}", "'a'", "\"\\x\"", "tru", "1 2", "\"\n\"", "[",
            "NaN",
        ] {
            assert!(Scanner::document(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Scanner::document("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn strings_without_escapes() {
        let mut out = Vec::new();
        unescape(br#"a\n\"\u00e9\ud83d\ude00\ud800x"#, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a\n\"é😀\u{fffd}x");
    }
}
