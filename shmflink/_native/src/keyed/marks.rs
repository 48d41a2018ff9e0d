//! Which groups of a table have changed: one bit per group.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    words: Vec<u64>,
}

impl Marks {
    /// `groups_now`: the table's number of groups, including the marked ones.
    #[inline]
    pub fn mark(&mut self, groups: &[u32], groups_now: usize) {
        self.make_room(groups_now);
        for group in groups {
            self.words[*group as usize >> 6] |= 1 << (group & 63);
        }
    }

    pub fn mark_range(&mut self, groups: std::ops::Range<usize>) {
        self.make_room(groups.end);
        groups.for_each(|group| self.words[group >> 6] |= 1 << (group & 63));
    }

    fn make_room(&mut self, groups: usize) {
        let words = groups.div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    pub fn is_marked(&self, group: u32) -> bool {
        let word = self.words.get(group as usize >> 6);
        word.is_some_and(|word| word >> (group & 63) & 1 == 1)
    }

    pub fn join(&mut self, other: &Self) {
        self.make_room(other.words.len() * 64);
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(word, more)| *word |= more);
    }

    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The marked groups, in order.
    pub fn groups(&self) -> Vec<u32> {
        let mut groups = Vec::with_capacity(self.count());
        for (at, word) in self.words.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                groups.push((at * 64) as u32 + word.trailing_zeros());
                word &= word - 1;
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn marks_are_counted_joined_and_told() {
        let mut marks = Marks::default();
        marks.mark(&[3, 200, 3, 64], 201);
        assert_eq!((marks.count(), marks.groups()), (3, vec![3, 64, 200]));
        let mut others = Marks::default();
        others.mark_range(62..66);
        others.join(&marks);
        assert_eq!(others.groups(), [3, 62, 63, 64, 65, 200]);
        assert!(others.is_marked(63) && !others.is_marked(61) && !others.is_marked(9_999));
    }
}
