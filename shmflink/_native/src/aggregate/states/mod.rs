//! The aggregate functions, one file per kind of state.

use arrow_schema::DataType;

use super::state::State;
use crate::exchange::error::ExchangeError;

mod average;
mod count;
mod fold;

/// A constant of a call: a percentage, a separator, a limit.
#[derive(Clone, Debug)]
pub enum Parameter {
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
}

/// What a call of an aggregate says.
pub struct Call<'a> {
    pub function: &'a str,
    pub arguments: &'a [DataType],
    pub parameters: &'a [Parameter],
    pub is_distinct: bool,
}

impl Call<'_> {
    fn argument(&self, index: usize) -> Result<&DataType, ExchangeError> {
        self.arguments.get(index).ok_or_else(|| {
            let message = format!(
                "{} takes {} arguments, got {}",
                self.function,
                index + 1,
                self.arguments.len()
            );
            ExchangeError::Unfit(message)
        })
    }

    fn takes(&self, what: &str) -> ExchangeError {
        let types: Vec<_> = self.arguments.iter().map(ToString::to_string).collect();
        ExchangeError::Unfit(format!("{} takes {what}, got {}", self.function, types.join(", ")))
    }
}

/// The state of a call, or why there is none.
pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, ExchangeError> {
    match call.function {
        "count" => Ok(count::make(call)),
        "sum" | "sum0" => fold::make_sum(call),
        "min" | "max" | "bool_and" | "bool_or" => fold::make_extreme(call),
        "avg" => average::make(call),
        other => Err(ExchangeError::Unfit(format!("no aggregate function {other}"))),
    }
}
