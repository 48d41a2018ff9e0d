//! The key hash: a fixed 64-bit function of a value, the same on every host, in every process and in every release.
//!
//! ```text
//! fmix(x)    x ^= x >> 33; x *= 0xff51afd7ed558ccd; x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53; x ^= x >> 33
//! fold(a, b) the low half of the 128-bit product a * b, xor its high half
//! bytes(p)   h = seed ^ fold(len ^ P0, P1); while more than 16 bytes are left: h = fold(word ^ P1, word ^ h);
//!            a, b = the last 16 bytes (of fewer: 8..15 first and last 8; 4..7 first and last 4;
//!            1..3 a = p[0] << 16 | p[len / 2] << 8 | p[len - 1]); fold(P2 ^ len, fold(a ^ P1, b ^ h))
//!
//! int family, bool, date, time    fmix(value ^ SEED)       value as 64 bits; date in days, time in nanoseconds
//! uint64 beyond int64             bytes("I" + decimal digits, SEED_OTHER), as its canonical bytes
//! float family                    fmix(bits of the float64 ^ SEED_FLOAT); -0.0 as 0.0, one NaN (0x7ff8 << 48)
//! string, binary                  bytes(p, SEED_STRING), bytes(p, SEED_BYTES)
//! decimal                         without trailing zeros: bytes(32 bytes LE of the digits, 4 bytes LE of the scale)
//! timestamp, duration             pair(fmix(seconds ^ SEED), nanoseconds); with a zone, another seed than without
//! interval                        bytes of its value
//! null                            fmix(SEED_NULL)
//! list, map                       h = fmix(length ^ SEED_LIST); for each item h = pair(h, hash of the item)
//! struct                          h = fmix(fields ^ SEED_STRUCT); for each field h = pair(h, hash of the field)
//! several key columns             h = first; for each further one h = pair(h, its hash)
//! pair(h, x)                      fmix(h * 0x9e3779b97f4a7c15 + x)
//! canonical bytes                 tags i f t n s b: the hash of the value; others: bytes(all with the tag, SEED_OTHER)
//!
//! key group = ((hash * 0x9e3779b97f4a7c15) >> 32) % max_parallelism;  owner = group * parallelism / max_parallelism
//! ```
//! A dictionary hashes like its values. Words are little endian. `tests/unit/native/test_exchange.py` freezes the hash.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{i256, ArrowNativeType, NullBuffer};
use arrow_schema::{ArrowError, DataType, IntervalUnit, TimeUnit};

pub const P0: u64 = 0xa076_1d64_78bd_642f;
pub const P1: u64 = 0xe703_7ed1_a0b4_28db;
pub const P2: u64 = 0x8ebc_6af0_9c88_c6e3;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One per type family, so that values of different families do not hash alike.
const SEED_NULL: u64 = 0x6e75_6c6c_0000_0001;
const SEED_INT: u64 = 0x696e_7400_0000_0002;
const SEED_FLOAT: u64 = 0x666c_6f61_7400_0003;
const SEED_BOOL: u64 = 0x626f_6f6c_0000_0004;
const SEED_STRING: u64 = 0x7374_7200_0000_0005;
const SEED_BYTES: u64 = 0x6279_7465_7300_0006;
const SEED_OTHER: u64 = 0x6f74_6865_7200_0007;
const SEED_DECIMAL: u64 = 0x6465_6369_6d00_0008;
const SEED_DATE: u64 = 0x6461_7465_0000_0009;
const SEED_TIME: u64 = 0x7469_6d65_0000_000a;
const SEED_TIMESTAMP: u64 = 0x7374_616d_7000_000b;
const SEED_TIMESTAMP_ZONED: u64 = 0x7a6f_6e65_6400_000c;
const SEED_DURATION: u64 = 0x6475_7261_7400_000d;
const SEED_INTERVAL: u64 = 0x696e_7465_7200_000e;
const SEED_LIST: u64 = 0x6c69_7374_0000_000f;
const SEED_STRUCT: u64 = 0x7374_7275_6300_0010;

