//! A data page in memory, and the position up to which it has been read.

use std::sync::Arc;

use arrow_buffer::BooleanBuffer;

use super::header::{Encoding, PageHeader, PageKind};
use super::hybrid::{Hybrid, PADDING_BYTES, WIDTH_MAX};
use super::selection::Span;
use super::values::{plain_bytes, Dictionary, Kind, Output};
use super::{Result, ENDS_EARLY};

const LEVELS_LENGTH_BYTES: usize = 4;

/// Where the next value is.
enum Place {
    Plain(usize),
    Indexed(Hybrid),
}

/// One page of a column. The next page reuses its memory.
pub struct Page {
    /// The decompressed bytes, from the first level on, followed by PADDING_BYTES.
    pub bytes: Vec<u8>,
    end: usize,
    pub rows_left: usize,
    row: usize,
    /// None if no row is null.
    valid: Option<BooleanBuffer>,
    place: Place,
}

impl Page {
    /// `bytes`: memory to reuse; its content is irrelevant.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            end: 0,
            rows_left: 0,
            row: 0,
            valid: None,
            place: Place::Plain(0),
        }
    }

    /// Makes room for the bytes of the page.
    pub fn room(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < length + PADDING_BYTES {
            self.bytes.resize(length + PADDING_BYTES, 0);
        }
        self.end = length;
        &mut self.bytes[..length]
    }

    /// Locates levels and values, once the bytes have been read.
    pub fn begin(&mut self, header: &PageHeader, is_nullable: bool) -> Result<()> {
        let (levels, values) = self.parts(header, is_nullable)?;
        let mut count = header.values;
        self.valid = match levels {
            Some((at, end)) => Hybrid::new(at, end, 1).bits(&self.bytes, count)?,
            None => None,
        };
        if let Some(valid) = &self.valid {
            count = valid.count_set_bits();
        }
        self.place = match header.encoding {
            Encoding::Plain => Place::Plain(values),
            Encoding::Dictionary if count == 0 => Place::Indexed(Hybrid::new(self.end, self.end, 0)),
            Encoding::Dictionary => {
                let width = *self.bytes[..self.end].get(values).ok_or(ENDS_EARLY)?;
                if width > WIDTH_MAX {
                    return Err(format!("indices of {width} bits"));
                }
                Place::Indexed(Hybrid::new(values + 1, self.end, width))
            }
            Encoding::Other => return Err("a page has an encoding that the footer does not list".to_owned()),
        };
        self.row = 0;
        self.rows_left = header.values;
        Ok(())
    }

    /// Start and end of the definition levels, if there are any, and the start of the values.
    fn parts(&self, header: &PageHeader, is_nullable: bool) -> Result<(Option<(usize, usize)>, usize)> {
        let (start, length) = match header.kind {
            PageKind::DataV2 {
                repetition, definition, ..
            } => (repetition, definition),
            _ if !is_nullable => return Ok((None, 0)),
            _ if !header.has_run_levels => return Err("definition levels of an unknown encoding".to_owned()),
            _ => {
                let length = self.bytes[..self.end].get(..LEVELS_LENGTH_BYTES).ok_or(ENDS_EARLY)?;
                let length = u32::from_le_bytes(length.try_into().expect("they are four"));
                (LEVELS_LENGTH_BYTES, length as usize)
            }
        };
        let end = start
            .checked_add(length)
            .filter(|&end| end <= self.end)
            .ok_or(ENDS_EARLY)?;
        Ok(((is_nullable && length > 0).then_some((start, end)), end))
    }

    /// The validity of the next rows, unless all are valid, and their number of values.
    fn next_rows(&self, rows: usize) -> (Option<BooleanBuffer>, usize) {
        let valid = self.valid.as_ref().map(|valid| valid.slice(self.row, rows));
        let count = valid.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        (valid.filter(|_| count < rows), count)
    }

    pub fn skip(&mut self, rows: usize, kind: Kind) -> Result<()> {
        let (_, count) = self.next_rows(rows);
        match &mut self.place {
            Place::Plain(at) => *at += plain_bytes(&self.bytes[*at..self.end], count, kind)?,
            Place::Indexed(hybrid) => hybrid.skip(&self.bytes, count)?,
        }
        self.row += rows;
        self.rows_left -= rows;
        Ok(())
    }

    /// The selected ones of the next `span.rows` rows. `keeps`: as indices, if the page has indices.
    pub fn read(
        &mut self,
        span: &Span,
        dictionary: Option<&Arc<Dictionary>>,
        keeps: bool,
        indices: &mut Vec<u32>,
        output: &mut Output,
    ) -> Result<()> {
        let (valid, count) = self.next_rows(span.rows);
        match &mut self.place {
            Place::Plain(at) => {
                *at += output.add_plain(&self.bytes[*at..self.end], span, valid.as_ref())?;
            }
            Place::Indexed(hybrid) => {
                let dictionary = dictionary.ok_or("a page of indices without a dictionary")?;
                indices.clear();
                hybrid.read(&self.bytes, count, dictionary.len(), indices)?;
                output.add_indexed(indices, dictionary, span, valid.as_ref(), keeps)?;
            }
        }
        self.row += span.rows;
        self.rows_left -= span.rows;
        Ok(())
    }
}
