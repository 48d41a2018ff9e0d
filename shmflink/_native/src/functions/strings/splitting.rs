//! Lines into words. The words of all rows are consecutive in one buffer, without the separators.

use std::sync::Arc;

use arrow_array::{Array, ListArray, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::column::{strings, to_pyarrow, too_long, write_strings, Numbers, Texts};

const LANES: usize = 64; // bytes that are compared at once
const BLOCK: usize = 16; // bytes that are copied at once

/// The words of a result.
struct Words {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    lists: Vec<i32>,
}

impl Words {
    fn new(rows: usize, bytes: usize) -> Self {
        let mut lists = Vec::with_capacity(rows + 1);
        lists.push(0);
        let mut ends = Vec::with_capacity(bytes / 4 + rows + 1);
        ends.push(0);
        Self {
            bytes: Vec::with_capacity(bytes + BLOCK),
            ends,
            lists,
        }
    }

    #[inline]
    fn push(&mut self, word: &[u8]) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len() as i32);
    }

    #[inline]
    fn finish_row(&mut self) -> PyResult<()> {
        self.lists
            .push(i32::try_from(self.ends.len() - 1).map_err(|_| too_long())?);
        Ok(())
    }

    fn into_lists(self, texts: &StringArray) -> ListArray {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        // SAFETY: the words are parts of UTF-8 strings between separators that are whole UTF-8 strings themselves, or
        // between ASCII bytes or at ends of characters: each is UTF-8. Offsets ascend and end at the length of the
        // buffer; the input has less than 2 GiB, and no word is longer than its row.
        let words = unsafe { StringArray::new_unchecked(offsets, Buffer::from_vec(self.bytes), None) };
        let field = Arc::new(Field::new("item", DataType::Utf8, true));
        let lists = OffsetBuffer::new(ScalarBuffer::from(self.lists));
        ListArray::new(field, lists, Arc::new(words), texts.nulls().cloned())
    }
}

/// A list of the parts between separators for each string; one part if there is no separator. An empty separator splits
/// into characters; None: runs of ASCII white space, without empty parts.
#[pyfunction]
#[pyo3(signature = (texts, separator = None))]
fn split_text(py: Python<'_>, texts: PyArray, separator: Option<&str>) -> PyResult<Py<PyAny>> {
    let texts = strings(&texts)?;
    let lists = py.detach(|| -> PyResult<ListArray> {
        let size = texts.value_offsets()[texts.len()] - texts.value_offsets()[0];
        let mut words = Words::new(texts.len(), size as usize);
        let all = texts.values().as_slice();
        for row in 0..texts.len() {
            if texts.is_valid(row) {
                let ends = texts.value_offsets();
                let (from, to) = (ends[row] as usize, ends[row + 1] as usize);
                match separator.map(str::as_bytes) {
                    None => at_spaces(all, from, to, &mut words),
                    Some([]) => at_characters(texts.value(row), &mut words),
                    Some([byte]) => at_byte(all, from, to, *byte, &mut words),
                    Some(_) => {
                        let parts = texts.value(row).split(separator.unwrap_or_default());
                        parts.for_each(|word| words.push(word.as_bytes()));
                    }
                }
            }
            words.finish_row()?;
        }
        Ok(words.into_lists(&texts))
    })?;
    to_pyarrow(py, Arc::new(lists))
}

fn at_characters(text: &str, words: &mut Words) {
    let mut letters = [0; 4];
    for letter in text.chars() {
        words.push(letter.encode_utf8(&mut letters).as_bytes());
    }
}

/// Words are short: compares 64 bytes at once and takes the hits from a mask one by one, so that branches are rarely
/// mispredicted. The row is `all[from..to]`.
fn at_byte(all: &[u8], from: usize, to: usize, separator: u8, words: &mut Words) {
    let mut start = from;
    for at in (from..to).step_by(LANES) {
        let mut hits = mask(all, at, to, |byte| byte == separator);
        while hits != 0 {
            let end = at + hits.trailing_zeros() as usize;
            push_short(all, start, end, words);
            start = end + 1;
            hits &= hits - 1;
        }
    }
    push_short(all, start, to, words);
}

