//! One line of JSON: a cursor over its tokens. Strings, numbers, and skipping other values.

/// Why a line is malformed; `path` is filled from the inside out.
#[derive(Debug)]
pub struct Fault {
    pub reason: String,
    pub path: Vec<String>,
}

pub type Read<T> = Result<T, Fault>;

#[cold]
pub fn fault<T>(reason: impl Into<String>) -> Read<T> {
    Err(Fault {
        reason: reason.into(),
        path: Vec::new(),
    })
}

const DEPTH_MAX: usize = 1000;

/// A position in a line: `text[at..end]` has not been read yet.
pub struct Cursor<'a> {
    pub text: &'a [u8],
    pub at: usize,
    pub end: usize,
}

/// What a string is: its bytes as they are written, between the quotes.
#[derive(Clone, Copy)]
pub struct Quoted {
    pub start: usize,
    pub end: usize,
    pub has_escapes: bool,
}

impl Cursor<'_> {
    /// The next byte, 0 at the end of the line.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        if self.at < self.end {
            self.text[self.at]
        } else {
            0
        }
    }

    /// The next byte that is not a space.
    #[inline(always)]
    pub fn skip_spaces(&mut self) -> u8 {
        loop {
            let byte = self.peek();
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return byte;
            }
            self.at += 1;
        }
    }

    #[inline(always)]
    pub fn expect(&mut self, byte: u8) -> Read<()> {
        if self.skip_spaces() != byte {
            return self.unexpected(&format!("`{}`", char::from(byte)));
        }
        self.at += 1;
        Ok(())
    }

    #[cold]
    pub fn unexpected<T>(&self, wanted: &str) -> Read<T> {
        if self.at >= self.end {
            return fault(format!("the line ends where {wanted} was expected"));
        }
        let rest = &self.text[self.at..self.end.min(self.at + 20)];
        fault(format!(
            "`{}` where {wanted} was expected",
            String::from_utf8_lossy(rest)
        ))
    }

    /// Takes `word` if it is next.
    #[inline(always)]
    pub fn take(&mut self, word: &[u8]) -> bool {
        let is_next = self.text[self.at.min(self.end)..self.end].starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// A string; the cursor is at its opening quote.
    #[inline(always)]
    pub fn string(&mut self) -> Read<Quoted> {
        let start = self.at + 1;
        let mut at = start;
        let mut has_escapes = false;
        loop {
            at = special(self.text, at, self.end);
            match self.text.get(at) {
                _ if at >= self.end => return fault("a string is not closed"),
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    at += 2;
                }
                _ => return fault("a control character inside a string"),
            }
        }
        self.at = at + 1;
        Ok(Quoted {
            start,
            end: at,
            has_escapes,
        })
    }

    /// The end of the number at the cursor; the cursor moves there.
    #[inline(always)]
    pub fn number(&mut self) -> (usize, usize) {
        let start = self.at;
        let mut at = start + usize::from(self.peek() == b'-');
        at = digits_end(self.text, at, self.end);
        if at < self.end && matches!(self.text[at], b'.' | b'e' | b'E') {
            while at < self.end && matches!(self.text[at], b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') {
                at += 1;
            }
        }
        self.at = at;
        (start, at)
    }

    /// Skips a value of any kind. The content of objects and arrays is not checked.
    pub fn skip_value(&mut self) -> Read<()> {
        match self.skip_spaces() {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.skip_nested(),
            b'0'..=b'9' | b'-' if self.skip_number() => Ok(()),
            _ => {
                let start = self.at;
                while !matches!(self.peek(), b',' | b'}' | b']' | 0 | b' ' | b'\t' | b'\r') {
                    self.at += 1;
                }
                if is_scalar(&self.text[start..self.at]) {
                    return Ok(());
                }
                self.at = start;
                self.unexpected("a value")
            }
        }
    }

    /// Skips a plain number; does not move for text that only begins like one.
    #[inline(always)]
    fn skip_number(&mut self) -> bool {
        let (start, end) = self.number();
        let ends = matches!(self.peek(), b',' | b'}' | b']' | 0 | b' ' | b'\t' | b'\r');
        let is_number = ends && self.text[end - 1].is_ascii_digit();
        if !is_number {
            self.at = start;
        }
        is_number
    }

    fn skip_nested(&mut self) -> Read<()> {
        let mut depth = 0;
        loop {
            match self.peek() {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ if self.at >= self.end => return fault("an object or array is not closed"),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
            if depth > DEPTH_MAX {
                return fault(format!("objects and arrays nested more than {DEPTH_MAX} deep"));
            }
        }
    }
}

fn is_scalar(word: &[u8]) -> bool {
    matches!(word, b"true" | b"false" | b"null" | b"NaN" | b"Infinity" | b"-Infinity")
        || (matches!(word.first(), Some(b'-' | b'0'..=b'9'))
            && std::str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok()))
}