#[inline(always)]
fn fmix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[inline(always)]
pub fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline(always)]
fn pair(h: u64, x: u64) -> u64 {
    fmix(h.wrapping_mul(GOLDEN).wrapping_add(x))
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[inline(always)]
fn half_word(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")))
}

#[inline]
pub fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let len = bytes.len();
    let mut h = seed ^ fold(len as u64 ^ P0, P1);
    let (a, b) = if len >= 16 {
        let mut at = 0;
        while len - at > 16 {
            h = fold(word(bytes, at) ^ P1, word(bytes, at + 8) ^ h);
            at += 16;
        }
        (word(bytes, len - 16), word(bytes, len - 8))
    } else if len >= 8 {
        (word(bytes, 0), word(bytes, len - 8))
    } else if len >= 4 {
        (half_word(bytes, 0), half_word(bytes, len - 4))
    } else if len > 0 {
        let (first, middle, last) = (bytes[0], bytes[len / 2], bytes[len - 1]);
        (u64::from(first) << 16 | u64::from(middle) << 8 | u64::from(last), 0)
    } else {
        (0, 0)
    };
    fold(P2 ^ len as u64, fold(a ^ P1, b ^ h))
}

#[inline(always)]
fn hash_float(value: f64) -> u64 {
    let bits = if value.is_nan() {
        0x7ff8_u64 << 48
    } else {
        (value + 0.0).to_bits()
    };
    fmix(bits ^ SEED_FLOAT)
}

fn hash_unsigned(value: u64) -> u64 {
    if i64::try_from(value).is_ok() {
        return fmix(value ^ SEED_INT);
    }
    let mut text = String::with_capacity(21);
    write!(text, "I{value}").expect("a String takes all");
    hash_bytes(text.as_bytes(), SEED_OTHER)
}

fn hash_decimal(mut digits: i256, mut scale: i32) -> u64 {
    let ten = i256::from_i128(10);
    if digits == i256::ZERO {
        scale = 0;
    }
    while digits != i256::ZERO && digits.wrapping_rem(ten) == i256::ZERO {
        digits = digits.wrapping_div(ten);
        scale -= 1;
    }
    let mut bytes = [0; 36];
    bytes[..32].copy_from_slice(&digits.to_le_bytes());
    bytes[32..].copy_from_slice(&scale.to_le_bytes());
    hash_bytes(&bytes, SEED_DECIMAL)
}

#[inline(always)]
fn hash_instant(value: i64, units_per_second: i64, seed: u64) -> u64 {
    let nanos = value.rem_euclid(units_per_second) * (1_000_000_000 / units_per_second);
    pair(fmix(value.div_euclid(units_per_second) as u64 ^ seed), nanos as u64)
}

/// The hash of canonical key bytes (`shmflink.core.keys`).
fn hash_canonical(bytes: &[u8]) -> u64 {
    let Some((tag, payload)) = bytes.split_first() else {
        return hash_bytes(bytes, SEED_OTHER);
    };
    match (tag, payload.len()) {
        (b'n', 0) => fmix(SEED_NULL),
        (b'i', 8) => fmix(word(payload, 0) ^ SEED_INT),
        (b'f', 8) => hash_float(f64::from_bits(word(payload, 0))),
        (b't', 1) => fmix(u64::from(payload[0]) ^ SEED_BOOL),
        (b's', _) => hash_bytes(payload, SEED_STRING),
        (b'b', _) => hash_bytes(payload, SEED_BYTES),
        _ => hash_bytes(bytes, SEED_OTHER),
    }
}

fn units_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn write_primitive<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, out: &mut [u64], hash: impl Fn(T::Native) -> u64) {
    for (slot, value) in out.iter_mut().zip(array.values().iter()) {
        *slot = hash(*value);
    }
}

fn write_each<'a>(values: impl Iterator<Item = Option<&'a [u8]>>, out: &mut [u64], hash: impl Fn(&[u8]) -> u64) {
    for (slot, value) in out.iter_mut().zip(values) {
        *slot = value.map_or(0, &hash); // nulls are written at the end
    }
}

