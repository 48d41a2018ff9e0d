//! Columns that `pages` does not decode, by the crate `parquet`.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_select::concat::concat_batches;
use arrow_select::filter::FilterBuilder;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::ProjectionMask;
use parquet::errors::Result;

use super::footer::Footer;
use super::local_file::LocalFile;
use super::pages::ENDS_EARLY;

/// Some columns of some row groups, opened when the first row is requested.
pub struct Others {
    reader: ParquetRecordBatchReader,
    /// The index of each column in the reader, which uses the file's order.
    places: Vec<usize>,
    behind: usize,
    held: Option<RecordBatch>,
}

impl Others {
    pub fn new(
        file: &LocalFile,
        footer: &Footer,
        groups: Vec<usize>,
        leaves: &[usize],
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
            behind: 0,
            held: None,
        })
    }

    pub fn skip(&mut self, rows: usize) {
        self.behind += rows;
    }

    /// The selected ones of the next `rows` rows.
    pub fn take(&mut self, rows: usize, mask: Option<&BooleanBuffer>) -> std::result::Result<Vec<ArrayRef>, String> {
        while self.behind > 0 {
            self.behind -= self.next(self.behind)?.num_rows();
        }
        let mut taken = vec![self.next(rows)?];
        let mut missing = rows - taken[0].num_rows();
        while missing > 0 {
            let next = self.next(missing)?;
            missing -= next.num_rows();
            taken.push(next);
        }
        let whole = match taken.len() {
            1 => Ok(taken.swap_remove(0)),
            _ => concat_batches(&taken[0].schema(), &taken),
        };
        let kept = whole.and_then(|whole| match mask {
            None => Ok(whole),
            Some(mask) => {
                let mask = BooleanArray::new(mask.clone(), None);
                let filter = FilterBuilder::new(&mask).optimize().build();
                filter.filter_record_batch(&whole)
            }
        });
        let kept = kept.map_err(|error| error.to_string())?;
        let columns = self.places.iter().map(|&place| Arc::clone(kept.column(place)));
        Ok(columns.collect())
    }

    /// At most `rows_max` rows.
    fn next(&mut self, rows_max: usize) -> std::result::Result<RecordBatch, String> {
        let batch = match self.held.take() {
            Some(held) => held,
            None => {
                let next = self.reader.next().ok_or(ENDS_EARLY)?;
                next.map_err(|error| error.to_string())?
            }
        };
        let rows = batch.num_rows();
        if rows <= rows_max {
            return Ok(batch);
        }
        self.held = Some(batch.slice(rows_max, rows - rows_max));
        Ok(batch.slice(0, rows_max))
    }
}
