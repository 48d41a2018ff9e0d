//! All values of a group: `collect` (without nulls; an empty list if there are none), `array_agg` (with nulls; null
//! without rows), `list_agg(x, separator)` (joined text; null if there is none), exact `median` and `quantile(x,
//! fraction)`.
//!
//! Quantiles interpolate linearly between neighbors, like Flink's PERCENTILE; NaN sorts last.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, LargeStringArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::numbers::each_float;
use super::{Call, Parameter};
use crate::aggregate::argument::Argument;
use crate::aggregate::lists::{exploded, list_array, list_type};
use crate::aggregate::log::{Links, Log};
use crate::aggregate::state::{Groups, Slots, State};
use crate::error::TableError;

/// What the result is computed from.
enum Form {
    List { with_nulls: bool },
    Text { separator: String },
    Quantiles(Quantiles),
}

/// Fractions between 0 and 1, and whether they were given as a list (then the result is a list).
#[derive(Clone)]
pub struct Quantiles {
    pub fractions: Vec<f64>,
    pub is_list: bool,
}

impl Quantiles {
    pub fn of(call: &Call<'_>) -> Result<Self, TableError> {
        let (fractions, is_list) = match call.parameters.first() {
            None if call.function == "median" => (vec![0.5], false),
            Some(Parameter::Float(fraction)) => (vec![*fraction], false),
            Some(Parameter::Int(fraction)) => (vec![*fraction as f64], false),
            Some(Parameter::Floats(fractions)) => (fractions.clone(), true),
            _ => return Err(call.needs("a fraction between 0 and 1, or a list of them")),
        };
        if !fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)) {
            return Err(call.needs("fractions between 0 and 1"));
        }
        if !call.argument(0)?.is_numeric() {
            return Err(call.takes("numbers"));
        }
        Ok(Self { fractions, is_list })
    }

    pub fn result_type(&self) -> DataType {
        if self.is_list {
            list_type(&DataType::Float64)
        } else {
            DataType::Float64
        }
    }

    /// `groups`: for each, the quantile at a fraction; None for a group without values.
    pub fn array<G>(&self, groups: Vec<G>, quantile: impl Fn(&G, f64) -> Option<f64>) -> Result<ArrayRef, TableError> {
        let of = |group: &G| {
            self.fractions
                .iter()
                .map(|fraction| quantile(group, *fraction))
                .collect::<Vec<_>>()
        };
        let values: Vec<Option<f64>> = groups.iter().flat_map(of).collect();
        let array: ArrayRef = Arc::new(values.iter().copied().collect::<Float64Array>());
        if !self.is_list {
            return Ok(array);
        }
        let count = self.fractions.len();
        let ends: Vec<usize> = (0..=groups.len()).map(|group| group * count).collect();
        let valid: BooleanBuffer = groups.iter().map(|group| quantile(group, 0.5).is_some()).collect();
        list_array(
            array,
            &ends,
            Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0),
        )
    }
}

struct Gather {
    form: Form,
    log: Log,
    links: Links,
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let argument = call.argument(0)?;
    let mut kept = argument.clone();
    let form = match call.function {
        "collect" => Form::List { with_nulls: false },
        "array_agg" => Form::List { with_nulls: true },
        "list_agg" => {
            let separator = match call.parameters.first() {
                None => ",".to_owned(),
                Some(Parameter::Text(separator)) => separator.clone(),
                _ => return Err(call.needs("a string as separator")),
            };
            if !matches!(argument, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
                return Err(call.takes("strings"));
            }
            Form::Text { separator }
        }
        _ => {
            kept = DataType::Float64;
            Form::Quantiles(Quantiles::of(call)?)
        }
    };
    Ok(Box::new(Gather {
        form,
        log: Log::new(&kept),
        links: Links::default(),
    }))
}

impl Gather {
    /// Appends the values of `array`, which belong to these groups; without nulls if they do not count.
    fn append(&mut self, array: &dyn Array, groups: &[u32]) -> Result<(), TableError> {
        let with_nulls = matches!(self.form, Form::List { with_nulls: true });
        let nulls = array
            .logical_nulls()
            .filter(|nulls| !with_nulls && nulls.null_count() > 0);
        let is_valid = |row: &u32| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row as usize));
        let rows: Vec<u32> = (0..array.len() as u32).filter(is_valid).collect();
        rows.iter().for_each(|row| self.links.push(groups[*row as usize]));
        self.log.append(array, rows)
    }

    fn lists(&self, groups: &Groups<'_>) -> Result<(ArrayRef, Vec<usize>), TableError> {
        let (numbers, ends) = self.links.of_all(groups.ids);
        Ok((self.log.take(&numbers)?, ends))
    }
}

