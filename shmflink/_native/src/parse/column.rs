//! Columns, including nested ones, that grow value by value and can remove their last rows.

use std::sync::Arc;

use arrow_array::{make_array, ArrayRef};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder};
use arrow_data::ArrayData;
use arrow_schema::{DataType, FieldRef, TimeUnit};

/// Strings or bytes; `O` is the type of offsets.
pub struct Text<O> {
    pub ends: Vec<O>, // one more than values, the first is 0
    pub bytes: Vec<u8>,
}

pub enum Data {
    Null,
    Bool(BooleanBufferBuilder),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Text(Text<i32>),
    LargeText(Text<i64>),
    Struct(Vec<Column>),
    /// Also maps, whose items are structs of key and value.
    List {
        ends: Vec<i32>,
        item: Box<Column>,
    },
}

pub struct Column {
    pub data: Data,
    pub data_type: DataType,
    pub nulls: NullBufferBuilder,
}

/// `$go` for the vector of values of a column of numbers, `$text` for strings.
macro_rules! for_numbers {
    ($data:expr, $values:ident => $go:expr, $($rest:tt)*) => {
        match $data {
            Data::I8($values) => $go,
            Data::I16($values) => $go,
            Data::I32($values) => $go,
            Data::I64($values) => $go,
            Data::I128($values) => $go,
            Data::U8($values) => $go,
            Data::U16($values) => $go,
            Data::U32($values) => $go,
            Data::U64($values) => $go,
            Data::F32($values) => $go,
            Data::F64($values) => $go,
            $($rest)*
        }
    };
}

impl<O: Copy + Default + TryFrom<usize>> Text<O> {
    fn new(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(O::default());
        Self {
            ends,
            bytes: Vec::new(),
        }
    }

    /// Ends a value with the bytes pushed so far.
    #[inline(always)]
    pub fn end(&mut self) {
        // A batch's text is shorter than its input, which is less than 2 GiB.
        let end = O::try_from(self.bytes.len()).unwrap_or_else(|_| unreachable!("text of a batch fits its offsets"));
        self.ends.push(end);
    }

    #[inline(always)]
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end();
    }

    /// Pushes `text[start..end]`; short values are copied as 32 bytes, which costs no call.
    #[inline(always)]
    pub fn push_range(&mut self, text: &[u8], start: usize, end: usize) {
        let length = end - start;
        if length <= 32 && start + 32 <= text.len() {
            self.bytes.reserve(32);
            let filled = self.bytes.len();
            // SAFETY: 32 bytes are readable at `start` and reserved after `filled`; only `length <= 32` of them count.
            unsafe {
                let to = self.bytes.as_mut_ptr().add(filled).cast::<[u8; 32]>();
                to.write_unaligned(text.as_ptr().add(start).cast::<[u8; 32]>().read_unaligned());
                self.bytes.set_len(filled + length);
            }
        } else {
            self.bytes.extend_from_slice(&text[start..end]);
        }
        self.end();
    }
}

