//! Strings <-> numbers, as Java reads and writes them.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, StringArray};
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::column::{strings, to_pyarrow, Writer};

/// An integer: digits with a sign; a fraction is truncated. None if the text is not a number, or does not fit.
fn whole_number(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let whole = match digits.iter().position(|byte| *byte == b'.') {
        Some(at) if digits.len() > 1 && digits[at + 1..].iter().all(u8::is_ascii_digit) => &digits[..at],
        Some(_) => return None,
        None if digits.is_empty() => return None,
        None => digits,
    };
    // The range of negative numbers is larger by one, so the number is built negated.
    let mut number: i64 = 0;
    for byte in whole {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?;
    }
    if is_negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

/// A floating-point number as `Double.parseDouble` reads it, without hexadecimal ones.
fn float_number(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        // Rust also parses "inf" and "nan" in any case, as do the tools that write such files.
        return text.parse().ok();
    }
    let text = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    text.parse().ok()
}

/// int64 of each string, without the spaces around it; null if it is not an integer.
#[pyfunction]
fn parse_integers(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    let texts = strings(&texts)?;
    let numbers = py.detach(|| {
        let mut numbers = Int64Builder::with_capacity(texts.len());
        for text in &texts {
            numbers.append_option(text.and_then(|text| whole_number(text.trim_matches(' ').as_bytes())));
        }
        numbers.finish()
    });
    to_pyarrow(py, Arc::new(numbers))
}

/// float64 of each string, without the spaces around it; null if it is not a number.
#[pyfunction]
fn parse_floats(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    let texts = strings(&texts)?;
    let numbers = py.detach(|| {
        let mut numbers = Float64Builder::with_capacity(texts.len());
        for text in &texts {
            numbers.append_option(text.and_then(|text| float_number(text.trim())));
        }
        numbers.finish()
    });
    to_pyarrow(py, Arc::new(numbers))
}

/// `Double.toString`: shortest digits, at least one after the point, an exponent from 10^7 on and below 10^-3.
fn write_java(scientific: &str, out: &mut Vec<u8>) {
    let (sign, rest) = scientific
        .strip_prefix('-')
        .map_or(("", scientific), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|letter| *letter != '.').collect();
    out.extend_from_slice(sign.as_bytes());
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    if (0..7).contains(&exponent) {
        let point = exponent as usize + 1;
        if digits.len() > point {
            put(&digits[..point]);
            put(".");
            put(&digits[point..]);
        } else {
            put(&digits);
            put(&"0".repeat(point - digits.len()));
            put(".0");
        }
    } else if (-3..0).contains(&exponent) && digits != "0" {
        put("0.");
        put(&"0".repeat((-exponent - 1) as usize));
        put(&digits);
    } else {
        put(&digits[..1]);
        put(".");
        put(if digits.len() > 1 { &digits[1..] } else { "0" });
        put("E");
        put(&exponent.to_string());
    }
}

/// float32 or float64 as Java writes them.
#[pyfunction]
fn format_floats(py: Python<'_>, numbers: PyArray) -> PyResult<Py<PyAny>> {
    let array = numbers.array().clone();
    let texts = match array.data_type() {
        DataType::Float32 => py.detach(|| written(array.as_primitive::<Float32Type>().iter())),
        DataType::Float64 => py.detach(|| written(array.as_primitive::<Float64Type>().iter())),
        other => return Err(PyTypeError::new_err(format!("a column of floats, not of {other}"))),
    }?;
    to_pyarrow(py, Arc::new(texts))
}

fn written<T: Copy + Into<f64> + std::fmt::LowerExp>(
    numbers: impl Iterator<Item = Option<T>>,
) -> PyResult<StringArray> {
    let rows = numbers.size_hint().0;
    let mut writer = Writer::new(rows, rows * 8);
    let mut scientific = String::new();
    for number in numbers {
        if let Some(number) = number {
            let double: f64 = number.into();
            if double.is_nan() {
                writer.bytes.extend_from_slice(b"NaN");
            } else if double.is_infinite() {
                writer
                    .bytes
                    .extend_from_slice(if double > 0.0 { b"Infinity" } else { b"-Infinity" });
            } else {
                scientific.clear();
                let _ = write!(scientific, "{number:e}"); // writing into a String cannot fail
                write_java(&scientific, &mut writer.bytes);
            }
        }
        writer.finish_row(number.is_some())?;
    }
    Ok(writer.finish())
}

/// int64 as digits of `bits` bits each, two's complement, in upper case.
#[pyfunction]
fn format_integers(py: Python<'_>, numbers: PyArray, digit_bits: u32) -> PyResult<Py<PyAny>> {
    let array = numbers.array().clone();
    let numbers = array
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| PyTypeError::new_err("numbers are int64"))?;
    let digit_bits = digit_bits.clamp(1, 4);
    let texts = py.detach(|| -> PyResult<StringArray> {
        let mut writer = Writer::new(numbers.len(), numbers.len() * 8);
        for number in numbers {
            let bits = number.unwrap_or_default() as u64;
            let digits = (u64::BITS - bits.leading_zeros()).div_ceil(digit_bits).max(1);
            for digit in (0..digits).rev() {
                let value = (bits >> (digit * digit_bits)) & ((1 << digit_bits) - 1);
                writer.bytes.push(b"0123456789ABCDEF"[value as usize]);
            }
            writer.finish_row(number.is_some())?;
        }
        Ok(writer.finish())
    })?;
    to_pyarrow(py, Arc::new(texts))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_integers, module)?)?;
    module.add_function(wrap_pyfunction!(parse_floats, module)?)?;
    module.add_function(wrap_pyfunction!(format_integers, module)?)?;
    module.add_function(wrap_pyfunction!(format_floats, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_as_flink_reads_them() {
        let cases: [(&str, Option<i64>); 12] = [
            ("42", Some(42)),
            ("-42", Some(-42)),
            ("+7", Some(7)),
            ("1.9", Some(1)),
            ("-1.", Some(-1)),
            (".5", Some(0)),
            (".", None),
            ("", None),
            ("1e3", None),
            ("0x1A", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
        ];
        for (text, expected) in cases {
            assert_eq!(whole_number(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn floats_as_java_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1234567.5, "1234567.5"),
            (1e7, "1.0E7"),
            (0.001, "0.001"),
            (0.00012, "1.2E-4"),
            (-1.5e300, "-1.5E300"),
            (0.1, "0.1"),
        ];
        for (number, expected) in cases {
            let mut out = Vec::new();
            write_java(&format!("{number:e}"), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
