//! The columns of a batch. Their types are resolved once, so that writing a cell is one match.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, TimeUnit};

use super::times::{push_date, push_time, push_timestamp, Standard};

/// The kind of a value's text, for formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellKind {
    /// Digits, signs and letters that need no quotes anywhere.
    Bare,
    /// Text without quotes, backslashes or control characters.
    Plain,
    /// Any text.
    Text,
    Nested,
}

/// One column. Cheap to make: it shares the array's memory.
pub struct Column {
    nulls: Option<NullBuffer>,
    pub values: Values,
    pub kind: CellKind,
}

pub enum Values {
    Null,
    Bool(BooleanArray),
    Int8(Int8Array),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    UInt8(UInt8Array),
    UInt16(UInt16Array),
    UInt32(UInt32Array),
    UInt64(UInt64Array),
    Float16(Float16Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal128(Decimal128Array),
    Decimal256(Decimal256Array),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    FixedBinary(FixedSizeBinaryArray),
    Date32(Date32Array),
    Date64(Date64Array),
    Time32(ScalarBuffer<i32>, i64),
    Time64(ScalarBuffer<i64>, i64),
    Timestamp(ScalarBuffer<i64>, i64, bool),
    Dictionary(ScalarBuffer<i64>, Box<Column>),
    List(OffsetBuffer<i32>, Box<Column>),
    LargeList(OffsetBuffer<i64>, Box<Column>),
    FixedList(usize, Box<Column>),
    Map(OffsetBuffer<i32>, Box<Column>, Box<Column>),
    Struct(Vec<(String, Column)>),
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn i64_values(array: &dyn Array) -> ScalarBuffer<i64> {
    let data = array.to_data();
    ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
}

impl Column {
    /// Fails with the name of a type that has no text form.
    pub fn new(array: &dyn Array) -> Result<Self, String> {
        let values = Self::values(array)?;
        let kind = match &values {
            Values::Utf8(_) | Values::LargeUtf8(_) | Values::Utf8View(_) => CellKind::Text,
            Values::Binary(_) | Values::LargeBinary(_) | Values::BinaryView(_) | Values::FixedBinary(_) => {
                CellKind::Plain
            }
            Values::Date32(_) | Values::Date64(_) | Values::Time32(..) | Values::Time64(..) => CellKind::Plain,
            Values::Timestamp(..) => CellKind::Plain,
            Values::Dictionary(_, dictionary) => dictionary.kind,
            Values::List(..) | Values::LargeList(..) | Values::FixedList(..) | Values::Map(..) | Values::Struct(_) => {
                CellKind::Nested
            }
            _ => CellKind::Bare,
        };
        Ok(Self {
            nulls: array.nulls().cloned(),
            values,
            kind,
        })
    }

    pub fn is_null(&self, row: usize) -> bool {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return true;
        }
        match &self.values {
            Values::Null => true,
            Values::Dictionary(keys, dictionary) => dictionary.is_null(keys[row] as usize),
            _ => false,
        }
    }

    /// The text of a cell of kind `Text`.
    pub fn text(&self, row: usize) -> &str {
        match &self.values {
            Values::Utf8(array) => array.value(row),
            Values::LargeUtf8(array) => array.value(row),
            Values::Utf8View(array) => array.value(row),
            Values::Dictionary(keys, dictionary) => dictionary.text(keys[row] as usize),
            _ => unreachable!("not a column of text"),
        }
    }

    /// The number, if it is a floating-point number.
    pub fn float(&self, row: usize) -> Option<f64> {
        match &self.values {
            Values::Float64(array) => Some(array.value(row)),
            Values::Float32(array) => Some(f64::from(array.value(row))),
            Values::Float16(array) => Some(f64::from(array.value(row))),
            Values::Dictionary(keys, dictionary) => dictionary.float(keys[row] as usize),
            _ => None,
        }
    }

    /// Whether JSON cannot represent the number; true only in floating-point columns.
    pub fn is_not_finite(&self, row: usize) -> bool {
        match &self.values {
            Values::Float64(array) => !array.value(row).is_finite(),
            Values::Float32(array) => !array.value(row).is_finite(),
            Values::Float16(array) => !array.value(row).is_finite(),
            Values::Dictionary(keys, dictionary) => dictionary.is_not_finite(keys[row] as usize),
            _ => false,
        }
    }

    /// Appends a cell of kind `Bare` or `Plain`, which is not null.
    pub fn push(&self, row: usize, standard: Standard, out: &mut Vec<u8>) {
        match &self.values {
            Values::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Values::Int8(array) => push_integer(array.value(row), out),
            Values::Int16(array) => push_integer(array.value(row), out),
            Values::Int32(array) => push_integer(array.value(row), out),
            Values::Int64(array) => push_integer(array.value(row), out),
            Values::UInt8(array) => push_integer(array.value(row), out),
            Values::UInt16(array) => push_integer(array.value(row), out),
            Values::UInt32(array) => push_integer(array.value(row), out),
            Values::UInt64(array) => push_integer(array.value(row), out),
            Values::Float16(array) => push_float(array.value(row).to_f32(), out),
            Values::Float32(array) => push_float(array.value(row), out),
            Values::Float64(array) => push_float(array.value(row), out),
            Values::Decimal128(array) => out.extend_from_slice(array.value_as_string(row).as_bytes()),
            Values::Decimal256(array) => out.extend_from_slice(array.value_as_string(row).as_bytes()),
            Values::Binary(array) => push_base64(array.value(row), out),
            Values::LargeBinary(array) => push_base64(array.value(row), out),
            Values::BinaryView(array) => push_base64(array.value(row), out),
            Values::FixedBinary(array) => push_base64(array.value(row), out),
            Values::Date32(array) => push_date(out, i64::from(array.value(row))),
            Values::Date64(array) => push_date(out, array.value(row).div_euclid(86_400_000)),
            Values::Time32(values, unit) => push_time(out, i64::from(values[row]), *unit),
            Values::Time64(values, unit) => push_time(out, values[row], *unit),
            Values::Timestamp(values, unit, is_instant) => {
                push_timestamp(out, values[row], *unit, *is_instant, standard);
            }
            Values::Dictionary(keys, dictionary) => dictionary.push(keys[row] as usize, standard, out),
            _ => unreachable!("neither bare nor plain"),
        }
    }

    fn values(array: &dyn Array) -> Result<Values, String> {
        Ok(match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Int8 => Values::Int8(array.as_primitive().clone()),
            DataType::Int16 => Values::Int16(array.as_primitive().clone()),
            DataType::Int32 => Values::Int32(array.as_primitive().clone()),
            DataType::Int64 => Values::Int64(array.as_primitive().clone()),
            DataType::UInt8 => Values::UInt8(array.as_primitive().clone()),
            DataType::UInt16 => Values::UInt16(array.as_primitive().clone()),
            DataType::UInt32 => Values::UInt32(array.as_primitive().clone()),
            DataType::UInt64 => Values::UInt64(array.as_primitive().clone()),
            DataType::Float16 => Values::Float16(array.as_primitive().clone()),
            DataType::Float32 => Values::Float32(array.as_primitive().clone()),
            DataType::Float64 => Values::Float64(array.as_primitive().clone()),
            DataType::Decimal32(precision, scale) => wide(array.as_primitive::<Decimal32Type>(), *precision, *scale),
            DataType::Decimal64(precision, scale) => wide(array.as_primitive::<Decimal64Type>(), *precision, *scale),
            DataType::Decimal128(..) => Values::Decimal128(array.as_primitive().clone()),
            DataType::Decimal256(..) => Values::Decimal256(array.as_primitive().clone()),
            DataType::Utf8 => Values::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Values::Utf8View(array.as_string_view().clone()),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Values::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary().clone()),
            DataType::Date32 => Values::Date32(array.as_primitive().clone()),
            DataType::Date64 => Values::Date64(array.as_primitive().clone()),
            DataType::Time32(TimeUnit::Second) => {
                Values::Time32(array.as_primitive::<Time32SecondType>().values().clone(), 1)
            }
            DataType::Time32(_) => {
                Values::Time32(array.as_primitive::<Time32MillisecondType>().values().clone(), 1_000)
            }
            DataType::Time64(unit) => Values::Time64(i64_values(array), per_second(*unit)),
            DataType::Timestamp(unit, zone) => Values::Timestamp(i64_values(array), per_second(*unit), zone.is_some()),
            _ => return Self::composite(array),
        })
    }

    fn composite(array: &dyn Array) -> Result<Values, String> {
        Ok(match array.data_type() {
            DataType::Dictionary(..) => {
                let array = array.as_any_dictionary();
                let values = Self::new(array.values())?;
                if array.values().is_empty() {
                    // every row is null, and dictionary keys without values cannot be normalized
                    return Ok(Values::Null);
                }
                let keys: ScalarBuffer<i64> = array.normalized_keys().iter().map(|key| *key as i64).collect();
                Values::Dictionary(keys, Box::new(values))
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list.offsets().clone(), Box::new(Self::new(list.values())?))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                Values::LargeList(list.offsets().clone(), Box::new(Self::new(list.values())?))
            }
            DataType::FixedSizeList(_, size) => {
                let child = Self::new(array.as_fixed_size_list().values())?;
                Values::FixedList(usize::try_from(*size).expect("sizes are not negative"), Box::new(child))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (Self::new(map.keys())?, Self::new(map.values())?);
                Values::Map(map.offsets().clone(), Box::new(keys), Box::new(values))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let pairs = fields.iter().zip(columns);
                Values::Struct(
                    pairs
                        .map(|(field, column)| Ok((field.name().clone(), Self::new(column)?)))
                        .collect::<Result<_, String>>()?,
                )
            }
            other => return Err(other.to_string()),
        })
    }
}

/// Converts decimals of fewer bits to 128 bits.
fn wide<T>(array: &PrimitiveArray<T>, precision: u8, scale: i8) -> Values
where
    T: DecimalType,
    i128: From<T::Native>,
{
    let values = array.unary::<_, Decimal128Type>(i128::from);
    let data_type = DataType::Decimal128(precision, scale);
    Values::Decimal128(values.with_data_type(data_type))
}

fn push_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest text that parses to the same number; or `NaN`, `Infinity`, `-Infinity`.
fn push_float<F: ryu::Float + Into<f64> + Copy>(value: F, out: &mut Vec<u8>) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else if wide.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if wide > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
}

/// RFC 4648, with padding: how Flink's CSV and JSON formats write bytes.
fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { digit } else { b'=' });
        }
    }
}
