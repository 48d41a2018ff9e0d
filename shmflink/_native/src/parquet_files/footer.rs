//! Footers, and whether this reader supports a file.

use std::sync::Arc;

use arrow_schema::{DataType, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::{parquet_to_arrow_schema_by_columns, ProjectionMask};
use parquet::basic::{Compression, Type};
use parquet::file::metadata::{
    ColumnChunkMetaData, FooterTail, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    ParquetStatisticsPolicy,
};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescriptor;

use super::local_file::LocalFile;

const TAIL_BYTES: usize = 8; // length of the footer and magic

/// The assumed size of a text value, because the footer does not state it.
const TEXT_BYTES: f64 = 16.0;
const VALUE_BYTES: f64 = 8.0;

/// The footer of a file that has the expected columns.
pub struct Footer {
    pub arrow: ArrowReaderMetadata,
    /// The Parquet column of each expected column.
    pub leaves: Vec<usize>,
    /// Approximate bytes per row of the expected columns, from the first row group.
    pub row_bytes: f64,
}

/// Which statistics to keep: parsing those of two hundred columns takes longer than everything else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep<'a> {
    Nothing,
    /// Those of all columns.
    All,
    /// Those of these columns, provided that the file has the columns of the previous one. Without other statistics,
    /// less is pruned, but results are the same.
    Of(&'a [usize]),
}

impl Footer {
    /// None if this reader does not support the file, or if it is not a Parquet file.
    pub fn read(file: &LocalFile, expected: &Schema, keep: Keep<'_>) -> Option<Self> {
        let metadata = decode(file, keep)?;
        let leaves = leaves_of(metadata.file_metadata().schema_descr(), expected)?;
        let is_usual = metadata
            .row_groups()
            .iter()
            .all(|group| leaves.iter().all(|&leaf| is_usual(group.column(leaf))));
        if !is_usual {
            return None;
        }
        let row_bytes = row_bytes(&metadata, &leaves, expected);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), options).ok()?;
        Some(Self {
            arrow,
            leaves,
            row_bytes,
        })
    }

    pub fn metadata(&self) -> &ParquetMetaData {
        self.arrow.metadata()
    }
}

fn decode(file: &LocalFile, keep: Keep<'_>) -> Option<ParquetMetaData> {
    let end = file.len().checked_sub(TAIL_BYTES as u64)?;
    let tail: [u8; TAIL_BYTES] = file.get_bytes(end, TAIL_BYTES).ok()?.as_ref().try_into().ok()?;
    let tail = FooterTail::try_new(&tail).ok()?;
    if tail.is_encrypted_footer() {
        return None;
    }
    let length = tail.metadata_length();
    let bytes = file.get_bytes(end.checked_sub(length as u64)?, length).ok()?;
    let statistics = match keep {
        Keep::Nothing => ParquetStatisticsPolicy::SkipAll,
        Keep::All => ParquetStatisticsPolicy::KeepAll,
        Keep::Of(leaves) => ParquetStatisticsPolicy::skip_except(leaves),
    };
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(statistics)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
    ParquetMetaDataReader::decode_metadata_with_options(&bytes, Some(&options)).ok()
}

/// The Parquet columns of the expected columns; None if one is missing, duplicate, nested or of another type.
fn leaves_of(held: &SchemaDescriptor, expected: &Schema) -> Option<Vec<usize>> {
    let mut leaves = vec![None; expected.fields().len()];
    for (leaf, column) in held.columns().iter().enumerate() {
        let [name] = column.path().parts() else { continue };
        let Ok(at) = expected.index_of(name) else { continue };
        // Nanoseconds of INT96 end in 2262: pyarrow reads them as microseconds.
        let is_int96 = column.physical_type() == Type::INT96;
        if is_int96 || column.max_rep_level() > 0 || leaves[at].replace(leaf).is_some() {
            return None;
        }
    }
    let leaves: Vec<usize> = leaves.into_iter().collect::<Option<_>>()?;
    let mask = ProjectionMask::leaves(held, leaves.iter().copied());
    let found = parquet_to_arrow_schema_by_columns(held, mask, None).ok()?;
    let is_same = expected.fields().iter().all(|field| {
        let same = found.field_with_name(field.name());
        same.is_ok_and(|same| same.data_type() == field.data_type() && is_flat(field.data_type()))
    });
    is_same.then_some(leaves)
}

/// Types with a single form in Arrow. The form of other types depends on the Arrow schema in the footer, which is not
/// read.
fn is_flat(kind: &DataType) -> bool {
    kind.is_integer()
        || kind.is_floating()
        || kind.is_temporal()
        || matches!(
            kind,
            DataType::Boolean | DataType::Utf8 | DataType::Binary | DataType::Decimal128(..)
        )
}

fn is_usual(chunk: &ColumnChunkMetaData) -> bool {
    matches!(chunk.compression(), Compression::UNCOMPRESSED | Compression::SNAPPY)
        && chunk.file_path().is_none()
        // Some writers store 0 or an invalid offset if there is no dictionary.
        && chunk.dictionary_page_offset().is_none_or(|at| 0 < at && at < chunk.data_page_offset())
}

fn row_bytes(metadata: &ParquetMetaData, leaves: &[usize], expected: &Schema) -> f64 {
    let Some(group) = metadata.row_groups().first() else {
        return 0.0;
    };
    let rows = group.num_rows().max(1) as f64;
    let columns = leaves.iter().zip(expected.fields());
    columns
        .map(|(&leaf, field)| {
            let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Binary);
            let least = if is_text { TEXT_BYTES } else { VALUE_BYTES };
            (group.column(leaf).uncompressed_size() as f64 / rows).max(least)
        })
        .sum()
}
