//! Plain values, dictionaries, and the selected rows as an array.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{make_array, Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array, StringArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use super::selection::Span;
use super::{Result, ENDS_EARLY};

const LENGTH_BYTES: usize = 4;

/// The memory layout of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Four,
    Eight,
    Text,
    Bytes,
}

/// Numbers of one width, of any meaning.
pub trait Fixed: ArrowNativeType {
    const BYTES: usize;
    fn of(bytes: &[u8]) -> Self;
}

impl Fixed for u32 {
    const BYTES: usize = 4;
    fn of(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("they are four"))
    }
}

impl Fixed for u64 {
    const BYTES: usize = 8;
    fn of(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("they are eight"))
    }
}

/// The values of a dictionary page.
pub enum Dictionary {
    Four(Vec<u32>),
    Eight(Vec<u64>),
    Texts(Texts),
}

pub struct Texts {
    offsets: OffsetBuffer<i32>,
    data: Buffer,
    pub array: ArrayRef,
}

impl Dictionary {
    /// `bytes` are the bytes of the page.
    pub fn of(bytes: &[u8], count: usize, kind: Kind) -> Result<Self> {
        let span = Span::of(None, 0, count);
        let mut output = Output::new(kind);
        output.add_plain(bytes, &span, None)?;
        Ok(match output.values {
            Values::Four(values) => Self::Four(values),
            Values::Eight(values) => Self::Eight(values),
            Values::Texts { offsets, data } => {
                let offsets = OffsetBuffer::new(offsets.into());
                let data = Buffer::from_vec(data);
                let array = texts(kind, offsets.clone(), data.clone(), None)?;
                Self::Texts(Texts { offsets, data, array })
            }
            Values::Indices { .. } => unreachable!("invalid plain values"),
        })
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Four(values) => values.len(),
            Self::Eight(values) => values.len(),
            Self::Texts(texts) => texts.array.len(),
        }
    }
}

/// Collects the selected rows of a column.
pub struct Output {
    kind: Kind,
    values: Values,
    nulls: NullBufferBuilder,
}

enum Values {
    Four(Vec<u32>),
    Eight(Vec<u64>),
    Texts {
        offsets: Vec<i32>,
        data: Vec<u8>,
    },
    /// All rows so far use this dictionary.
    Indices {
        indices: Vec<i32>,
        dictionary: Arc<Dictionary>,
    },
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Four => Self::Four(Vec::new()),
            Kind::Eight => Self::Eight(Vec::new()),
            Kind::Text | Kind::Bytes => Self::Texts {
                offsets: vec![0],
                data: Vec::new(),
            },
        }
    }
}

impl Output {
    pub fn new(kind: Kind) -> Self {
        let (values, nulls) = (Values::new(kind), NullBufferBuilder::new(0));
        Self { kind, values, nulls }
    }

    /// Appends consecutive values in `bytes`, one for each valid row of the span.
    pub fn add_plain(&mut self, bytes: &[u8], span: &Span, valid: Option<&BooleanBuffer>) -> Result<usize> {
        self.leave_dictionary();
        self.add_nulls(span, valid);
        let count = valid.map_or(span.rows, BooleanBuffer::count_set_bits);
        match &mut self.values {
            Values::Four(values) => add_fixed(values, bytes, count, span, valid),
            Values::Eight(values) => add_fixed(values, bytes, count, span, valid),
            Values::Texts { offsets, data } => add_texts(offsets, data, bytes, span, valid),
            Values::Indices { .. } => unreachable!("it was left"),
        }
    }

