//! `avg`: sum and count.
//!
//! For integers of up to 32 bits and floats, the result is a float64 (for float32 a float32). For 64-bit integers,
//! which float64 cannot represent, it is a whole number of their type, truncated toward zero, from a 128-bit sum. For
//! DECIMAL(p, s) it is DECIMAL(38, max(s, 6)), rounded half up. With Flink's types, integer averages have the input's
//! type.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::{i256, BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::fold::{intermediate_sum_type, sum_type};
use super::limit::Limit;
use super::words::{Kept, DECIMAL128_DIGITS, DECIMAL256_DIGITS};
use super::Call;
use crate::aggregate::argument::{Argument, Wide};
use crate::aggregate::state::{FromRows, Groups, Slots, State};
use crate::error::TableError;

const SCALE_MIN: i8 = 6;

/// How a sum is divided.
trait Divided: Kept {
    /// `digits`: how many more decimal digits the result has than the sum; `LEAST` if it does not fit.
    fn divided(self, count: i64, digits: u32) -> Self;
}

impl Divided for i64 {
    fn divided(self, count: i64, _digits: u32) -> Self {
        self / count
    }
}

impl Divided for f64 {
    fn divided(self, count: i64, _digits: u32) -> Self {
        self / count as f64
    }
}

impl Divided for i256 {
    fn divided(self, count: i64, digits: u32) -> Self {
        let count = i256::from_i128(i128::from(count));
        let Some(scaled) = self.checked_mul(i256::from_i128(10).wrapping_pow(digits)) else {
            return Self::LEAST;
        };
        let (quotient, rest) = (scaled.wrapping_div(count), scaled.wrapping_rem(count));
        let is_up = rest.wrapping_abs().wrapping_add(rest.wrapping_abs()) >= count;
        match (is_up, self < i256::ZERO) {
            (false, _) => quotient,
            (true, false) => quotient.wrapping_add(i256::ONE),
            (true, true) => quotient.wrapping_sub(i256::ONE),
        }
    }
}

impl Divided for i128 {
    fn divided(self, count: i64, digits: u32) -> Self {
        if self == Self::LEAST {
            return Self::LEAST;
        }
        let divided = i256::from_i128(self).divided(count, digits);
        divided.to_i128().unwrap_or(Self::LEAST)
    }
}

/// The average as the nearest float64 if float64 holds the sum, otherwise within its values: the whole part is exact.
fn as_float(sum: i64, count: i64) -> f64 {
    if sum.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS {
        return sum as f64 / count as f64;
    }
    (sum / count) as f64 + (sum % count) as f64 / count as f64
}

struct Average<W> {
    sum_at: usize,
    count_at: usize,
    sum_type: DataType,
    result_type: DataType,
    digits: u32,
    limit: Limit,
    kind: PhantomData<fn() -> W>,
}

/// The types of sum and result, and how many decimal digits more the result has.
fn types_of(argument: &DataType) -> Option<(DataType, DataType, i8)> {
    Some(match sum_type(argument)? {
        DataType::Decimal128(p, s) => {
            let scale = SCALE_MIN.max(s);
            (
                DataType::Decimal128(p, s),
                DataType::Decimal128(DECIMAL128_DIGITS, scale),
                scale - s,
            )
        }
        DataType::Decimal256(p, s) => {
            let scale = SCALE_MIN.max(s);
            (
                DataType::Decimal256(p, s),
                DataType::Decimal256(DECIMAL256_DIGITS, scale),
                scale - s,
            )
        }
        DataType::Float64 => (DataType::Float64, argument.clone(), 0),
        _ if argument.primitive_width() == Some(8) => (DataType::Decimal128(DECIMAL128_DIGITS, 0), argument.clone(), 0),
        sum => (sum, DataType::Float64, 0),
    })
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let argument = call.argument(0)?;
    let (sum_type, result_type, digits) = types_of(argument).ok_or_else(|| call.takes("numbers"))?;
    let sum_type = intermediate_sum_type(call, &sum_type)?;
    macro_rules! of {
        ($kind:ty) => {
            Box::new(Average::<$kind> {
                sum_at: 0,
                count_at: 0,
                limit: Limit::of(call, &sum_type),
                sum_type,
                result_type,
                digits: digits as u32,
                kind: PhantomData,
            })
        };
    }
    Ok(match &sum_type {
        DataType::Int64 => of!(i64),
        DataType::Float64 => of!(f64),
        DataType::Decimal128(_, _) => of!(i128),
        _ => of!(i256),
    })
}

