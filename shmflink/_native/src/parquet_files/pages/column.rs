//! A column of consecutive row groups.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use parquet::file::reader::Length;

use super::super::local_file::LocalFile;
use super::header::{Encoding, PageHeader, PageKind};
use super::page::Page;
use super::selection::Span;
use super::thrift::Stop;
use super::values::{Dictionary, Kind, Output};
use super::{Result, ENDS_EARLY};

/// Bytes read of a page at first: its header, and usually nothing of the next page.
const HEADER_BYTES: usize = 1 << 10;
/// The limit of a header, whose statistics may be long.
const HEADER_BYTES_MAX: usize = 4 << 20;

/// Larger dictionaries are not returned: processing all their values may take longer than processing the rows.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Snappy encodes a copy of up to 64 bytes in three bytes.
const COMPRESSION_MAX: usize = 22;

/// Memory that the columns use alternately.
#[derive(Default)]
pub struct Scratch {
    compressed: Vec<u8>,
    indices: Vec<u32>,
    decoder: snap::raw::Decoder,
}

/// The pages of a column in one row group, as a byte range of the file.
#[derive(Clone, Copy)]
pub struct Chunk {
    pub start: u64,
    pub end: u64,
    pub rows: usize,
    pub is_compressed: bool,
}

pub struct ColumnDecoder {
    file: LocalFile,
    chunks: VecDeque<Chunk>,
    kind: Kind,
    data_type: DataType,
    is_nullable: bool,
    keeps_dictionaries: bool,
    /// The current chunk: where its next page begins, and the rows whose page is not in memory yet.
    at: u64,
    chunk: Chunk,
    dictionary: Option<Arc<Dictionary>>,
    is_kept: bool,
    page: Page,
    /// Rows to skip before the next selected one.
    behind: usize,
}

impl ColumnDecoder {
    /// `keeps_dictionaries`: strings with small dictionaries are returned as dictionaries. `memory`: of an earlier
    /// page.
    pub fn new(
        file: LocalFile,
        chunks: VecDeque<Chunk>,
        kind: Kind,
        data_type: DataType,
        is_nullable: bool,
        keeps_dictionaries: bool,
        memory: Vec<u8>,
    ) -> Self {
        let chunk = Chunk {
            start: 0,
            end: 0,
            rows: 0,
            is_compressed: false,
        };
        Self {
            file,
            chunks,
            kind,
            data_type,
            is_nullable,
            keeps_dictionaries: keeps_dictionaries && matches!(kind, Kind::Text | Kind::Bytes),
            at: 0,
            chunk,
            dictionary: None,
            is_kept: false,
            page: Page::new(memory),
            behind: 0,
        }
    }

    /// Returns the memory of its pages, for another column.
    pub fn into_memory(self) -> Vec<u8> {
        self.page.bytes
    }

    pub fn skip(&mut self, rows: usize) {
        self.behind += rows;
    }

    /// The selected ones of the next `rows` rows; `mask` has one bit per row, None selects all.
    pub fn take(&mut self, rows: usize, mask: Option<&BooleanBuffer>, scratch: &mut Scratch) -> Result<ArrayRef> {
        let mut output = Output::new(self.kind);
        let mut done = 0;
        while done < rows {
            let left = rows - done;
            let idle = mask.map_or(0, |mask| idle_rows(mask, done));
            if idle > 0 {
                self.behind += idle;
                done += idle;
                continue;
            }
            self.catch_up(scratch)?;
            if self.page.rows_left == 0 {
                self.next_page(scratch)?;
                continue;
            }
            let span = Span::of(mask, done, left.min(self.page.rows_left));
            done += span.rows;
            let (dictionary, keeps) = (self.dictionary.as_ref(), self.is_kept);
            self.page
                .read(&span, dictionary, keeps, &mut scratch.indices, &mut output)?;
        }
        output.finish(&self.data_type)
    }

    fn catch_up(&mut self, scratch: &mut Scratch) -> Result<()> {
        while self.behind > 0 {
            let rows = self.behind.min(self.page.rows_left);
            if rows == 0 {
                self.next_page(scratch)?;
                continue;
            }
            self.page.skip(rows, self.kind)?;
            self.behind -= rows;
        }
        Ok(())
    }

