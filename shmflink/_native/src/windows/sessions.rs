//! Session windows with a fixed gap: rows of a key within the gap of each other form one window.
//!
//! Keys have numbers (a table without aggregates), sessions have numbers (`chains.rs`), and the states are in a table
//! without keys, by session number. Numbers of closed sessions are not reused; when most sessions are closed, the open
//! ones are renumbered.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_select::take::take;

use super::chains::{Chains, Joined};
use super::fired::Fired;
use super::kept::{pieces, Gone, Maker, SnapshotFields, Windows, PIECE_ROWS};
use crate::aggregate::{Barrier, Freeze, Frozen, Part, Table, Times};
use crate::error::TableError;
use crate::keyed::ledger::{Ledger, Outcome};
use crate::keyed::marks::Marks;

/// Closed sessions up to this number do not trigger a cleanup.
const CLOSED_MIN: usize = 1 << 16;
/// Freeze only the changed keys while fewer than one key in this many has changed; otherwise freeze all.
const KEYS_PER_CHOSEN: usize = 16;

/// What changed between two checkpoints.
struct Changes {
    marks: Marks,
    gone: Vec<Gone>,
}

pub struct SessionWindows {
    maker: Maker,
    gap: i64,
    lateness: i64,
    keys: Table,
    states: Table,
    chains: Chains,
    watermark: i64,
    fired: i64,
    /// What had fired before a restore, until all of it has been passed.
    before: Option<Fired>,
    is_due: bool,
    /// Sessions whose results must be emitted, and how many have been.
    leaving: Vec<u32>,
    left: usize,
    ledger: Ledger<Arc<Changes>>,
    /// Saved sessions that have since ended, in addition to those that `chains` knows.
    gone: Vec<Gone>,
}

impl SessionWindows {
    pub fn new(maker: Maker, gap: i64, lateness: i64) -> Result<Self, TableError> {
        Ok(Self {
            keys: maker.key_table()?,
            states: maker.state_table()?,
            chains: Chains::new(gap),
            maker,
            gap,
            lateness,
            watermark: i64::MIN,
            fired: i64::MIN,
            before: None,
            is_due: false,
            leaving: Vec::new(),
            left: 0,
            ledger: Ledger::default(),
            gone: Vec::new(),
        })
    }

    /// When a session is dropped.
    fn cleanup(&self, end: i64) -> i64 {
        (end - 1).saturating_add(self.lateness)
    }

    /// Processes rows; each covers `[start, end)`. The sessions of their keys have fired up to `fired`, and rows are late
    /// at `watermark`.
    fn take_rows(
        &mut self,
        (columns, starts): (&[ArrayRef], &[i64]),
        end_of: impl Fn(usize) -> i64,
        is_partial: bool,
        (fired, watermark): (i64, i64),
    ) -> Result<Vec<i64>, TableError> {
        let (keys, others) = columns.split_at(self.maker.keys());
        let keys = self.keys.groups_of_keys(keys, starts.len())?;
        self.chains.set_keys(self.keys.groups());
        let before = self.chains.sessions.len();
        let (mut numbers, mut merged) = (Vec::with_capacity(starts.len()), Vec::new());
        let (mut late, mut changed) = (Vec::new(), Vec::new());
        for (row, (start, key)) in starts.iter().zip(&keys).enumerate() {
            let end = end_of(row);
            let number = match self.chains.join(*key, *start, end, &mut merged) {
                Joined::Session(number) => number,
                Joined::Nothing { .. } if self.cleanup(end) <= watermark => {
                    late.push(row as i64);
                    continue;
                }
                Joined::Nothing { behind } => self.chains.open(*key, *start, end, behind, end - 1),
            };
            let session = &mut self.chains.sessions[number as usize];
            if session.end - 1 <= fired {
                changed.push(number);
            } else if session.has_fired {
                session.has_fired = false;
                let end = session.end;
                self.chains.look_at(number, end - 1);
            }
            numbers.push(number);
        }
        self.states.add_groups(self.chains.sessions.len() - before)?;
        self.merge_states(&merged, before)?;
        if !merged.is_empty() {
            let chains = &self.chains;
            let all = numbers.iter_mut().chain(&mut changed);
            all.for_each(|number| *number = chains.root(*number));
        }
        let others = without(others, &late, starts.len())?;
        if is_partial {
            self.states.merge_at(&numbers, before, &others)?;
        } else {
            self.states.update_at(&numbers, before, &others)?;
        }
        self.leave_again(changed, fired);
        Ok(late)
    }

    /// Merges the states of sessions that have become part of others. Sessions of this batch have no state yet.
    fn merge_states(&mut self, merged: &[(u32, u32)], before: usize) -> Result<(), TableError> {
        let old = merged.iter().filter(|(from, _)| (*from as usize) < before);
        let (from, into): (Vec<u32>, Vec<u32>) = old.map(|(from, into)| (*from, self.chains.root(*into))).unzip();
        if from.is_empty() {
            return Ok(());
        }
        let partials = self.states.partials_of(&from)?;
        self.states.merge_at(&into, before, partials.columns())
    }

