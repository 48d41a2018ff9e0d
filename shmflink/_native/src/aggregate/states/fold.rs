//! `sum`, `sum0`, `min`, `max` of numbers, times and booleans: the value so far, in the row.
//!
//! Integers are summed in 64 bits (64-bit integers: see `whole_sum`), floats in float64 in order of arrival, decimals
//! in 128 bits, or in 256 if they have many digits: no intermediate sum overflows. A sum that does not fit is an error;
//! with Flink's types, integers wrap around as in Java, and decimals become null. Partial columns have the type to
//! which values are widened, so merging is updating.

use std::marker::PhantomData;

use arrow_array::ArrayRef;
use arrow_buffer::i256;
use arrow_schema::DataType;

use super::limit::Limit;
use super::words::{Kept, DECIMAL128_DIGITS, DECIMAL256_DIGITS};
use super::{whole_sum, Call};
use crate::aggregate::argument::{Argument, Physical, Wide};
use crate::aggregate::state::{FromRows, Groups, Seen, Slots, State};
use crate::error::TableError;

/// 128 bits hold the sum of 10^10 decimals with this many digits.
const DIGITS_MAX_OF_128_BITS: u8 = 28;

/// How a value is combined with the stored one.
pub trait Join<W>: Send {
    fn initial() -> W;
    fn join(kept: W, value: W) -> W;
    /// `over`: set if the type of the values cannot hold the result.
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
    /// The type of partial columns.
    data_type: DataType,
    result_type: DataType,
    seen: Seen,
    /// Without input, the initial value, not null.
    is_never_null: bool,
    limit: Limit,
    kind: PhantomData<fn() -> (W, J)>,
}

impl<W: Kept + 'static, J: Join<W> + 'static> Fold<W, J> {
    fn boxed(data_type: &DataType, call: &Call<'_>) -> Box<dyn State> {
        Self::wider(data_type, data_type, call)
    }

    /// The state's type can represent more than the result's.
    fn wider(data_type: &DataType, result_type: &DataType, call: &Call<'_>) -> Box<dyn State> {
        Box::new(Self {
            offset: 0,
            data_type: data_type.clone(),
            result_type: result_type.clone(),
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
        self.result_type.clone()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError> {
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

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        self.update(slots, partials, start)
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let nulls = (!self.is_never_null).then(|| self.seen.nulls(groups.ids)).flatten();
        Ok(vec![W::array(
            groups.values(self.offset).collect(),
            &self.data_type,
            nulls,
        )])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let nulls = if self.is_never_null {
            None
        } else {
            self.seen.nulls(groups.ids)
        };
        let (values, nulls) = self
            .limit
            .fitted(groups.values(self.offset).collect(), nulls, &self.result_type)?;
        Ok(W::array(values, &self.result_type, nulls))
    }

    fn skips_rows(&mut self) {
        self.seen.always();
    }

    fn is_in_rows(&self) -> bool {
        self.is_never_null || self.seen.is_every_group()
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) -> Result<(), TableError> {
        self.limit.always(); // the size of a merged sum is unknown
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
            result_type: self.result_type.clone(),
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

pub fn make_sum(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    let data_type = sum_type(call.argument(0)?).ok_or_else(|| call.takes("numbers"))?;
    let intermediate = intermediate_sum_type(call, &data_type)?;
    let is_exact = !call.has_flink_types;
    Ok(match data_type {
        DataType::Int64 if is_exact && call.argument(0)?.primitive_width() == Some(8) => {
            whole_sum::make::<i64>(call, &data_type)
        }
        DataType::UInt64 if is_exact => whole_sum::make::<u64>(call, &data_type),
        DataType::UInt64 => Fold::<u64, Adding>::boxed(&data_type, call),
        DataType::Int64 => Fold::<i64, Adding>::boxed(&data_type, call),
        DataType::Float64 => Fold::<f64, Adding>::boxed(&data_type, call),
        DataType::Decimal128(_, _) if intermediate == data_type => Fold::<i128, Adding>::boxed(&data_type, call),
        _ => Fold::<i256, Adding>::wider(&intermediate, &data_type, call),
    })
}

/// The type of a sum of decimals until it is complete; of other types, and with Flink's types, that of the sum.
pub fn intermediate_sum_type(call: &Call<'_>, sum: &DataType) -> Result<DataType, TableError> {
    Ok(match (call.argument(0)?, sum) {
        (DataType::Decimal128(digits, _), DataType::Decimal128(_, scale))
            if *digits > DIGITS_MAX_OF_128_BITS && !call.has_flink_types =>
        {
            DataType::Decimal256(DECIMAL256_DIGITS, *scale)
        }
        (_, sum) => sum.clone(),
    })
}

/// Whether `min` and `max` of a type are stored in the row.
pub fn fits_words(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean) || Physical::of(data_type).is_some()
}

/// `min`, `max`; for booleans also `bool_and`, `bool_or`.
pub fn make_extreme(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
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
