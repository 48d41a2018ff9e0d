//! An open segment into which rows are scattered, column by column, until it is full (flat columns only).
//!
//! ```text
//! header, tables | column 0: validity, values | column 1: validity, offsets, data | ...      each at a multiple of 64
//! ```
//! The buffers are planned when the segment opens. The planned number of rows follows from the widths and, for strings,
//! from running averages; unfilled space stays unused. Values are copied once, from the batch to their buffer.

use arrow_schema::{DataType, Field};

use super::ascending::Ascending;
use super::bits;
use super::columns::{fixed_width, Column, Shape, Values};
use super::image::{aligned, body_offset, copy_offsets, put_buffer, put_header, put_node};
use crate::transport::channel::OpenSegment;

/// Rows whose values are copied: a contiguous range, or a list.
#[derive(Clone, Copy)]
pub enum Pick<'a> {
    /// First row and count.
    Range(usize, usize),
    List(Ascending<'a>),
}

impl<'a> Pick<'a> {
    pub fn len(self) -> usize {
        match self {
            Self::Range(_, rows) => rows,
            Self::List(rows) => rows.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    pub fn first(self) -> usize {
        match self {
            Self::Range(start, _) => start,
            Self::List(rows) => rows.rows()[0] as usize,
        }
    }

    pub fn split(self, at: usize) -> (Self, Self) {
        match self {
            Self::Range(start, rows) => (Self::Range(start, at), Self::Range(start + at, rows - at)),
            Self::List(rows) => {
                let (before, behind) = rows.split(at);
                (Self::List(before), Self::List(behind))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnLayout {
    Null,
    Fixed(usize),
    Bits,
    /// Variable width with offsets of this many bytes.
    Bytes(usize),
}

/// The flat columns of a schema.
pub struct FlatPlan {
    kinds: Vec<ColumnLayout>,
    shape: Shape,
    /// Running average of a value's bytes, per column (0 if not of variable width).
    averages: Vec<f64>,
}

impl FlatPlan {
    /// None if a column is nested, a view or a dictionary: `pieces` sends such batches.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a Field>, shape: Shape) -> Option<Self> {
        let kinds = fields
            .into_iter()
            .map(|field| kind_of(field.data_type()))
            .collect::<Option<Vec<_>>>()?;
        let averages = kinds
            .iter()
            .map(|kind| {
                if matches!(kind, ColumnLayout::Bytes(_)) {
                    16.0
                } else {
                    0.0
                }
            })
            .collect();
        Some(Self { kinds, shape, averages })
    }

    /// Updates the running averages with a batch.
    pub fn observe(&mut self, columns: &[Column]) {
        for (average, column) in self.averages.iter_mut().zip(columns) {
            if let Values::Bytes { offsets, .. } = &column.values {
                let bytes = (offsets.at(column.rows) - offsets.at(0)) as f64 / column.rows.max(1) as f64;
                *average += (bytes - *average) * if column.rows >= 64 { 0.75 } else { 0.25 };
            }
        }
    }

    /// Average bytes per row.
    pub fn row_bytes(&self) -> f64 {
        let of = |(kind, average): (&ColumnLayout, &f64)| match kind {
            ColumnLayout::Null => 0.0,
            ColumnLayout::Fixed(width) => *width as f64 + 0.125,
            ColumnLayout::Bits => 0.25,
            ColumnLayout::Bytes(offset) => *offset as f64 + 0.125 + average,
        };
        self.kinds.iter().zip(&self.averages).map(of).sum()
    }

    /// Bytes of all buffers except the data of variable-width columns.
    fn fixed_bytes(&self, rows: usize) -> usize {
        let bitmap = aligned(rows.div_ceil(8));
        let of = |kind: &ColumnLayout| match kind {
            ColumnLayout::Null => 0,
            ColumnLayout::Fixed(width) => bitmap + aligned(rows * width),
            ColumnLayout::Bits => 2 * bitmap,
            ColumnLayout::Bytes(offset) => bitmap + aligned((rows + 1) * offset),
        };
        self.kinds.iter().map(of).sum()
    }

    /// Capacity in rows, and the data bytes of each column, for a segment of `limit` bytes whose first row has these
    /// bytes. None if that row alone does not fit.
    fn fit(&self, limit: usize, first: &[usize]) -> Option<(usize, Vec<usize>)> {
        let room = limit.checked_sub(body_offset(self.shape))?;
        let row_bytes = self.row_bytes();
        if row_bytes == 0.0 {
            return Some((u32::MAX as usize, vec![0; self.kinds.len()]));
        }
        let mut rows = (((room as f64) / row_bytes) as usize).clamp(1, u32::MAX as usize);
        loop {
            let data = self.data_bytes(rows, first);
            let taken = self.fixed_bytes(rows) + data.iter().sum::<usize>();
            if taken <= room {
                return Some((rows, self.spread(data, room - taken)));
            }
            if rows == 1 {
                return None;
            }
            // Alignment costs at most a few lines per column: one step suffices unless the first row is large.
            rows -= ((taken - room) as f64 / row_bytes).ceil().clamp(1.0, (rows - 1) as f64) as usize;
        }
    }

    fn data_bytes(&self, rows: usize, first: &[usize]) -> Vec<usize> {
        let rest = |average: f64| ((rows - 1) as f64 * average) as usize;
        let of = |((kind, average), first): ((&ColumnLayout, &f64), &usize)| match kind {
            ColumnLayout::Bytes(_) => aligned(first + rest(*average)),
            _ => 0,
        };
        self.kinds.iter().zip(&self.averages).zip(first).map(of).collect()
    }

    /// Distributes the remaining bytes among the variable-width columns, by their averages.
    fn spread(&self, mut data: Vec<usize>, left: usize) -> Vec<usize> {
        let total: f64 = self.averages.iter().sum();
        for ((bytes, average), kind) in data.iter_mut().zip(&self.averages).zip(&self.kinds) {
            if *average > 0.0 {
                *bytes += (left as f64 * average / total) as usize / 64 * 64;
            }
            if *kind == ColumnLayout::Bytes(4) {
                *bytes = (*bytes).min(i32::MAX as usize);
            }
        }
        data
    }
}

fn kind_of(data_type: &DataType) -> Option<ColumnLayout> {
    match data_type {
        DataType::Null => Some(ColumnLayout::Null),
        DataType::Boolean => Some(ColumnLayout::Bits),
        DataType::Utf8 | DataType::Binary => Some(ColumnLayout::Bytes(4)),
        DataType::LargeUtf8 | DataType::LargeBinary => Some(ColumnLayout::Bytes(8)),
        other => fixed_width(other).map(ColumnLayout::Fixed),
    }
}

/// The buffers of one column in an open segment.
struct Slot {
    kind: ColumnLayout,
    validity_at: usize,
    values_at: usize,
    data_at: usize,
    data_max: usize,
    data_used: usize,
    nulls: usize,
}

pub struct OpenRows {
    pub segment: OpenSegment,
    pub rows: usize,
    rows_max: usize,
    slots: Vec<Slot>,
    shape: Shape,
}

fn value_bytes(column: &Column, row: usize) -> usize {
    match &column.values {
        Values::Bytes { offsets, .. } => offsets.at(row + 1) - offsets.at(row),
        _ => 0,
    }
}

/// True if `row` alone fits into a segment of `limit` bytes.
pub fn fits_alone(plan: &FlatPlan, columns: &[Column], row: usize, limit: usize) -> bool {
    let first: Vec<usize> = columns.iter().map(|column| value_bytes(column, row)).collect();
    plan.fit(limit, &first).is_some()
}

impl OpenRows {
    /// Plans an open segment so that at least row `first` of these columns fits. Requires `fits_alone(.., first, ..)`.
    pub fn new(segment: OpenSegment, plan: &FlatPlan, columns: &[Column], first: usize) -> Self {
        let first: Vec<usize> = columns.iter().map(|column| value_bytes(column, first)).collect();
        let (rows_max, data) = plan
            .fit(segment.len(), &first)
            .expect("the row fits, as was asked before");
        let bitmap = if rows_max == u32::MAX as usize {
            0
        } else {
            aligned(rows_max.div_ceil(8))
        };
        let mut at = body_offset(plan.shape);
        let mut take = |bytes: usize| {
            at += bytes;
            at - bytes
        };
        let slots = plan.kinds.iter().zip(data).map(|(kind, data_max)| {
            let (validity, values) = match kind {
                ColumnLayout::Null => (0, 0),
                ColumnLayout::Fixed(width) => (bitmap, aligned(rows_max * width)),
                ColumnLayout::Bits => (bitmap, bitmap),
                ColumnLayout::Bytes(offset) => (bitmap, aligned((rows_max + 1) * offset)),
            };
            Slot {
                kind: *kind,
                validity_at: take(validity),
                values_at: take(values),
                data_at: take(data_max),
                data_max,
                data_used: 0,
                nulls: 0,
            }
        });
        let slots = slots.collect();
        assert!(at <= segment.len(), "a plan within its segment");
        Self {
            segment,
            rows: 0,
            rows_max,
            slots,
            shape: plan.shape,
        }
    }

    /// Copies as many of the rows as fit and returns their number. Fewer than requested means that the segment is full.
    pub fn append(&mut self, columns: &[Column], pick: Pick<'_>) -> usize {
        let mut count = pick.len().min(self.rows_max - self.rows);
        for (slot, column) in self.slots.iter().zip(columns) {
            if let Values::Bytes { .. } = column.values {
                count = count.min(rows_within(column, pick, count, slot.data_max - slot.data_used));
            }
        }
        if count == 0 {
            return 0;
        }
        let taken = pick.split(count).0;
        for (slot, column) in self.slots.iter_mut().zip(columns) {
            slot.append(&mut self.segment, self.rows, column, taken);
        }
        self.rows += count;
        count
    }

    /// Writes header and tables; the length of the image.
    pub fn finish(&mut self, schema: u32) -> usize {
        let (rows, out, mut buffer, mut end) = (self.rows, &mut *self.segment, 0, body_offset(self.shape));
        let shape = self.shape;
        let mut enter = |out: &mut [u8], offset: usize, bytes: usize| {
            put_buffer(out, shape, buffer, if bytes == 0 { 0 } else { offset }, bytes);
            buffer += 1;
            end = end.max(offset + bytes);
        };
        for (node, slot) in self.slots.iter().enumerate() {
            put_node(
                out,
                node,
                rows,
                if slot.kind == ColumnLayout::Null {
                    rows
                } else {
                    slot.nulls
                },
            );
            let bitmap = rows.div_ceil(8);
            if slot.kind == ColumnLayout::Null {
                continue;
            }
            enter(out, slot.validity_at, if slot.nulls > 0 { bitmap } else { 0 });
            match slot.kind {
                ColumnLayout::Fixed(width) => enter(out, slot.values_at, rows * width),
                ColumnLayout::Bits => enter(out, slot.values_at, bitmap),
                ColumnLayout::Bytes(offset) => {
                    enter(out, slot.values_at, (rows + 1) * offset);
                    enter(out, slot.data_at, slot.data_used);
                }
                ColumnLayout::Null => {}
            }
        }
        let bytes = aligned(end).min(out.len());
        put_header(out, schema, rows, shape, bytes);
        bytes
    }
}

/// How many of the first `count` rows have at most `room` bytes together.
fn rows_within(column: &Column, pick: Pick<'_>, count: usize, room: usize) -> usize {
    let Values::Bytes { offsets, .. } = &column.values else {
        return count;
    };
    match pick {
        Pick::Range(start, _) => {
            let limit = offsets.at(start) + room;
            if offsets.at(start + count) <= limit {
                return count;
            }
            let (mut within, mut beyond) = (0, count);
            while beyond - within > 1 {
                let middle = within + (beyond - within) / 2;
                if offsets.at(start + middle) <= limit {
                    within = middle;
                } else {
                    beyond = middle;
                }
            }
            within
        }
        Pick::List(rows) => {
            let mut left = room;
            for (i, row) in rows.rows()[..count].iter().enumerate() {
                let bytes = value_bytes(column, *row as usize);
                if bytes > left {
                    return i;
                }
                left -= bytes;
            }
            count
        }
    }
}

impl Slot {
    /// Copies rows. Requires that they fit; `at` rows have been copied before.
    fn append(&mut self, out: &mut [u8], at: usize, column: &Column, pick: Pick<'_>) {
        self.append_validity(out, at, column, pick);
        match &column.values {
            Values::Fixed { values, width } => {
                let to = &mut out[self.values_at + at * width..self.values_at + (at + pick.len()) * width];
                match pick {
                    Pick::Range(start, rows) => to.copy_from_slice(&values[start * width..(start + rows) * width]),
                    Pick::List(rows) => gather(values, *width, rows, to),
                }
            }
            Values::Bits { values } => {
                let to = &mut out[self.values_at..];
                match pick {
                    Pick::Range(start, rows) => {
                        bits::copy(values.values(), values.offset() + start, to, at, rows);
                    }
                    Pick::List(rows) => {
                        bits::gather(values.values(), values.offset(), rows.rows(), to, at);
                    }
                }
            }
            Values::Bytes { .. } => self.append_bytes(out, at, column, pick),
            _ => debug_assert!(self.kind == ColumnLayout::Null, "only flat columns come here"),
        }
    }

    /// The bitmap is written from the segment's first null on; before that it is not needed.
    fn append_validity(&mut self, out: &mut [u8], at: usize, column: &Column, pick: Pick<'_>) {
        if self.kind == ColumnLayout::Null || (column.nulls.is_none() && self.nulls == 0) {
            return;
        }
        let bitmap = &mut out[self.validity_at..];
        if self.nulls == 0 {
            bits::set_all(bitmap, at);
        }
        let Some(nulls) = &column.nulls else {
            (at..at + pick.len()).for_each(|bit| bits::put(bitmap, bit, true));
            return;
        };
        self.nulls += match pick {
            Pick::Range(start, rows) => {
                bits::copy(nulls.validity(), nulls.offset() + start, bitmap, at, rows);
                nulls.slice(start, rows).null_count()
            }
            Pick::List(rows) => rows.len() - bits::gather(nulls.validity(), nulls.offset(), rows.rows(), bitmap, at),
        };
    }

    fn append_bytes(&mut self, out: &mut [u8], at: usize, column: &Column, pick: Pick<'_>) {
        let (Values::Bytes { offsets, data }, ColumnLayout::Bytes(width)) = (&column.values, self.kind) else {
            unreachable!("a variable-width slot takes a variable-width column");
        };
        if let Pick::Range(start, rows) = pick {
            let (first, last) = (offsets.at(start), offsets.at(start + rows));
            let to = self.values_at + at * width;
            copy_offsets(
                offsets,
                start,
                rows + 1,
                self.data_used,
                &mut out[to..to + (rows + 1) * width],
            );
            let to = self.data_at + self.data_used;
            out[to..to + last - first].copy_from_slice(&data[first..last]);
            self.data_used += last - first;
            return;
        }
        let Pick::List(rows) = pick else { return };
        let rows = rows.rows();
        if offsets.wide {
            let ends = offsets.wide_slice();
            self.gather_bytes::<8>(out, at, rows, data, |row| (ends[row] as usize, ends[row + 1] as usize));
        } else {
            let ends = offsets.narrow_slice();
            self.gather_bytes::<4>(out, at, rows, data, |row| (ends[row] as usize, ends[row + 1] as usize));
        }
    }

    fn gather_bytes<const WIDTH: usize>(
        &mut self,
        out: &mut [u8],
        at: usize,
        rows: &[u32],
        data: &[u8],
        ends_of: impl Fn(usize) -> (usize, usize),
    ) {
        let (before, places) = out.split_at_mut(self.data_at);
        let offsets_at = self.values_at + at * WIDTH;
        let offsets = before[offsets_at..offsets_at + (rows.len() + 1) * WIDTH]
            .as_chunks_mut::<WIDTH>()
            .0;
        let places = &mut places[..self.data_max];
        let mut used = self.data_used;
        offsets[0].copy_from_slice(&(used as u64).to_le_bytes()[..WIDTH]);
        for (row, offset) in rows.iter().zip(&mut offsets[1..]) {
            let (first, last) = ends_of(*row as usize);
            copy_short(data, first, last - first, places, used);
            used += last - first;
            offset.copy_from_slice(&(used as u64).to_le_bytes()[..WIDTH]);
        }
        self.data_used = used;
    }
}

/// Copies a value; a short one as 16 bytes at once if both sides have them, because a call costs more than the bytes.
#[inline(always)]
fn copy_short(from: &[u8], from_at: usize, bytes: usize, to: &mut [u8], to_at: usize) {
    if bytes <= 16 && from_at + 16 <= from.len() && to_at + 16 <= to.len() {
        to[to_at..to_at + 16].copy_from_slice(&from[from_at..from_at + 16]);
    } else {
        to[to_at..to_at + bytes].copy_from_slice(&from[from_at..from_at + bytes]);
    }
}

fn gather(from: &[u8], width: usize, rows: Ascending<'_>, to: &mut [u8]) {
    match width {
        1 => gather_words::<1>(from, rows, to),
        2 => gather_words::<2>(from, rows, to),
        4 => gather_words::<4>(from, rows, to),
        8 => gather_words::<8>(from, rows, to),
        12 => gather_words::<12>(from, rows, to),
        16 => gather_words::<16>(from, rows, to),
        32 => gather_words::<32>(from, rows, to),
        0 => {}
        _ => {
            for (place, row) in to.chunks_exact_mut(width).zip(rows.rows()) {
                place.copy_from_slice(&from[*row as usize * width..][..width]);
            }
        }
    }
}

#[inline(always)]
fn gather_words<const WIDTH: usize>(from: &[u8], rows: Ascending<'_>, to: &mut [u8]) {
    rows.gather(from.as_chunks::<WIDTH>().0, to.as_chunks_mut::<WIDTH>().0);
}