    /// Appends values of a dictionary, by one index for each valid row of the span. `keeps`: as indices if possible.
    pub fn add_indexed(
        &mut self,
        indices: &[u32],
        dictionary: &Arc<Dictionary>,
        span: &Span,
        valid: Option<&BooleanBuffer>,
        keeps: bool,
    ) -> Result<()> {
        if keeps && self.nulls.is_empty() {
            let (indices, dictionary) = (Vec::new(), Arc::clone(dictionary));
            self.values = Values::Indices { indices, dictionary };
        }
        if !matches!(&self.values, Values::Indices { dictionary: held, .. } if Arc::ptr_eq(held, dictionary)) {
            self.leave_dictionary();
        }
        self.add_nulls(span, valid);
        match (&mut self.values, &**dictionary) {
            (Values::Indices { indices: held, .. }, _) => gather(held, span, valid, |at| indices[at] as i32),
            (Values::Four(held), Dictionary::Four(values)) => {
                gather(held, span, valid, |at| values[indices[at] as usize]);
            }
            (Values::Eight(held), Dictionary::Eight(values)) => {
                gather(held, span, valid, |at| values[indices[at] as usize]);
            }
            (Values::Texts { offsets, data }, Dictionary::Texts(texts)) => {
                return gather_texts(offsets, data, texts, span, valid, indices);
            }
            _ => unreachable!("dictionary and column are of one kind"),
        }
        Ok(())
    }

    fn add_nulls(&mut self, span: &Span, valid: Option<&BooleanBuffer>) {
        match valid {
            None => self.nulls.append_n_non_nulls(span.wanted),
            Some(valid) if span.is_all() => self.nulls.append_buffer(&NullBuffer::new(valid.clone())),
            Some(valid) => span.each(|row| self.nulls.append(valid.value(row))),
        }
    }

    /// Converts indices to values, because rows follow that do not use the same dictionary.
    fn leave_dictionary(&mut self) {
        let Values::Indices { indices, dictionary } = &self.values else {
            return;
        };
        let Dictionary::Texts(texts) = &**dictionary else {
            unreachable!("only texts are kept as indices")
        };
        let (mut offsets, mut data) = (vec![0], Vec::new());
        for (row, &index) in indices.iter().enumerate() {
            if self.nulls.is_valid(row) {
                data.extend_from_slice(texts.value(index as usize));
            }
            offsets.push(data.len() as i32);
        }
        self.values = Values::Texts { offsets, data };
    }

    /// The array: of `data_type`, or a dictionary of that type with 32-bit indices.
    pub fn finish(mut self, data_type: &DataType) -> Result<ArrayRef> {
        let nulls = self.nulls.finish();
        match self.values {
            Values::Four(values) => fixed(values, data_type, nulls),
            Values::Eight(values) => fixed(values, data_type, nulls),
            Values::Texts { offsets, data } => {
                let offsets = OffsetBuffer::new(offsets.into());
                texts(self.kind, offsets, Buffer::from_vec(data), nulls)
            }
            Values::Indices { indices, dictionary } => {
                let Dictionary::Texts(texts) = &*dictionary else {
                    unreachable!("only texts are kept as indices")
                };
                let keys = Int32Array::new(ScalarBuffer::from(indices), nulls);
                let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(&texts.array));
                Ok(Arc::new(array.map_err(|error| error.to_string())?))
            }
        }
    }
}

impl Texts {
    fn value(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }
}

fn fixed<T: Fixed>(values: Vec<T>, data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let data = ArrayData::builder(data_type.clone()).len(values.len()).nulls(nulls);
    let data = data.add_buffer(Buffer::from_vec(values)).build();
    Ok(make_array(data.map_err(|error| error.to_string())?))
}

fn texts(kind: Kind, offsets: OffsetBuffer<i32>, data: Buffer, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    if kind == Kind::Bytes {
        let array = BinaryArray::try_new(offsets, data, nulls);
        return Ok(Arc::new(array.map_err(|error| error.to_string())?));
    }
    let whole = simdutf8::basic::from_utf8(&data).map_err(|_| NOT_UTF8)?;
    if !whole.is_ascii() && !offsets.iter().all(|&at| whole.is_char_boundary(at as usize)) {
        return Err(NOT_UTF8.to_owned());
    }
    // SAFETY: `data` as a whole is valid UTF-8, and every value begins and ends at a character boundary (both checked
    // above). OffsetBuffer::new has checked that offsets never decrease. They lie within `data`, because each one was
    // its length when it was appended.
    Ok(Arc::new(unsafe { StringArray::new_unchecked(offsets, data, nulls) }))
}

const NOT_UTF8: &str = "a text is not UTF-8";

