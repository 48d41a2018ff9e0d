//! `RowCodec`: one shape, compiled.

use super::conform::Conformer;
use super::decode::{rows_of, Reader};
use super::encode::{array_of, field_of, flatten, pointers, Column};
use super::object::RowClass;
use super::shape::{Node, ShapeKind};
use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3_arrow::PyRecordBatch;
use std::collections::HashMap;
use std::sync::Arc;

/// Converts rows of one shape. Calls neither modify it nor overlap (the GIL is held throughout).
#[pyclass(frozen, module = "shmflink._core")]
pub struct RowCodec {
    node: Node,
    names: Vec<String>,
    metadata: HashMap<String, String>,
    classes: RowClass,
}

#[pymethods]
impl RowCodec {
    /// `names`: of the columns. `metadata`: of the schema. `row_class`, `insert`: `Row` and `RowKind.INSERT`.
    #[new]
    fn new(
        shape: &Bound<'_, PyAny>,
        names: Vec<String>,
        metadata: HashMap<String, String>,
        row_class: &Bound<'_, PyAny>,
        insert: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let node = Node::new(shape)?;
        assert_eq!(
            names.len(),
            node.items().map_or(1, <[Node]>::len),
            "one name for each column"
        );
        Ok(Self {
            node,
            names,
            metadata,
            classes: RowClass::new(row_class, insert)?,
        })
    }

    /// The native columns of the rows and, by position, lists of the values of the others; None for a misfit.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyList>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyDict>)>> {
        let pointers = pointers(rows);
        let single = std::slice::from_ref(&self.node);
        let (items, flat) = match self.node.items() {
            None => (single, None),
            Some(items) => match flatten(&self.node, &self.classes, Column::single(&pointers), None) {
                Some(flat) => (items, Some(flat)),
                None => return Ok(None),
            },
        };
        let table: &[_] = flat.as_deref().unwrap_or(&pointers);
        let columns = (0..items.len()).map(|index| Column::field(table, items.len(), index));
        let others = PyDict::new(py);
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (index, (item, column)) in items.iter().zip(columns).enumerate() {
            if matches!(item.kind, ShapeKind::Object { .. }) {
                others.set_item(index, column.to_list(py)?)?;
                continue;
            }
            let Some(array) = array_of(py, item, &self.classes, column)? else {
                return Ok(None);
            };
            fields.push(field_of(self.names[index].clone(), array.data_type()));
            arrays.push(array);
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, self.metadata.clone()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)
            .map_err(|error| PyTypeError::new_err(error.to_string()))?;
        Ok(Some((PyRecordBatch::new(batch).into_pyarrow(py)?, others)))
    }

    /// The rows of these columns; `others` has the values of the columns that Python converts, by position.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        columns: PyRecordBatch,
        others: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyList>> {
        let batch = columns.into_inner();
        let items = self.node.items().unwrap_or(std::slice::from_ref(&self.node));
        if batch.num_columns() != items.len() {
            return Err(PyTypeError::new_err(format!(
                "rows of {} fields cannot be made of {} columns",
                items.len(),
                batch.num_columns()
            )));
        }
        let mut lists = Vec::new();
        let mut readers = Vec::with_capacity(items.len());
        for (index, (item, array)) in items.iter().zip(batch.columns()).enumerate() {
            if let Some(values) = others.get_item(index)? {
                let values: Bound<'py, PyList> = values.cast_into()?;
                if values.len() != batch.num_rows() {
                    return Err(PyTypeError::new_err("a list of values for each row is needed"));
                }
                readers.push(Reader::List(values.as_ptr()));
                lists.push(values);
            } else {
                readers.push(Reader::new(item, array.as_ref())?);
            }
        }
        rows_of(py, &self.node, &self.classes, &readers, batch.num_rows())
    }

    /// The rows in their declared form, the same list if all are; `convert` is `core.conform.conform_value`, or
    /// `narrow_value` if `narrows`.
    fn conform<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyList>,
        convert: &Bound<'py, PyAny>,
        narrows: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        Conformer {
            py,
            classes: &self.classes,
            convert,
            narrows,
        }
        .conform(&self.node, rows)
    }
}