impl Column {
    /// An empty column with room for `rows`; an error names a type that cannot be read from text.
    pub fn new(data_type: &DataType, rows: usize) -> Result<Self, String> {
        let data = match data_type {
            DataType::Null => Data::Null,
            DataType::Boolean => Data::Bool(BooleanBufferBuilder::new(rows)),
            DataType::Int8 => Data::I8(Vec::with_capacity(rows)),
            DataType::Int16 => Data::I16(Vec::with_capacity(rows)),
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) => Data::I32(Vec::with_capacity(rows)),
            DataType::Int64 | DataType::Date64 | DataType::Time64(_) | DataType::Timestamp(..) => {
                Data::I64(Vec::with_capacity(rows))
            }
            DataType::UInt8 => Data::U8(Vec::with_capacity(rows)),
            DataType::UInt16 => Data::U16(Vec::with_capacity(rows)),
            DataType::UInt32 => Data::U32(Vec::with_capacity(rows)),
            DataType::UInt64 => Data::U64(Vec::with_capacity(rows)),
            DataType::Float32 => Data::F32(Vec::with_capacity(rows)),
            DataType::Float64 => Data::F64(Vec::with_capacity(rows)),
            DataType::Decimal128(..) => Data::I128(Vec::with_capacity(rows)),
            DataType::Utf8 | DataType::Binary => Data::Text(Text::new(rows)),
            DataType::LargeUtf8 | DataType::LargeBinary => Data::LargeText(Text::new(rows)),
            DataType::Struct(fields) => {
                let children = fields.iter().map(|field| Self::new(field.data_type(), rows));
                Data::Struct(children.collect::<Result<_, _>>()?)
            }
            DataType::List(item) | DataType::Map(item, _) => Self::list(item, rows)?,
            other => return Err(format!("a column of type {other} cannot be read from text")),
        };
        Ok(Self {
            data,
            data_type: data_type.clone(),
            nulls: NullBufferBuilder::new(rows),
        })
    }

    fn list(item: &FieldRef, rows: usize) -> Result<Data, String> {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Ok(Data::List {
            ends,
            item: Box::new(Self::new(item.data_type(), rows)?),
        })
    }

    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    pub fn push_null(&mut self) {
        self.nulls.append_null();
        for_numbers!(&mut self.data, values => values.push(Default::default()),
            Data::Null => {}
            Data::Bool(values) => values.append(false),
            Data::Text(text) => text.end(),
            Data::LargeText(text) => text.end(),
            Data::Struct(children) => children.iter_mut().for_each(Self::push_null),
            Data::List { ends, item } => ends.push(item.len() as i32),
        );
    }

    /// Removes the rows from `length` on, complete or not.
    pub fn truncate(&mut self, length: usize) {
        self.nulls.truncate(length);
        for_numbers!(&mut self.data, values => values.truncate(length),
            Data::Null => {}
            Data::Bool(values) => values.truncate(length),
            Data::Text(text) => {
                text.ends.truncate(length + 1);
                text.bytes.truncate(text.ends[length] as usize);
            }
            Data::LargeText(text) => {
                text.ends.truncate(length + 1);
                text.bytes.truncate(text.ends[length] as usize);
            }
            Data::Struct(children) => children.iter_mut().for_each(|child| child.truncate(length)),
            Data::List { ends, item } => {
                ends.truncate(length + 1);
                item.truncate(ends[length] as usize);
            }
        );
    }

    /// The finished array. Requires that strings are valid UTF-8; the code that pushed them guarantees it.
    pub fn finish(mut self) -> ArrayRef {
        let length = self.len();
        let nulls = if matches!(self.data, Data::Null) {
            None
        } else {
            self.nulls.finish()
        };
        let mut builder = ArrayData::builder(self.data_type).len(length).nulls(nulls);
        builder = for_numbers!(self.data, values => builder.add_buffer(Buffer::from_vec(values)),
            Data::Null => builder,
            Data::Bool(values) => builder.add_buffer(values.build().into_inner()),
            Data::Text(text) => {
                builder.add_buffer(Buffer::from_vec(text.ends)).add_buffer(Buffer::from_vec(text.bytes))
            }
            Data::LargeText(text) => {
                builder.add_buffer(Buffer::from_vec(text.ends)).add_buffer(Buffer::from_vec(text.bytes))
            }
            Data::Struct(children) => {
                let arrays = children.into_iter().map(|child| child.finish().to_data());
                builder.child_data(arrays.collect())
            }
            Data::List { ends, item } => {
                builder.add_buffer(Buffer::from_vec(ends)).add_child_data(item.finish().to_data())
            }
        );
        // SAFETY: every push adds one value and one validity bit (debug builds check); text is valid (contract).
        make_array(unsafe { builder.build_unchecked() })
    }
}

/// The number of these units in a second.
pub fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A schema's columns, empty.
pub fn columns_of(schema: &Arc<arrow_schema::Schema>, rows: usize) -> Result<Vec<Column>, String> {
    schema
        .fields()
        .iter()
        .map(|field| Column::new(field.data_type(), rows))
        .collect()
}