fn add_fixed<T: Fixed>(
    into: &mut Vec<T>,
    bytes: &[u8],
    count: usize,
    span: &Span,
    valid: Option<&BooleanBuffer>,
) -> Result<usize> {
    let length = count.checked_mul(T::BYTES).ok_or(ENDS_EARLY)?;
    let bytes = bytes.get(..length).ok_or(ENDS_EARLY)?;
    if span.is_all() && valid.is_none() {
        into.extend(bytes.chunks_exact(T::BYTES).map(T::of));
    } else {
        gather(into, span, valid, |at| {
            T::of(&bytes[at * T::BYTES..(at + 1) * T::BYTES])
        });
    }
    Ok(length)
}

/// For each selected row, the value at its index among the valid rows.
#[inline]
fn gather<T: ArrowNativeType>(
    into: &mut Vec<T>,
    span: &Span,
    valid: Option<&BooleanBuffer>,
    value: impl Fn(usize) -> T,
) {
    let from = into.len();
    into.resize(from + span.wanted, T::default());
    let mut rest = into[from..].iter_mut();
    let mut put = |value| *rest.next().expect("there is one for each wanted row") = value;
    match valid {
        None => span.each(|row| put(value(row))),
        Some(valid) => span.each_of(valid, |place| put(place.map_or(T::default(), &value))),
    }
}

fn gather_texts(
    offsets: &mut Vec<i32>,
    data: &mut Vec<u8>,
    texts: &Texts,
    span: &Span,
    valid: Option<&BooleanBuffer>,
    indices: &[u32],
) -> Result<()> {
    offsets.reserve(span.wanted);
    let mut put = |place: Option<usize>| {
        if let Some(place) = place {
            data.extend_from_slice(texts.value(indices[place] as usize));
        }
        offsets.push(data.len() as i32);
    };
    match valid {
        None => span.each(|row| put(Some(row))),
        Some(valid) => span.each_of(valid, put),
    }
    check_length(data)
}

/// The number of bytes that the values of the span take.
fn add_texts(
    offsets: &mut Vec<i32>,
    data: &mut Vec<u8>,
    bytes: &[u8],
    span: &Span,
    valid: Option<&BooleanBuffer>,
) -> Result<usize> {
    offsets.reserve(span.wanted);
    let (mut at, mut row) = (0, 0);
    span.every(|is_wanted| {
        if valid.is_none_or(|valid| valid.value(row)) {
            let length = bytes.get(at..at + LENGTH_BYTES).ok_or(ENDS_EARLY)?;
            let length = u32::from_le_bytes(length.try_into().expect("they are four")) as usize;
            at += LENGTH_BYTES;
            let value = bytes.get(at..at + length).ok_or(ENDS_EARLY)?;
            at += length;
            if is_wanted {
                data.extend_from_slice(value);
            }
        }
        if is_wanted {
            offsets.push(data.len() as i32);
        }
        row += 1;
        Ok(())
    })?;
    check_length(data)?;
    Ok(at)
}

/// Must be called before offsets are used: they may have wrapped.
fn check_length(data: &[u8]) -> Result<()> {
    if i32::try_from(data.len()).is_err() {
        return Err("the strings of a batch exceed 2 GiB: read it with a smaller batch_size".to_owned());
    }
    Ok(())
}

/// The number of bytes of `count` plain values.
pub fn plain_bytes(bytes: &[u8], count: usize, kind: Kind) -> Result<usize> {
    let fixed = |width: usize| {
        let length = count.checked_mul(width).filter(|&length| length <= bytes.len());
        length.ok_or_else(|| ENDS_EARLY.to_owned())
    };
    match kind {
        Kind::Four => fixed(u32::BYTES),
        Kind::Eight => fixed(u64::BYTES),
        Kind::Text | Kind::Bytes => {
            let mut at = 0;
            for _ in 0..count {
                let length = bytes.get(at..at + LENGTH_BYTES).ok_or(ENDS_EARLY)?;
                at += LENGTH_BYTES + u32::from_le_bytes(length.try_into().expect("they are four")) as usize;
            }
            if at > bytes.len() {
                return Err(ENDS_EARLY.to_owned());
            }
            Ok(at)
        }
    }
}
