//! Which columns lie in segments, that is, in memory that is returned to its sender.

use arrow_array::Array;
use arrow_data::ArrayData;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;

use crate::transport::memory::is_any_shared;

/// The indices of the columns that lie at least partly in shared memory.
#[pyfunction]
pub fn shared_columns(batch: PyRecordBatch) -> Vec<usize> {
    let batch = batch.into_inner();
    let mut addresses = Vec::new();
    let is_shared = |column: &dyn Array| {
        addresses.clear();
        collect(&column.to_data(), &mut addresses);
        is_any_shared(&addresses)
    };
    let shared: Vec<bool> = batch
        .columns()
        .iter()
        .map(|column| column.as_ref())
        .map(is_shared)
        .collect();
    (0..shared.len()).filter(|&place| shared[place]).collect()
}

fn collect(data: &ArrayData, into: &mut Vec<usize>) {
    into.extend(data.buffers().iter().map(|buffer| buffer.as_ptr() as usize));
    into.extend(data.nulls().map(|nulls| nulls.buffer().as_ptr() as usize));
    data.child_data().iter().for_each(|child| collect(child, into));
}
