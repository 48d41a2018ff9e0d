//! Tumbling and sliding windows: one table per pane.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};

use super::fired::Fired;
use super::kept::{pieces, Gone, Maker, SnapshotFields, Windows, PIECE_ROWS};
use super::pane::Pane;
use super::slices::Slices;
use super::split::{split, Split, Stretch};
use super::stacks::Stacks;
use crate::aggregate::{Barrier, Freeze, Frozen, Part, Table, Times};
use crate::error::TableError;
use crate::keyed::ledger::{Ledger, Outcome};
use crate::keyed::marks::Marks;

/// What changed between two checkpoints.
struct Changes {
    marks: Vec<(i64, Marks)>,
    gone: Vec<Gone>,
}

/// A window whose results are being emitted.
struct Firing {
    window: i64,
    /// None: the window consists of one pane, which stays.
    table: Option<Table>,
    taken: usize,
}

pub struct PaneWindows {
    maker: Maker,
    slices: Slices,
    panes: BTreeMap<i64, Pane>,
    stacks: Stacks,
    watermark: i64,
    /// Windows with max_timestamp up to this have fired.
    fired: i64,
    /// What had fired before a restore, until all of it has been passed.
    before: Option<Fired>,
    /// While windows are due: the first window that may be due.
    next: Option<i64>,
    firing: Option<Firing>,
    /// Windows that late rows changed, with the keys of these rows.
    changed: VecDeque<(i64, Table)>,
    ledger: Ledger<Arc<Changes>>,
    /// Whether checkpoints need to know what changed.
    is_tracking: bool,
    /// Saved panes that have since been dropped.
    gone: Vec<Gone>,
}

impl PaneWindows {
    pub fn new(maker: Maker, slices: Slices) -> Self {
        Self {
            maker,
            slices,
            panes: BTreeMap::new(),
            stacks: Stacks::new(slices),
            watermark: i64::MIN,
            fired: i64::MIN,
            before: None,
            next: None,
            firing: None,
            changed: VecDeque::new(),
            ledger: Ledger::default(),
            is_tracking: false,
            gone: Vec::new(),
        }
    }

    /// Rows whose keys' windows have fired up to `fired`, and which are late at `watermark`. Returns the late ones.
    fn take_rows(
        &mut self,
        (columns, stamps): (&[ArrayRef], &[i64]),
        is_partial: bool,
        (fired, watermark): (i64, i64),
    ) -> Result<Vec<i64>, TableError> {
        let Split {
            columns,
            stretches,
            late,
        } = split(columns, stamps, &self.slices, watermark)?;
        for stretch in &stretches {
            let slice = |column: &ArrayRef| column.slice(stretch.start, stretch.len);
            if stretches.len() == 1 && columns.first().is_none_or(|column| column.len() == stretch.len) {
                self.add(stretch, &columns, is_partial)?;
                self.note_changed(stretch, &columns, (fired, watermark))?;
            } else {
                let columns: Vec<_> = columns.iter().map(slice).collect();
                self.add(stretch, &columns, is_partial)?;
                self.note_changed(stretch, &columns, (fired, watermark))?;
            }
        }
        Ok(late)
    }

    fn add(&mut self, stretch: &Stretch, columns: &[ArrayRef], is_partial: bool) -> Result<(), TableError> {
        if !self.panes.contains_key(&stretch.pane) {
            let mut table = self.maker.table()?;
            if self.is_tracking {
                table.track_changes_anew();
            }
            let pane = Pane {
                table,
                late: None,
                is_merged: self.stacks.has_merged(stretch.pane),
                is_saved: false,
            };
            self.panes.insert(stretch.pane, pane);
        }
        let pane = self.panes.get_mut(&stretch.pane).expect("inserted above");
        let table = if pane.is_merged {
            if pane.late.is_none() {
                pane.late = Some(self.maker.table()?);
            }
            pane.late.as_mut().expect("made above")
        } else {
            &mut pane.table
        };
        if is_partial {
            table.merge(columns, stretch.len)
        } else {
            table.update(columns, stretch.len)
        }
    }

