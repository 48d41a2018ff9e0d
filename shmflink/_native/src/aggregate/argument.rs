//! Arguments of aggregates: columns of a batch by their physical type.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{i256, ArrowNativeType, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use half::f16;

use crate::error::TableError;
use crate::keyed::plain::plain;

/// The memory format of fixed-width values, and how they compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Physical {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
    I128,
    I256,
}

impl Physical {
    /// None if values are not fixed-width numbers: strings, bits, intervals, nested types.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 => Self::I8,
            DataType::Int16 => Self::I16,
            DataType::UInt8 => Self::U8,
            DataType::UInt16 => Self::U16,
            DataType::UInt32 => Self::U32,
            DataType::UInt64 => Self::U64,
            DataType::Float16 => Self::F16,
            DataType::Float32 => Self::F32,
            DataType::Float64 => Self::F64,
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Decimal32(_, _) => Self::I32,
            DataType::Decimal128(_, _) => Self::I128,
            DataType::Decimal256(_, _) => Self::I256,
            DataType::Int64
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_)
            | DataType::Decimal64(_, _) => Self::I64,
            _ => return None,
        })
    }
}

/// A column of a batch, classified once.
pub struct Argument {
    pub array: ArrayRef,
    /// Only if a row is null.
    pub nulls: Option<NullBuffer>,
    data: ArrayData,
}

impl Argument {
    /// Dictionaries are decoded.
    pub fn new(array: &ArrayRef) -> Result<Self, TableError> {
        let array = plain(array)?;
        Ok(Self {
            nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            data: array.to_data(),
            array,
        })
    }

    pub fn all(arrays: &[ArrayRef]) -> Result<Vec<Self>, TableError> {
        arrays.iter().map(Self::new).collect()
    }

    /// The values from row `start` on.
    #[inline]
    pub fn values<T: ArrowNativeType>(&self, start: usize, len: usize) -> &[T] {
        &self.data.buffer::<T>(0)[start..start + len]
    }
}

/// The type in which a state keeps values: one for all narrower types.
pub trait Wide: ArrowNativeType + PartialOrd {
    const LEAST: Self;
    const GREATEST: Self;
    /// Integers wrap around.
    fn plus(self, other: Self) -> Self;
    /// 64-bit integers wrap around and report it in `over`; wider ones become `LEAST` and stay it.
    fn plus_checked(self, other: Self, over: &mut bool) -> Self;
    /// NaN is greater than all numbers, as in a sort.
    fn is_below(self, other: Self) -> bool;
}

macro_rules! wide_int {
    ($($kind:ty)*) => {$(
        impl Wide for $kind {
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn plus_checked(self, other: Self, over: &mut bool) -> Self {
                let (sum, is_over) = self.overflowing_add(other);
                *over |= is_over;
                sum
            }
            #[inline(always)]
            fn is_below(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}
wide_int!(i64 u64);

macro_rules! wide_decimal {
    ($($kind:ty)*) => {$(
        impl Wide for $kind {
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn plus_checked(self, other: Self, _over: &mut bool) -> Self {
                if self == Self::MIN || other == Self::MIN {
                    return Self::MIN;
                }
                self.checked_add(other).unwrap_or(Self::MIN)
            }
            #[inline(always)]
            fn is_below(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}
wide_decimal!(i128 i256);

impl Wide for f64 {
    const LEAST: Self = f64::NEG_INFINITY;
    const GREATEST: Self = f64::NAN;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn plus_checked(self, other: Self, _over: &mut bool) -> Self {
        self + other
    }

    #[inline(always)]
    fn is_below(self, other: Self) -> bool {
        self < other || (other.is_nan() && !self.is_nan())
    }
}

pub trait Narrow<W>: ArrowNativeType {
    fn widen(self) -> W;
}

macro_rules! narrow {
    ($($from:ty => $to:ty),*) => {$(
        impl Narrow<$to> for $from {
            #[inline(always)]
            fn widen(self) -> $to {
                self as $to
            }
        }
    )*};
}
narrow!(
    i8 => i64, i16 => i64, i32 => i64, i64 => i64, u8 => i64, u16 => i64, u32 => i64, u64 => u64, f32 => f64,
    f64 => f64, i128 => i128, i32 => i128, i64 => i128, u64 => i128, i8 => f64, i16 => f64, i32 => f64, i64 => f64, u8 => f64,
    u16 => f64, u32 => f64, u64 => f64, i128 => f64
);

impl Narrow<f64> for f16 {
    #[inline(always)]
    fn widen(self) -> f64 {
        self.to_f64()
    }
}

impl Narrow<i256> for i128 {
    #[inline(always)]
    fn widen(self) -> i256 {
        i256::from_i128(self)
    }
}

impl Narrow<i256> for i256 {
    #[inline(always)]
    fn widen(self) -> i256 {
        self
    }
}

impl Narrow<f64> for i256 {
    #[inline(always)]
    fn widen(self) -> f64 {
        num_traits::ToPrimitive::to_f64(&self).unwrap_or(f64::NAN)
    }
}
