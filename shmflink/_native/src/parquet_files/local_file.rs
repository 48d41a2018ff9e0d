//! Bytes of a local file for the decoder.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::buf::{Buf, Reader};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Files up to this size are read at once: one call instead of one or two per page.
const WHOLE_BYTES_MAX: u64 = 256 << 10;

/// Bytes read at the end of larger files, which usually include the footer.
const TAIL_BYTES: u64 = 64 << 10;

/// Page headers are read through a buffer of this size; pages themselves are not.
const HEADER_BUFFER_BYTES: usize = 1 << 10;

/// An open file, and its last bytes (all of them, if it is small). Copies share both.
#[derive(Clone)]
pub struct LocalFile {
    file: Arc<File>,
    len: u64,
    tail: Bytes,
}

impl LocalFile {
    pub fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let tail_bytes = if len <= WHOLE_BYTES_MAX { len } else { TAIL_BYTES };
        let tail = read_at(&file, len - tail_bytes, tail_bytes as usize)?;
        Ok(Self {
            file: Arc::new(file),
            len,
            tail,
        })
    }

    /// The bytes from `start` on, in a buffer that grows if necessary.
    pub fn read_into<'a>(
        &self,
        buffer: &'a mut Vec<u8>,
        start: u64,
        length: usize,
    ) -> std::result::Result<&'a [u8], String> {
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        self.read_exactly(&mut buffer[..length], start)?;
        Ok(&buffer[..length])
    }

    /// Fills `into` with the bytes from `start` on.
    pub fn read_exactly(&self, into: &mut [u8], start: u64) -> std::result::Result<(), String> {
        let held = self.in_tail(start).and_then(|at| self.tail.get(at..at + into.len()));
        match held {
            Some(bytes) => into.copy_from_slice(bytes),
            None => self
                .file
                .read_exact_at(into, start)
                .map_err(|error| error.to_string())?,
        }
        Ok(())
    }

    fn in_tail(&self, start: u64) -> Option<usize> {
        let tail_start = self.len - self.tail.len() as u64;
        (tail_start <= start && start <= self.len).then(|| (start - tail_start) as usize)
    }
}

fn read_at(file: &File, start: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes.into())
}

impl Length for LocalFile {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for LocalFile {
    type T = Piece;

    fn get_read(&self, start: u64) -> Result<Piece> {
        if start > self.len {
            return Err(beyond(start, self.len));
        }
        Ok(match self.in_tail(start) {
            Some(at) => Piece::Memory(self.tail.slice(at..).reader()),
            None => Piece::File(BufReader::with_capacity(
                HEADER_BUFFER_BYTES,
                FileAt {
                    file: Arc::clone(&self.file),
                    at: start,
                },
            )),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|&end| end <= self.len);
        if end.is_none() {
            return Err(beyond(start.saturating_add(length as u64), self.len));
        }
        match self.in_tail(start) {
            Some(at) => Ok(self.tail.slice(at..at + length)),
            None => Ok(read_at(&self.file, start, length)?),
        }
    }
}

fn beyond(end: u64, len: u64) -> ParquetError {
    ParquetError::EOF(format!("byte {end} was requested from a file of {len} bytes"))
}

/// The bytes of a file from a position on.
pub enum Piece {
    Memory(Reader<Bytes>),
    File(BufReader<FileAt>),
}

impl Read for Piece {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(reader) => reader.read(into),
            Self::File(reader) => reader.read(into),
        }
    }
}

/// Keeps its own file position, because readers of several columns share the descriptor.
pub struct FileAt {
    file: Arc<File>,
    at: u64,
}

impl Read for FileAt {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