    /// Sessions that the watermark has passed fire as soon as they change.
    fn leave_again(&mut self, mut changed: Vec<u32>, fired: i64) {
        changed.sort_unstable();
        changed.dedup();
        for number in changed {
            let session = &mut self.chains.sessions[number as usize];
            if session.end - 1 <= fired {
                session.has_fired = true;
                self.leaving.push(number);
            }
        }
    }

    /// Finds the sessions that are due; drops those that are late.
    fn collect_due(&mut self) {
        self.is_due = false;
        let mut due = Vec::new();
        for number in self.chains.take_due(self.watermark) {
            let session = &mut self.chains.sessions[number as usize];
            let end = session.end;
            if !session.has_fired && end - 1 <= self.watermark {
                session.has_fired = true;
                due.push(number);
            }
            if !session.has_fired {
                self.chains.look_at(number, end - 1);
            } else if self.cleanup(end) <= self.watermark {
                self.chains.close(number);
            } else {
                self.chains.look_at(number, self.cleanup(end));
            }
        }
        due.sort_by_key(|number| self.chains.sessions[*number as usize].end);
        self.leaving.extend(due);
    }

    fn tidy(&mut self) -> Result<(), TableError> {
        let closed = self.chains.sessions.len() - self.chains.open;
        if closed < CLOSED_MIN.max(2 * self.chains.open) {
            return Ok(());
        }
        self.settle();
        self.collect_gone()?;
        let (numbers, keys) = self.chains.compact();
        let mut states = self.maker.state_table()?;
        for old in numbers.chunks(PIECE_ROWS) {
            let first = states.add_groups(old.len())?;
            let new: Vec<u32> = (first as u32..(first + old.len()) as u32).collect();
            states.merge_at(&new, first, self.states.partials_of(old)?.columns())?;
        }
        if let Some(marks) = self.states.marks() {
            let changed = (0..numbers.len() as u32).filter(|new| marks.is_marked(numbers[*new as usize]));
            let mut kept = Marks::default();
            kept.mark(&changed.collect::<Vec<_>>(), numbers.len());
            states.track_changes_anew();
            states.mark(&kept);
        }
        self.states = states;
        let mut table = self.maker.key_table()?;
        for old in keys.chunks(PIECE_ROWS) {
            table.groups_of_keys(&self.keys.key_columns_of(old)?, old.len())?;
        }
        self.keys = table;
        Ok(())
    }

    /// Saves the keys of ended sessions before keys are renumbered.
    fn collect_gone(&mut self) -> Result<(), TableError> {
        let (keys, starts): (Vec<u32>, Vec<i64>) = std::mem::take(&mut self.chains.gone).into_iter().unzip();
        for (keys, starts) in keys.chunks(PIECE_ROWS).zip(starts.chunks(PIECE_ROWS)) {
            self.gone.push(Gone {
                keys: self.keys.key_columns_of(keys)?,
                starts: starts.to_vec(),
            });
        }
        Ok(())
    }

    /// Puts back the changes of checkpoints that were not saved.
    fn settle(&mut self) {
        self.ledger.settle(|changes| {
            self.states.mark(&changes.marks);
            self.gone.extend_from_slice(&changes.gone);
        });
    }

    /// Freezes the open sessions, or the marked ones.
    fn part(&mut self, marks: Option<&Marks>) -> Result<Part, TableError> {
        let sessions = &self.chains.sessions;
        let is_open = |number: &u32| sessions[*number as usize].is_open;
        let numbers: Vec<u32> = match marks {
            None => (0..sessions.len() as u32).filter(is_open).collect(),
            Some(marks) => marks.groups().into_iter().filter(is_open).collect(),
        };
        let mut chosen = Marks::default();
        chosen.mark(&numbers, sessions.len());
        let sessions = || numbers.iter().map(|number| &self.chains.sessions[*number as usize]);
        let keys: Vec<u32> = sessions().map(|session| session.key).collect();
        let keys = if keys.len() * KEYS_PER_CHOSEN <= self.keys.groups() {
            let columns = self.keys.key_columns_of(&keys)?;
            (Frozen::of_keys(columns, keys.len()), (0..keys.len() as u32).collect())
        } else {
            (self.keys.freeze(None)?, keys)
        };
        let starts = sessions().map(|session| session.start).collect();
        let ends = sessions().map(|session| session.end).collect();
        Ok(Part {
            groups: self.states.freeze(Some(&chosen))?,
            keys: Some(keys),
            times: Times::Each(starts, ends),
            is_deleted: false,
        })
    }

    fn results(&self, numbers: &[u32]) -> Result<RecordBatch, TableError> {
        let sessions = || numbers.iter().map(|number| &self.chains.sessions[*number as usize]);
        let keys: Vec<u32> = sessions().map(|session| session.key).collect();
        let starts = sessions().map(|session| session.start).collect();
        let ends = sessions().map(|session| session.end).collect();
        let calls = self.states.results_of(numbers)?;
        self.maker
            .results(&self.keys.key_columns_of(&keys)?, calls.columns(), starts, ends)
    }
}

