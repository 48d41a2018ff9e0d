//! `var_pop`, `var_samp`, `stddev_pop`, `stddev_samp`: count, mean and sum of squared differences from it.
//!
//! Welford's update and Chan's merge (Chan, Golub, LeVeque 1983), which do not cancel for large, close values.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;

use super::numbers::each_float;
use super::words::Kept;
use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::state::{Groups, Slots, State};
use crate::error::TableError;

struct Moments {
    offset: usize,
    is_sample: bool,
    is_root: bool,
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    if !call.argument(0)?.is_numeric() {
        return Err(call.takes("numbers"));
    }
    Ok(Box::new(Moments {
        offset: 0,
        is_sample: call.function.ends_with("samp"),
        is_root: call.function.starts_with("stddev"),
    }))
}

/// Count, mean, sum of squared differences.
type Words = (i64, f64, f64);

impl Moments {
    fn read(&self, slots: &Slots<'_>, at: usize) -> Words {
        let [count, mean, squares] = slots.read::<[u64; 3]>(at, self.offset);
        (count as i64, f64::from_bits(mean), f64::from_bits(squares))
    }

    fn write(&self, slots: &Slots<'_>, at: usize, (count, mean, squares): Words) {
        slots.write(at, self.offset, [count as u64, mean.to_bits(), squares.to_bits()]);
    }

    fn value(&self, count: i64, squares: f64) -> Option<f64> {
        let divisor = count - i64::from(self.is_sample);
        let variance = (divisor > 0).then(|| squares / divisor as f64)?;
        Some(if self.is_root { variance.sqrt() } else { variance })
    }
}

impl State for Moments {
    fn initial(&self) -> Vec<u64> {
        vec![0, 0, 0]
    }

    fn place(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![
            ("count", DataType::Int64),
            ("mean", DataType::Float64),
            ("squares", DataType::Float64),
        ]
    }

    fn result_type(&self) -> DataType {
        DataType::Float64
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError> {
        each_float(arguments[0], start, slots.len(), |at, value| {
            let (count, mean, squares) = self.read(slots, at);
            let (count, difference) = (count + 1, value - mean);
            let mean = mean + difference / count as f64;
            self.write(slots, at, (count, mean, squares + difference * (value - mean)));
        });
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        let means = partials[1].values::<f64>(start, slots.len());
        let squares = partials[2].values::<f64>(start, slots.len());
        i64::each(partials[0], start, slots.len(), |at, count| {
            let (kept, kept_mean, kept_squares) = self.read(slots, at);
            if count == 0 {
                return;
            }
            if kept == 0 {
                return self.write(slots, at, (count, means[at], squares[at]));
            }
            let (all, difference) = (kept + count, means[at] - kept_mean);
            let share = count as f64 / all as f64;
            let between = difference * difference * kept as f64 * share;
            self.write(
                slots,
                at,
                (
                    all,
                    kept_mean + difference * share,
                    kept_squares + squares[at] + between,
                ),
            );
        });
        Ok(())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let counts: Vec<i64> = groups.values(self.offset).collect();
        let means: Vec<f64> = groups.values(self.offset + 8).collect();
        let squares: Vec<f64> = groups.values(self.offset + 16).collect();
        Ok(vec![
            Arc::new(Int64Array::from(counts)),
            Arc::new(Float64Array::from(means)),
            Arc::new(Float64Array::from(squares)),
        ])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let states = groups
            .values::<i64>(self.offset)
            .zip(groups.values::<f64>(self.offset + 16));
        let values = states.map(|(count, squares)| self.value(count, squares));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self { ..*self })
    }

    fn clear(&mut self) {}

    fn bytes(&self) -> usize {
        0
    }
}
