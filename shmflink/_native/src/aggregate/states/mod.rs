//! The aggregate functions, one file per kind of state.

use arrow_schema::{DataType, TimeUnit};

use super::state::State;
use crate::error::TableError;

mod average;
mod count;
mod digest;
mod distinct;
mod fold;
mod gather;
mod limit;
mod moments;
mod narrowed;
mod numbers;
mod pick;
mod registers;
mod top;
mod whole_sum;
mod words;

/// A constant of a call: a percentage, a separator, a limit.
#[derive(Clone, Debug)]
pub enum Parameter {
    Int(i64),
    Float(f64),
    Text(String),
    Floats(Vec<f64>),
}

/// The specification of an aggregate call.
pub struct Call<'a> {
    pub function: &'a str,
    pub arguments: &'a [DataType],
    pub parameters: &'a [Parameter],
    pub is_distinct: bool,
    /// Results have the types and the arithmetic of Flink SQL.
    pub has_flink_types: bool,
    /// "sum of `price`", for messages.
    pub label: &'a str,
}

/// Prefix of a function's name that requests Flink's types: `flink.sum`.
pub const FLINK: &str = "flink.";

impl Call<'_> {
    fn argument(&self, index: usize) -> Result<&DataType, TableError> {
        self.arguments.get(index).ok_or_else(|| {
            let message = format!(
                "{} takes {} arguments, got {}",
                self.function,
                index + 1,
                self.arguments.len()
            );
            TableError::Unfit(message)
        })
    }

    fn takes(&self, what: &str) -> TableError {
        let types: Vec<_> = self.arguments.iter().map(shown_type).collect();
        TableError::Unfit(format!("{} takes {what}, got {}", self.function, types.join(", ")))
    }

    fn needs(&self, what: &str) -> TableError {
        TableError::Unfit(format!("{} needs {what}, got {:?}", self.function, self.parameters))
    }
}

/// A type as pyarrow writes it.
fn shown_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => "string".to_owned(),
        DataType::LargeUtf8 => "large_string".to_owned(),
        DataType::LargeBinary => "large_binary".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Float16 => "halffloat".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Duration(unit) => format!("duration[{}]", unit_name(*unit)),
        DataType::Time32(unit) => format!("time32[{}]", unit_name(*unit)),
        DataType::Time64(unit) => format!("time64[{}]", unit_name(*unit)),
        DataType::Timestamp(unit, None) => format!("timestamp[{}]", unit_name(*unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit_name(*unit)),
        DataType::List(item) => format!("list<{}>", shown_type(item.data_type())),
        DataType::Struct(fields) => {
            let shown = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), shown_type(field.data_type())));
            format!("struct<{}>", shown.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => format!(
                "map<{}, {}>",
                shown_type(fields[0].data_type()),
                shown_type(fields[1].data_type())
            ),
            _ => "map".to_owned(),
        },
        other => other.to_string().to_lowercase(),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// The state of a call, or why it has none.
pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    if let Some(function) = call.function.strip_prefix(FLINK) {
        let call = Call {
            function,
            has_flink_types: true,
            ..*call
        };
        return narrowed::make(&call, make(&call)?);
    }
    let state = match call.function {
        "count" => count::make(call)?,
        "sum" | "sum0" => fold::make_sum(call)?,
        "min" | "max" if fold::fits_words(call.argument(0)?) => fold::make_extreme(call)?,
        "bool_and" | "bool_or" => fold::make_extreme(call)?,
        "min" | "max" | "arg_min" | "arg_max" => pick::make_ranked(call)?,
        "first_value" | "last_value" => pick::make_first_or_last(call)?,
        "avg" => average::make(call)?,
        "var_pop" | "var_samp" | "stddev_pop" | "stddev_samp" => moments::make(call)?,
        "collect" | "array_agg" | "list_agg" | "median" | "quantile" => gather::make(call)?,
        "approx_quantile" => digest::make(call)?,
        "approx_count_distinct" => registers::make(call)?,
        "top_n" => top::make(call)?,
        other => return Err(TableError::Unfit(format!("unknown aggregate function {other}"))),
    };
    let limit = match call.function {
        "arg_min" | "arg_max" | "top_n" => 2,
        "count" => usize::MAX,
        _ => 1,
    };
    if call.arguments.len() > limit {
        return Err(call.takes(&format!("at most {limit} arguments")));
    }
    if call.is_distinct && !IGNORES_REPEATS.contains(&call.function) {
        return distinct::make(call, state);
    }
    Ok(state)
}

/// Functions whose result does not change when a value is repeated.
const IGNORES_REPEATS: [&str; 8] = [
    "min",
    "max",
    "bool_and",
    "bool_or",
    "arg_min",
    "arg_max",
    "first_value",
    "approx_count_distinct",
];
