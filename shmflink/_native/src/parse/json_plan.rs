//! What is known about an object before it is read: its columns, and the order of keys seen last.

use std::collections::HashMap;

use arrow_schema::{DataType, Fields};

/// How the values of a column are read.
pub enum Plan {
    Plain,
    /// Dates and times.
    Special,
    Object(Object),
    List(Box<Plan>),
    Map(Box<Plan>),
}

pub struct Object {
    /// It is a line.
    pub is_root: bool,
    pub names: Vec<String>,
    pub plans: Vec<Plan>,
    pub by_name: HashMap<Vec<u8>, usize>,
    /// The keys of the last object, each with its closing quote, and which column each is, if any.
    pub order: Vec<(Key, Option<usize>)>,
}

/// A key and its closing quote; `word` has its first eight bytes.
pub struct Key {
    word: u64,
    mask: u64,
    pub bytes: Vec<u8>,
}

impl Key {
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = name.to_vec();
        bytes.push(b'"');
        let count = bytes.len().min(8);
        let mut first = [0; 8];
        first[..count].copy_from_slice(&bytes[..count]);
        let mask = if count == 8 { u64::MAX } else { (1 << (count * 8)) - 1 };
        Self {
            word: u64::from_le_bytes(first),
            mask,
            bytes,
        }
    }

    #[inline(always)]
    pub fn is_at(&self, text: &[u8], at: usize) -> bool {
        if at + 8 > text.len() {
            return text[at..].starts_with(&self.bytes);
        }
        let word = u64::from_le_bytes(text[at..at + 8].try_into().expect("eight bytes"));
        (word ^ self.word) & self.mask == 0 && (self.bytes.len() <= 8 || text[at + 8..].starts_with(&self.bytes[8..]))
    }
}

impl Plan {
    pub fn new(data_type: &DataType) -> Result<Self, String> {
        Ok(match data_type {
            DataType::Struct(fields) => Self::Object(Object::new(fields)?),
            DataType::List(item) => Self::List(Box::new(Self::new(item.data_type())?)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) if pair[0].data_type() == &DataType::Utf8 => {
                    Self::Map(Box::new(Self::new(pair[1].data_type())?))
                }
                _ => return Err("keys of a map in JSON are strings".into()),
            },
            DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_) => Self::Special,
            _ => Self::Plain,
        })
    }
}

impl Object {
    pub fn new(fields: &Fields) -> Result<Self, String> {
        let plans = fields
            .iter()
            .map(|field| Plan::new(field.data_type()))
            .collect::<Result<_, _>>()?;
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let by_name = names
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone().into_bytes(), index))
            .collect();
        Ok(Self {
            is_root: false,
            names,
            plans,
            by_name,
            order: Vec::new(),
        })
    }
}
