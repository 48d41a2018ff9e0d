//! Shapes compiled from the tuples of `core/types/shapes.py`.

use super::object::{self, Raw};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

pub enum ShapeKind {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Str,
    Char,
    Bytes,
    Bool,
    Null,
    /// Converted by Python, one column at a time; `any` accepts every value unchanged.
    Object {
        any: bool,
    },
    Tuple(Vec<Node>),
    Row {
        names: Option<Names>,
        items: Vec<Node>,
    },
}

pub struct Node {
    pub kind: ShapeKind,
    /// The Python tuple or string from which it was compiled.
    pub shape: Py<PyAny>,
}

impl Node {
    pub fn new(shape: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::compile(shape, true)
    }

    fn compile(shape: &Bound<'_, PyAny>, is_top: bool) -> PyResult<Self> {
        let kind = match shape.cast::<PyTuple>() {
            Ok(parts) => Self::composite(parts, is_top)?,
            Err(_) => Self::leaf(&shape.extract::<String>()?),
        };
        Ok(Self {
            kind,
            shape: shape.clone().unbind(),
        })
    }

    fn leaf(name: &str) -> ShapeKind {
        match name {
            "i8" => ShapeKind::Int8,
            "i16" => ShapeKind::Int16,
            "i32" => ShapeKind::Int32,
            "i64" => ShapeKind::Int64,
            "f32" => ShapeKind::Float32,
            "f64" => ShapeKind::Float64,
            "str" => ShapeKind::Str,
            "char" => ShapeKind::Char,
            "bytes" => ShapeKind::Bytes,
            "bool" => ShapeKind::Bool,
            "null" => ShapeKind::Null,
            other => ShapeKind::Object {
                any: other == "pickle" || other == "arrow",
            },
        }
    }

    fn composite(parts: &Bound<'_, PyTuple>, is_top: bool) -> PyResult<ShapeKind> {
        let name: String = parts.get_item(0)?.extract()?;
        if name != "tuple" && name != "row" {
            return Ok(ShapeKind::Object { any: false });
        }
        let items = parts
            .get_item(parts.len() - 1)?
            .cast::<PyTuple>()?
            .iter()
            .map(|item| Self::compile(&item, false))
            .collect::<PyResult<Vec<_>>>()?;
        // A nested value with a part that only Python can convert is converted by Python as a whole.
        if !is_top && items.iter().any(|item| matches!(item.kind, ShapeKind::Object { .. })) {
            return Ok(ShapeKind::Object { any: false });
        }
        if name == "tuple" {
            return Ok(ShapeKind::Tuple(items));
        }
        let names = parts.get_item(1)?;
        let names = if names.is_none() {
            None
        } else {
            Some(Names::new(&names)?)
        };
        if names.as_ref().is_some_and(|names| names.len() != items.len()) {
            return Err(PyValueError::new_err("a row shape needs a name for each field"));
        }
        Ok(ShapeKind::Row { names, items })
    }

    /// The fields of a tuple or row.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            ShapeKind::Tuple(items) | ShapeKind::Row { items, .. } => Some(items),
            _ => None,
        }
    }

    /// The name of the column of field `index`.
    pub fn field_name(&self, py: Python<'_>, index: usize) -> PyResult<String> {
        match &self.kind {
            ShapeKind::Row { names: Some(names), .. } => names.list(py).get_item(index)?.extract(),
            _ => Ok(format!("f{index}")),
        }
    }
}

/// The field names of a row shape.
pub struct Names {
    list: Py<PyList>,
    len: usize,
}

impl Names {
    fn new(names: &Bound<'_, PyAny>) -> PyResult<Self> {
        let list = PyList::empty(names.py());
        for name in names.try_iter()? {
            list.append(name?.cast::<PyString>()?)?;
        }
        Ok(Self {
            len: list.len(),
            list: list.unbind(),
        })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn list<'py>(&self, py: Python<'py>) -> &Bound<'py, PyList> {
        self.list.bind(py)
    }

    /// True for a list of the same strings. Runs no Python code.
    #[inline(always)]
    pub fn equals(&self, other: Raw) -> bool {
        let mine = self.list.as_ptr();
        if other == mine {
            return true;
        }
        object::is_list(other)
            && object::list_len(other) == self.len
            && (0..self.len).all(|index| {
                let (a, b) = (object::list_item(mine, index), object::list_item(other, index));
                a == b || (object::is_str(b) && object::as_utf8(a) == object::as_utf8(b))
            })
    }

    /// A list of the names for rows to share, separate from the codec's own list.
    pub fn fresh_list(&self) -> Raw {
        let mine = self.list.as_ptr();
        object::new_list(self.len, |index| object::new_ref(object::list_item(mine, index)))
    }
}
