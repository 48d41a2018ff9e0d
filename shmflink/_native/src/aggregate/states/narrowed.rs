//! Aggregates with the types of Flink SQL: sums, averages and variances have the type of their argument (decimals with
//! more digits); floats become integers by Java's casts.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array};
use arrow_schema::DataType;

use super::words::{Kept, DECIMAL128_DIGITS};
use super::Call;
use crate::aggregate::argument::{Argument, Physical};
use crate::aggregate::state::{FromRows, Groups, Slots, State};
use crate::error::TableError;

const SCALE_MIN: i8 = 6;

struct Narrowed {
    inner: Box<dyn State>,
    result_type: DataType,
}

/// `inner` is the state of the same call with its own types; kept if those are Flink's.
pub fn make(call: &Call<'_>, inner: Box<dyn State>) -> Result<Box<dyn State>, TableError> {
    if !matches!(call.function, "sum" | "sum0" | "avg")
        && !call.function.starts_with("var_")
        && !call.function.starts_with("stddev_")
    {
        return Ok(inner);
    }
    let result_type = match call.argument(0)? {
        DataType::Decimal32(_, s) | DataType::Decimal64(_, s) | DataType::Decimal128(_, s)
            if !call.function.starts_with("sum") =>
        {
            DataType::Decimal128(DECIMAL128_DIGITS, SCALE_MIN.max(*s))
        }
        argument if argument.is_integer() || argument.is_floating() => argument.clone(),
        _ => inner.result_type(),
    };
    Ok(Box::new(Narrowed { inner, result_type }))
}

impl State for Narrowed {
    fn initial(&self) -> Vec<u64> {
        self.inner.initial()
    }

    fn place(&mut self, offset: usize) {
        self.inner.place(offset);
    }

    fn skips_rows(&mut self) {
        self.inner.skips_rows();
    }

    fn takes_whole_batches(&self) -> bool {
        self.inner.takes_whole_batches()
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        self.inner.partial_fields()
    }

    fn result_type(&self) -> DataType {
        self.result_type.clone()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError> {
        self.inner.update(slots, arguments, start)
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        self.inner.merge(slots, partials, start)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        self.inner.partials(groups)
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        Ok(narrowed(self.inner.result(groups)?, &self.result_type))
    }

    fn is_in_rows(&self) -> bool {
        self.inner.is_in_rows()
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) -> Result<(), TableError> {
        self.inner.merge_rows(slots, rows)
    }

    fn copy_rows(&mut self) {
        self.inner.copy_rows();
    }

    fn forget(&mut self, groups: &[u32], groups_now: usize) {
        self.inner.forget(groups, groups_now);
    }

    fn end_restore(&mut self, groups_now: usize) {
        self.inner.end_restore(groups_now);
    }

    fn frozen(&self) -> Box<dyn State> {
        self.inner.frozen()
    }

    fn clear(&mut self) {
        self.inner.clear();
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

/// A column converted to another type by Java's casts.
fn narrowed(array: ArrayRef, wanted: &DataType) -> ArrayRef {
    let nulls = array.nulls().cloned();
    match (array.data_type(), wanted) {
        (given, _) if given == wanted => array,
        (DataType::Float64, DataType::Decimal128(digits, scale)) => {
            let values = array.as_primitive::<Float64Type>().iter();
            let decimals = values.map(|value| decimal(value?, *digits, *scale));
            let array = decimals.collect::<Decimal128Array>().with_data_type(wanted.clone());
            Arc::new(array)
        }
        (DataType::Float64, wanted) if wanted.is_floating() => {
            f64::array(array.as_primitive::<Float64Type>().values().to_vec(), wanted, nulls)
        }
        (DataType::Float64, wanted) => {
            let values = array.as_primitive::<Float64Type>().values();
            i64::array(
                values.iter().map(|value| whole(*value, wanted)).collect(),
                wanted,
                nulls,
            )
        }
        (DataType::Int64, wanted) => i64::array(array.as_primitive::<Int64Type>().values().to_vec(), wanted, nulls),
        _ => array,
    }
}

/// Java's cast: truncates toward zero, NaN becomes 0, out-of-range values the nearest limit; narrow integers via int.
fn whole(value: f64, wanted: &DataType) -> i64 {
    match Physical::of(wanted) {
        Some(Physical::I64 | Physical::U32) => value as i64,
        Some(Physical::U64) => value as u64 as i64,
        _ => i64::from(value as i32),
    }
}

/// Rounded half away from zero; None if it has too many digits.
fn decimal(value: f64, digits: u8, scale: i8) -> Option<i128> {
    let scaled = (value * 10_f64.powi(i32::from(scale))).round();
    (scaled.abs() < 10_f64.powi(i32::from(digits))).then_some(scaled as i128)
}