impl State for Gather {
    fn takes_whole_batches(&self) -> bool {
        true
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("", list_type(self.log.data_type()))]
    }

    fn result_type(&self) -> DataType {
        match &self.form {
            Form::List { .. } => list_type(self.log.data_type()),
            Form::Text { .. } => self.log.data_type().clone(),
            Form::Quantiles(quantiles) => quantiles.result_type(),
        }
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], _start: usize) -> Result<(), TableError> {
        if !matches!(self.form, Form::Quantiles(_)) {
            return self.append(arguments[0].array.as_ref(), slots.groups);
        }
        let mut values = Vec::with_capacity(slots.len());
        let mut groups = Vec::with_capacity(slots.len());
        each_float(arguments[0], 0, slots.len(), |at, value| {
            values.push(value);
            groups.push(slots.groups[at]);
        });
        self.append(&Float64Array::from(values), &groups)
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], _start: usize) -> Result<(), TableError> {
        let (groups, items) = exploded(partials[0], slots);
        self.append(items.as_ref(), &groups)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let (values, ends) = self.lists(groups)?;
        Ok(vec![list_array(values, &ends, None)?])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let (values, ends) = self.lists(groups)?;
        match &self.form {
            Form::List { with_nulls: false } => list_array(values, &ends, None),
            Form::List { .. } => {
                let nulls: BooleanBuffer = ends.windows(2).map(|ends| ends[0] < ends[1]).collect();
                list_array(
                    values,
                    &ends,
                    Some(NullBuffer::new(nulls)).filter(|nulls| nulls.null_count() > 0),
                )
            }
            Form::Text { separator } => Ok(joined(values.as_ref(), &ends, separator)),
            Form::Quantiles(quantiles) => {
                let mut values = values.as_primitive::<Float64Type>().values().to_vec();
                ends.windows(2)
                    .for_each(|ends| values[ends[0]..ends[1]].sort_unstable_by(f64::total_cmp));
                let groups = ends.windows(2).map(|ends| &values[ends[0]..ends[1]]).collect();
                quantiles.array(groups, |values: &&[f64], fraction| interpolated(values, fraction))
            }
        }
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            form: Form::List { with_nulls: true },
            log: self.log.clone(),
            links: self.links.clone(),
        })
    }

    fn clear(&mut self) {
        self.log.clear();
        self.links.clear();
    }

    fn bytes(&self) -> usize {
        self.log.bytes() + self.links.bytes()
    }
}

/// The quantile of sorted values.
fn interpolated(sorted: &[f64], fraction: f64) -> Option<f64> {
    let place = fraction * sorted.len().checked_sub(1)? as f64;
    let (below, share) = (place as usize, place.fract());
    let low = sorted[below];
    if share == 0.0 || sorted[below + 1] == low {
        return Some(low);
    }
    Some(low + (sorted[below + 1] - low) * share)
}

fn joined(values: &dyn Array, ends: &[usize], separator: &str) -> ArrayRef {
    let text_of = |at: usize| match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(at),
        DataType::LargeUtf8 => values.as_string::<i64>().value(at),
        _ => values.as_string_view().value(at),
    };
    let text = |ends: &[usize]| {
        (ends[0] < ends[1]).then(|| (ends[0]..ends[1]).map(text_of).collect::<Vec<_>>().join(separator))
    };
    let texts = ends.windows(2).map(text);
    match values.data_type() {
        DataType::Utf8 => Arc::new(texts.collect::<StringArray>()),
        DataType::LargeUtf8 => Arc::new(texts.collect::<LargeStringArray>()),
        _ => Arc::new(texts.collect::<arrow_array::StringViewArray>()),
    }
}

#[cfg(test)]
mod tests {
    use super::interpolated;

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(interpolated(&[], 0.5), None);
        assert_eq!(interpolated(&[3.0], 0.9), Some(3.0));
        assert_eq!(interpolated(&[1.0, 2.0, 4.0], 0.5), Some(2.0));
        assert_eq!(interpolated(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(
            interpolated(&[1.0, f64::INFINITY, f64::INFINITY], 0.75),
            Some(f64::INFINITY)
        );
        assert_eq!(interpolated(&[1.0, 2.0], 1.0), Some(2.0));
    }
}
