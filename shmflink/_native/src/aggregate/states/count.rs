//! `count(*)` and `count(x, ...)`, which counts rows where no argument is null: one word.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::state::{FromRows, Groups, Slots, State};
use crate::error::TableError;

struct Count {
    offset: usize,
}

pub fn make(_call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    Ok(Box::new(Count { offset: 0 }))
}

impl State for Count {
    fn initial(&self) -> Vec<u64> {
        vec![0]
    }

    fn place(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("", DataType::Int64)]
    }

    fn result_type(&self) -> DataType {
        DataType::Int64
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError> {
        let mut nulls = arguments.iter().map(|argument| argument.nulls.as_ref());
        let joined = match arguments {
            [_, _, ..] => nulls.fold(None, |all, nulls| NullBuffer::union(all.as_ref(), nulls)),
            _ => nulls.next().flatten().cloned(),
        };
        let (slots, offset) = (*slots, self.offset);
        let add = move |at: usize, count: i64| slots.write(at, offset, slots.read::<i64>(at, offset) + count);
        match joined {
            None => (0..slots.len()).for_each(|at| add(at, 1)),
            Some(nulls) => (0..slots.len()).for_each(|at| add(at, i64::from(nulls.is_valid(start + at)))),
        }
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        let (counts, nulls) = (partials[0].values::<i64>(start, slots.len()), &partials[0].nulls);
        for (at, count) in counts.iter().enumerate() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(start + at)) {
                slots.write(at, self.offset, slots.read::<i64>(at, self.offset) + count);
            }
        }
        Ok(())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        Ok(vec![self.result(groups)?])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let counts: Vec<i64> = groups.values(self.offset).collect();
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn is_in_rows(&self) -> bool {
        true
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) -> Result<(), TableError> {
        for at in 0..slots.len() {
            let count = slots.read::<i64>(at, self.offset) + rows.read::<i64>(at, self.offset);
            slots.write(at, self.offset, count);
        }
        Ok(())
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self { offset: self.offset })
    }

    fn clear(&mut self) {}

    fn bytes(&self) -> usize {
        0
    }
}
