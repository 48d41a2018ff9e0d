//! `sum`, `sum0`, `min`, `max` of numbers, times and booleans: the value so far, in the row.
//!
//! Integers add up in 64 bits; floats in float64, in the order in which they come; decimals of up to 38 digits in 128
//! bits. A sum that does not fit is an error; with Flink's types integers wrap around as in Java, and decimals are null.
//! Partial columns have the type that values are widened to, so merging is updating.

use std::marker::PhantomData;

use arrow_array::cast::AsArray;
use arrow_array::{make_array, ArrayRef};
use arrow_buffer::{i256, BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayDataBuilder;
use arrow_schema::DataType;
use half::f16;

use super::limit::Limit;
use super::Call;
use crate::aggregate::argument::{Argument, Narrow, Physical, Wide};
use crate::aggregate::state::{FromRows, Groups, Seen, Slots, State};
use crate::exchange::error::ExchangeError;

/// Precision of the sum of decimals (Flink: DECIMAL(38, s)).
pub const DECIMAL128_DIGITS: u8 = 38;
pub const DECIMAL256_DIGITS: u8 = 76;

/// A value that keeps itself in a row.
pub trait Kept: Wide + Send {
    fn words(self) -> Vec<u64>;
    /// For decimals.
    fn wide(self) -> i256 {
        unreachable!("only decimals have digits to count");
    }
    /// A column of `data_type`, which is what this was widened from.
    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef;
    /// Calls `fold(row, value)` for each value of `argument` that is not null.
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self));
}

/// Values of one type to those who fold them, without a look at nulls where there are none.
#[inline(always)]
fn values_of<T: Narrow<W>, W>(argument: &Argument, start: usize, len: usize, mut fold: impl FnMut(usize, W)) {
    let values = argument.values::<T>(start, len);
    match &argument.nulls {
        None => values
            .iter()
            .enumerate()
            .for_each(|(at, value)| fold(at, value.widen())),
        Some(nulls) => {
            let valid = values.iter().enumerate().filter(|(at, _)| nulls.is_valid(start + at));
            valid.for_each(|(at, value)| fold(at, value.widen()));
        }
    }
}

/// A column of fixed-width values.
pub fn fixed_array(data_type: &DataType, len: usize, values: Buffer, nulls: Option<NullBuffer>) -> ArrayRef {
    let builder = ArrayDataBuilder::new(data_type.clone())
        .len(len)
        .add_buffer(values)
        .nulls(nulls);
    // SAFETY: `len` values of the width of the type.
    make_array(unsafe { builder.align_buffers(true).build_unchecked() })
}

macro_rules! truncated {
    ($values:expr, $kind:ty) => {
        Buffer::from_vec($values.into_iter().map(|value| value as $kind).collect::<Vec<$kind>>())
    };
}

impl Kept for i64 {
    fn words(self) -> Vec<u64> {
        vec![self as u64]
    }

    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        let len = values.len();
        let buffer = match data_type {
            DataType::Boolean => values
                .iter()
                .map(|value| *value != 0)
                .collect::<BooleanBuffer>()
                .into_inner(),
            _ => match data_type.primitive_width() {
                Some(1) => truncated!(values, i8),
                Some(2) => truncated!(values, i16),
                Some(4) => truncated!(values, i32),
                _ => Buffer::from_vec(values),
            },
        };
        fixed_array(data_type, len, buffer, nulls)
    }

    #[inline(always)]
    fn each(argument: &Argument, start: usize, len: usize, mut fold: impl FnMut(usize, Self)) {
        match Physical::of(argument.array.data_type()) {
            Some(Physical::I64) => values_of::<i64, i64>(argument, start, len, fold),
            Some(Physical::I32) => values_of::<i32, i64>(argument, start, len, fold),
            Some(Physical::I16) => values_of::<i16, i64>(argument, start, len, fold),
            Some(Physical::I8) => values_of::<i8, i64>(argument, start, len, fold),
            Some(Physical::U32) => values_of::<u32, i64>(argument, start, len, fold),
            Some(Physical::U16) => values_of::<u16, i64>(argument, start, len, fold),
            Some(Physical::U8) => values_of::<u8, i64>(argument, start, len, fold),
            _ => {
                let bits = argument.array.as_boolean();
                let valid = |at: &usize| argument.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(start + at));
                for at in (0..len).filter(valid) {
                    fold(at, i64::from(bits.value(start + at)));
                }
            }
        }
    }
}

impl Kept for u64 {
    fn words(self) -> Vec<u64> {
        vec![self]
    }

    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        fixed_array(data_type, values.len(), Buffer::from_vec(values), nulls)
    }

    #[inline(always)]
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self)) {
        values_of::<u64, u64>(argument, start, len, fold);
    }
}

