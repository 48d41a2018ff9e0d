//! Columns without dictionaries, as keys and arguments are read.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::error::TableError;

/// Decodes a dictionary; returns any other array unchanged.
pub fn plain(array: &ArrayRef) -> Result<ArrayRef, TableError> {
    use arrow_array::cast::AsArray;
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        return Ok(array.clone());
    }
    let dictionary = array.as_any_dictionary();
    Ok(arrow_select::take::take(dictionary.values(), dictionary.keys(), None)?)
}

/// The value type of a dictionary type; any other type unchanged.
pub fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}
