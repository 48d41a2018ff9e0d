//! Tables by key: the common part of aggregates, windows and every other owner of rows of state by key.
//!
//! ```text
//! rows.rs       groups with a row of words each: from rows of a batch to groups
//! keys.rs       the keys of a table, as words                 index.rs    from hash to group
//! encode.rs     key columns of a batch to words and hashes    plain.rs    columns without dictionaries
//! memory.rs     growable huge pages                           chunks.rs   append-only data
//! shadow.rs     rows as they were, while the table changes    marks.rs    groups that changed since a checkpoint
//! key_set.rs    distinct keys of one word, without numbers
//! ledger.rs     which changes were saved                      changed.rs  groups that changed since the last request
//! ```
//! Knows nothing of aggregates: the words after those of a key belong to the table's user.

pub mod changed;
pub mod chunks;
pub mod encode;
pub mod index;
pub mod key_set;
pub mod keys;
pub mod ledger;
pub mod marks;
pub mod memory;
pub mod plain;
pub mod rows;
pub mod shadow;
