//! Values that are stored in the words of a row, and how columns are made from them.

use arrow_array::cast::AsArray;
use arrow_array::{make_array, ArrayRef};
use arrow_buffer::{i256, BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayDataBuilder;
use arrow_schema::DataType;
use half::f16;

use crate::aggregate::argument::{Argument, Narrow, Physical, Wide};

/// Precision of the sum of decimals (Flink: DECIMAL(38, s)).
pub const DECIMAL128_DIGITS: u8 = 38;
pub const DECIMAL256_DIGITS: u8 = 76;

/// A value that is stored in a row.
pub trait Kept: Wide + Send {
    fn words(self) -> Vec<u64>;
    /// For decimals.
    fn wide(self) -> i256 {
        unreachable!("only decimals have digits to count");
    }
    /// A column of `data_type`, the type from which this was widened.
    fn array(values: Vec<Self>, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef;
    /// Calls `fold(row, value)` for each value of `argument` that is not null.
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self));
}

/// Passes values of one type to a fold; skips the check for nulls if there are none.
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

    /// Integers and decimals are also read as floats; decimals without their scale.
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
        let len = values.len();
        let buffer = match data_type {
            DataType::Decimal128(_, _) => Buffer::from_vec(values.into_iter().map(i256::as_i128).collect::<Vec<_>>()),
            _ => Buffer::from_vec(values),
        };
        fixed_array(data_type, len, buffer, nulls)
    }

    #[inline(always)]
    fn each(argument: &Argument, start: usize, len: usize, fold: impl FnMut(usize, Self)) {
        match Physical::of(argument.array.data_type()) {
            Some(Physical::I128) => values_of::<i128, i256>(argument, start, len, fold),
            _ => values_of::<i256, i256>(argument, start, len, fold),
        }
    }
}
