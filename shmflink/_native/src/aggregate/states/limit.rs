//! Handles a sum or an average that its type cannot hold: the result is never a wrong number.

use arrow_buffer::{i256, BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::words::Kept;
use super::Call;
use crate::aggregate::argument::{Argument, Physical};
use crate::error::TableError;

/// How an overflow is handled, and what messages call the aggregate: "sum of `price`".
///
/// Keeps an upper bound for the sum of every group: while the bound fits, additions are not checked one by one.
#[derive(Clone)]
pub struct Limit {
    label: Box<str>,
    /// As in Flink: integers wrap around, decimals become null.
    is_lenient: bool,
    /// The minimum and the maximum of values always fit.
    is_needless: bool,
    /// No sum is greater than this, or less than its negative.
    reached: u128,
    /// What the sum's type can hold.
    room: u128,
}

impl Limit {
    pub fn of(call: &Call<'_>, sum_type: &DataType) -> Self {
        Self {
            label: call.label.into(),
            is_lenient: call.has_flink_types,
            is_needless: !call.function.starts_with("sum") && call.function != "avg",
            reached: 0,
            room: match sum_type {
                DataType::Int64 => 1 << 63,
                DataType::UInt64 => 1 << 64,
                DataType::Decimal128(_, _) => 1 << 127,
                _ => u128::MAX,
            },
        }
    }

    /// Whether a sum may exceed its type after these rows.
    #[inline]
    pub fn may_pass(&mut self, argument: &Argument, start: usize, len: usize) -> bool {
        if self.is_needless {
            return false;
        }
        let more = greatest_of(argument, start, len).saturating_mul(len as u128);
        self.reached = self.reached.saturating_add(more);
        self.reached >= self.room
    }

    /// For sums that were not computed from arguments.
    pub fn always(&mut self) {
        self.reached = u128::MAX;
    }

    pub fn clear(&mut self) {
        self.reached = 0;
    }

    /// An error if 64 bits were too few.
    #[inline]
    pub fn check(&self, over: bool, data_type: &DataType) -> Result<(), TableError> {
        if over && !self.is_lenient {
            return Err(self.error(data_type));
        }
        Ok(())
    }

    /// Decimals with too many digits become null as in Flink, or are an error.
    pub fn fitted<W: Kept>(
        &self,
        mut values: Vec<W>,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> Result<(Vec<W>, Option<NullBuffer>), TableError> {
        let bound = match bound_of(data_type) {
            Some(bound) if !self.is_needless => bound,
            _ => return Ok((values, nulls)),
        };
        let is_bad = |value: &W| {
            let value = value.wide();
            value >= bound || value <= bound.wrapping_neg()
        };
        if !values.iter().any(is_bad) {
            return Ok((values, nulls));
        }
        if !self.is_lenient {
            return Err(self.error(data_type));
        }
        let fits: BooleanBuffer = values.iter().map(|value| !is_bad(value)).collect();
        values
            .iter_mut()
            .filter(|value| is_bad(value))
            .for_each(|value| *value = W::default());
        let both = NullBuffer::union(nulls.as_ref(), Some(&NullBuffer::new(fits)));
        Ok((values, both))
    }

    fn error(&self, data_type: &DataType) -> TableError {
        let remedy = match data_type {
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => "cast the column to DOUBLE, or to fewer digits",
            _ => "cast the column to DECIMAL(38, 0) or DOUBLE",
        };
        TableError::Value(format!(
            "the {} of a group does not fit {}: {remedy} before it is added up",
            self.label,
            shown(data_type)
        ))
    }
}

/// No value of these rows is greater than this, or less than its negative; values at nulls count as well.
fn greatest_of(argument: &Argument, start: usize, len: usize) -> u128 {
    // The highest set bit of v ^ (v << 1) is where the sign begins.
    match Physical::of(argument.array.data_type()) {
        Some(Physical::I8 | Physical::U8) => 1 << 8,
        Some(Physical::I16 | Physical::U16) => 1 << 16,
        Some(Physical::I32 | Physical::U32) => 1 << 32,
        Some(Physical::U64) => {
            let values = argument.values::<u64>(start, len);
            u128::from(values.iter().fold(0, |bits, value| bits | value))
        }
        Some(Physical::I64) => {
            let values = argument.values::<i64>(start, len);
            let bits = values.iter().fold(0, |bits, value| bits | (value ^ (value << 1)));
            1 << (64 - bits.leading_zeros())
        }
        Some(Physical::I128) => {
            let values = argument.values::<i128>(start, len);
            let bits = values.iter().fold(0, |bits, value| bits | (value ^ (value << 1)));
            1_u128.checked_shl(128 - bits.leading_zeros()).unwrap_or(u128::MAX)
        }
        Some(Physical::I256) => u128::MAX,
        _ => 0, // floats overflow to infinity
    }
}

/// The smallest number with too many digits, for a decimal type.
fn bound_of(data_type: &DataType) -> Option<i256> {
    match data_type {
        DataType::Decimal128(digits, _) | DataType::Decimal256(digits, _) => {
            Some(i256::from_i128(10).wrapping_pow(u32::from(*digits)))
        }
        _ => None,
    }
}

fn shown(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
            format!("DECIMAL({digits}, {scale})")
        }
        DataType::Int64 => "BIGINT".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
