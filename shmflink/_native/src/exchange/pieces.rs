//! Rows of nested, view and dictionary columns, and of very many columns: collected per channel until they fill an
//! image.
//!
//! Exact and slower than `open_rows`. Rows that do not fill a segment wait while a segment is held open for them, so
//! that `flush` never waits. They are copies, so that no input memory is held after the write.

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
use super::incoming::{Incoming, PlannedSchema};
use super::open_rows::Pick;
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

    /// Adds rows of a nested batch; the lane ships them.
    pub fn take_in(&mut self, incoming: &Incoming, pick: Pick<'_>) -> Result<(), ExchangeError> {
        let arrays = match pick {
            Pick::Range(start, rows) => {
                self.is_borrowed = true;
                incoming
                    .arrays
                    .iter()
                    .map(|array| array.slice(start, rows))
                    .collect::<Vec<_>>()
            }
            Pick::List(rows) => {
                let rows = UInt32Array::new(ScalarBuffer::from(rows.rows().to_vec()), None);
                let taken = incoming.arrays.iter().map(|array| take(array, &rows, None));
                taken.collect::<Result<Vec<_>, _>>()?
            }
        };
        self.schema = Some(incoming.schema.clone());
        self.push(arrays.into_iter().map(compact).collect(), pick.len())
    }

    /// The schema of the waiting rows. None if none wait; then releases the segment that was held for them.
    pub fn waiting_schema(&mut self) -> Option<Arc<PlannedSchema>> {
        let schema = self.schema.clone().filter(|_| self.rows > 0);
        if schema.is_none() {
            self.held = None;
        }
        schema
    }

    /// Holds a segment for the waiting rows; false without credit.
    pub fn hold(&mut self, open: impl FnOnce() -> Option<OpenSegment>) -> bool {
        if self.held.is_none() {
            self.held = open();
        }
        self.held.is_some()
    }

    pub fn take_held(&mut self) -> Option<OpenSegment> {
        self.held.take()
    }

    fn push(&mut self, arrays: Vec<ArrayRef>, rows: usize) -> Result<(), ExchangeError> {
        self.bytes += image::image_bytes(&Column::of_all(&arrays)?, self.shape(), 0, rows);
        self.rows += rows;
        self.pieces.push((arrays, rows));
        Ok(())
    }

    /// All pieces as one; only the first if they cannot be joined (dictionaries whose union has too many values).
    pub fn join(&mut self) -> (Vec<ArrayRef>, usize) {
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
    pub fn put_back(&mut self, arrays: Vec<ArrayRef>, rows: usize) -> Result<(), ExchangeError> {
        let rest = std::mem::take(&mut self.pieces);
        (self.rows, self.bytes) = (0, 0);
        if rows > 0 {
            self.push(arrays, rows)?;
        }
        rest.into_iter().try_for_each(|(arrays, rows)| self.push(arrays, rows))
    }

    /// Copies pieces that are still in the input's memory.
    pub fn own(&mut self) -> Result<(), ExchangeError> {
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

/// Drops unused dictionary values if most of the values are unused.
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
