//! Which groups have changed since the last request.

#[derive(Default)]
pub struct Changed {
    is_changed: Vec<bool>,
    groups: Vec<u32>,
    taken: usize,
}

impl Changed {
    /// `groups_now`: the table's number of groups, including those of `ids`.
    pub fn mark(&mut self, ids: &[u32], groups_now: usize) {
        self.is_changed.resize(groups_now, false);
        for id in ids {
            if !std::mem::replace(&mut self.is_changed[*id as usize], true) {
                self.groups.push(*id);
            }
        }
    }

    /// At most `rows_max` of them, in order of their first change; empty when all have been taken.
    pub fn take(&mut self, rows_max: usize) -> Vec<u32> {
        let end = (self.taken + rows_max).min(self.groups.len());
        let ids = self.groups[self.taken..end].to_vec();
        ids.iter().for_each(|id| self.is_changed[*id as usize] = false);
        self.taken = end;
        if self.taken == self.groups.len() {
            self.groups.clear();
            self.taken = 0;
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::Changed;

    #[test]
    fn each_change_is_given_once() {
        let mut changed = Changed::default();
        changed.mark(&[2, 0, 2, 1], 3);
        assert_eq!(changed.take(2), [2, 0]);
        changed.mark(&[0, 1], 3);
        assert_eq!(changed.take(9), [1, 0]);
        assert!(changed.take(9).is_empty());
    }
}
