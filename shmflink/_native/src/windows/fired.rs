//! Which windows had fired before a restore, where parts of the state come from subtasks that had fired to different
//! times: a barrier overtook a watermark, or the clock of processing time passed between their snapshots.

use std::collections::BTreeMap;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;

use crate::aggregate::key_groups_of;
use crate::error::TableError;
use crate::exchange::hash::KeyGroups;

/// Windows of the key groups from `start` to below `stop` with max_timestamp up to `until` have fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiredRange {
    pub start: u32,
    pub stop: u32,
    pub until: i64,
}

/// Rows with these numbers; the windows of their keys have fired up to `until`.
pub struct FiredRows {
    pub until: i64,
    pub columns: Vec<ArrayRef>,
    pub stamps: Vec<i64>,
    rows: Vec<u32>,
}

impl FiredRows {
    /// The numbers in the batch of some of these rows.
    pub fn numbers<'a>(&'a self, of: &'a [i64]) -> impl Iterator<Item = i64> + 'a {
        of.iter().map(|row| i64::from(self.rows[*row as usize]))
    }
}

pub struct Fired {
    ranges: Vec<FiredRange>,
    key_groups: KeyGroups,
}

impl Fired {
    /// `max_parallelism`: how many key groups there are.
    pub fn new(ranges: Vec<FiredRange>, max_parallelism: u32) -> Self {
        Self {
            ranges,
            key_groups: KeyGroups::new(max_parallelism),
        }
    }

    /// All windows up to this time have fired.
    pub fn least(&self) -> i64 {
        self.ranges.iter().map(|range| range.until).min().unwrap_or(i64::MIN)
    }

    /// No window after this time has fired.
    pub fn most(&self) -> i64 {
        self.ranges.iter().map(|range| range.until).max().unwrap_or(i64::MIN)
    }

    /// Up to which time the windows of each of these keys have fired.
    pub fn of_keys(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<i64>, TableError> {
        let until = |group: u16| {
            let group = u32::from(group);
            let range = self
                .ranges
                .iter()
                .find(|range| (range.start..range.stop).contains(&group));
            range.map_or(i64::MIN, |range| range.until)
        };
        let mut by_group = vec![None; self.key_groups.count() as usize];
        let groups = key_groups_of(keys, rows, self.key_groups)?;
        let each = groups.into_iter();
        Ok(each
            .map(|group| *by_group[usize::from(group)].get_or_insert_with(|| until(group)))
            .collect())
    }

    /// The rows of a batch by what has fired for their keys.
    pub fn split(&self, columns: &[ArrayRef], keys: usize, stamps: &[i64]) -> Result<Vec<FiredRows>, TableError> {
        let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (row, until) in self.of_keys(&columns[..keys], stamps.len())?.into_iter().enumerate() {
            rows.entry(until).or_default().push(row as u32);
        }
        let parts = rows.into_iter().map(|(until, rows)| {
            let stamps = rows.iter().map(|row| stamps[*row as usize]).collect();
            let indices = UInt32Array::from(rows.clone());
            let columns = columns.iter().map(|column| take(column, &indices, None));
            Ok(FiredRows {
                until,
                columns: columns.collect::<Result<_, _>>()?,
                stamps,
                rows,
            })
        });
        parts.collect()
    }

    /// The ranges within `start..stop`, as they are once all windows up to `until` have fired.
    pub fn within(&self, start: u32, stop: u32, until: i64) -> Vec<FiredRange> {
        let ranges = self.ranges.iter().map(|range| FiredRange {
            start: range.start.max(start),
            stop: range.stop.min(stop),
            until: range.until.max(until),
        });
        ranges.filter(|range| range.start < range.stop).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int64Array;

    use super::*;

    fn ranges() -> Fired {
        let range = |start, stop, until| FiredRange { start, stop, until };
        Fired::new(vec![range(0, 64, 10), range(64, 128, 30)], 128)
    }

    #[test]
    fn each_key_has_the_time_of_its_key_group() {
        let keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..1000))];
        let groups = key_groups_of(&keys, 1000, KeyGroups::new(128)).unwrap();
        let expected: Vec<i64> = groups.iter().map(|group| if *group < 64 { 10 } else { 30 }).collect();
        assert_eq!(ranges().of_keys(&keys, 1000).unwrap(), expected);
        assert_eq!((ranges().least(), ranges().most()), (10, 30));
    }

    #[test]
    fn ranges_of_a_subtask_reach_at_least_what_it_has_fired_since() {
        let range = |start, stop, until| FiredRange { start, stop, until };
        assert_eq!(ranges().within(32, 96, 20), [range(32, 64, 20), range(64, 96, 30)]);
        assert_eq!(ranges().within(64, 128, 40), [range(64, 128, 40)]);
    }
}