/// Words start where white space ends, and end where it begins.
fn at_spaces(all: &[u8], from: usize, to: usize, words: &mut Words) {
    let mut start = from;
    for at in (from..to).step_by(LANES) {
        let mut hits = mask(all, at, to, is_space);
        while hits != 0 {
            let end = at + hits.trailing_zeros() as usize;
            if end > start {
                push_short(all, start, end, words);
            }
            start = end + 1;
            hits &= hits - 1;
        }
    }
    if to > start {
        push_short(all, start, to, words);
    }
}

/// Copies a whole block if the word fits into one, which is cheaper than copying its exact length.
#[inline]
fn push_short(all: &[u8], start: usize, end: usize, words: &mut Words) {
    let length = end - start;
    if length > BLOCK || start + BLOCK > all.len() {
        words.push(&all[start..end]);
        return;
    }
    let filled = words.bytes.len();
    words.bytes.reserve(BLOCK);
    // SAFETY: `start + BLOCK <= all.len()`, and the vector has room for BLOCK bytes after `filled`. All of them are
    // written here; only the first `length` are kept.
    unsafe {
        std::ptr::copy_nonoverlapping(all.as_ptr().add(start), words.bytes.as_mut_ptr().add(filled), BLOCK);
        words.bytes.set_len(filled + length);
    }
    words.ends.push((filled + length) as i32);
}

/// One bit per byte of the 64 from `at` on: set if the byte matches and is before `to`.
#[inline]
fn mask(all: &[u8], at: usize, to: usize, is_wanted: impl Fn(u8) -> bool) -> u64 {
    let mut padded = [0; LANES];
    let block: &[u8; LANES] = match all.get(at..at + LANES).and_then(|block| block.try_into().ok()) {
        Some(block) => block,
        None => {
            padded[..all.len() - at].copy_from_slice(&all[at..]);
            &padded
        }
    };
    let mut hits = [0_u8; LANES];
    for (hit, byte) in hits.iter_mut().zip(block) {
        *hit = u8::from(is_wanted(*byte));
    }
    let mut bits = 0;
    for (index, eight) in hits.chunks_exact(8).enumerate() {
        // The lowest bits of eight bytes, gathered in the highest byte of a product.
        let bytes = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        bits |= (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * index);
    }
    match to - at {
        inside @ 0..LANES => bits & ((1 << inside) - 1),
        _ => bits,
    }
}

#[inline]
fn is_space(byte: u8) -> bool {
    byte == b' ' || byte.wrapping_sub(b'\t') < 5
}

/// Part `index`, from 0, of each string between separators; null if there is none.
#[pyfunction]
fn split_part(py: Python<'_>, texts: PyArray, separator: PyArray, index: PyArray, rows: usize) -> PyResult<Py<PyAny>> {
    let (texts, separators) = (Texts::new(&texts, rows)?, Texts::new(&separator, rows)?);
    let indexes = Numbers::new(&index, rows)?;
    write_strings(py, rows, texts.size(rows), |row, out| {
        let (text, separator) = (texts.get(row)?, separators.get(row)?);
        let index = usize::try_from(indexes.get(row)?).ok()?;
        if text.is_empty() {
            return None;
        }
        let part = if separator.is_empty() {
            text.split_whitespace().nth(index)?
        } else {
            text.split(separator).nth(index)?
        };
        out.extend_from_slice(part.as_bytes());
        Some(())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(split_text, module)?)?;
    module.add_function(wrap_pyfunction!(split_part, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, separator: Option<u8>) -> Vec<String> {
        let mut words = Words::new(1, text.len());
        match separator {
            Some(byte) => at_byte(text.as_bytes(), 0, text.len(), byte, &mut words),
            None => at_spaces(text.as_bytes(), 0, text.len(), &mut words),
        }
        words
            .ends
            .windows(2)
            .map(|ends| String::from_utf8(words.bytes[ends[0] as usize..ends[1] as usize].to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn words_of_any_length_at_any_place() {
        for length in 0..70 {
            for step in 1..9 {
                let text: String = (0..length)
                    .map(|index| {
                        if index % step == 0 {
                            ' '
                        } else {
                            char::from(b'a' + (index % 26) as u8)
                        }
                    })
                    .collect();
                let expected: Vec<&str> = text.split(' ').collect();
                assert_eq!(split(&text, Some(b' ')), expected);
                let expected: Vec<&str> = text.split_ascii_whitespace().collect();
                assert_eq!(split(&text, None), expected);
            }
        }
        assert_eq!(
            split("ünï  cödé\twörd and more of them\n", None),
            ["ünï", "cödé", "wörd", "and", "more", "of", "them"]
        );
    }
}
