//! Errors of the transport; `python.rs` maps each to a class of `shmflink.errors`.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The system refused memory, descriptors or a call; the text states how much was needed. → `ResourceError`
    Resource(String),
    /// Shared memory breaks the protocol; it was refused and not followed. → `CorruptChannelError`
    Corrupt(String),
    /// Our own code used the transport wrongly. → `InternalError`
    Internal(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(message) | Self::Corrupt(message) | Self::Internal(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for TransportError {}

impl TransportError {
    /// The error of the system call that just failed, and what it was for.
    pub fn from_os(doing: &str) -> Self {
        Self::Resource(format!("{doing}: {}", std::io::Error::last_os_error()))
    }
}
