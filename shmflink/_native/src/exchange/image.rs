//! A record batch as one run of bytes (an *image*): header, tables, then buffers at 64-byte aligned offsets.
//!
//! ```text
//!  0  u32 magic "SFB1"   4  u32 schema id   8  u64 rows   16  u32 nodes   20  u32 buffers   24  u64 bytes of the image
//! 32  nodes     one for each array, depth first:   u64 rows, u64 nulls
//!     buffers   in Arrow's order within the array: u64 offset, u64 bytes; 0, 0 = no validity bitmap
//!     then, each at a multiple of 64, the buffers
//! ```
//! Numbers are little endian. The schema determines the order of nodes and buffers. A view column has one data buffer,
//! a dictionary is the child of its keys. An image is stored in one segment, or in several if it is larger.

use super::bits;
use super::columns::{Column, Offsets, Shape, Values};

pub const MAGIC: u32 = u32::from_le_bytes(*b"SFB1");
pub const HEADER_BYTES: usize = 32;
pub const NODE_BYTES: usize = 16;
pub const BUFFER_BYTES: usize = 16;
pub const ALIGNMENT: usize = 64;

pub fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Where the first buffer may begin.
pub fn body_offset(shape: Shape) -> usize {
    aligned(HEADER_BYTES + shape.nodes * NODE_BYTES + shape.buffers * BUFFER_BYTES)
}

