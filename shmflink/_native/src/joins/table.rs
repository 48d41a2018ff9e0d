//! The build side of a join, by key.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::Schema;

use crate::error::TableError;
use crate::keyed::keys::Keys;
use crate::keyed::plain::{plain, plain_type};
use crate::keyed::rows::{KeyedRows, NO_GROUP};

/// Pairs (probe row, build row) in the order of probe rows, then of build rows.
pub struct Pairs {
    pub probe: Vec<u32>,
    pub build: Vec<u32>,
    /// Which `build` rows exist; None: all do.
    pub build_exists: Option<NullBuffer>,
    /// The number of probe rows whose pairs are all included.
    pub rows: usize,
}

/// Call `insert` with all build rows, then `seal`, then `probe`. Keys with a null match nothing.
pub struct JoinTable {
    keyed: KeyedRows,
    /// The group of each build row.
    groups: Vec<u32>,
    /// After `seal`: the rows of a group are `rows[starts[group]..starts[group + 1]]`. Both are empty if every build
    /// row is a group of its own.
    starts: Vec<u32>,
    rows: Vec<u32>,
    is_sealed: bool,
    /// Build rows that some probe row has matched, if they are tracked.
    matched: Option<BooleanBufferBuilder>,
    marks: bool,
}

impl JoinTable {
    /// `marks`: whether to track which build rows were matched.
    pub fn new(keys: &Schema, marks: bool) -> Result<Self, TableError> {
        let types = keys.fields().iter().map(|field| plain_type(field.data_type()));
        Ok(Self {
            keyed: KeyedRows::new(Keys::new(types)?),
            groups: Vec::new(),
            starts: Vec::new(),
            rows: Vec::new(),
            is_sealed: false,
            matched: None,
            marks,
        })
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn bytes(&self) -> usize {
        self.keyed.bytes() + 4 * (self.groups.len() + self.starts.len() + self.rows.len())
    }

    /// Appends build rows.
    pub fn insert(&mut self, keys: &[ArrayRef], rows: usize) -> Result<(), TableError> {
        if self.is_sealed {
            return Err(TableError::Internal("build rows after the first probe".into()));
        }
        if self.groups.len() + rows >= NO_GROUP as usize {
            let message = format!("more than {NO_GROUP} rows on the build side of a join");
            return Err(TableError::Resource(message));
        }
        let keys = keys.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        let Some(nulls) = nulls_of(&keys) else {
            self.groups.extend(self.keyed.groups_of_keys(&keys, rows)?);
            return Ok(());
        };
        let valid: Vec<u32> = nulls.valid_indices().map(|row| row as u32).collect();
        let first = self.groups.len();
        self.groups.resize(first + rows, NO_GROUP);
        let indices = arrow_array::UInt32Array::from(valid.clone());
        let kept = keys
            .iter()
            .map(|array| arrow_select::take::take(array, &indices, None))
            .collect::<Result<Vec<_>, _>>()?;
        let groups = self.keyed.groups_of_keys(&kept, valid.len())?;
        for (row, group) in valid.into_iter().zip(groups) {
            self.groups[first + row as usize] = group;
        }
        Ok(())
    }

    /// Must be called after the last build rows.
    pub fn seal(&mut self) {
        self.is_sealed = true;
        if self.marks {
            let mut matched = BooleanBufferBuilder::new(self.groups.len());
            matched.append_n(self.groups.len(), false);
            self.matched = Some(matched);
        }
        if self.keyed.groups == self.groups.len() {
            return; // groups are numbered in the order of their first row
        }
        let mut starts = vec![0u32; self.keyed.groups + 1];
        for group in self.groups.iter().filter(|group| **group != NO_GROUP) {
            starts[*group as usize + 1] += 1;
        }
        for group in 0..self.keyed.groups {
            starts[group + 1] += starts[group];
        }
        let mut next = starts.clone();
        let mut rows = vec![0u32; starts[self.keyed.groups] as usize];
        for (row, group) in self.groups.iter().enumerate().filter(|(_, group)| **group != NO_GROUP) {
            let place = &mut next[*group as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        (self.starts, self.rows) = (starts, rows);
    }

    /// The pairs of the first probe rows: of all, or up to the row with which there are `pairs_max` or more.
    ///
    /// `keeps_probe`: a probe row without a match is paired with no build row.
    pub fn probe(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        keeps_probe: bool,
        pairs_max: usize,
    ) -> Result<Pairs, TableError> {
        let groups = self.groups_of(keys, rows)?;
        let mut pairs = Pairs {
            probe: Vec::with_capacity(rows),
            build: Vec::with_capacity(rows),
            build_exists: None,
            rows,
        };
        let mut missing = Vec::new();
        for (row, group) in groups.into_iter().enumerate() {
            if pairs.probe.len() >= pairs_max {
                pairs.rows = row;
                break;
            }
            if group == NO_GROUP {
                if keeps_probe {
                    missing.push(pairs.probe.len());
                    pairs.probe.push(row as u32);
                    pairs.build.push(0);
                }
            } else if self.starts.is_empty() {
                pairs.probe.push(row as u32);
                pairs.build.push(group);
            } else {
                let found = self.rows_of(group);
                pairs.build.extend_from_slice(found);
                pairs.probe.resize(pairs.build.len(), row as u32);
            }
        }
        if let Some(matched) = &mut self.matched {
            let mut unpaired = missing.iter().copied().peekable();
            for (place, row) in pairs.build.iter().enumerate() {
                if unpaired.next_if_eq(&place).is_none() {
                    matched.set_bit(*row as usize, true);
                }
            }
        }
        if !missing.is_empty() {
            let mut exists = BooleanBufferBuilder::new(pairs.build.len());
            exists.append_n(pairs.build.len(), true);
            for place in missing {
                exists.set_bit(place, false);
            }
            pairs.build_exists = Some(NullBuffer::new(exists.finish()));
        }
        Ok(pairs)
    }

    /// Which of some probe rows have a match (for semi joins), or have none (`is_anti`).
    pub fn probe_rows(&mut self, keys: &[ArrayRef], rows: usize, is_anti: bool) -> Result<Vec<u32>, TableError> {
        let groups = self.groups_of(keys, rows)?;
        let found = groups.into_iter().enumerate();
        Ok(found
            .filter(|(_, group)| (*group == NO_GROUP) == is_anti)
            .map(|(row, _)| row as u32)
            .collect())
    }

    /// Build rows that no probe row has matched.
    pub fn unmatched(&self) -> Result<Vec<u32>, TableError> {
        let Some(matched) = &self.matched else {
            return Err(TableError::Internal(
                "unmatched rows of a table that does not track matches".into(),
            ));
        };
        let rows = 0..self.groups.len();
        Ok(rows
            .filter(|row| !matched.get_bit(*row))
            .map(|row| row as u32)
            .collect())
    }

    fn rows_of(&self, group: u32) -> &[u32] {
        let group = group as usize;
        &self.rows[self.starts[group] as usize..self.starts[group + 1] as usize]
    }

    fn groups_of(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, TableError> {
        if !self.is_sealed {
            return Err(TableError::Internal("a probe before `seal`".into()));
        }
        let keys = keys.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        let mut groups = self.keyed.existing(&keys, rows)?;
        if let Some(nulls) = nulls_of(&keys) {
            for (row, group) in groups.iter_mut().enumerate() {
                if nulls.is_null(row) {
                    *group = NO_GROUP;
                }
            }
        }
        Ok(groups)
    }
}

/// Rows with a null in any key column; None if there is none.
fn nulls_of(keys: &[ArrayRef]) -> Option<NullBuffer> {
    let all = keys.iter().fold(None, |all, array| {
        NullBuffer::union(all.as_ref(), array.logical_nulls().as_ref())
    });
    all.filter(|nulls| nulls.null_count() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field};
    use std::sync::Arc;

    fn numbers(values: Vec<Option<i64>>) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(values))]
    }

    fn table(build: Vec<Option<i64>>, marks: bool) -> JoinTable {
        let keys = Schema::new(vec![Field::new("k", DataType::Int64, true)]);
        let mut table = JoinTable::new(&keys, marks).unwrap();
        let rows = build.len();
        table.insert(&numbers(build), rows).unwrap();
        table.seal();
        table
    }

    #[test]
    fn pairs_come_in_the_order_of_both_sides() {
        let mut table = table(vec![Some(1), Some(2), Some(1)], false);
        let pairs = table
            .probe(&numbers(vec![Some(2), Some(1), Some(9)]), 3, false, 9)
            .unwrap();
        assert_eq!((pairs.probe, pairs.build), (vec![0, 1, 1], vec![1, 0, 2]));
    }

    #[test]
    fn a_probe_ends_behind_the_row_that_brings_enough_pairs() {
        let mut table = table(vec![Some(1), Some(1), Some(2)], false);
        let pairs = table.probe(&numbers(vec![Some(1), Some(2)]), 2, false, 1).unwrap();
        assert_eq!((pairs.probe, pairs.build, pairs.rows), (vec![0, 0], vec![0, 1], 1));
    }

    #[test]
    fn a_null_equals_nothing() {
        let mut table = table(vec![None, Some(2), None], true);
        let pairs = table.probe(&numbers(vec![None, Some(2)]), 2, true, 9).unwrap();
        assert_eq!((pairs.probe, pairs.build), (vec![0, 1], vec![0, 1]));
        let exists: Vec<bool> = pairs.build_exists.unwrap().iter().collect();
        assert_eq!(exists, [false, true]);
        assert_eq!(table.unmatched().unwrap(), [0, 2]);
    }

    #[test]
    fn semi_and_anti_joins_tell_probe_rows_alone() {
        let mut table = table(vec![Some(1), Some(1)], false);
        let probe = numbers(vec![Some(1), Some(3), None]);
        assert_eq!(table.probe_rows(&probe, 3, false).unwrap(), [0]);
        assert_eq!(table.probe_rows(&probe, 3, true).unwrap(), [1, 2]);
    }

    #[test]
    fn an_empty_build_side_matches_nothing() {
        let mut table = table(vec![], true);
        assert!(table
            .probe(&numbers(vec![Some(1)]), 1, false, 9)
            .unwrap()
            .probe
            .is_empty());
        assert_eq!(table.probe_rows(&numbers(vec![Some(1)]), 1, true).unwrap(), [0]);
        assert!(table.unmatched().unwrap().is_empty());
    }

    #[test]
    fn long_strings_are_compared_whole() {
        let keys = Schema::new(vec![Field::new("k", DataType::Utf8, true)]);
        let mut table = JoinTable::new(&keys, false).unwrap();
        let of = |end: &str| format!("{}{end}", "x".repeat(40));
        let build: ArrayRef = Arc::new(StringArray::from(vec![of("a"), of("b"), "short".into()]));
        table.insert(&[build], 3).unwrap();
        table.seal();
        let probe: ArrayRef = Arc::new(StringArray::from(vec![of("b"), of("c"), "short".into()]));
        let pairs = table.probe(&[probe], 3, false, 9).unwrap();
        assert_eq!((pairs.probe, pairs.build), (vec![0, 2], vec![1, 2]));
    }
}
