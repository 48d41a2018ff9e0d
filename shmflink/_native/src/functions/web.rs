//! URL encoding (`application/x-www-form-urlencoded`), parts of URLs as `java.net.URL` names them, IPv4 addresses.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::Int64Array;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use super::texts::{map_strings, strings, to_pyarrow, Writer};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[pyfunction]
fn url_encode(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    map_strings(py, &texts, |text, out| {
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(byte),
                b' ' => out.push(b'+'),
                other => out.extend_from_slice(&[b'%', HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]]),
            }
        }
        Ok(true)
    })
}

/// Null if an escape is invalid or the result is not UTF-8.
#[pyfunction]
fn url_decode(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    map_strings(py, &texts, |text, out| {
        let start = out.len();
        Ok(decode(text.as_bytes(), out).is_some() && std::str::from_utf8(&out[start..]).is_ok())
    })
}

fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'%' => {
                let (high, low) = (hex_value(*text.get(at + 1)?)?, hex_value(*text.get(at + 2)?)?);
                out.push(high << 4 | low);
                at += 3;
                continue;
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
        at += 1;
    }
    Some(())
}

fn hex_value(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Where the parts of a URL are: RFC 3986, with the names of `java.net.URL`.
struct Url<'a> {
    protocol: &'a str,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// None if there is no protocol, so it is not a URL.
    fn parse(text: &'a str) -> Option<Self> {
        let (protocol, rest) = text.trim().split_once(':')?;
        let is_protocol = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !protocol.starts_with(|first: char| first.is_ascii_alphabetic()) || !protocol.bytes().all(is_protocol) {
            return None;
        }
        let (rest, fragment) = rest
            .split_once('#')
            .map_or((rest, None), |(rest, part)| (rest, Some(part)));
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, part)| (rest, Some(part)));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(after) => {
                let end = after.find('/').unwrap_or(after.len());
                (Some(&after[..end]), &after[end..])
            }
            None => (None, rest),
        };
        Some(Self {
            protocol,
            authority,
            path,
            query,
            fragment,
        })
    }

    fn user_info(&self) -> Option<&'a str> {
        Some(self.authority?.rsplit_once('@')?.0)
    }

    fn host(&self) -> Option<&'a str> {
        let authority = self.authority?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some(end) = host.find(']').filter(|_| host.starts_with('[')) {
            return Some(&host[..=end]);
        }
        Some(host.split(':').next().unwrap_or(host))
    }

    /// The value of the first such key, unchanged.
    fn query_value(&self, key: &str) -> Option<&'a str> {
        let pairs = self.query?.split('&');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }
}

/// One part of each URL; null if the URL lacks it or the text is not a URL.
#[pyfunction]
#[pyo3(signature = (texts, part, key = None))]
fn parse_url(py: Python<'_>, texts: PyArray, part: &str, key: Option<&str>) -> PyResult<Py<PyAny>> {
    map_strings(py, &texts, |text, out| {
        let Some(url) = Url::parse(text) else {
            return Ok(false);
        };
        let found = match (part, key) {
            ("QUERY", Some(key)) => url.query_value(key),
            ("PROTOCOL", _) => Some(url.protocol),
            ("AUTHORITY", _) => url.authority,
            ("USERINFO", _) => url.user_info(),
            ("HOST", _) => url.host(),
            ("PATH" | "FILE", _) => Some(url.path),
            ("QUERY", _) => url.query,
            ("REF", _) => url.fragment,
            _ => return Err(PyTypeError::new_err(format!("a URL has no part {part}"))),
        };
        out.extend_from_slice(found.unwrap_or_default().as_bytes());
        if let ("FILE", Some(query)) = (part, url.query) {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
        Ok(found.is_some())
    })
}

/// IPv4 addresses as numbers, including MySQL's short forms; null for invalid text.
#[pyfunction]
fn inet_aton(py: Python<'_>, texts: PyArray) -> PyResult<Py<PyAny>> {
    let texts = strings(&texts)?;
    let numbers: Int64Array = py.detach(|| texts.iter().map(|text| address(text?)).collect());
    to_pyarrow(py, Arc::new(numbers))
}

fn address(text: &str) -> Option<i64> {
    let mut parts = [0_i64; 4];
    let mut count = 0;
    for part in text.split('.') {
        let is_number = !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        let value = part.parse::<i64>().ok().filter(|value| is_number && *value <= 255)?;
        *parts.get_mut(count)? = value;
        count += 1;
    }
    let last = parts[count - 1];
    let before = parts[..count - 1].iter().enumerate();
    Some(before.fold(last, |sum, (index, value)| sum + (value << (24 - 8 * index))))
}

#[pyfunction]
fn inet_ntoa(py: Python<'_>, numbers: PyArray) -> PyResult<Py<PyAny>> {
    let numbers: Int64Array = numbers
        .array()
        .as_primitive_opt::<Int64Type>()
        .cloned()
        .ok_or_else(|| PyTypeError::new_err("addresses are int64"))?;
    let writer = py.detach(|| -> PyResult<Writer> {
        let mut writer = Writer::new(numbers.len(), numbers.len() * 15);
        for number in &numbers {
            let number = number.and_then(|number| u32::try_from(number).ok());
            if let Some(number) = number {
                let text = std::net::Ipv4Addr::from(number).to_string();
                writer.bytes.extend_from_slice(text.as_bytes());
            }
            writer.finish_row(number.is_some())?;
        }
        Ok(writer)
    })?;
    writer.into_python(py)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(url_encode, module)?)?;
    module.add_function(wrap_pyfunction!(url_decode, module)?)?;
    module.add_function(wrap_pyfunction!(parse_url, module)?)?;
    module.add_function(wrap_pyfunction!(inet_aton, module)?)?;
    module.add_function(wrap_pyfunction!(inet_ntoa, module)?)
}
