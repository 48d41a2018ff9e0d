//! Tumbling and sliding windows: a table for each pane.

use std::collections::{BTreeMap, VecDeque};

use arrow_array::{ArrayRef, RecordBatch};

use super::kept::{pieces, Maker, Windows, SNAPSHOT_ROWS};
use super::slices::Slices;
use super::split::{split, Split, Stretch};
use super::stacks::Stacks;
use crate::aggregate::Table;
use crate::exchange::error::ExchangeError;

/// Rows of one stretch of time.
pub struct Pane {
    pub table: Table,
    /// Rows that came after the table had been merged into the stacks.
    pub late: Option<Table>,
    pub is_merged: bool,
}

impl Pane {
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.table).chain(&self.late)
    }
}

/// A window whose results are leaving.
struct Firing {
    window: i64,
    /// None: the window is one pane, which stays.
    table: Option<Table>,
    taken: usize,
}

pub struct PaneWindows {
    maker: Maker,
    slices: Slices,
    panes: BTreeMap<i64, Pane>,
    stacks: Stacks,
    watermark: i64,
    /// Windows with max_timestamp up to this have left.
    fired: i64,
    /// While windows are due: the first one that may be.
    next: Option<i64>,
    firing: Option<Firing>,
    /// Windows that late rows changed, with their keys.
    changed: VecDeque<(i64, Table)>,
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
            next: None,
            firing: None,
            changed: VecDeque::new(),
        }
    }

    fn add(&mut self, stretch: &Stretch, columns: &[ArrayRef], is_partial: bool) -> Result<(), ExchangeError> {
        if !self.panes.contains_key(&stretch.pane) {
            let table = self.maker.table()?;
            let pane = Pane {
                table,
                late: None,
                is_merged: self.stacks.has_merged(stretch.pane),
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
            table.merge(columns, stretch.len)?;
        } else {
            table.update(columns, stretch.len)?;
        }
        self.note_changed(stretch, columns)
    }

    /// Windows of this pane that have left already, and are still kept, leave again with the keys of these rows.
    fn note_changed(&mut self, stretch: &Stretch, columns: &[ArrayRef]) -> Result<(), ExchangeError> {
        let mut window = self.slices.first_window_after(stretch.pane);
        while window <= stretch.pane && self.slices.max_timestamp(window) <= self.fired {
            if !self.slices.is_late(window, self.watermark) {
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

    /// The next window to leave, if one is due.
    fn begin(&mut self) -> Result<bool, ExchangeError> {
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
            self.end_of_due(i64::MAX);
            return Ok(false);
        };
        let window = next.max(self.slices.first_window_after(pane));
        if self.slices.max_timestamp(window) > self.watermark {
            self.end_of_due(window);
            return Ok(false);
        }
        self.forget_before(window);
        self.next = Some(window.saturating_add(self.slices.slide));
        let table = if !self.slices.is_one_pane() {
            let maker = &mut self.maker;
            Some(self.stacks.window(window, &mut self.panes, maker)?)
        } else if self.slices.is_late(window, self.watermark) {
            self.panes.remove(&window).map(|pane| pane.table)
        } else {
            None
        };
        self.firing = Some(Firing {
            window,
            table,
            taken: 0,
        });
        Ok(true)
    }

    fn end_of_due(&mut self, window: i64) {
        self.next = None;
        self.forget_before(window);
    }

    /// Panes of windows before `window` that are late go.
    fn forget_before(&mut self, window: i64) {
        let until = self.slices.late_before(self.watermark).min(window);
        while let Some(entry) = self.panes.first_entry() {
            if *entry.key() >= until {
                break;
            }
            let pane = entry.remove();
            self.maker.give_back(pane.table);
            pane.late.into_iter().for_each(|table| self.maker.give_back(table));
        }
    }

    /// What a window holds of some keys.
    fn contents_of(&mut self, window: i64, keys: &Table) -> Result<Table, ExchangeError> {
        let mut table = self.maker.table()?;
        let end = window.saturating_add(self.slices.size);
        for ids in pieces(keys.groups(), SNAPSHOT_ROWS) {
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

    fn piece(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, ExchangeError> {
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
    fn update(&mut self, columns: &[ArrayRef], stamps: &[i64], is_partial: bool) -> Result<Vec<i64>, ExchangeError> {
        let Split {
            columns,
            stretches,
            late,
        } = split(columns, stamps, &self.slices, self.watermark)?;
        for stretch in &stretches {
            let slice = |column: &ArrayRef| column.slice(stretch.start, stretch.len);
            if stretches.len() == 1 && columns.first().is_none_or(|column| column.len() == stretch.len) {
                self.add(stretch, &columns, is_partial)?;
            } else {
                self.add(stretch, &columns.iter().map(slice).collect::<Vec<_>>(), is_partial)?;
            }
        }
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
                // The first window with a greater max_timestamp than those that have left.
                self.slices.first_window_after(self.fired.saturating_add(1))
            });
        }
        self.fired = self.fired.max(watermark);
    }

    fn take(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, ExchangeError> {
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

    fn snapshot(&self) -> Result<Vec<RecordBatch>, ExchangeError> {
        let mut batches = Vec::new();
        for (start, pane) in &self.panes {
            let end = start.saturating_add(self.slices.slice);
            for table in pane.tables() {
                for ids in pieces(table.groups(), SNAPSHOT_ROWS) {
                    let partials = table.partials_of(&ids)?;
                    let (starts, ends) = (vec![*start; ids.len()], vec![end; ids.len()]);
                    batches.push(self.maker.kept(partials.columns(), starts, ends)?);
                }
            }
        }
        Ok(batches)
    }

    fn restore(&mut self, columns: &[ArrayRef], starts: &[i64], _ends: &[i64]) -> Result<(), ExchangeError> {
        debug_assert_eq!((self.watermark, self.fired), (i64::MIN, i64::MIN));
        self.update(columns, starts, true).map(drop)
    }

    fn set_fired(&mut self, fired: i64) {
        self.fired = fired;
    }

    fn fired(&self) -> i64 {
        self.fired
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
        let panes: usize = self.panes.values().flat_map(Pane::tables).map(Table::bytes).sum();
        panes + self.stacks.bytes() + self.maker.spare_bytes()
    }
}