    /// Windows of this pane that have fired and are still kept fire again, with the keys of these rows.
    fn note_changed(
        &mut self,
        stretch: &Stretch,
        columns: &[ArrayRef],
        (fired, watermark): (i64, i64),
    ) -> Result<(), TableError> {
        let mut window = self.slices.first_window_after(stretch.pane);
        while window <= stretch.pane && self.slices.max_timestamp(window) <= fired {
            if !self.slices.is_late(window, watermark) {
                let at = match self.changed.binary_search_by_key(&window, |(window, _)| *window) {
                    Ok(at) => at,
                    Err(at) => {
                        self.changed.insert(at, (window, self.maker.key_table()?));
                        at
                    }
                };
                self.changed[at].1.update(&columns[..self.maker.keys()], stretch.len)?;
            }
            window += self.slices.slide;
        }
        Ok(())
    }

    /// The next window to emit, if one is due.
    fn begin(&mut self) -> Result<bool, TableError> {
        if let Some((window, keys)) = self.changed.pop_front() {
            let table = self.contents_of(window, &keys)?;
            self.firing = Some(Firing {
                window,
                table: Some(table),
                taken: 0,
            });
            return Ok(true);
        }
        let Some(next) = self.next else { return Ok(false) };
        let Some((&pane, _)) = self.panes.range(next..).next() else {
            self.end_of_due(i64::MAX)?;
            return Ok(false);
        };
        let window = next.max(self.slices.first_window_after(pane));
        if self.slices.max_timestamp(window) > self.watermark {
            self.end_of_due(window)?;
            return Ok(false);
        }
        let in_use: usize = self.tables().map(Table::capacity_bytes).sum();
        self.maker.keep_spare(2 * in_use); // the front has as many tables as there are panes, and larger ones
        self.forget_before(window)?;
        self.next = Some(window.saturating_add(self.slices.slide));
        let table = if !self.slices.is_one_pane() {
            let maker = &mut self.maker;
            Some(self.stacks.window(window, &mut self.panes, maker)?)
        } else if self.slices.is_late(window, self.watermark) {
            let pane = self.panes.remove(&window);
            pane.iter().try_for_each(|pane| self.note_gone(window, pane))?;
            pane.map(|pane| pane.table)
        } else {
            None
        };
        self.firing = Some(Firing {
            window,
            table: self.without_fired(window, table)?,
            taken: 0,
        });
        Ok(true)
    }

    /// A window's results without those that left before a restore. None: the results of the pane, all of them.
    fn without_fired(&mut self, window: i64, results: Option<Table>) -> Result<Option<Table>, TableError> {
        let end = self.slices.max_timestamp(window);
        let Some(before) = self.before.as_ref().filter(|before| end <= before.most()) else {
            return Ok(results);
        };
        let mut left = self.maker.table()?;
        let Some(all) = results.as_ref().or(self.panes.get(&window).map(|pane| &pane.table)) else {
            return Ok(results);
        };
        for ids in pieces(all.groups(), PIECE_ROWS) {
            let until = before.of_keys(&all.key_columns_of(&ids)?, ids.len())?;
            let each = ids.into_iter().zip(until).filter(|(_, until)| *until < end);
            left.absorb_groups(all, &each.map(|(id, _)| id).collect::<Vec<_>>())?;
        }
        results.into_iter().for_each(|table| self.maker.give_back(table));
        Ok(Some(left))
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.panes.values().flat_map(Pane::tables).chain(self.stacks.tables())
    }

    fn end_of_due(&mut self, window: i64) -> Result<(), TableError> {
        self.next = None;
        if self.before.as_ref().is_some_and(|before| before.most() <= self.fired) {
            self.before = None;
        }
        self.forget_before(window)
    }

