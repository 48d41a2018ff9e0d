//! Errors of the exchange; `python.rs` maps them to the classes of `shmflink.errors`.

use arrow_schema::ArrowError;

use crate::transport::error::TransportError;

#[derive(Debug)]
pub enum ExchangeError {
    /// A type that cannot be sent or cannot be a key, a target out of range. → `TypeMismatchError`
    Unfit(String),
    /// Shared memory, the system, or our own misuse. → as for the transport
    Transport(TransportError),
}

impl From<TransportError> for ExchangeError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<ArrowError> for ExchangeError {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::NotYetImplemented(message) => Self::Unfit(message),
            other => Self::Transport(TransportError::Internal(format!("arrow: {other}"))),
        }
    }
}

pub fn corrupt(message: String) -> TransportError {
    TransportError::Corrupt(message)
}