impl Kept for f64 {
    fn words(self) -> Vec<u64> {
        vec![self.to_bits()]
    }

    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        let len = values.len();
        let buffer = match data_type {
            DataType::Float16 => Buffer::from_vec(values.into_iter().map(f16::from_f64).collect::<Vec<_>>()),
            DataType::Float32 => truncated!(values, f32),
            _ => Buffer::from_vec(values),
        };
        fixed_array(data_type, len, buffer, nulls)
    }

    /// Integers and decimals come as floats, too; decimals without their scale.
    #[inline(always)]
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self)) {
        match Physical::of(argument.array.data_type()).expect("a number") {
            Physical::F64 => values_of::<f64, f64>(argument, start, len, fold),
            Physical::F32 => values_of::<f32, f64>(argument, start, len, fold),
            Physical::F16 => values_of::<f16, f64>(argument, start, len, fold),
            Physical::I64 => values_of::<i64, f64>(argument, start, len, fold),
            Physical::I32 => values_of::<i32, f64>(argument, start, len, fold),
            Physical::I16 => values_of::<i16, f64>(argument, start, len, fold),
            Physical::I8 => values_of::<i8, f64>(argument, start, len, fold),
            Physical::U64 => values_of::<u64, f64>(argument, start, len, fold),
            Physical::U32 => values_of::<u32, f64>(argument, start, len, fold),
            Physical::U16 => values_of::<u16, f64>(argument, start, len, fold),
            Physical::U8 => values_of::<u8, f64>(argument, start, len, fold),
            Physical::I128 => values_of::<i128, f64>(argument, start, len, fold),
            Physical::I256 => values_of::<i256, f64>(argument, start, len, fold),
        }
    }
}

impl Kept for i128 {
    fn words(self) -> Vec<u64> {
        vec![self as u64, (self >> 64) as u64]
    }

    fn wide(self) -> i256 {
        i256::from_i128(self)
    }

    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        fixed_array(data_type, values.len(), Buffer::from_vec(values), nulls)
    }

    #[inline(always)]
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self)) {
        match Physical::of(argument.array.data_type()) {
            Some(Physical::I32) => values_of::<i32, i128>(argument, start, len, fold),
            Some(Physical::I64) => values_of::<i64, i128>(argument, start, len, fold),
            Some(Physical::U64) => values_of::<u64, i128>(argument, start, len, fold),
            _ => values_of::<i128, i128>(argument, start, len, fold),
        }
    }
}

impl Kept for i256 {
    fn words(self) -> Vec<u64> {
        let bytes = self.to_le_bytes();
        bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect()
    }

    fn wide(self) -> i256 {
        self
    }

    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        fixed_array(data_type, values.len(), Buffer::from_vec(values), nulls)
    }

    #[inline(always)]
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self)) {
        values_of::<i256, i256>(argument, start, len, fold);
    }
}

/// How a value joins the one kept.
pub trait Join<W>: Send {
    fn initial() -> W;
    fn join(kept: W, value: W) -> W;
    /// `over`: set where the type of the values cannot hold what comes out.
    #[inline(always)]
    fn join_checked(kept: W, value: W, _over: &mut bool) -> W {
        Self::join(kept, value)
    }
}

struct Adding;
struct Smaller;
struct Greater;

impl<W: Wide> Join<W> for Adding {
    fn initial() -> W {
        W::default()
    }
    #[inline(always)]
    fn join(kept: W, value: W) -> W {
        kept.plus(value)
    }
    #[inline(always)]
    fn join_checked(kept: W, value: W, over: &mut bool) -> W {
        kept.plus_checked(value, over)
    }
}

impl<W: Wide> Join<W> for Smaller {
    fn initial() -> W {
        W::GREATEST
    }
    #[inline(always)]
    fn join(kept: W, value: W) -> W {
        if value.is_below(kept) {
            value
        } else {
            kept
        }
    }
}

impl<W: Wide> Join<W> for Greater {
    fn initial() -> W {
        W::LEAST
    }
    #[inline(always)]
    fn join(kept: W, value: W) -> W {
        if kept.is_below(value) {
            value
        } else {
            kept
        }
    }
}

struct Fold<W, J> {
    offset: usize,
    data_type: DataType,
    seen: Seen,
    /// Nothing seen is the initial value, not null.
    is_never_null: bool,
    limit: Limit,
    kind: PhantomData<fn() -> (W, J)>,
}

impl<W: Kept + 'static, J: Join<W> + 'static> Fold<W, J> {
    fn boxed(data_type: &DataType, call: &Call<'_>) -> Box<dyn State> {
        Box::new(Self {
            offset: 0,
            data_type: data_type.clone(),
            seen: Seen::new(),
            is_never_null: call.function == "sum0",
            limit: Limit::of(call, data_type),
            kind: PhantomData,
        })
    }
}

impl<W: Kept + 'static, J: Join<W> + 'static> Fold<W, J> {
    #[inline(always)]
    fn fold(&mut self, slots: &Slots<'_>, argument: &Argument, start: usize, mut joined: impl FnMut(W, W) -> W) {
        let (slots, offset) = (*slots, self.offset);
        let mut join = move |at: usize, value: W| slots.write(at, offset, joined(slots.read(at, offset), value));
        let has_nulls = argument.nulls.is_some();
        if !self.is_never_null && self.seen.prepare(&slots, has_nulls) {
            let seen = &mut self.seen;
            W::each(argument, start, slots.len(), |at, value| {
                join(at, value);
                seen.mark(slots.groups[at]);
            });
        } else {
            W::each(argument, start, slots.len(), join);
        }
    }
}