    /// Drops late panes of windows before `window`.
    fn forget_before(&mut self, window: i64) -> Result<(), TableError> {
        let until = self.slices.late_before(self.watermark).min(window);
        while let Some(entry) = self.panes.first_entry() {
            if *entry.key() >= until {
                break;
            }
            let (start, pane) = entry.remove_entry();
            self.note_gone(start, &pane)?;
            self.maker.give_back(pane.table);
            pane.late.into_iter().for_each(|table| self.maker.give_back(table));
        }
        Ok(())
    }

    /// Keeps the keys of a saved pane until checkpoints have recorded that it no longer exists.
    fn note_gone(&mut self, start: i64, pane: &Pane) -> Result<(), TableError> {
        if !self.is_tracking || !pane.is_saved {
            return Ok(());
        }
        for table in pane.tables() {
            for ids in pieces(table.groups(), PIECE_ROWS) {
                self.gone.push(Gone {
                    keys: table.key_columns_of(&ids)?,
                    starts: vec![start; ids.len()],
                });
            }
        }
        Ok(())
    }

    /// Freezes panes: whole or, given marks, only their changes.
    fn parts(&mut self, marks: Option<&[(i64, Marks)]>) -> Result<Vec<Part>, TableError> {
        let mut parts = Vec::with_capacity(self.panes.len());
        for (number, (start, pane)) in self.panes.iter_mut().enumerate() {
            let groups = match &mut pane.late {
                None => pane.table.freeze(marks.map(|marks| &marks[number].1))?,
                Some(late) => {
                    let both = vec![pane.table.freeze(None)?, late.freeze(None)?];
                    Frozen::Joined(Box::new(self.maker.table()?), both)
                }
            };
            if groups.len() > 0 {
                parts.push(Part {
                    groups,
                    keys: None,
                    times: Times::Same(*start, start.saturating_add(self.slices.slice)),
                    is_deleted: false,
                });
            }
        }
        Ok(parts)
    }

    fn put_back(&mut self, changes: &Changes) {
        for (start, marks) in &changes.marks {
            if let Some(pane) = self.panes.get_mut(start) {
                pane.table.mark(marks);
            }
        }
        self.gone.extend_from_slice(&changes.gone);
    }

    /// A window's content for some keys.
    fn contents_of(&mut self, window: i64, keys: &Table) -> Result<Table, TableError> {
        let mut table = self.maker.table()?;
        let end = window.saturating_add(self.slices.size);
        for ids in pieces(keys.groups(), PIECE_ROWS) {
            let columns = keys.key_columns_of(&ids)?;
            for (_, pane) in self.panes.range_mut(window..end) {
                for part in std::iter::once(&mut pane.table).chain(&mut pane.late) {
                    let found = part.lookup(&columns, ids.len())?;
                    table.absorb_groups(part, &found)?;
                }
            }
        }
        Ok(table)
    }

    fn piece(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError> {
        let Some(firing) = &mut self.firing else {
            return Ok(None);
        };
        let table = match &firing.table {
            Some(table) => table,
            None => &self.panes[&firing.window].table,
        };
        let end = (firing.taken + rows_max).min(table.groups());
        if firing.taken < end {
            let ids: Vec<u32> = (firing.taken as u32..end as u32).collect();
            let results = table.results_of(&ids)?;
            let (keys, calls) = results.columns().split_at(self.maker.keys());
            let starts = vec![firing.window; ids.len()];
            let ends = vec![firing.window.saturating_add(self.slices.size); ids.len()];
            firing.taken = end;
            return Ok(Some(self.maker.results(keys, calls, starts, ends)?));
        }
        if let Some(table) = self.firing.take().and_then(|firing| firing.table) {
            self.maker.give_back(table);
        }
        Ok(None)
    }
}

impl Windows for PaneWindows {
    fn update(&mut self, columns: &[ArrayRef], stamps: &[i64], is_partial: bool) -> Result<Vec<i64>, TableError> {
        let Some(before) = self.before.as_ref() else {
            return self.take_rows((columns, stamps), is_partial, (self.fired, self.watermark));
        };
        let mut late = Vec::new();
        for part in before.split(columns, self.maker.keys(), stamps)? {
            let times = (self.fired.max(part.until), self.watermark.max(part.until));
            let found = self.take_rows((&part.columns, &part.stamps), is_partial, times)?;
            late.extend(part.numbers(&found));
        }
        late.sort_unstable();
        Ok(late)
    }

