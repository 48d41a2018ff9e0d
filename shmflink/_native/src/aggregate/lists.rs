//! Lists of values as columns, for states with many values per group.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::argument::Argument;
use super::state::Slots;
use crate::error::TableError;

pub fn list_type(items: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", items.clone(), true)))
}

/// One list per group; `ends[i]..ends[i + 1]` are the values of group i.
pub fn list_array(values: ArrayRef, ends: &[usize], nulls: Option<NullBuffer>) -> Result<ArrayRef, TableError> {
    if i32::try_from(values.len()).is_err() {
        let message = format!(
            "{} values in the lists of one batch; a batch holds {}",
            values.len(),
            i32::MAX
        );
        return Err(TableError::Unfit(message));
    }
    let ends: ScalarBuffer<i32> = ends.iter().map(|end| *end as i32).collect();
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::new(field, OffsetBuffer::new(ends), values, nulls)))
}

/// The items of lists, consecutively, and the group of each.
pub fn exploded(lists: &Argument, slots: &Slots<'_>) -> (Vec<u32>, ArrayRef) {
    let list = lists.array.as_list::<i32>();
    let offsets = list.value_offsets();
    let mut groups = Vec::with_capacity(list.values().len());
    let mut first = None;
    let mut parts = true; // whether the items are consecutive
    let mut rows = Vec::with_capacity(list.values().len());
    for (row, group) in slots.groups.iter().enumerate() {
        if list.is_null(row) {
            continue;
        }
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        groups.extend(std::iter::repeat_n(*group, end - start));
        parts &= start == *first.get_or_insert(start) + rows.len();
        rows.extend(start as u32..end as u32);
    }
    let items = if parts {
        list.values().slice(first.unwrap_or(0), rows.len())
    } else {
        arrow_select::take::take(list.values(), &arrow_array::UInt32Array::from(rows), None).expect("rows of the list")
    };
    (groups, items)
}
