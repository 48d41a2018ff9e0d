//! A column as its memory buffers: what an image writer copies from, for every Arrow type.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::{DataType, Field};

use super::error::ExchangeError;

/// Offsets of a variable-width column, 32 or 64 bits wide, starting at its row 0 (the first need not be 0).
pub struct Offsets {
    pub buffer: Buffer,
    pub wide: bool,
}

impl Offsets {
    #[inline(always)]
    pub fn at(&self, row: usize) -> usize {
        if self.wide {
            self.wide_slice()[row] as usize
        } else {
            self.narrow_slice()[row] as usize
        }
    }

    pub fn wide_slice(&self) -> &[i64] {
        self.buffer.typed_data()
    }

    pub fn narrow_slice(&self) -> &[i32] {
        self.buffer.typed_data()
    }

    pub fn width(&self) -> usize {
        if self.wide {
            8
        } else {
            4
        }
    }
}

/// All buffers start at row 0 of the column, independent of the array's offset.
pub enum Values {
    Null,
    Fixed {
        values: Buffer,
        width: usize,
    },
    Bits {
        values: BooleanBuffer,
    },
    Bytes {
        offsets: Offsets,
        data: Buffer,
    },
    Views {
        views: Buffer,
        data: Vec<Buffer>,
    },
    List {
        offsets: Offsets,
        items: Box<Column>,
    },
    FixedList {
        size: usize,
        items: Box<Column>,
    },
    Struct {
        fields: Vec<Column>,
    },
    Dictionary {
        keys: Buffer,
        width: usize,
        values: Box<Column>,
    },
}

pub struct Column {
    pub rows: usize,
    /// Present only if there is a null.
    pub nulls: Option<NullBuffer>,
    pub values: Values,
}

impl Column {
    pub fn of(array: &dyn Array) -> Result<Self, ExchangeError> {
        Ok(Self {
            rows: array.len(),
            nulls: array.nulls().filter(|nulls| nulls.null_count() > 0).cloned(),
            values: values_of(array)?,
        })
    }

    pub fn of_all(arrays: &[ArrayRef]) -> Result<Vec<Self>, ExchangeError> {
        arrays.iter().map(|array| Self::of(array.as_ref())).collect()
    }
}

/// Bytes of one value of a fixed-width type; None for all other types.
pub fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => Some(*width as usize),
        other => other.primitive_width(),
    }
}

fn fixed(array: &dyn Array, width: usize) -> Values {
    let data = array.to_data();
    Values::Fixed {
        values: data.buffers()[0].slice(data.offset() * width),
        width,
    }
}

fn child(array: &dyn Array) -> Result<Box<Column>, ExchangeError> {
    Ok(Box::new(Column::of(array)?))
}

fn values_of(array: &dyn Array) -> Result<Values, ExchangeError> {
    macro_rules! bytes {
        ($array:expr, $wide:literal) => {{
            let array = $array;
            let offsets = Offsets {
                buffer: array.offsets().inner().inner().clone(),
                wide: $wide,
            };
            Values::Bytes {
                offsets,
                data: array.values().clone(),
            }
        }};
    }
    macro_rules! list {
        ($array:expr, $items:expr, $wide:literal) => {{
            let offsets = Offsets {
                buffer: $array.offsets().inner().inner().clone(),
                wide: $wide,
            };
            Values::List {
                offsets,
                items: child($items)?,
            }
        }};
    }
    macro_rules! views {
        ($array:expr) => {{
            let array = $array;
            Values::Views {
                views: array.views().inner().clone(),
                data: array.data_buffers().to_vec(),
            }
        }};
    }
    Ok(match array.data_type() {
        DataType::Null => Values::Null,
        DataType::Boolean => Values::Bits {
            values: array.as_boolean().values().clone(),
        },
        DataType::Utf8 => bytes!(array.as_string::<i32>(), false),
        DataType::LargeUtf8 => bytes!(array.as_string::<i64>(), true),
        DataType::Binary => bytes!(array.as_binary::<i32>(), false),
        DataType::LargeBinary => bytes!(array.as_binary::<i64>(), true),
        DataType::Utf8View => views!(array.as_string_view()),
        DataType::BinaryView => views!(array.as_binary_view()),
        DataType::List(_) => list!(array.as_list::<i32>(), array.as_list::<i32>().values(), false),
        DataType::LargeList(_) => list!(array.as_list::<i64>(), array.as_list::<i64>().values(), true),
        DataType::Map(_, _) => list!(array.as_map(), array.as_map().entries(), false),
        DataType::FixedSizeList(_, size) => Values::FixedList {
            size: *size as usize,
            items: child(array.as_fixed_size_list().values())?,
        },
        DataType::Struct(_) => Values::Struct {
            fields: Column::of_all(array.as_struct().columns())?,
        },
        DataType::Dictionary(key_type, _) => {
            let (dictionary, width) = (array.as_any_dictionary(), fixed_width(key_type).unwrap_or(1));
            let keys = dictionary.keys().to_data();
            Values::Dictionary {
                keys: keys.buffers()[0].slice(keys.offset() * width),
                width,
                values: child(dictionary.values())?,
            }
        }
        other => match fixed_width(other) {
            Some(width) => fixed(array, width),
            None => return Err(unsupported(other)),
        },
    })
}

fn unsupported(data_type: &DataType) -> ExchangeError {
    ExchangeError::Unfit(format!(
        "a column of type {data_type} cannot be sent between subtasks; cast it to a type that Parquet supports"
    ))
}

/// The numbers of nodes (arrays) and buffers of a type in an image.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Shape {
    pub nodes: usize,
    pub buffers: usize,
}

/// Bytes per column in an image of many columns, so that the consumer's cost per batch and column is amortized.
const WIDE_COLUMN_BYTES: usize = 8 << 10;
const WIDE_IMAGE_BYTES_MAX: usize = 4 << 20;
const WIDE_NODES_MIN: usize = 64;

/// If a segment has less room per column, it is too small for a batch.
const COLUMN_BYTES_MIN: usize = 1 << 10;

impl Shape {
    /// The bytes of a full image: one segment, or several if there are so many columns that one has room for few rows
    /// only.
    pub fn image_bytes(self, segment_bytes: usize) -> usize {
        if self.nodes < WIDE_NODES_MIN || segment_bytes / self.nodes >= COLUMN_BYTES_MIN {
            return segment_bytes;
        }
        segment_bytes.max((self.nodes * WIDE_COLUMN_BYTES).min(WIDE_IMAGE_BYTES_MAX))
    }

    pub fn of_fields<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Result<Self, ExchangeError> {
        let mut shape = Self::default();
        for field in fields {
            shape.add(field.data_type())?;
        }
        Ok(shape)
    }

    fn add(&mut self, data_type: &DataType) -> Result<(), ExchangeError> {
        let (buffers, children): (usize, Vec<&DataType>) = match data_type {
            DataType::Null => (0, vec![]),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => (3, vec![]),
            DataType::Utf8View | DataType::BinaryView => (3, vec![]),
            DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => (2, vec![item.data_type()]),
            DataType::FixedSizeList(item, _) => (1, vec![item.data_type()]),
            DataType::Struct(fields) => (1, fields.iter().map(|f| f.data_type()).collect()),
            DataType::Dictionary(_, values) => (2, vec![values]),
            DataType::Boolean => (2, vec![]),
            other if fixed_width(other).is_some() => (2, vec![]),
            other => return Err(unsupported(other)),
        };
        self.nodes += 1;
        self.buffers += buffers;
        children.into_iter().try_for_each(|child| self.add(child))
    }
}
