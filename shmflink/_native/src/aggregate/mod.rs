//! Grouped aggregation: one row of state for each key.
//!
//! ```text
//! python.rs     the class GroupTable of shmflink._core
//! table.rs      a table: batches in, groups out (its keys and rows: `keyed/`)
//! state.rs      what a table keeps for an aggregate           states/     the functions, one file per kind
//! argument.rs   arguments by their physical type              lists.rs    lists as columns
//! log.rs        values of any type, by number                 order.rs    values of any type, by their order
//! addressed.rs  groups by their number, without a key; tables added to tables
//! frozen.rs     groups as they were                           snapshot.rs their batches, by key group
//! restore.rs    batches back into tables
//! ```
//! ```text
//! a row of the table    key words | words of aggregate 1 | words of aggregate 2 | ...     (8 bytes each)
//! ```
//! A batch is taken in runs of rows that fit the first-level cache. For each run: key words and hashes; then, with the
//! cache lines asked for in advance, index entries, rows, comparison of keys; then one kernel for each aggregate over the
//! rows' addresses. Aggregates that need more than a few words (sets, sketches, lists) keep vectors by group.

mod addressed;
mod argument;
mod frozen;
mod lists;
mod log;
mod order;
mod python;
mod restore;
mod snapshot;
mod state;
mod states;
mod table;

pub(crate) use frozen::Frozen;
pub(crate) use python::{barrier, call_specs, PyCall, PyFrozenTable};
pub(crate) use restore::{Collapse, Restored};
pub(crate) use snapshot::{Barrier, Freeze, Part, Snapshot, Times};
pub(crate) use table::{CallSpec, Table};

pub use python::register;
