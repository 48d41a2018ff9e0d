//! Rows of nested, view and dictionary columns: collected per channel until they fill a segment.
//!
//! Exact, but slower than `pane`. Rows that fill less than a segment are held back under an already open one, so that
//! `flush` never waits. They are copies, so that no input memory is held after the write.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;
use arrow_select::concat::concat;
use arrow_select::dictionary::garbage_collect_any_dictionary;
use arrow_select::take::take;

use super::columns::{Column, Shape};
use super::error::ExchangeError;
use super::image;
use super::lane::{Incoming, Lane, PlannedSchema};
use super::pane::Pick;
use super::wire::data;
use crate::transport::channel::OpenSegment;

/// Rows of one schema that wait to fill a segment.
#[derive(Default)]
pub struct Pieces {
    schema: Option<Arc<PlannedSchema>>,
    pieces: Vec<(Vec<ArrayRef>, usize)>,
    rows: usize,
    /// Approximate bytes of the image of all rows.
    bytes: usize,
    held: Option<OpenSegment>,
    is_borrowed: bool,
}

impl Pieces {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if rows wait without the segment that `flush` would need.
    pub fn waits(&self) -> bool {
        self.rows > 0 && self.held.is_none()
    }

    pub fn is_of(&self, schema: &PlannedSchema) -> bool {
        self.rows == 0 || self.schema.as_ref().is_some_and(|own| own.id == schema.id)
    }

    fn shape(&self) -> Shape {
        self.schema.as_ref().map_or_else(Shape::default, |schema| schema.shape)
    }

    fn push(&mut self, arrays: Vec<ArrayRef>, rows: usize) -> Result<(), ExchangeError> {
        self.bytes += image::image_bytes(&Column::of_all(&arrays)?, self.shape(), 0, rows);
        self.rows += rows;
        self.pieces.push((arrays, rows));
        Ok(())
    }

    /// All pieces as one; only the first if they cannot be joined (dictionaries whose union has too many values).
    fn join(&mut self) -> (Vec<ArrayRef>, usize) {
        let whole = match self.pieces.len() {
            1 => None,
            _ => join_columns(&self.pieces),
        };
        self.bytes = 0;
        let joined = match whole {
            Some(arrays) => {
                self.pieces.clear();
                (arrays, self.rows)
            }
            None => self.pieces.remove(0),
        };
        self.rows -= joined.1;
        joined
    }

    /// Puts rows back at the front and measures again.
    fn put_back(&mut self, arrays: Vec<ArrayRef>, rows: usize) -> Result<(), ExchangeError> {
        let rest = std::mem::take(&mut self.pieces);
        (self.rows, self.bytes) = (0, 0);
        if rows > 0 {
            self.push(arrays, rows)?;
        }
        rest.into_iter().try_for_each(|(arrays, rows)| self.push(arrays, rows))
    }

    /// Copies pieces that are still in the input's memory.
    fn own(&mut self) -> Result<(), ExchangeError> {
        if !std::mem::take(&mut self.is_borrowed) {
            return Ok(());
        }
        for (arrays, rows) in &mut self.pieces {
            let all = UInt32Array::from_iter_values(0..*rows as u32);
            for array in arrays {
                *array = take(array, &all, None)?;
            }
        }
        Ok(())
    }
}

fn join_columns(pieces: &[(Vec<ArrayRef>, usize)]) -> Option<Vec<ArrayRef>> {
    let columns = pieces[0].0.len();
    let column = |i: usize| {
        let parts: Vec<&dyn Array> = pieces.iter().map(|(arrays, _)| arrays[i].as_ref()).collect();
        concat(&parts).ok()
    };
    (0..columns).map(column).collect()
}

/// Drops unused dictionary values, if most would be sent in vain.
fn compact(array: ArrayRef) -> ArrayRef {
    use arrow_array::cast::AsArray;
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        return array;
    }
    let dictionary = array.as_any_dictionary();
    if dictionary.values().len() <= array.len() {
        return array;
    }
    garbage_collect_any_dictionary(dictionary).unwrap_or(array)
}

impl Lane {
    /// Adds rows of a nested batch; `ship_pieces` sends them.
    pub fn take_in(&mut self, incoming: &Incoming, pick: Pick<'_>) -> Result<(), ExchangeError> {
        let arrays = match pick {
            Pick::Range(start, rows) => {
                self.pieces.is_borrowed = true;
                incoming
                    .arrays
                    .iter()
                    .map(|array| array.slice(start, rows))
                    .collect::<Vec<_>>()
            }
            Pick::List(rows) => {
                let rows = UInt32Array::new(ScalarBuffer::from(rows.to_vec()), None);
                let taken = incoming.arrays.iter().map(|array| take(array, &rows, None));
                taken.collect::<Result<Vec<_>, _>>()?
            }
        };
        self.pieces.schema = Some(incoming.schema.clone());
        self.pieces.push(arrays.into_iter().map(compact).collect(), pick.len())
    }

    /// Ships full segments and, with `all`, the rest; false if credit is missing, even for what is held back.
    pub fn ship_pieces(&mut self, all: bool) -> Result<bool, ExchangeError> {
        loop {
            if !self.send_message() {
                return Ok(false);
            }
            let Some(schema) = self.pieces.schema.clone().filter(|_| self.pieces.rows > 0) else {
                self.pieces.held = None;
                return Ok(true);
            };
            if self.announce_schema(&schema) {
                continue;
            }
            if self.pieces.held.is_none() {
                self.pieces.held = self.channel.try_open();
            }
            if self.pieces.held.is_none() {
                return Ok(false);
            }
            if !all && self.pieces.bytes < self.channel.segment_bytes() {
                self.pieces.own()?;
                return Ok(true);
            }
            if !self.ship_piece(&schema, all)? {
                return Ok(true);
            }
        }
    }

    /// Ships one segment from the held rows; false if, once joined, they turn out to fill less than one.
    fn ship_piece(&mut self, schema: &PlannedSchema, all: bool) -> Result<bool, ExchangeError> {
        let limit = self.channel.segment_bytes();
        let (arrays, rows) = self.pieces.join();
        let columns = Column::of_all(&arrays)?;
        let taken = image::rows_that_fit(&columns, schema.shape, 0, rows, limit);
        let is_rest = taken == rows && self.pieces.rows == 0;
        if is_rest && !all && image::image_bytes(&columns, schema.shape, 0, rows) < limit {
            self.pieces.put_back(arrays, rows)?;
            self.pieces.own()?;
            return Ok(false);
        }
        let Some(mut segment) = self.pieces.held.take() else {
            return Ok(false);
        };
        if taken == 0 {
            self.channel.abandon(segment);
            self.begin_image(schema, &columns, 0);
        } else {
            let bytes = image::write(&mut segment, schema.number(), &columns, schema.shape, 0, taken);
            self.publish(segment, bytes, taken, data::IMAGE, 0);
        }
        let sent = taken.max(1);
        let rest = arrays.iter().map(|array| array.slice(sent, rows - sent)).collect();
        self.pieces.put_back(rest, rows - sent)?;
        Ok(true)
    }
}
