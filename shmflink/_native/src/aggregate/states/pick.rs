//! One row's value per group: `first_value`, `last_value` (ignoring nulls, as in Flink), `arg_min(x, y)`,
//! `arg_max(x, y)` (ignoring rows without y; the first of equals), and `min`, `max` of types that do not fit a word.
//!
//! First and last refer to the order of arrival; with several producers that is not the order of the input.

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::log::{Log, NONE};
use crate::aggregate::order::{KeptRanks, Order};
use crate::aggregate::state::{Groups, Slots, State};
use crate::error::TableError;

/// Unused values above which a log is rewritten, if they are more than half.
const GARBAGE_VALUES: usize = 1 << 16;

enum Rule {
    First,
    Last,
    Ranked {
        order: Order,
        kept: KeptRanks,
        is_least: bool,
    },
}

struct Pick {
    rule: Rule,
    /// The values and, for `arg_min` and `arg_max`, their ranks.
    logs: Vec<Log>,
    /// By group: the number of its value in the logs.
    numbers: Vec<u32>,
}

/// `first_value`, `last_value`.
pub fn make_first_or_last(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let rule = if call.function == "first_value" {
        Rule::First
    } else {
        Rule::Last
    };
    Ok(boxed(rule, &[call.argument(0)?]))
}

/// `arg_min`, `arg_max`; `min`, `max`.
pub fn make_ranked(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let is_arg = call.function.starts_with("arg");
    let ranked = call.argument(usize::from(is_arg))?;
    let order = Order::of(ranked).ok_or_else(|| call.takes("values that can be ordered"))?;
    let rule = Rule::Ranked {
        kept: KeptRanks::new(&order),
        order,
        is_least: call.function.ends_with("min"),
    };
    let types = [call.argument(0)?, ranked];
    Ok(boxed(rule, if is_arg { &types } else { &types[..1] }))
}

fn boxed(rule: Rule, types: &[&DataType]) -> Box<dyn State> {
    Box::new(Pick {
        rule,
        logs: types.iter().map(|data_type| Log::new(data_type)).collect(),
        numbers: Vec::new(),
    })
}

impl Pick {
    fn compact(&mut self) -> Result<(), TableError> {
        let kept: Vec<u32> = self.numbers.iter().copied().filter(|number| *number != NONE).collect();
        if self.logs[0].len() < 2 * kept.len() + GARBAGE_VALUES {
            return Ok(());
        }
        self.logs.iter_mut().try_for_each(|log| log.retain(&kept))?;
        let present = self.numbers.iter_mut().filter(|number| **number != NONE);
        present.zip(0..).for_each(|(number, place)| *number = place);
        Ok(())
    }

    fn numbers_of(&self, groups: &Groups<'_>) -> Vec<u32> {
        let number = |group: &u32| self.numbers.get(*group as usize).copied().unwrap_or(NONE);
        groups.ids.iter().map(number).collect()
    }
}

impl State for Pick {
    fn takes_whole_batches(&self) -> bool {
        true
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        let names = if self.logs.len() == 1 {
            &[""][..]
        } else {
            &["value", "rank"]
        };
        names
            .iter()
            .copied()
            .zip(self.logs.iter().map(|log| log.data_type().clone()))
            .collect()
    }

    fn result_type(&self) -> DataType {
        self.logs[0].data_type().clone()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.numbers.resize(slots.groups_now.max(self.numbers.len()), NONE);
        let ranked = arguments[self.logs.len() - 1];
        let ranks = match &self.rule {
            Rule::Ranked { order, .. } => Some(order.ranks(ranked)?),
            _ => None,
        };
        let first_new = self.logs[0].len() as u32;
        let mut winners: Vec<u32> = Vec::new();
        for (row, group) in slots.groups.iter().enumerate() {
            if ranked.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let number = &mut self.numbers[*group as usize];
            let wins = match (&mut self.rule, &ranks) {
                (Rule::Ranked { kept, is_least, .. }, Some(ranks)) => {
                    kept.beats(ranks, row, *group, *number, *is_least)
                }
                (Rule::First, _) => *number == NONE,
                _ => true,
            };
            if !wins {
                continue;
            }
            if *number != NONE && *number >= first_new {
                winners[(*number - first_new) as usize] = row as u32;
            } else {
                *number = first_new + winners.len() as u32;
                winners.push(row as u32);
            }
        }
        for (log, argument) in self.logs.iter_mut().zip(arguments) {
            log.append(argument.array.as_ref(), winners.clone())?;
        }
        self.compact()
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        self.update(slots, partials, start)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let numbers = self.numbers_of(groups);
        self.logs.iter().map(|log| log.take(&numbers)).collect()
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        self.logs[0].take(&self.numbers_of(groups))
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            rule: Rule::First,
            logs: self.logs.clone(),
            numbers: self.numbers.clone(),
        })
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.logs.iter_mut().for_each(Log::clear);
        if let Rule::Ranked { kept, .. } = &mut self.rule {
            kept.clear();
        }
    }

    fn bytes(&self) -> usize {
        let ranks = match &self.rule {
            Rule::Ranked { kept, .. } => kept.bytes(),
            _ => 0,
        };
        self.numbers.capacity() * 4 + ranks + self.logs.iter().map(Log::bytes).sum::<usize>()
    }
}
