//! Columns of row groups as record batches.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::ProjectionMask;
use parquet::errors::Result;

use super::footer::Footer;
use super::local_file::LocalFile;

/// Record batches of some columns of some row groups.
pub struct Columns {
    reader: ParquetRecordBatchReader,
    /// The wanted columns in their order, and where the reader has each: it has them in the file's.
    schema: SchemaRef,
    places: Vec<usize>,
}

impl Columns {
    /// `leaves` are the Parquet columns of `schema`. Batches have `batch_rows`, but for the last.
    pub fn new(
        file: &LocalFile,
        footer: &Footer,
        groups: Vec<usize>,
        leaves: &[usize],
        schema: SchemaRef,
        batch_rows: usize,
    ) -> Result<Self> {
        let mask = ProjectionMask::leaves(footer.arrow.parquet_schema(), leaves.iter().copied());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), footer.arrow.clone());
        let builder = builder.with_projection(mask).with_row_groups(groups);
        let reader = builder.with_batch_size(batch_rows).build()?;
        let mut sorted = leaves.to_vec();
        sorted.sort_unstable();
        let places = leaves
            .iter()
            .map(|leaf| sorted.binary_search(leaf).expect("it is one of them"));
        Ok(Self {
            places: places.collect(),
            reader,
            schema,
        })
    }

    /// The next batch; what is wrong with the file, in words.
    pub fn next(&mut self) -> std::result::Result<Option<RecordBatch>, String> {
        // The decoder trusts some of what pages say of themselves.
        let next = catch_unwind(AssertUnwindSafe(|| self.reader.next()));
        let next = next.map_err(|_| "a page contradicts itself".to_owned())?;
        let Some(batch) = next.transpose().map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let columns = self
            .places
            .iter()
            .map(|&place| Arc::clone(batch.column(place)))
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        batch.map(Some).map_err(|error| error.to_string())
    }
}