impl<W: Divided + 'static> Average<W> {
    /// Adds up and calls `then` with each row of a value; returns whether 64 bits were too few.
    #[inline(always)]
    fn add(
        &self,
        slots: &Slots<'_>,
        argument: &Argument,
        start: usize,
        may_pass: bool,
        then: impl Fn(usize) + Copy,
    ) -> bool {
        let (slots, sum_at, mut over) = (*slots, self.sum_at, false);
        if may_pass {
            W::each(argument, start, slots.len(), |at, value| {
                slots.write(at, sum_at, slots.read::<W>(at, sum_at).plus_checked(value, &mut over));
                then(at);
            });
            return over;
        }
        W::each(argument, start, slots.len(), move |at, value| {
            slots.write(at, sum_at, slots.read::<W>(at, sum_at).plus(value));
            then(at);
        });
        false
    }

    fn averages(&self, groups: &Groups<'_>, counts: &[i64]) -> Vec<W> {
        let sums = groups.values::<W>(self.sum_at).zip(counts);
        let averages = sums.map(|(sum, count)| match count {
            0 => W::default(),
            count => sum.divided(*count, self.digits),
        });
        averages.collect()
    }
}

impl<W: Divided + 'static> State for Average<W> {
    fn initial(&self) -> Vec<u64> {
        let mut words = W::default().words();
        words.push(0);
        words
    }

    fn place(&mut self, offset: usize) {
        self.sum_at = offset;
        self.count_at = offset + W::default().words().len() * 8;
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", self.sum_type.clone()), ("count", DataType::Int64)]
    }

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError> {
        let may_pass = self.limit.may_pass(arguments[0], start, slots.len());
        let (slots, count_at) = (*slots, self.count_at);
        let count = move |at: usize| slots.write(at, count_at, slots.read::<i64>(at, count_at) + 1);
        let over = self.add(&slots, arguments[0], start, may_pass, count);
        self.limit.check(over, &self.sum_type)
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        let may_pass = self.limit.may_pass(partials[0], start, slots.len());
        let over = self.add(slots, partials[0], start, may_pass, |_| ());
        let (slots, count_at) = (*slots, self.count_at);
        i64::each(partials[1], start, slots.len(), move |at, value| {
            slots.write(at, count_at, slots.read::<i64>(at, count_at) + value);
        });
        self.limit.check(over, &self.sum_type)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let counts: Vec<i64> = groups.values(self.count_at).collect();
        Ok(vec![
            W::array(groups.values(self.sum_at).collect(), &self.sum_type, None),
            Arc::new(Int64Array::from(counts)),
        ])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let counts: Vec<i64> = groups.values(self.count_at).collect();
        let nulls = NullBuffer::new(counts.iter().map(|count| *count != 0).collect::<BooleanBuffer>());
        let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
        if matches!(
            (&self.sum_type, &self.result_type),
            (DataType::Int64, DataType::Float64)
        ) {
            let sums = groups.values::<i64>(self.sum_at).zip(&counts);
            let floats = sums.map(|(sum, count)| if *count == 0 { 0.0 } else { as_float(sum, *count) });
            return Ok(f64::array(floats.collect(), &self.result_type, nulls));
        }
        if matches!(self.result_type, DataType::Int64 | DataType::UInt64) {
            let sums = groups.values::<i128>(self.sum_at).zip(&counts);
            let whole = sums.map(|(sum, count)| (sum / i128::from((*count).max(1))) as i64);
            return Ok(i64::array(whole.collect(), &self.result_type, nulls));
        }
        let averages = self.averages(groups, &counts);
        let (averages, nulls) = self.limit.fitted(averages, nulls, &self.result_type)?;
        Ok(W::array(averages, &self.result_type, nulls))
    }

    fn is_in_rows(&self) -> bool {
        true
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) -> Result<(), TableError> {
        self.limit.always(); // the size of a merged sum is unknown
        let (sum_at, count_at, mut over) = (self.sum_at, self.count_at, false);
        for at in 0..slots.len() {
            let sum = slots
                .read::<W>(at, sum_at)
                .plus_checked(rows.read(at, sum_at), &mut over);
            slots.write(at, sum_at, sum);
            let count = slots.read::<i64>(at, count_at) + rows.read::<i64>(at, count_at);
            slots.write(at, count_at, count);
        }
        self.limit.check(over, &self.sum_type)
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            sum_type: self.sum_type.clone(),
            result_type: self.result_type.clone(),
            limit: self.limit.clone(),
            ..*self
        })
    }

    fn copy_rows(&mut self) {
        self.limit.always();
    }

    fn clear(&mut self) {
        self.limit.clear();
    }

    fn bytes(&self) -> usize {
        0
    }
}
