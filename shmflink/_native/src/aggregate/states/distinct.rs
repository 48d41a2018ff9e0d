//! Any aggregate over the distinct values of a group: a table of (group, value) forwards what it has not seen.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::{DataType, Field, Schema};

use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::lists::{exploded, list_array, list_type};
use crate::aggregate::log::Links;
use crate::aggregate::state::{Groups, Slots, State};
use crate::aggregate::table::Table;
use crate::error::TableError;

/// The value columns of a partial state, by number; a call has few arguments.
const COLUMN_NAMES: [&str; 4] = ["values", "values2", "values3", "values4"];

struct Distinct {
    inner: Box<dyn State>,
    arguments: Vec<DataType>,
    /// Its groups are the pairs of a group and a value, in order of arrival.
    pairs: Table,
    links: Links,
}

/// `inner` is the state of the same call without distinct.
pub fn make(call: &Call<'_>, mut inner: Box<dyn State>) -> Result<Box<dyn State>, TableError> {
    if call.arguments.is_empty() || call.arguments.len() > COLUMN_NAMES.len() {
        return Err(call.takes("one to four arguments where it is distinct"));
    }
    inner.skips_rows();
    let values = call.arguments.iter().zip(COLUMN_NAMES);
    let values = values.map(|(data_type, name)| Field::new(name, data_type.clone(), true));
    let group = Field::new("group", DataType::UInt32, false);
    let keys = Schema::new(std::iter::once(group).chain(values).collect::<Vec<_>>());
    Ok(Box::new(Distinct {
        inner,
        arguments: call.arguments.to_vec(),
        pairs: Table::new(&keys, &Schema::empty(), &[], false)?,
        links: Links::default(),
    }))
}

impl Distinct {
    fn add(&mut self, slots: &Slots<'_>, groups: &[u32], values: &[ArrayRef]) -> Result<(), TableError> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from(groups.to_vec()))];
        columns.extend_from_slice(values);
        let before = self.pairs.groups() as u32;
        self.pairs.update(&columns, groups.len())?;
        let new: Vec<u32> = (before..self.pairs.groups() as u32).collect();
        let pairs = self.pairs.key_columns_of(&new)?;
        let groups = pairs[0]
            .as_any()
            .downcast_ref::<UInt32Array>()
            .expect("groups")
            .values();
        groups.iter().for_each(|group| self.links.push(*group));
        let rows: Vec<_> = groups.iter().map(|group| slots.row_of(*group)).collect();
        let new_slots = Slots {
            rows: &rows,
            groups,
            ..*slots
        };
        let values = Argument::all(&pairs[1..])?;
        self.inner.update(&new_slots, &values.iter().collect::<Vec<_>>(), 0)
    }
}

impl State for Distinct {
    fn initial(&self) -> Vec<u64> {
        self.inner.initial()
    }

    fn place(&mut self, offset: usize) {
        self.inner.place(offset);
    }

    fn takes_whole_batches(&self) -> bool {
        true
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        let types = self.arguments.iter().map(list_type);
        COLUMN_NAMES.into_iter().zip(types).collect()
    }

    fn result_type(&self) -> DataType {
        self.inner.result_type()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], _start: usize) -> Result<(), TableError> {
        let values: Vec<_> = arguments.iter().map(|argument| argument.array.clone()).collect();
        self.add(slots, slots.groups, &values)
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], _start: usize) -> Result<(), TableError> {
        let columns = partials.iter().map(|lists| exploded(lists, slots));
        let (mut groups, values): (Vec<_>, Vec<_>) = columns.unzip();
        self.add(slots, &groups.swap_remove(0), &values)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let (pairs, ends) = self.links.of_all(groups.ids);
        let columns = self.pairs.key_columns_of(&pairs)?;
        let values = columns.into_iter().skip(1);
        values.map(|column| list_array(column, &ends, None)).collect()
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        self.inner.result(groups)
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            inner: self.inner.frozen(),
            arguments: self.arguments.clone(),
            pairs: self.pairs.keys_alone(),
            links: self.links.clone(),
        })
    }

    fn clear(&mut self) {
        self.inner.clear();
        self.pairs.clear();
        self.links.clear();
    }

    fn bytes(&self) -> usize {
        self.inner.bytes() + self.pairs.bytes() + self.links.bytes()
    }
}
