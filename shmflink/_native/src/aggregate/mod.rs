//! Grouped aggregation: one row of state per key.
//!
//! ```text
//! python.rs     the class GroupTable of shmflink._core
//! table.rs      a table: batches in, groups out (its keys and rows: `keyed/`)
//! state.rs      a table's state for an aggregate          states/     the functions, one file per kind
//! argument.rs   arguments by their physical type              lists.rs    lists as columns
//! log.rs        values of any type, by number                 order.rs    values of any type, by their order
//! addressed.rs  groups by number, without a key; adding tables to tables
//! frozen.rs     groups as they were                           snapshot.rs their batches, by key group
//! restore.rs    batches back into tables
//! ```
//! ```text
//! a row of the table    key words | words of aggregate 1 | words of aggregate 2 | ...     (8 bytes each)
//! ```
//! A batch is processed in runs of rows that fit the first-level cache. For each run: key words and hashes; then, with
//! prefetched cache lines, index entries, rows and key comparison; then one kernel per aggregate over the rows'
//! addresses. Aggregates that need more than a few words (sets, sketches, lists) keep vectors by group.

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
pub(crate) use snapshot::{key_groups_of, Barrier, Freeze, Part, Snapshot, Times};
pub(crate) use table::{CallSpec, Table};

pub use python::register;