impl<W: Kept + 'static, J: Join<W> + 'static> State for Fold<W, J> {
    fn initial(&self) -> Vec<u64> {
        J::initial().words()
    }

    fn place(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("", self.data_type.clone())]
    }

    fn result_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), ExchangeError> {
        assert_eq!(slots.rows.len(), slots.groups.len(), "an address for each row");
        if self.limit.may_pass(arguments[0], start, slots.len()) {
            let mut over = false;
            self.fold(slots, arguments[0], start, |kept, value| {
                J::join_checked(kept, value, &mut over)
            });
            return self.limit.check(over, &self.data_type);
        }
        self.fold(slots, arguments[0], start, J::join);
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), ExchangeError> {
        self.update(slots, partials, start)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, ExchangeError> {
        let nulls = (!self.is_never_null).then(|| self.seen.nulls(groups.ids)).flatten();
        Ok(vec![W::array(
            groups.values(self.offset).collect(),
            &self.data_type,
            nulls,
        )])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, ExchangeError> {
        let nulls = if self.is_never_null {
            None
        } else {
            self.seen.nulls(groups.ids)
        };
        let (values, nulls) = self
            .limit
            .fitted(groups.values(self.offset).collect(), nulls, &self.data_type)?;
        Ok(W::array(values, &self.data_type, nulls))
    }

    fn skips_rows(&mut self) {
        self.seen.always();
    }

    fn is_in_rows(&self) -> bool {
        self.is_never_null || self.seen.is_every_group()
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) -> Result<(), ExchangeError> {
        self.limit.always(); // of what came so, nobody knows how large it is
        let (offset, mut over) = (self.offset, false);
        for at in 0..slots.len() {
            let joined = J::join_checked(slots.read(at, offset), rows.read(at, offset), &mut over);
            slots.write(at, offset, joined);
        }
        self.limit.check(over, &self.data_type)
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            data_type: self.data_type.clone(),
            seen: self.seen.clone(),
            limit: self.limit.clone(),
            ..*self
        })
    }

    fn forget(&mut self, groups: &[u32], groups_now: usize) {
        if !self.is_never_null {
            self.seen.forget(groups, groups_now);
        }
    }

    fn end_restore(&mut self, groups_now: usize) {
        self.seen.tidy(groups_now);
    }

    fn copy_rows(&mut self) {
        self.limit.always();
    }

    fn clear(&mut self) {
        self.seen.clear();
        self.limit.clear();
    }

    fn bytes(&self) -> usize {
        self.seen.bytes()
    }
}

/// The type of a sum.
pub fn sum_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::UInt64 => DataType::UInt64,
        other if other.is_integer() => DataType::Int64,
        other if other.is_floating() => DataType::Float64,
        DataType::Decimal32(_, s) | DataType::Decimal64(_, s) | DataType::Decimal128(_, s) => {
            DataType::Decimal128(DECIMAL128_DIGITS, *s)
        }
        DataType::Decimal256(_, s) => DataType::Decimal256(DECIMAL256_DIGITS, *s),
        _ => return None,
    })
}

pub fn make_sum(call: &Call<'_>) -> Result<Box<dyn State>, ExchangeError> {
    let data_type = sum_type(call.argument(0)?).ok_or_else(|| call.takes("numbers"))?;
    Ok(match data_type {
        DataType::UInt64 => Fold::<u64, Adding>::boxed(&data_type, call),
        DataType::Int64 => Fold::<i64, Adding>::boxed(&data_type, call),
        DataType::Float64 => Fold::<f64, Adding>::boxed(&data_type, call),
        DataType::Decimal128(_, _) => Fold::<i128, Adding>::boxed(&data_type, call),
        _ => Fold::<i256, Adding>::boxed(&data_type, call),
    })
}

/// Whether `min` and `max` of a type are kept in the row.
pub fn fits_words(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean) || Physical::of(data_type).is_some()
}

/// `min`, `max`; of booleans also `bool_and`, `bool_or`.
pub fn make_extreme(call: &Call<'_>) -> Result<Box<dyn State>, ExchangeError> {
    let data_type = call.argument(0)?;
    let is_bool = matches!(data_type, DataType::Boolean);
    if call.function.starts_with("bool") && !is_bool {
        return Err(call.takes("booleans"));
    }
    macro_rules! of {
        ($kind:ty) => {
            match call.function {
                "min" | "bool_and" => Fold::<$kind, Smaller>::boxed(data_type, call),
                _ => Fold::<$kind, Greater>::boxed(data_type, call),
            }
        };
    }
    Ok(match Physical::of(data_type) {
        _ if is_bool => of!(i64),
        Some(Physical::F16 | Physical::F32 | Physical::F64) => of!(f64),
        Some(Physical::U64) => of!(u64),
        Some(Physical::I128) => of!(i128),
        Some(Physical::I256) => of!(i256),
        Some(_) => of!(i64),
        None => return Err(call.takes("values that can be ordered")),
    })
}
