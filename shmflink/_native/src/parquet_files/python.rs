//! The Python classes.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch, PySchema};

use super::columns::{Columns, Spare};
use super::footer::{Footer, Keep};
use super::local_file::LocalFile;
use super::range::Range;
use parquet::file::reader::Length;

/// Reused by consecutive splits of the same file.
const FOOTERS_KEPT: usize = 4;

struct Kept {
    path: String,
    len: u64,
    footer: Arc<Footer>,
}

/// Opens ranges of local files that have the expected columns.
#[pyclass(frozen, module = "shmflink._core")]
pub struct ParquetReader {
    schema: SchemaRef,
    has_bounds: bool,
    kept: Mutex<VecDeque<Kept>>,
    spare: Arc<Spare>,
}

impl ParquetReader {
    fn range(&self, path: &str, offset: u64, length: u64) -> Option<Range> {
        let file = LocalFile::open(path).ok()?;
        let footer = self.footer(path, &file)?;
        Some(Range::new(file, footer, offset, length))
    }

    fn footer(&self, path: &str, file: &LocalFile) -> Option<Arc<Footer>> {
        let mut kept = self.kept.lock().expect("nothing panics while it is held");
        if let Some(same) = kept.iter().find(|one| one.path == path && one.len == file.len()) {
            return Some(Arc::clone(&same.footer));
        }
        let before = kept.back().map(|last| Arc::clone(&last.footer));
        let keep = match &before {
            _ if !self.has_bounds => Keep::Nothing,
            Some(before) => Keep::Of(&before.leaves),
            None => Keep::All,
        };
        let read = catch_unwind(AssertUnwindSafe(|| Footer::read(file, &self.schema, keep)));
        let footer = Arc::new(read.ok().flatten()?);
        if kept.len() == FOOTERS_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept {
            path: path.to_owned(),
            len: file.len(),
            footer: Arc::clone(&footer),
        });
        Some(footer)
    }
}

#[pymethods]
impl ParquetReader {
    #[new]
    #[pyo3(signature = (schema, *, has_bounds))]
    fn new(schema: PySchema, has_bounds: bool) -> Self {
        Self {
            schema: schema.into_inner(),
            has_bounds,
            kept: Mutex::default(),
            spare: Arc::default(),
        }
    }

    fn open(&self, py: Python<'_>, path: &str, offset: u64, length: u64) -> Option<ParquetRange> {
        let range = py.detach(|| self.range(path, offset, length))?;
        Some(ParquetRange {
            range,
            schema: Arc::clone(&self.schema),
            spare: Arc::clone(&self.spare),
        })
    }
}

/// The row groups that begin inside a range of a file.
#[pyclass(frozen, module = "shmflink._core")]
pub struct ParquetRange {
    range: Range,
    schema: SchemaRef,
    spare: Arc<Spare>,
}

impl ParquetRange {
    fn index_of(&self, name: &str) -> PyResult<usize> {
        let index = self.schema.index_of(name);
        index.map_err(|_| PyKeyError::new_err(name.to_owned()))
    }
}

/// The smallest and largest values of each row group, and their nulls; elements are null if the file does not state
/// them.
type Bounds = (Py<PyAny>, Py<PyAny>, Py<PyAny>);

#[pymethods]
impl ParquetRange {
    /// (number, first byte and first row in the file, rows) of each row group.
    #[getter]
    fn groups(&self) -> Vec<(usize, u64, u64, u64)> {
        let groups = self.range.groups.iter();
        groups
            .map(|group| (group.number, group.start, group.first_row, group.rows))
            .collect()
    }

    /// All columns of the file.
    #[getter]
    fn names(&self) -> Vec<&str> {
        let root = self.range.footer.arrow.parquet_schema().root_schema();
        root.get_fields().iter().map(|field| field.name()).collect()
    }

    #[getter]
    fn row_bytes(&self) -> f64 {
        self.range.footer.row_bytes
    }

    fn bounds(&self, py: Python<'_>, name: &str) -> PyResult<Option<Bounds>> {
        let index = self.index_of(name)?;
        let (leaf, field) = (self.range.footer.leaves[index], self.schema.field(index));
        let Some(found) = self.range.bounds(leaf, field) else {
            return Ok(None);
        };
        let arrow = |array: ArrayRef| Ok::<_, PyErr>(PyArray::from_array_ref(array).to_pyarrow(py)?.unbind());
        let null_counts = Arc::new(found.null_counts);
        Ok(Some((arrow(found.lows)?, arrow(found.highs)?, arrow(null_counts)?)))
    }

    /// `keeps_dictionaries`: strings are returned as dictionaries if these are small and all rows of a batch use one.
    #[pyo3(signature = (names, groups, batch_rows, *, keeps_dictionaries=false))]
    fn read(
        &self,
        names: Vec<String>,
        groups: Vec<usize>,
        batch_rows: usize,
        keeps_dictionaries: bool,
    ) -> PyResult<ParquetColumns> {
        let indexes = names.iter().map(|name| self.index_of(name));
        let indexes = indexes.collect::<PyResult<Vec<_>>>()?;
        let leaves: Vec<_> = indexes.iter().map(|&index| self.range.footer.leaves[index]).collect();
        let schema = self.schema.project(&indexes).expect("they are indexes of it");
        let schema = Arc::new(schema);
        let Range { file, footer, .. } = &self.range;
        let keeps = keeps_dictionaries;
        let columns = Columns::new(file, footer, groups, &leaves, schema, batch_rows, keeps, &self.spare);
        let columns = columns.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(ParquetColumns {
            columns: Mutex::new(columns),
        })
    }
}

/// Some columns of row groups, read from front to back.
#[pyclass(frozen, module = "shmflink._core")]
pub struct ParquetColumns {
    columns: Mutex<Columns>,
}

#[pymethods]
impl ParquetColumns {
    fn skip(&self, rows: usize) {
        self.columns.lock().expect("take() catches panics").skip(rows);
    }

    #[pyo3(signature = (rows, mask=None))]
    fn take<'py>(&self, py: Python<'py>, rows: usize, mask: Option<PyArray>) -> PyResult<Bound<'py, PyAny>> {
        let mask = mask.map(|mask| bits_of(&mask, rows)).transpose()?;
        let taken = py.detach(|| {
            let mut columns = self.columns.lock().expect("take() catches panics");
            columns.take(rows, mask.as_ref())
        });
        PyRecordBatch::new(taken.map_err(PyValueError::new_err)?).into_pyarrow(py)
    }
}

/// The rows whose mask is true (not null).
fn bits_of(mask: &PyArray, rows: usize) -> PyResult<BooleanBuffer> {
    let mask = mask.array();
    let mask = mask
        .as_boolean_opt()
        .ok_or_else(|| PyTypeError::new_err("a mask must be a column of booleans"))?;
    if mask.len() != rows {
        let marks = mask.len();
        return Err(PyValueError::new_err(format!("a mask of {marks} for {rows} rows")));
    }
    Ok(match mask.nulls() {
        Some(nulls) => mask.values() & nulls.inner(),
        None => mask.values().clone(),
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ParquetReader>()?;
    module.add_class::<ParquetRange>()?;
    module.add_class::<ParquetColumns>()
}