/// The first quote, backslash or control character in `text[at..end]`, otherwise `end`.
#[inline(always)]
fn special(text: &[u8], mut at: usize, end: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    while at + 16 <= text.len() && at < end {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        };
        // SAFETY: 16 bytes are readable at `at`; SSE2 is part of x86_64.
        let found = unsafe {
            let bytes = _mm_loadu_si128(text.as_ptr().add(at).cast());
            let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
            let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
            let last = _mm_set1_epi8(0x1F);
            let controls = _mm_cmpeq_epi8(_mm_max_epu8(bytes, last), last);
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, escapes), controls))
        };
        if found != 0 {
            return end.min(at + found.trailing_zeros() as usize);
        }
        at += 16;
    }
    while at < end && !matches!(text[at], b'"' | b'\\' | 0..=0x1F) {
        at += 1;
    }
    at.min(end)
}

/// The first byte in `text[at..end]` that is not a digit, otherwise `end`.
#[inline(always)]
fn digits_end(text: &[u8], mut at: usize, end: usize) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while at + 8 <= text.len() && at < end {
        let word = u64::from_le_bytes(text[at..at + 8].try_into().expect("eight bytes")) ^ 0x3030_3030_3030_3030;
        let others = (((word & !HIGH) + 0x7676_7676_7676_7676) | word) & HIGH;
        if others != 0 {
            return end.min(at + others.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    while at < end && text[at].is_ascii_digit() {
        at += 1;
    }
    at.min(end)
}

/// Appends the unescaped content of a string.
#[cold]
pub fn unescape(written: &[u8], to: &mut Vec<u8>) -> Read<()> {
    let mut rest = written;
    while let Some(place) = rest.iter().position(|&byte| byte == b'\\') {
        to.extend_from_slice(&rest[..place]);
        let letter = rest.get(place + 1).copied();
        rest = rest.get(place + 2..).unwrap_or_default();
        to.push(match letter {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (character, used) = code_point(rest)?;
                let mut bytes = [0; 4];
                to.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                rest = &rest[used..];
                continue;
            }
            _ => return fault("an unknown escape inside a string"),
        });
    }
    to.extend_from_slice(rest);
    Ok(())
}

/// The character after `\u`, possibly a surrogate pair, and its number of bytes.
fn code_point(text: &[u8]) -> Read<(char, usize)> {
    let Some(first) = hexadecimal(text) else {
        return fault("`\\u` needs four hexadecimal digits");
    };
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).map_or_else(|| fault("half a surrogate pair"), |character| Ok((character, 4)));
    }
    let second = text
        .get(4..)
        .filter(|rest| rest.starts_with(b"\\u"))
        .and_then(|rest| hexadecimal(&rest[2..]));
    match second {
        Some(second @ 0xDC00..0xE000) => {
            let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            char::from_u32(code).map_or_else(|| fault("half a surrogate pair"), |character| Ok((character, 10)))
        }
        _ => fault("half a surrogate pair"),
    }
}

fn hexadecimal(text: &[u8]) -> Option<u32> {
    let digits = text.get(..4)?;
    digits
        .iter()
        .try_fold(0, |value, &byte| Some(value * 16 + char::from(byte).to_digit(16)?))
}

/// Appends the bytes that base64 of either alphabet encodes.
pub fn base64(text: &[u8], to: &mut Vec<u8>) -> Read<()> {
    let digits = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    if digits.len() % 4 == 1 {
        return fault("not base64");
    }
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in digits {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return fault("not base64"),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            to.push((bits >> count) as u8);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(written: &str) -> Option<String> {
        let mut bytes = Vec::new();
        unescape(written.as_bytes(), &mut bytes).ok()?;
        String::from_utf8(bytes).ok()
    }

    #[test]
    fn escapes() {
        assert_eq!(
            unescaped(r#"a\"\\\/\b\f\n\r\tb"#).as_deref(),
            Some("a\"\\/\u{8}\u{c}\n\r\tb")
        );
        assert_eq!(unescaped(r"\u00e4\ud83d\ude00x").as_deref(), Some("ä😀x"));
        for wrong in [r"\x", r"\u12", r"\ud83d", r"\ud83dx\u1234", r"\ude00", "\\"] {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_end_where_they_end() {
        for padding in [0, 20] {
            let text = format!(
                "123456789012,\"abcdefghijklmnopqrstu\\\"v\" -1.5e+3]{}",
                " ".repeat(padding)
            );
            let mut cursor = Cursor {
                text: text.as_bytes(),
                at: 0,
                end: text.len(),
            };
            assert_eq!(cursor.number(), (0, 12));
            cursor.expect(b',').unwrap();
            let string = cursor.string().unwrap();
            assert_eq!(&text[string.start..string.end], "abcdefghijklmnopqrstu\\\"v");
            assert!(string.has_escapes);
            cursor.skip_spaces();
            let (start, end) = cursor.number();
            assert_eq!(&text[start..end], "-1.5e+3");
            assert_eq!(cursor.peek(), b']');
        }
    }

    #[test]
    fn values_are_passed_over() {
        let text = br#"{"a": [1, "}]", {}]} , null"#;
        let mut cursor = Cursor {
            text,
            at: 0,
            end: text.len(),
        };
        cursor.skip_value().unwrap();
        cursor.expect(b',').unwrap();
        cursor.skip_value().unwrap();
        assert_eq!(cursor.at, text.len());
        for wrong in ["", "nul", "{", "[\"a]", "+1", "tru e"] {
            let mut cursor = Cursor {
                text: wrong.as_bytes(),
                at: 0,
                end: wrong.len(),
            };
            assert!(cursor.skip_value().is_err(), "{wrong}");
        }
    }
}
