//! Aggregates by key and window.
//!
//! ```text
//! python.rs    the class WindowTable of shmflink._core
//! kept.rs      the common part of all kinds of windows: how tables and output are made
//! slices.rs    the arithmetic of panes and windows       split.rs    rows of a batch by pane
//! fired.rs     what had fired before a restore
//! pane.rs      the rows of one pane
//! panes.rs     tumbling and sliding windows              stacks.rs   merged panes of windows that overlap
//! sessions.rs  sessions with a fixed gap                 chains.rs   the open sessions of each key
//! ```
//! ```text
//! time      |---pane---|---pane---|---pane---|---pane---|     a table of groups for each; a row goes to one of them
//! windows   [--------------size--------------)
//!            <-slide->  [-------------------------------)     made of panes when the watermark passes their end
//! ```
//! `update` takes rows, `advance` a watermark; after each of them, `take_results` returns what must be emitted, batch
//! by batch.

mod chains;
mod fired;
mod kept;
mod pane;
mod panes;
mod python;
mod sessions;
mod slices;
mod split;
mod stacks;

pub use python::register;
