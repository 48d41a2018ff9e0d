//! `avg`: sum and count. The result has the argument's type, as Flink's AVG: of integers it is cut off towards zero; of
//! DECIMAL(p, s) it is DECIMAL(38, max(s, 6)), rounded half up.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_buffer::{i256, BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::fold::{sum_type, Kept, DECIMAL128_DIGITS, DECIMAL256_DIGITS};
use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::state::{FromRows, Groups, Slots, State};
use crate::exchange::error::ExchangeError;

const SCALE_MIN: i8 = 6;

/// How a sum is divided.
trait Divided: Kept {
    /// `digits`: how many more decimal digits the result has than the sum.
    fn divided(self, count: i64, digits: u32) -> Self;
}

impl Divided for i64 {
    fn divided(self, count: i64, _digits: u32) -> Self {
        self / count
    }
}

impl Divided for u64 {
    fn divided(self, count: i64, _digits: u32) -> Self {
        self / count as u64
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
        let scaled = self.wrapping_mul(i256::from_i128(10).wrapping_pow(digits));
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
        i256::from_i128(self).divided(count, digits).as_i128()
    }
}

struct Average<W> {
    sum_at: usize,
    count_at: usize,
    sum_type: DataType,
    result_type: DataType,
    digits: u32,
    kind: PhantomData<fn() -> W>,
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, ExchangeError> {
    let argument = call.argument(0)?;
    let sum_type = sum_type(argument).ok_or_else(|| call.takes("numbers"))?;
    let (result_type, digits) = match &sum_type {
        DataType::Decimal128(_, s) => (
            DataType::Decimal128(DECIMAL128_DIGITS, SCALE_MIN.max(*s)),
            SCALE_MIN.max(*s) - s,
        ),
        DataType::Decimal256(_, s) => (
            DataType::Decimal256(DECIMAL256_DIGITS, SCALE_MIN.max(*s)),
            SCALE_MIN.max(*s) - s,
        ),
        _ => (argument.clone(), 0),
    };
    macro_rules! of {
        ($kind:ty) => {
            Box::new(Average::<$kind> {
                sum_at: 0,
                count_at: 0,
                sum_type,
                result_type,
                digits: digits as u32,
                kind: PhantomData,
            })
        };
    }
    Ok(match &sum_type {
        DataType::UInt64 => of!(u64),
        DataType::Int64 => of!(i64),
        DataType::Float64 => of!(f64),
        DataType::Decimal128(_, _) => of!(i128),
        _ => of!(i256),
    })
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

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), ExchangeError> {
        let (slots, sum_at, count_at) = (*slots, self.sum_at, self.count_at);
        W::each(arguments[0], start, slots.len(), move |at, value| {
            slots.write(at, sum_at, slots.read::<W>(at, sum_at).plus(value));
            slots.write(at, count_at, slots.read::<i64>(at, count_at) + 1);
        });
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), ExchangeError> {
        let (slots, sum_at, count_at) = (*slots, self.sum_at, self.count_at);
        W::each(partials[0], start, slots.len(), move |at, value| {
            slots.write(at, sum_at, slots.read::<W>(at, sum_at).plus(value));
        });
        i64::each(partials[1], start, slots.len(), move |at, value| {
            slots.write(at, count_at, slots.read::<i64>(at, count_at) + value);
        });
        Ok(())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, ExchangeError> {
        let counts: Vec<i64> = groups.values(self.count_at).collect();
        Ok(vec![
            W::array(groups.values(self.sum_at).collect(), &self.sum_type, None),
            Arc::new(Int64Array::from(counts)),
        ])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, ExchangeError> {
        let counts: Vec<i64> = groups.values(self.count_at).collect();
        let sums = groups.values::<W>(self.sum_at).zip(&counts);
        let averages = sums.map(|(sum, count)| match count {
            0 => W::default(),
            count => sum.divided(*count, self.digits),
        });
        let nulls = NullBuffer::new(counts.iter().map(|count| *count != 0).collect::<BooleanBuffer>());
        let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
        Ok(W::array(averages.collect(), &self.result_type, nulls))
    }

    fn is_in_rows(&self) -> bool {
        true
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) {
        let (sum_at, count_at) = (self.sum_at, self.count_at);
        for at in 0..slots.len() {
            let sum = slots.read::<W>(at, sum_at).plus(rows.read(at, sum_at));
            slots.write(at, sum_at, sum);
            let count = slots.read::<i64>(at, count_at) + rows.read::<i64>(at, count_at);
            slots.write(at, count_at, count);
        }
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            sum_type: self.sum_type.clone(),
            result_type: self.result_type.clone(),
            ..*self
        })
    }

    fn clear(&mut self) {}

    fn bytes(&self) -> usize {
        0
    }
}
