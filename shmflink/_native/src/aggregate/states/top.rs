//! `top_n(y, n)`: the n largest values as a list, largest first; `top_n(x, y, n)`: the x of the rows with the n largest
//! y. Rows without y are ignored; of equal values, the first is kept. Null without rows.

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::{Call, Parameter};
use crate::aggregate::argument::Argument;
use crate::aggregate::lists::{exploded, list_array, list_type};
use crate::aggregate::log::Log;
use crate::aggregate::order::{Order, Ranks};
use crate::aggregate::state::{Groups, Slots, State};
use crate::error::TableError;

/// Unused values above which the logs are rewritten, if they are more than half.
const GARBAGE_VALUES: usize = 1 << 16;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Word(u64),
    Bytes(Box<[u8]>),
}

struct Top {
    count: usize,
    order: Order,
    /// The values and, if they are ranked by another column, their ranks.
    logs: Vec<Log>,
    /// By group: rank and number in the logs, largest first.
    kept: Vec<Vec<(Rank, u32)>>,
    total: usize,
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let count = match call.parameters.first() {
        Some(Parameter::Int(count)) if *count > 0 => *count as usize,
        _ => return Err(call.needs("a positive number of values")),
    };
    let ranked = call.argument(call.arguments.len().clamp(1, 2) - 1)?;
    let order = Order::of(ranked).ok_or_else(|| call.takes("values that can be ordered"))?;
    Ok(Box::new(Top {
        count,
        order,
        logs: call.arguments.iter().take(2).map(Log::new).collect(),
        kept: Vec::new(),
        total: 0,
    }))
}

impl Top {
    fn add(&mut self, groups: &[u32], columns: &[&Argument]) -> Result<(), TableError> {
        let ranked = columns[self.logs.len() - 1];
        let ranks = self.order.ranks(ranked)?;
        let (first_new, mut winners) = (self.logs[0].len() as u32, Vec::new());
        for (row, group) in groups.iter().enumerate() {
            if ranked.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let rank = match &ranks {
                Ranks::Words(words) => Rank::Word(words[row]),
                ranks => Rank::Bytes(ranks.bytes(row).into()),
            };
            let kept = &mut self.kept[*group as usize];
            let place = kept.partition_point(|(other, _)| *other >= rank);
            if place == self.count {
                continue;
            }
            if kept.len() == self.count {
                kept.pop();
                self.total -= 1;
            }
            kept.insert(place, (rank, first_new + winners.len() as u32));
            self.total += 1;
            winners.push(row as u32);
        }
        for (log, column) in self.logs.iter_mut().zip(columns) {
            log.append(column.array.as_ref(), winners.clone())?;
        }
        if self.logs[0].len() > 2 * self.total + GARBAGE_VALUES {
            let numbers: Vec<u32> = self.kept.iter().flatten().map(|(_, number)| *number).collect();
            self.logs.iter_mut().try_for_each(|log| log.retain(&numbers))?;
            let kept = self.kept.iter_mut().flatten();
            kept.zip(0..).for_each(|((_, number), place)| *number = place);
        }
        Ok(())
    }

    fn numbers_of(&self, groups: &Groups<'_>) -> (Vec<u32>, Vec<usize>) {
        let (mut numbers, mut ends) = (Vec::new(), vec![0]);
        for group in groups.ids {
            let kept = self.kept.get(*group as usize).into_iter().flatten();
            numbers.extend(kept.map(|(_, number)| *number));
            ends.push(numbers.len());
        }
        (numbers, ends)
    }
}

impl State for Top {
    fn takes_whole_batches(&self) -> bool {
        true
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        let types = self.logs.iter().map(|log| list_type(log.data_type()));
        ["values", "ranks"].into_iter().zip(types).collect()
    }

    fn result_type(&self) -> DataType {
        list_type(self.logs[0].data_type())
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.kept.resize_with(slots.groups_now.max(self.kept.len()), Vec::new);
        self.add(slots.groups, arguments)
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.kept.resize_with(slots.groups_now.max(self.kept.len()), Vec::new);
        let (mut groups, items): (Vec<_>, Vec<_>) = partials.iter().map(|lists| exploded(lists, slots)).unzip();
        let items = Argument::all(&items)?;
        self.add(&groups.swap_remove(0), &items.iter().collect::<Vec<_>>())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let (numbers, ends) = self.numbers_of(groups);
        let columns = self.logs.iter().map(|log| list_array(log.take(&numbers)?, &ends, None));
        columns.collect()
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let (numbers, ends) = self.numbers_of(groups);
        let valid: BooleanBuffer = ends.windows(2).map(|ends| ends[0] < ends[1]).collect();
        let nulls = Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0);
        list_array(self.logs[0].take(&numbers)?, &ends, nulls)
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            order: Order::Bits, // groups whose rows have not arrived
            logs: self.logs.clone(),
            kept: self.kept.clone(),
            ..*self
        })
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.total = 0;
        self.logs.iter_mut().for_each(Log::clear);
    }

    fn bytes(&self) -> usize {
        let ranks = self.total * std::mem::size_of::<(Rank, u32)>() + self.kept.capacity() * 24;
        ranks + self.logs.iter().map(Log::bytes).sum::<usize>()
    }
}
