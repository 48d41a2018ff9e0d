//! What can go wrong in tables by key, aggregates and windows; `aggregate/python.rs` maps it to `shmflink.errors`.

use arrow_schema::ArrowError;

use crate::exchange::error::ExchangeError;
use crate::transport::error::TransportError;

#[derive(Debug)]
pub enum TableError {
    /// A type that cannot be a key or an argument. → `TypeMismatchError`
    Unfit(String),
    /// A value that the type of a result cannot hold. → `DataFormatError`
    Value(String),
    /// The system refused memory; the text states how much was needed. → `ResourceError`
    Resource(String),
    /// Our own code used a table wrongly. → `InternalError`
    Internal(String),
}

impl TableError {
    /// The error of the system call that just failed, with what was being done.
    pub fn from_os(doing: &str) -> Self {
        Self::Resource(format!("{doing}: {}", std::io::Error::last_os_error()))
    }
}

impl From<ArrowError> for TableError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::NotYetImplemented(message) => Self::Unfit(message),
            other => Self::Internal(format!("arrow: {other}")),
        }
    }
}

/// Of the hash of keys, which is the exchange's.
impl From<ExchangeError> for TableError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Unfit(message) => Self::Unfit(message),
            ExchangeError::Transport(TransportError::Resource(message)) => Self::Resource(message),
            ExchangeError::Transport(other) => Self::Internal(other.to_string()),
        }
    }
}