#[inline]
pub fn put_u64(out: &mut [u8], at: usize, value: u64) {
    out[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

#[inline]
pub fn put_u32(out: &mut [u8], at: usize, value: u32) {
    out[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub fn put_header(out: &mut [u8], schema: u32, rows: usize, shape: Shape, bytes: usize) {
    put_u32(out, 0, MAGIC);
    put_u32(out, 4, schema);
    put_u64(out, 8, rows as u64);
    put_u32(out, 16, shape.nodes as u32);
    put_u32(out, 20, shape.buffers as u32);
    put_u64(out, 24, bytes as u64);
}

pub fn put_node(out: &mut [u8], node: usize, rows: usize, nulls: usize) {
    let at = HEADER_BYTES + node * NODE_BYTES;
    put_u64(out, at, rows as u64);
    put_u64(out, at + 8, nulls as u64);
}

pub fn put_buffer(out: &mut [u8], shape: Shape, buffer: usize, offset: usize, bytes: usize) {
    let at = HEADER_BYTES + shape.nodes * NODE_BYTES + buffer * BUFFER_BYTES;
    put_u64(out, at, offset as u64);
    put_u64(out, at + 8, bytes as u64);
}

/// The long value to which a view points: buffer index and range. None for an inline value.
fn long_view(view: u128) -> Option<(usize, usize, usize)> {
    let bytes = view as u32 as usize;
    let (buffer, offset) = ((view >> 64) as u32 as usize, (view >> 96) as usize);
    (bytes > 12).then_some((buffer, offset, bytes))
}

fn is_valid(column: &Column, row: usize) -> bool {
    column.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
}

/// The most bytes that rows `start` to `start + rows` can take, without the header and tables.
pub fn measure(column: &Column, start: usize, rows: usize) -> usize {
    let validity = column.nulls.as_ref().map_or(0, |_| aligned(rows.div_ceil(8)));
    validity
        + match &column.values {
            Values::Null => 0,
            Values::Fixed { width, .. } => aligned(rows * width),
            Values::Bits { .. } => aligned(rows.div_ceil(8)),
            Values::Bytes { offsets, .. } => {
                let data = offsets.at(start + rows) - offsets.at(start);
                aligned((rows + 1) * offsets.width()) + aligned(data)
            }
            Values::Views { views, .. } => {
                let views = &views.typed_data::<u128>()[start..start + rows];
                let long = views
                    .iter()
                    .filter_map(|view| long_view(*view))
                    .map(|(_, _, bytes)| bytes);
                aligned(rows * 16) + aligned(long.sum())
            }
            Values::List { offsets, items } => {
                let (first, last) = (offsets.at(start), offsets.at(start + rows));
                aligned((rows + 1) * offsets.width()) + measure(items, first, last - first)
            }
            Values::FixedList { size, items } => measure(items, start * size, rows * size),
            Values::Struct { fields } => fields.iter().map(|field| measure(field, start, rows)).sum(),
            Values::Dictionary { width, values, .. } => aligned(rows * width) + measure(values, 0, values.rows),
        }
}

/// The largest number of rows from `start` on whose image has at most `limit` bytes; 0 if not even one fits.
pub fn rows_that_fit(columns: &[Column], shape: Shape, start: usize, rows: usize, limit: usize) -> usize {
    let Some(room) = limit.checked_sub(body_offset(shape)) else {
        return 0;
    };
    let fits = |rows| columns.iter().map(|column| measure(column, start, rows)).sum::<usize>() <= room;
    if fits(rows) {
        return rows;
    }
    let (mut fitting, mut too_many) = (0, rows);
    while too_many - fitting > 1 {
        let middle = fitting + (too_many - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            too_many = middle;
        }
    }
    fitting
}

/// An upper bound for the bytes of the image of these rows.
pub fn image_bytes(columns: &[Column], shape: Shape, start: usize, rows: usize) -> usize {
    body_offset(shape) + columns.iter().map(|column| measure(column, start, rows)).sum::<usize>()
}

/// Writes the image of rows `start` to `start + rows`; returns its exact length. Requires `out.len() >=
/// image_bytes(..)`.
pub fn write(out: &mut [u8], schema: u32, columns: &[Column], shape: Shape, start: usize, rows: usize) -> usize {
    let mut writer = Writer {
        out,
        shape,
        node: 0,
        buffer: 0,
        at: body_offset(shape),
    };
    for column in columns {
        writer.column(column, start, rows);
    }
    assert!(
        writer.node == shape.nodes && writer.buffer == shape.buffers,
        "columns of the schema they were announced with"
    );
    let bytes = writer.at;
    put_header(writer.out, schema, rows, shape, bytes);
    bytes
}

struct Writer<'a> {
    out: &'a mut [u8],
    shape: Shape,
    node: usize,
    buffer: usize,
    at: usize,
}

impl Writer<'_> {
    /// Enters the next buffer of `bytes` bytes in the table and returns it for writing.
    fn next_buffer(&mut self, bytes: usize) -> &mut [u8] {
        let at = self.at;
        put_buffer(self.out, self.shape, self.buffer, at, bytes);
        self.buffer += 1;
        self.at += aligned(bytes);
        &mut self.out[at..at + bytes]
    }

    fn copy(&mut self, from: &[u8]) {
        self.next_buffer(from.len()).copy_from_slice(from);
    }

    fn validity(&mut self, column: &Column, start: usize, rows: usize) {
        let nulls = column.nulls.as_ref().map(|nulls| nulls.slice(start, rows));
        let count = nulls.as_ref().map_or(0, |nulls| nulls.null_count());
        let is_null_type = matches!(column.values, Values::Null);
        put_node(self.out, self.node, rows, if is_null_type { rows } else { count });
        self.node += 1;
        match nulls {
            Some(nulls) if count > 0 => {
                bits::copy(
                    nulls.validity(),
                    nulls.offset(),
                    self.next_buffer(rows.div_ceil(8)),
                    0,
                    rows,
                );
            }
            _ if is_null_type => {}
            _ => {
                put_buffer(self.out, self.shape, self.buffer, 0, 0);
                self.buffer += 1;
            }
        }
    }

    fn column(&mut self, column: &Column, start: usize, rows: usize) {
        self.validity(column, start, rows);
        match &column.values {
            Values::Null => {}
            Values::Fixed { values, width } => self.copy(&values[start * width..(start + rows) * width]),
            Values::Bits { values } => {
                let out = self.next_buffer(rows.div_ceil(8));
                bits::copy(values.values(), values.offset() + start, out, 0, rows);
            }
            Values::Bytes { offsets, data } => {
                let (first, last) = self.offsets(offsets, start, rows);
                self.copy(&data[first..last]);
            }
            Values::Views { views, data } => self.views(column, &views.typed_data()[start..start + rows], data, start),
            Values::List { offsets, items } => {
                let (first, last) = self.offsets(offsets, start, rows);
                self.column(items, first, last - first);
            }
            Values::FixedList { size, items } => self.column(items, start * size, rows * size),
            Values::Struct { fields } => fields.iter().for_each(|field| self.column(field, start, rows)),
            Values::Dictionary { keys, width, values } => {
                self.copy(&keys[start * width..(start + rows) * width]);
                self.column(values, 0, values.rows);
            }
        }
    }

    /// Writes offsets rebased to begin at 0; returns the original first and last offset.
    fn offsets(&mut self, offsets: &Offsets, start: usize, rows: usize) -> (usize, usize) {
        let out = self.next_buffer((rows + 1) * offsets.width());
        copy_offsets(offsets, start, rows + 1, 0, out);
        (offsets.at(start), offsets.at(start + rows))
    }

    fn views(&mut self, column: &Column, views: &[u128], data: &[arrow_buffer::Buffer], start: usize) {
        let long = |row: usize| long_view(views[row]).filter(|_| is_valid(column, start + row));
        let data_bytes = (0..views.len()).filter_map(long).map(|(_, _, bytes)| bytes).sum();
        let views_at = self.at;
        self.next_buffer(views.len() * 16);
        let data_at = self.at;
        self.next_buffer(data_bytes);
        let mut written = 0;
        for (row, view) in views.iter().enumerate() {
            let mut view = if is_valid(column, start + row) { *view } else { 0 };
            if let Some((buffer, offset, bytes)) = long(row) {
                let to = data_at + written;
                self.out[to..to + bytes].copy_from_slice(&data[buffer][offset..offset + bytes]);
                view = view & u128::from(u64::MAX) | (written as u128) << 96;
                written += bytes;
            }
            let to = views_at + row * 16;
            self.out[to..to + 16].copy_from_slice(&view.to_le_bytes());
        }
    }
}

/// Copies `count` offsets from entry `start` on, shifted so that the first becomes `first`.
pub fn copy_offsets(offsets: &Offsets, start: usize, count: usize, first: usize, out: &mut [u8]) {
    if offsets.wide {
        let from = &offsets.wide_slice()[start..start + count];
        let shift = first as i64 - from[0];
        for (to, offset) in out.chunks_exact_mut(8).zip(from) {
            to.copy_from_slice(&(offset + shift).to_le_bytes());
        }
    } else {
        let from = &offsets.narrow_slice()[start..start + count];
        let shift = (first as i64 - i64::from(from[0])) as i32;
        for (to, offset) in out.chunks_exact_mut(4).zip(from) {
            to.copy_from_slice(&offset.wrapping_add(shift).to_le_bytes());
        }
    }
}
