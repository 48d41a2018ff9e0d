//! Columns of row groups as record batches.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, Encoding, Type};
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::Length;

use super::footer::Footer;
use super::local_file::LocalFile;
use super::others::Others;
use super::pages::{Chunk, ColumnDecoder, Kind, Scratch};

/// Which reader a column has: a decoder, or `others` at this index.
enum Column {
    Own(Box<ColumnDecoder>),
    Other(usize),
}

/// Some columns of some row groups, read from front to back.
pub struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    others: Option<Others>,
    scratch: Scratch,
    spare: Arc<Spare>,
}

/// Memory for pages, reused by the columns of the next row groups: fresh memory costs as much as decoding into it.
#[derive(Default)]
pub struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    fn take(&self) -> Vec<u8> {
        self.0
            .lock()
            .map_or_else(|_| Vec::new(), |mut held| held.pop().unwrap_or_default())
    }

    /// Row groups are read one after the other, so at most as many buffers are kept as they have columns.
    fn give(&self, memory: Vec<u8>) {
        if let Ok(mut held) = self.0.lock() {
            held.push(memory);
        }
    }
}

impl Drop for Columns {
    fn drop(&mut self) {
        for column in self.columns.drain(..) {
            if let Column::Own(decoder) = column {
                self.spare.give(decoder.into_memory());
            }
        }
    }
}

impl Columns {
    #[allow(clippy::too_many_arguments)] // input and options
    /// `leaves` are the Parquet columns of `schema`. `keeps_dictionaries`: strings are returned as dictionaries if
    /// these are small and all rows of a batch use the same one.
    pub fn new(
        file: &LocalFile,
        footer: &Footer,
        groups: Vec<usize>,
        leaves: &[usize],
        schema: SchemaRef,
        batch_rows: usize,
        keeps_dictionaries: bool,
        spare: &Arc<Spare>,
    ) -> Result<Self> {
        let mut columns = Vec::with_capacity(leaves.len());
        let mut other_leaves = Vec::new();
        for (&leaf, field) in leaves.iter().zip(schema.fields()) {
            let own = decoder(
                file,
                footer,
                &groups,
                leaf,
                field.data_type(),
                keeps_dictionaries,
                spare,
            );
            columns.push(own.unwrap_or(Column::Other(other_leaves.len())));
            if matches!(columns.last(), Some(Column::Other(_))) {
                other_leaves.push(leaf);
            }
        }
        let others = match other_leaves.as_slice() {
            [] => None,
            leaves => Some(Others::new(file, footer, groups, leaves, batch_rows)?),
        };
        Ok(Self {
            schema,
            columns,
            others,
            scratch: Scratch::default(),
            spare: Arc::clone(spare),
        })
    }

    pub fn skip(&mut self, rows: usize) {
        for column in &mut self.columns {
            if let Column::Own(decoder) = column {
                decoder.skip(rows);
            }
        }
        if let Some(others) = &mut self.others {
            others.skip(rows);
        }
    }

    /// The selected ones of the next `rows` rows; Err describes what is wrong with the file.
    pub fn take(&mut self, rows: usize, mask: Option<&BooleanBuffer>) -> std::result::Result<RecordBatch, String> {
        // The crate's decoders trust some fields of page headers, and panic if these are wrong.
        let taken = catch_unwind(AssertUnwindSafe(|| self.arrays(rows, mask)));
        let arrays = taken.unwrap_or_else(|_| Err("a page header contradicts its page".to_owned()))?;
        let kept = mask.map_or(rows, BooleanBuffer::count_set_bits);
        let options = RecordBatchOptions::new().with_row_count(Some(kept));
        let batch = RecordBatch::try_new_with_options(self.schema_of(&arrays), arrays, &options);
        batch.map_err(|error| error.to_string())
    }

    fn arrays(&mut self, rows: usize, mask: Option<&BooleanBuffer>) -> std::result::Result<Vec<ArrayRef>, String> {
        let others = match &mut self.others {
            Some(others) => others.take(rows, mask)?,
            None => Vec::new(),
        };
        let scratch = &mut self.scratch;
        let columns = self.columns.iter_mut().map(|column| match column {
            Column::Own(decoder) => decoder.take(rows, mask, scratch),
            Column::Other(place) => Ok(Arc::clone(&others[*place])),
        });
        columns.collect()
    }

    /// The schema, with dictionary types for columns that are returned as dictionaries.
    fn schema_of(&self, arrays: &[ArrayRef]) -> SchemaRef {
        let fields = self.schema.fields().iter().zip(arrays);
        if fields
            .clone()
            .all(|(field, array)| field.data_type() == array.data_type())
        {
            return Arc::clone(&self.schema);
        }
        let fields = fields.map(|(field, array)| Field::new(field.name(), array.data_type().clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

#[allow(clippy::too_many_arguments)] // input and options
/// None for a column of other types or encodings.
fn decoder(
    file: &LocalFile,
    footer: &Footer,
    groups: &[usize],
    leaf: usize,
    data_type: &DataType,
    keeps_dictionaries: bool,
    spare: &Spare,
) -> Option<Column> {
    let metadata = footer.metadata();
    let column = metadata.file_metadata().schema_descr().column(leaf);
    let kind = kind_of(column.physical_type(), data_type)?;
    let mut chunks = std::collections::VecDeque::with_capacity(groups.len());
    for &group in groups {
        let group = metadata.row_group(group);
        let chunk = group.column(leaf);
        if !has_known_encodings(chunk) {
            return None;
        }
        let (start, length) = chunk.byte_range();
        chunks.push_back(Chunk {
            start,
            end: start.saturating_add(length).min(file.len()),
            rows: usize::try_from(group.num_rows()).ok()?,
            is_compressed: chunk.compression() == Compression::SNAPPY,
        });
    }
    let is_nullable = column.max_def_level() > 0;
    (column.max_def_level() <= 1).then(|| {
        Column::Own(Box::new(ColumnDecoder::new(
            file.clone(),
            chunks,
            kind,
            data_type.clone(),
            is_nullable,
            keeps_dictionaries,
            spare.take(),
        )))
    })
}

/// Types whose values have the same form in memory and in pages.
fn kind_of(physical: Type, data_type: &DataType) -> Option<Kind> {
    use DataType::{Binary, Date32, Float32, Float64, Int32, Int64, Time32, Time64, Timestamp, UInt32, UInt64, Utf8};
    match (physical, data_type) {
        (Type::INT32, Int32 | UInt32 | Date32 | Time32(_)) | (Type::FLOAT, Float32) => Some(Kind::Four),
        (Type::INT64, Int64 | UInt64 | Timestamp(..) | Time64(_)) | (Type::DOUBLE, Float64) => Some(Kind::Eight),
        (Type::BYTE_ARRAY, Utf8) => Some(Kind::Text),
        (Type::BYTE_ARRAY, Binary) => Some(Kind::Bytes),
        _ => None,
    }
}

fn has_known_encodings(chunk: &ColumnChunkMetaData) -> bool {
    #[allow(deprecated)] // old files use BIT_PACKED
    chunk.encodings().all(|encoding| {
        matches!(
            encoding,
            Encoding::PLAIN | Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY | Encoding::RLE
        )
    })
}
