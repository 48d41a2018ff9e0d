//! Which of its changes a table has passed to checkpoints, and whether the next checkpoint needs the whole table.
//!
//! ```text
//! full ── delta ── delta ── delta ── full ──          deltas count from the previous snapshot, which was saved
//!                    └ not saved (yet): the next one includes its changes; if it was a full one, the next is full
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Files of changes that a restore reads one after another.
const DELTAS_MAX: usize = 64;

/// Whether a snapshot was saved; the writing thread sets it, the table reads it. False while unknown.
#[derive(Clone, Default)]
pub struct Outcome(Arc<AtomicBool>);

impl Outcome {
    pub fn set(&self, is_saved: bool) {
        // Relaxed: it publishes only itself.
        self.0.store(is_saved, Ordering::Relaxed);
    }

    fn is_saved(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `T`: changes that can be put back.
pub struct Ledger<T> {
    has_full: bool,
    /// Rows of changes since then.
    written: usize,
    deltas: usize,
    pending: Vec<(Outcome, Option<T>)>,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            has_full: false,
            written: 0,
            deltas: 0,
            pending: Vec::new(),
        }
    }
}

impl<T> Ledger<T> {
    /// Must be called before each snapshot: puts back the changes of snapshots known not to be saved.
    pub fn settle(&mut self, mut put_back: impl FnMut(T)) {
        for (_, changes) in self.pending.drain(..).filter(|(outcome, _)| !outcome.is_saved()) {
            match changes {
                Some(changes) => put_back(changes),
                None => self.has_full = false,
            }
        }
    }

    /// Whether a snapshot of `changed` rows instead of `all` is allowed and pays.
    pub fn allows_delta(&self, changed: usize, all: usize) -> bool {
        self.has_full && self.deltas < DELTAS_MAX && 2 * (self.written + changed) <= all
    }

    pub fn full(&mut self) -> Outcome {
        (self.has_full, self.written, self.deltas) = (true, 0, 0);
        self.push(None)
    }

    pub fn delta(&mut self, rows: usize, changes: T) -> Outcome {
        self.written += rows;
        self.deltas += 1;
        self.push(Some(changes))
    }

    fn push(&mut self, changes: Option<T>) -> Outcome {
        let outcome = Outcome::default();
        self.pending.push((outcome.clone(), changes));
        outcome
    }

    /// The table has been replaced by another one.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    fn settled(ledger: &mut Ledger<&'static str>) -> Vec<&'static str> {
        let mut back = Vec::new();
        ledger.settle(|changes| back.push(changes));
        back
    }

    #[test]
    fn a_full_snapshot_comes_first_and_again_where_changes_are_many() {
        let mut ledger = Ledger::default();
        assert!(!ledger.allows_delta(0, 100));
        ledger.full().set(true);
        assert!(settled(&mut ledger).is_empty() && ledger.allows_delta(50, 100) && !ledger.allows_delta(51, 100));
        ledger.delta(30, "a").set(true);
        assert!(settled(&mut ledger).is_empty() && ledger.allows_delta(20, 100) && !ledger.allows_delta(21, 100));
    }

    #[test]
    fn what_was_not_saved_comes_again() {
        let mut ledger = Ledger::default();
        ledger.full().set(true);
        assert!(settled(&mut ledger).is_empty());
        ledger.delta(1, "lost").set(false);
        let unknown = ledger.delta(1, "unknown");
        ledger.delta(1, "saved").set(true);
        assert_eq!(settled(&mut ledger), ["lost", "unknown"]);
        unknown.set(true);
        assert!(settled(&mut ledger).is_empty() && ledger.allows_delta(1, 100));
        ledger.full().set(false);
        assert!(settled(&mut ledger).is_empty() && !ledger.allows_delta(0, 100));
    }
}