    /// Loads the next data page, or skips it if none of its rows is selected.
    fn next_page(&mut self, scratch: &mut Scratch) -> Result<()> {
        if self.chunk.rows == 0 {
            self.chunk = self.chunks.pop_front().ok_or(ENDS_EARLY)?;
            self.at = self.chunk.start;
            self.dictionary = None;
            self.is_kept = false;
            return Ok(());
        }
        let header = self.header(&mut scratch.compressed)?;
        let body = self.at + header.bytes as u64;
        self.at = body + header.compressed as u64;
        if self.at > self.chunk.end {
            return Err(ENDS_EARLY.to_owned());
        }
        match header.kind {
            PageKind::Other => Ok(()),
            PageKind::Dictionary => self.load_dictionary(&header, body, scratch),
            PageKind::Data | PageKind::DataV2 { .. } => self.load_data(&header, body, scratch),
        }
    }

    fn header(&self, buffer: &mut Vec<u8>) -> Result<PageHeader> {
        let held = self.chunk.end.min(self.file.len()).saturating_sub(self.at) as usize;
        let mut length = HEADER_BYTES;
        loop {
            let bytes = self.file.read_into(buffer, self.at, length.min(held))?;
            match PageHeader::read(bytes) {
                Ok(header) => return Ok(header),
                Err(Stop::Short) if length < held.min(HEADER_BYTES_MAX) => length *= 8,
                Err(Stop::Short) => return Err(ENDS_EARLY.to_owned()),
                Err(Stop::Bad) => return Err("an invalid page header".to_owned()),
            }
        }
    }

    fn load_data(&mut self, header: &PageHeader, body: u64, scratch: &mut Scratch) -> Result<()> {
        if header.values > self.chunk.rows {
            return Err("a page has more rows than its row group".to_owned());
        }
        self.chunk.rows -= header.values;
        if header.values <= self.behind {
            self.behind -= header.values;
            return Ok(());
        }
        self.load(header, body, scratch)?;
        self.page.begin(header, self.is_nullable)
    }

    fn load_dictionary(&mut self, header: &PageHeader, body: u64, scratch: &mut Scratch) -> Result<()> {
        if self.dictionary.is_some() || header.encoding == Encoding::Other {
            return Err("a dictionary page is not the first page".to_owned());
        }
        self.load(header, body, scratch)?;
        let bytes = &self.page.bytes[..header.uncompressed];
        self.dictionary = Some(Arc::new(Dictionary::of(bytes, header.values, self.kind)?));
        self.is_kept = self.keeps_dictionaries && header.uncompressed <= KEPT_BYTES_MAX;
        Ok(())
    }

    /// The bytes of a page, decompressed.
    fn load(&mut self, header: &PageHeader, body: u64, scratch: &mut Scratch) -> Result<()> {
        let (length, stored) = (header.uncompressed, header.compressed);
        let (levels, is_compressed) = match header.kind {
            PageKind::DataV2 {
                repetition,
                definition,
                is_compressed,
            } => (repetition.saturating_add(definition), is_compressed),
            _ => (0, true),
        };
        if !(self.chunk.is_compressed && is_compressed) {
            if length != stored {
                return Err("an uncompressed page has two different lengths".to_owned());
            }
            return self.file.read_exactly(self.page.room(length), body);
        }
        let compressed = self.file.read_into(&mut scratch.compressed, body, stored)?;
        let (head, tail) = compressed.split_at_checked(levels).ok_or(ENDS_EARLY)?;
        let told = match tail {
            [] => 0, // if all rows are null
            _ => snap::raw::decompress_len(tail).map_err(|error| error.to_string())?,
        };
        if levels.checked_add(told) != Some(length) || told / COMPRESSION_MAX > tail.len() {
            return Err("the length of a page differs from its header".to_owned());
        }
        let (levels, values) = self.page.room(length).split_at_mut(levels);
        levels.copy_from_slice(head);
        if tail.is_empty() {
            return Ok(());
        }
        let decompressed = scratch.decoder.decompress(tail, values);
        decompressed.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// The number of rows from `at` on that are not selected.
fn idle_rows(mask: &BooleanBuffer, at: usize) -> usize {
    if mask.value(at) {
        return 0;
    }
    let rest = mask.slice(at, mask.len() - at);
    let first = rest.set_indices().next();
    first.unwrap_or(rest.len())
}
