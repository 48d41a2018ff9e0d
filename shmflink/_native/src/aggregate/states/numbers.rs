//! Numbers of any type as float64.

use arrow_schema::DataType;

use super::words::Kept;
use crate::aggregate::argument::Argument;

/// Calls `take(row, value)` for each value that is not null; decimals with their scale.
#[inline(always)]
pub fn each_float(argument: &Argument, start: usize, len: usize, mut take: impl FnMut(usize, f64)) {
    let scale = match argument.array.data_type() {
        DataType::Decimal32(_, s) | DataType::Decimal64(_, s) => *s,
        DataType::Decimal128(_, s) | DataType::Decimal256(_, s) => *s,
        _ => return f64::each(argument, start, len, take),
    };
    let divisor = 10_f64.powi(i32::from(scale));
    f64::each(argument, start, len, |at, value| take(at, value / divisor));
}