fn write_bytes(array: &dyn Array, out: &mut [u64], hash: impl Fn(&[u8]) -> u64) {
    macro_rules! offsets {
        ($array:expr) => {{
            let array = $array;
            let (offsets, data) = (array.value_offsets(), array.value_data());
            for (slot, ends) in out.iter_mut().zip(offsets.windows(2)) {
                *slot = hash(&data[ends[0].as_usize()..ends[1].as_usize()]);
            }
        }};
    }
    match array.data_type() {
        DataType::Utf8 => offsets!(array.as_string::<i32>()),
        DataType::LargeUtf8 => offsets!(array.as_string::<i64>()),
        DataType::Binary => offsets!(array.as_binary::<i32>()),
        DataType::LargeBinary => offsets!(array.as_binary::<i64>()),
        DataType::Utf8View => write_each(array.as_string_view().iter().map(|v| v.map(str::as_bytes)), out, hash),
        DataType::BinaryView => write_each(array.as_binary_view().iter(), out, hash),
        _ => write_each(array.as_fixed_size_binary().iter(), out, hash),
    }
}

fn write_instants<T: ArrowPrimitiveType<Native = i64>>(array: &dyn Array, unit: TimeUnit, seed: u64, out: &mut [u64]) {
    let per_second = units_per_second(unit);
    write_primitive(array.as_primitive::<T>(), out, |v| hash_instant(v, per_second, seed));
}

fn write_items(
    items: &dyn Array,
    ends: impl Iterator<Item = (usize, usize)>,
    out: &mut [u64],
) -> Result<(), ArrowError> {
    let mut hashes = vec![0; items.len()];
    write_column(items, false, &mut hashes)?;
    for (slot, (start, end)) in out.iter_mut().zip(ends) {
        let first = fmix((end - start) as u64 ^ SEED_LIST);
        *slot = hashes[start..end].iter().fold(first, |h, item| pair(h, *item));
    }
    Ok(())
}

fn pairs_of<O: ArrowNativeType>(offsets: &[O]) -> impl Iterator<Item = (usize, usize)> + '_ {
    offsets.windows(2).map(|w| (w[0].as_usize(), w[1].as_usize()))
}

fn write_nested(array: &dyn Array, out: &mut [u64]) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            write_items(list.values(), pairs_of(list.value_offsets()), out)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            write_items(list.values(), pairs_of(list.value_offsets()), out)
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            write_items(map.entries(), pairs_of(map.value_offsets()), out)
        }
        DataType::FixedSizeList(_, size) => {
            let (list, size) = (array.as_fixed_size_list(), *size as usize);
            write_items(list.values(), (0..array.len()).map(|i| (i * size, (i + 1) * size)), out)
        }
        DataType::Struct(_) => {
            let array = array.as_struct();
            out.fill(fmix(array.num_columns() as u64 ^ SEED_STRUCT));
            let mut hashes = vec![0; array.len()];
            for column in array.columns() {
                write_column(column, false, &mut hashes)?;
                out.iter_mut().zip(&hashes).for_each(|(h, x)| *h = pair(*h, *x));
            }
            Ok(())
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                return Ok(()); // every row is null
            }
            let mut hashes = vec![0; dictionary.values().len()];
            write_column(dictionary.values(), false, &mut hashes)?;
            for (slot, key) in out.iter_mut().zip(dictionary.normalized_keys()) {
                *slot = hashes[key];
            }
            Ok(())
        }
        other => Err(ArrowError::NotYetImplemented(format!(
            "a column of type {other} cannot be a key"
        ))),
    }
}

