//! What the two ends of a channel agree on besides the image: kinds of data segments and of control elements.

/// Kinds of data segments (`DataHeader::kind`).
pub mod data {
    /// A whole image.
    pub const IMAGE: u16 = 1;
    /// A piece of an image larger than a segment.
    pub const IMAGE_PIECE: u16 = 2;
    /// A piece of a schema message: u32 schema id, then an Arrow IPC schema message.
    pub const SCHEMA_PIECE: u16 = 3;
}

/// Flags of pieces (`DataHeader::flags`): first or last piece of a message; one piece may be both.
pub mod flags {
    pub const FIRST: u16 = 1;
    pub const LAST: u16 = 2;
}

/// Kinds of control elements; `shmflink.network.shared_memory` has the same numbers.
pub mod control {
    pub const WATERMARK: u16 = 1;
    pub const STATUS: u16 = 2;
    pub const BARRIER: u16 = 3;
    pub const END_OF_DATA: u16 = 4;
    pub const LATENCY: u16 = 5;
}

/// Schemas that a channel remembers; a further one replaces the oldest.
pub const SCHEMAS_MAX: usize = 64;