    fn advance(&mut self, watermark: i64) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        if self.next.is_none() {
            self.next = Some(if self.fired == i64::MIN {
                let first = self.panes.keys().next();
                first.map_or(i64::MIN, |pane| self.slices.first_window_after(*pane))
            } else {
                // The first window with a greater max_timestamp than those that have fired.
                self.slices.first_window_after(self.fired.saturating_add(1))
            });
        }
        self.fired = self.fired.max(watermark);
    }

    fn take(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, TableError> {
        let rows_max = rows_max.max(1);
        let (mut taken, mut rows) = (Vec::new(), 0);
        while rows < rows_max {
            if self.firing.is_none() && !self.begin()? {
                break;
            }
            if let Some(batch) = self.piece(rows_max - rows)? {
                rows += batch.num_rows();
                taken.push(batch);
            }
        }
        self.maker.joined(taken)
    }

    fn freeze(&mut self, barrier: Barrier) -> Result<Freeze, TableError> {
        if barrier.is_savepoint {
            return Ok(Freeze {
                parts: self.parts(None)?,
                is_delta: false,
                outcome: Outcome::default(),
            });
        }
        let mut ledger = std::mem::take(&mut self.ledger);
        ledger.settle(|changes| self.put_back(&changes));
        let changed = self.panes.values().map(Pane::changed).sum::<usize>() + Gone::rows_of(&self.gone);
        let is_delta = barrier.is_incremental && ledger.allows_delta(changed, self.groups());
        self.is_tracking = barrier.is_incremental;
        let mut changes = Changes {
            marks: Vec::new(),
            gone: std::mem::take(&mut self.gone),
        };
        for (start, pane) in self.panes.iter_mut().filter(|_| self.is_tracking) {
            changes.marks.push((*start, pane.table.track_changes_anew()));
            pane.is_saved = true;
        }
        // Removed entries come first, because of equal entries the last one counts.
        let mut parts: Vec<Part> = changes.gone.iter().filter(|_| is_delta).map(Gone::part).collect();
        parts.extend(self.parts(is_delta.then_some(&changes.marks))?);
        let outcome = if is_delta {
            ledger.delta(changed, Arc::new(changes))
        } else {
            ledger.full()
        };
        self.ledger = ledger;
        Ok(Freeze {
            parts,
            is_delta,
            outcome,
        })
    }

    fn restore(&mut self, columns: &[ArrayRef], starts: &[i64], _ends: &[i64]) -> Result<(), TableError> {
        debug_assert_eq!((self.watermark, self.fired), (i64::MIN, i64::MIN));
        self.update(columns, starts, true).map(drop)
    }

    fn resume(&mut self, fired: Fired, watermark: i64) -> Result<(), TableError> {
        (self.fired, self.watermark) = (fired.least(), watermark);
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
        let first = self.slices.first_window_after(self.fired.saturating_add(1));
        let (pane, _) = self.panes.range(first..).next()?;
        Some(
            self.slices
                .max_timestamp(first.max(self.slices.first_window_after(*pane))),
        )
    }

    fn groups(&self) -> usize {
        self.panes.values().flat_map(Pane::tables).map(Table::groups).sum()
    }

    fn bytes(&self) -> usize {
        self.tables().map(Table::bytes).sum::<usize>() + self.maker.spare_bytes()
    }
}