fn write_flat(array: &dyn Array, out: &mut [u64]) -> Result<(), ArrowError> {
    macro_rules! with {
        ($kind:ty, $hash:expr) => {
            write_primitive(array.as_primitive::<$kind>(), out, $hash)
        };
    }
    let int = |v: i64| fmix(v as u64 ^ SEED_INT);
    match array.data_type() {
        DataType::Null => {}
        DataType::Boolean => {
            let values = array.as_boolean().values();
            for (slot, value) in out.iter_mut().zip(values.iter()) {
                *slot = fmix(u64::from(value) ^ SEED_BOOL);
            }
        }
        DataType::Int8 => with!(Int8Type, |v| int(i64::from(v))),
        DataType::Int16 => with!(Int16Type, |v| int(i64::from(v))),
        DataType::Int32 => with!(Int32Type, |v| int(i64::from(v))),
        DataType::Int64 => with!(Int64Type, int),
        DataType::UInt8 => with!(UInt8Type, |v| int(i64::from(v))),
        DataType::UInt16 => with!(UInt16Type, |v| int(i64::from(v))),
        DataType::UInt32 => with!(UInt32Type, |v| int(i64::from(v))),
        DataType::UInt64 => with!(UInt64Type, hash_unsigned),
        DataType::Float16 => with!(Float16Type, |v| hash_float(f64::from(v))),
        DataType::Float32 => with!(Float32Type, |v| hash_float(f64::from(v))),
        DataType::Float64 => with!(Float64Type, hash_float),
        DataType::Decimal32(_, s) => with!(Decimal32Type, |v| hash_decimal(i256::from(v), i32::from(*s))),
        DataType::Decimal64(_, s) => with!(Decimal64Type, |v| hash_decimal(i256::from(v), i32::from(*s))),
        DataType::Decimal128(_, s) => with!(Decimal128Type, |v| hash_decimal(i256::from(v), i32::from(*s))),
        DataType::Decimal256(_, s) => with!(Decimal256Type, |v| hash_decimal(v, i32::from(*s))),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            write_bytes(array, out, |v| hash_bytes(v, SEED_STRING));
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            write_bytes(array, out, |v| hash_bytes(v, SEED_BYTES));
        }
        _ => return write_temporal(array, out),
    }
    Ok(())
}

