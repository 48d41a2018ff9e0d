//! Columns as keys and arguments are read: without dictionaries.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use crate::error::TableError;

/// The values of a dictionary, row by row; any other array as it is.
pub fn plain(array: &ArrayRef) -> Result<ArrayRef, TableError> {
    use arrow_array::cast::AsArray;
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        return Ok(array.clone());
    }
    let dictionary = array.as_any_dictionary();
    Ok(arrow_select::take::take(dictionary.values(), dictionary.keys(), None)?)
}

/// The type of the values where it is a dictionary.
pub fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}