impl Windows for SessionWindows {
    fn update(&mut self, columns: &[ArrayRef], stamps: &[i64], is_partial: bool) -> Result<Vec<i64>, TableError> {
        let gap = self.gap;
        let Some(before) = self.before.as_ref() else {
            let end_of = |row: usize| stamps[row].saturating_add(gap);
            return self.take_rows((columns, stamps), end_of, is_partial, (self.fired, self.watermark));
        };
        let mut late = Vec::new();
        for part in before.split(columns, self.maker.keys(), stamps)? {
            let end_of = |row: usize| part.stamps[row].saturating_add(gap);
            let times = (self.fired.max(part.until), self.watermark.max(part.until));
            let found = self.take_rows((&part.columns, &part.stamps), end_of, is_partial, times)?;
            late.extend(part.numbers(&found));
        }
        late.sort_unstable();
        Ok(late)
    }

    fn advance(&mut self, watermark: i64) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.fired = self.fired.max(watermark);
            self.before = self.before.take().filter(|before| before.most() > watermark);
            self.is_due = true;
        }
    }

    fn take(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError> {
        if self.is_due {
            self.collect_due();
        }
        if self.left == self.leaving.len() {
            self.leaving.clear();
            self.left = 0;
            self.tidy()?;
            return Ok(None);
        }
        let end = (self.left + rows_max.max(1)).min(self.leaving.len());
        let results = self.results(&self.leaving[self.left..end])?;
        self.left = end;
        Ok(Some(results))
    }

    fn freeze(&mut self, barrier: Barrier) -> Result<Freeze, TableError> {
        if barrier.is_savepoint {
            return Ok(Freeze {
                parts: vec![self.part(None)?],
                is_delta: false,
                outcome: Outcome::default(),
            });
        }
        self.settle();
        self.collect_gone()?;
        let gone = std::mem::take(&mut self.gone);
        let changed = self.states.marks().map_or(0, Marks::count) + Gone::rows_of(&gone);
        let is_delta = barrier.is_incremental && self.ledger.allows_delta(changed, self.chains.open);
        let mut marks = Marks::default();
        if barrier.is_incremental {
            marks = self.states.track_changes_anew();
            let sessions = self.chains.sessions.iter_mut();
            sessions.for_each(|session| session.is_saved = session.is_open);
        }
        // Removed entries come first, because of equal entries the last one counts.
        let mut parts: Vec<Part> = gone.iter().filter(|_| is_delta).map(Gone::part).collect();
        parts.push(self.part(is_delta.then_some(&marks))?);
        Ok(Freeze {
            parts,
            is_delta,
            outcome: if is_delta {
                self.ledger.delta(changed, Arc::new(Changes { marks, gone }))
            } else {
                self.ledger.full()
            },
        })
    }

    fn restore(&mut self, columns: &[ArrayRef], starts: &[i64], ends: &[i64]) -> Result<(), TableError> {
        let times = (self.fired, self.watermark);
        self.take_rows((columns, starts), |row| ends[row], true, times)
            .map(drop)
    }

    /// Restored sessions that had fired do not fire again.
    fn resume(&mut self, fired: Fired, watermark: i64) -> Result<(), TableError> {
        (self.fired, self.watermark) = (fired.least(), watermark);
        let mut until = Vec::with_capacity(self.keys.groups());
        for ids in pieces(self.keys.groups(), PIECE_ROWS) {
            until.extend(fired.of_keys(&self.keys.key_columns_of(&ids)?, ids.len())?);
        }
        for session in &mut self.chains.sessions {
            session.has_fired = session.end - 1 <= until[session.key as usize];
        }
        self.before = Some(fired).filter(|fired| fired.least() < fired.most());
        Ok(())
    }

    fn fields(&self) -> SnapshotFields {
        self.maker.snapshot_fields()
    }

    fn fired(&self) -> i64 {
        self.fired
    }

    fn fired_before(&self) -> Option<&Fired> {
        self.before.as_ref()
    }

    fn next_due(&self) -> Option<i64> {
        self.chains.next_due()
    }

    fn groups(&self) -> usize {
        self.chains.open
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.states.bytes() + self.chains.bytes()
    }
}

/// The columns without some rows, whose numbers are ascending.
fn without(columns: &[ArrayRef], rows: &[i64], len: usize) -> Result<Vec<ArrayRef>, TableError> {
    if rows.is_empty() {
        return Ok(columns.to_vec());
    }
    let mut left_out = rows.iter().peekable();
    let kept = (0..len as u32).filter(|row| left_out.next_if(|out| **out == i64::from(*row)).is_none());
    let kept = UInt32Array::from_iter_values(kept);
    let columns = columns.iter().map(|column| take(column, &kept, None));
    Ok(columns.collect::<Result<_, _>>()?)
}
