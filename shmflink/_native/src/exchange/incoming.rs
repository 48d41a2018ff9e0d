//! A batch on its way into the channels of a partition, and its schema.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::Buffer;

use super::columns::{Column, Shape};
use super::wire::SCHEMAS_MAX;

/// A schema as the partition stores it.
pub struct PlannedSchema {
    /// Index among the schemas that this partition has met; `id % SCHEMAS_MAX` is its number on the wire.
    pub id: usize,
    pub shape: Shape,
    /// The schema message that is sent: u32 number, then an Arrow IPC schema message.
    pub message: Buffer,
}

impl PlannedSchema {
    pub fn number(&self) -> u32 {
        (self.id % SCHEMAS_MAX) as u32
    }
}

/// A batch being written, held until all its rows are placed.
pub struct Incoming {
    pub schema: Arc<PlannedSchema>,
    pub arrays: Vec<ArrayRef>,
    pub columns: Vec<Column>,
    pub rows: usize,
}