fn write_temporal(array: &dyn Array, out: &mut [u64]) -> Result<(), ArrowError> {
    macro_rules! scaled {
        ($kind:ty, $seed:expr, $per:expr) => {
            write_primitive(array.as_primitive::<$kind>(), out, |v| {
                fmix(($per)(i64::from(v)) as u64 ^ $seed)
            })
        };
    }
    macro_rules! raw {
        ($kind:ty) => {
            write_primitive(array.as_primitive::<$kind>(), out, |v| {
                hash_bytes(&v.to_byte_slice_copy(), SEED_INTERVAL)
            })
        };
    }
    match array.data_type() {
        DataType::Date32 => scaled!(Date32Type, SEED_DATE, |v: i64| v),
        DataType::Date64 => scaled!(Date64Type, SEED_DATE, |v: i64| v.div_euclid(86_400_000)),
        DataType::Time32(TimeUnit::Second) => scaled!(Time32SecondType, SEED_TIME, |v: i64| v * 1_000_000_000),
        DataType::Time32(_) => scaled!(Time32MillisecondType, SEED_TIME, |v: i64| v * 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => {
            scaled!(Time64MicrosecondType, SEED_TIME, |v: i64| v.wrapping_mul(1_000));
        }
        DataType::Time64(_) => scaled!(Time64NanosecondType, SEED_TIME, |v: i64| v),
        DataType::Timestamp(unit, zone) => {
            let seed = if zone.is_some() {
                SEED_TIMESTAMP_ZONED
            } else {
                SEED_TIMESTAMP
            };
            match unit {
                TimeUnit::Second => write_instants::<TimestampSecondType>(array, *unit, seed, out),
                TimeUnit::Millisecond => write_instants::<TimestampMillisecondType>(array, *unit, seed, out),
                TimeUnit::Microsecond => write_instants::<TimestampMicrosecondType>(array, *unit, seed, out),
                TimeUnit::Nanosecond => write_instants::<TimestampNanosecondType>(array, *unit, seed, out),
            }
        }
        DataType::Duration(unit) => match unit {
            TimeUnit::Second => write_instants::<DurationSecondType>(array, *unit, SEED_DURATION, out),
            TimeUnit::Millisecond => write_instants::<DurationMillisecondType>(array, *unit, SEED_DURATION, out),
            TimeUnit::Microsecond => write_instants::<DurationMicrosecondType>(array, *unit, SEED_DURATION, out),
            TimeUnit::Nanosecond => write_instants::<DurationNanosecondType>(array, *unit, SEED_DURATION, out),
        },
        DataType::Interval(IntervalUnit::YearMonth) => raw!(IntervalYearMonthType),
        DataType::Interval(IntervalUnit::DayTime) => raw!(IntervalDayTimeType),
        DataType::Interval(IntervalUnit::MonthDayNano) => raw!(IntervalMonthDayNanoType),
        _ => return write_nested(array, out),
    }
    Ok(())
}

/// The bytes of a native value in memory order, which is little endian on all supported hosts.
trait ByteCopy {
    fn to_byte_slice_copy(&self) -> Vec<u8>;
}

impl<T: ArrowNativeType> ByteCopy for T {
    fn to_byte_slice_copy(&self) -> Vec<u8> {
        arrow_buffer::ToByteSlice::to_byte_slice(self).to_vec()
    }
}

fn write_nulls(nulls: &NullBuffer, out: &mut [u64]) {
    let null = fmix(SEED_NULL);
    for (slot, valid) in out.iter_mut().zip(nulls.iter()) {
        if !valid {
            *slot = null;
        }
    }
}

/// Writes the hash of each row of `array` to `out`; requires `out.len() == array.len()`. Err for types that cannot be
/// keys.
pub fn write_column(array: &dyn Array, canonical: bool, out: &mut [u64]) -> Result<(), ArrowError> {
    debug_assert_eq!(array.len(), out.len());
    if canonical {
        write_bytes(array, out, hash_canonical);
    } else {
        write_flat(array, out)?;
    }
    match array.logical_nulls() {
        Some(nulls) if nulls.null_count() > 0 => write_nulls(&nulls, out),
        _ => {}
    }
    Ok(())
}

/// Combines the hash of a further key column with the existing hashes.
pub fn combine_column(
    array: &dyn Array,
    canonical: bool,
    scratch: &mut Vec<u64>,
    out: &mut [u64],
) -> Result<(), ArrowError> {
    scratch.resize(out.len(), 0);
    write_column(array, canonical, scratch)?;
    out.iter_mut().zip(scratch.iter()).for_each(|(h, x)| *h = pair(*h, *x));
    Ok(())
}

/// Key group of a hash; computes the remainder by two multiplications (Lemire, "Faster remainder by direct
/// computation").
#[derive(Clone, Copy, Debug)]
pub struct KeyGroups {
    count: u32,
    reciprocal: u64,
}

impl KeyGroups {
    /// `count` is the max parallelism; requires 1 <= count <= 32768.
    pub fn new(count: u32) -> Self {
        assert!(
            (1..=1 << 15).contains(&count),
            "max parallelism {count} within 1 to 32768"
        );
        Self {
            count,
            reciprocal: (u64::MAX / u64::from(count)).wrapping_add(1),
        }
    }

    pub fn count(self) -> u32 {
        self.count
    }

    #[inline(always)]
    pub fn of(self, hash: u64) -> u32 {
        let mixed = hash.wrapping_mul(GOLDEN) >> 32;
        let fraction = self.reciprocal.wrapping_mul(mixed);
        ((u128::from(fraction) * u128::from(self.count)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remainder_is_exact() {
        for count in [1, 2, 3, 7, 127, 128, 129, 1000, 32767, 32768] {
            let groups = KeyGroups::new(count);
            for seed in 0..2000_u64 {
                let hash = fmix(seed);
                let mixed = (hash.wrapping_mul(GOLDEN) >> 32) as u32;
                assert_eq!(groups.of(hash), mixed % count);
            }
        }
    }

    #[test]
    fn canonical_bytes_hash_as_their_value() {
        assert_eq!(hash_canonical(b"i\x05\0\0\0\0\0\0\0"), fmix(5 ^ SEED_INT));
        assert_eq!(hash_canonical(b"sabc"), hash_bytes(b"abc", SEED_STRING));
        assert_eq!(hash_canonical(b"I9223372036854775808"), hash_unsigned(1 << 63));
        assert_ne!(hash_canonical(b"babc"), hash_canonical(b"sabc"));
    }

    #[test]
    fn decimals_of_equal_value_hash_alike() {
        let hash = |digits, scale| hash_decimal(i256::from_i128(digits), scale);
        assert_eq!(hash(150, 2), hash(15, 1));
        assert_eq!(hash(0, 5), hash(0, 0));
        assert_ne!(hash(-15, 1), hash(15, 1));
    }
}
