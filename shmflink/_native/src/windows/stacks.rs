//! Merges panes once instead of once per window that contains them (two stacks).
//!
//! ```text
//! panes        0   1   2   3 | 4   5        windows of 4 panes; 4 and 5 arrived after the turn
//! front        [0..3] [1..3] [2..3] [3]     one table per window that begins before the turn
//! back                         [4..5]       one table
//! window 2..5  front[2..3] + back           plus rows that arrived late for these panes
//! ```
//! At a turn, the front is used up and rebuilt from all panes of the next window, from the last pane to the first; each
//! entry of the front is used for one window. So a group is merged into other tables about four times, however many
//! windows contain it. The front needs the memory of as many tables as a window has panes. If keys of different panes
//! mostly differ, that is far more than the panes themselves, and merging them per window is cheap: then windows are
//! merged one by one.

use std::collections::BTreeMap;

use super::kept::Maker;
use super::pane::Pane;
use super::slices::Slices;
use crate::aggregate::Table;
use crate::error::TableError;

/// Groups of the front per group of the panes above which windows are merged one by one.
const FRONT_GROUPS_MAX: usize = 3;
/// Below this number of groups it does not matter.
const SMALL_GROUPS: usize = 1 << 14;

pub struct Stacks {
    slices: Slices,
    /// (window, panes from its start to the turn), the next window last.
    front: Vec<(i64, Table)>,
    back: Option<Table>,
    /// Panes before this one are merged into front or back; those of windows that have fired are dropped.
    merged_until: i64,
    merged_from: i64,
    /// The number of groups of the last window.
    groups: usize,
}

impl Stacks {
    pub fn new(slices: Slices) -> Self {
        Self {
            slices,
            front: Vec::new(),
            back: None,
            merged_until: i64::MIN,
            merged_from: i64::MIN,
            groups: 0,
        }
    }

    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.front.iter().map(|(_, table)| table).chain(&self.back)
    }

    /// True if a new pane would already have been merged.
    pub fn has_merged(&self, pane: i64) -> bool {
        !self.front.is_empty() && self.merged_from <= pane && pane < self.merged_until
    }

    /// The contents of a window. Windows must come in order; panes before it no longer exist or are not read.
    pub fn window(
        &mut self,
        window: i64,
        panes: &mut BTreeMap<i64, Pane>,
        maker: &mut Maker,
    ) -> Result<Table, TableError> {
        let end = window.saturating_add(self.slices.size);
        while self.front.last().is_some_and(|(start, _)| *start < window) {
            self.front
                .pop()
                .into_iter()
                .for_each(|(_, table)| maker.give_back(table));
        }
        if self.front.last().is_none_or(|(start, _)| *start != window) {
            self.leave(panes, maker)?;
            if !self.is_worth_it(window, end, panes) {
                return self.merged(window, end, panes, maker);
            }
            self.turn(window, end, panes, maker)?;
        } else {
            self.extend(end, panes, maker)?;
        }
        let (_, mut table) = self.front.pop().expect("the window begins before the turn");
        if let Some(back) = &self.back {
            table.absorb(back)?;
        }
        for (_, pane) in panes.range(window..end.min(self.merged_until)) {
            if let Some(late) = &pane.late {
                table.absorb(late)?;
            }
        }
        self.groups = table.groups();
        Ok(table)
    }

    /// Drops the merged tables; the panes hold everything.
    fn leave(&mut self, panes: &mut BTreeMap<i64, Pane>, maker: &mut Maker) -> Result<(), TableError> {
        self.front.drain(..).for_each(|(_, table)| maker.give_back(table));
        self.back.take().into_iter().for_each(|table| maker.give_back(table));
        for (_, pane) in panes.range_mut(..self.merged_until) {
            pane.is_merged = false;
            if let Some(late) = pane.late.take() {
                pane.table.absorb(&late)?;
                maker.give_back(late);
            }
        }
        self.merged_until = i64::MIN;
        Ok(())
    }

    fn is_worth_it(&self, window: i64, end: i64, panes: &BTreeMap<i64, Pane>) -> bool {
        let of_panes: usize = panes.range(window..end).map(|(_, pane)| pane.table.groups()).sum();
        let of_front = self
            .groups
            .saturating_mul((self.slices.size / self.slices.slide) as usize)
            / 2;
        self.groups > 0 && of_front <= of_panes.saturating_mul(FRONT_GROUPS_MAX).max(SMALL_GROUPS)
    }

    fn merged(
        &mut self,
        window: i64,
        end: i64,
        panes: &BTreeMap<i64, Pane>,
        maker: &mut Maker,
    ) -> Result<Table, TableError> {
        let mut table = maker.table()?;
        for (_, pane) in panes.range(window..end) {
            table.absorb(&pane.table)?;
        }
        self.groups = table.groups();
        Ok(table)
    }

    /// Builds the front from all panes of this window.
    fn turn(
        &mut self,
        window: i64,
        end: i64,
        panes: &mut BTreeMap<i64, Pane>,
        maker: &mut Maker,
    ) -> Result<(), TableError> {
        let mut start = self.slices.last_window(end - 1);
        let mut until = end;
        while start >= window {
            let mut table = maker.table()?;
            if let Some((_, later)) = self.front.last() {
                table.absorb(later)?;
            }
            for (_, pane) in panes.range_mut(start..until) {
                table.absorb(&pane.table)?;
                pane.is_merged = true;
            }
            self.front.push((start, table));
            until = start;
            start -= self.slices.slide;
        }
        (self.merged_from, self.merged_until) = (window, end);
        Ok(())
    }

    /// Merges panes after the turn.
    fn extend(&mut self, end: i64, panes: &mut BTreeMap<i64, Pane>, maker: &mut Maker) -> Result<(), TableError> {
        for (_, pane) in panes.range_mut(self.merged_until..end) {
            if self.back.is_none() {
                self.back = Some(maker.table()?);
            }
            self.back.as_mut().expect("made above").absorb(&pane.table)?;
            pane.is_merged = true;
        }
        self.merged_until = self.merged_until.max(end);
        Ok(())
    }
}
