//! A table's state for each group and aggregate.
//!
//! A fixed-width state is in the row of its group, beside the key: a group costs one or two cache lines, however many
//! such aggregates it has. Other states keep vectors by group. Kernels process some rows at once: `update` reads raw
//! arguments, `merge` the columns that `partials` returned.

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;

use super::argument::Argument;
use crate::error::TableError;

/// The groups of some input rows, in row order. Kernels copy it, so that its pointers stay in registers.
#[derive(Clone, Copy)]
pub struct Slots<'a> {
    /// The row of each group; valid until the table creates a group.
    pub rows: &'a [*mut u8],
    pub groups: &'a [u32],
    /// The number of groups in the table before these rows, and now.
    pub groups_before: usize,
    pub groups_now: usize,
    /// Where the rows of the table begin, and their stride.
    pub base: *mut u8,
    pub stride: usize,
}

impl Slots<'_> {
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn row_of(&self, group: u32) -> *mut u8 {
        self.base.wrapping_add(group as usize * self.stride)
    }

    /// The state at byte `offset` of the group of row `at`.
    #[inline(always)]
    pub fn read<W: Copy>(&self, at: usize, offset: usize) -> W {
        debug_assert!(at < self.rows.len());
        // SAFETY: kernels access only their own slots; a state's words are in each row at its offset (`State::place`).
        unsafe { self.rows.get_unchecked(at).add(offset).cast::<W>().read_unaligned() }
    }

    #[inline(always)]
    pub fn write<W: Copy>(&self, at: usize, offset: usize, value: W) {
        debug_assert!(at < self.rows.len());
        // SAFETY: as in `read`; the table that owns the rows is borrowed mutably for the call.
        unsafe {
            self.rows
                .get_unchecked(at)
                .add(offset)
                .cast::<W>()
                .write_unaligned(value)
        };
    }
}

/// Groups whose states are read.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    pub ids: &'a [u32],
    pub rows: *const u8,
    pub stride: usize,
}

impl<'a> Groups<'a> {
    #[inline(always)]
    pub fn read<W: Copy>(&self, group: u32, offset: usize) -> W {
        // SAFETY: the groups exist, and a state's words are in each row at its offset.
        unsafe {
            self.rows
                .add(group as usize * self.stride + offset)
                .cast::<W>()
                .read_unaligned()
        }
    }

    pub fn values<W: Copy + 'a>(&'a self, offset: usize) -> impl Iterator<Item = W> + 'a {
        self.ids.iter().map(move |group| self.read(*group, offset))
    }
}

/// Some consecutive rows of another table.
pub struct FromRows {
    pub rows: *const u8,
    pub stride: usize,
}

impl FromRows {
    #[inline(always)]
    pub fn read<W: Copy>(&self, at: usize, offset: usize) -> W {
        // SAFETY: there is a row for each slot, with a state's words at its offset.
        unsafe { self.rows.add(at * self.stride + offset).cast::<W>().read_unaligned() }
    }
}

/// One aggregate of a table.
pub trait State: Send {
    /// The words of each group in its row, with their initial values; empty for a state that keeps vectors.
    fn initial(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Sets the byte of a row at which the words begin.
    fn place(&mut self, _offset: usize) {}

    /// Announces that the state will not receive every row of its groups.
    fn skips_rows(&mut self) {}

    /// Whether kernels are called for all rows of a batch at once, instead of for those that fit the cache.
    fn takes_whole_batches(&self) -> bool {
        false
    }

    /// Names and types of the columns that hold a group's whole state.
    fn partial_fields(&self) -> Vec<(&'static str, DataType)>;
    fn result_type(&self) -> DataType;

    /// Processes the argument rows from `start` on, one for each slot.
    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError>;
    /// Processes partial columns, like `update`.
    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError>;
    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError>;
    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError>;

    /// True while the whole state is in the rows, so that copying rows copies groups.
    fn is_in_rows(&self) -> bool {
        false
    }

    /// Adds the states of other rows, one for each slot. Requires that both tables have this whole state in their rows.
    fn merge_rows(&mut self, _slots: &Slots<'_>, _rows: &FromRows) -> Result<(), TableError> {
        unreachable!("a state that is not in rows");
    }

    /// The rows have become a copy of those of another table.
    fn copy_rows(&mut self) {}

    /// Must be called before rows that replace the whole state of these groups; their words have initial values.
    fn forget(&mut self, _groups: &[u32], _groups_now: usize) {
        debug_assert!(!self.takes_whole_batches());
    }

    /// All replacing rows have been processed.
    fn end_restore(&mut self, _groups_now: usize) {}

    /// A state that returns the same `partials`, in another thread, while this one is updated; for copied rows.
    fn frozen(&self) -> Box<dyn State>;

    /// Drops all groups.
    fn clear(&mut self);
    /// Memory in addition to the rows.
    fn bytes(&self) -> usize;
}

/// Which groups have seen a non-null value; kept from the first null on, before that all groups have.
#[derive(Clone)]
pub struct Seen {
    flags: Option<Vec<u8>>,
    is_always: bool,
}

impl Seen {
    pub fn new() -> Self {
        Self {
            flags: None,
            is_always: false,
        }
    }

    /// For a state that does not receive every row of its groups.
    pub fn always(&mut self) {
        self.is_always = true;
    }

    /// Must be called before the values of `slots`; if it returns true, then `mark` the rows that are not null.
    #[inline]
    pub fn prepare(&mut self, slots: &Slots<'_>, has_nulls: bool) -> bool {
        if self.flags.is_none() && (has_nulls || self.is_always) {
            self.flags = Some(vec![u8::from(!self.is_always); slots.groups_before]);
        }
        match &mut self.flags {
            Some(flags) => {
                flags.resize(slots.groups_now.max(flags.len()), 0);
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    pub fn mark(&mut self, group: u32) {
        if let Some(flags) = &mut self.flags {
            flags[group as usize] = 1;
        }
    }

    /// Of the groups before `groups_now`, these have not seen a value.
    pub fn forget(&mut self, groups: &[u32], groups_now: usize) {
        let flags = self.flags.get_or_insert_with(|| vec![1; groups_now]);
        flags.resize(groups_now.max(flags.len()), 0);
        groups.iter().for_each(|group| flags[*group as usize] = 0);
    }

    /// Drops the flags if all groups have seen a value.
    pub fn tidy(&mut self, groups_now: usize) {
        self.flags
            .take_if(|flags| flags.len() >= groups_now && flags.iter().all(|flag| *flag == 1));
    }

    /// True while no group is without a value.
    pub fn is_every_group(&self) -> bool {
        self.flags.is_none() && !self.is_always
    }

    pub fn is_seen(&self, group: u32) -> bool {
        match &self.flags {
            Some(flags) => flags.get(group as usize).is_some_and(|flag| *flag == 1),
            None => !self.is_always,
        }
    }

    /// The validity of a column with one value per group.
    pub fn nulls(&self, groups: &[u32]) -> Option<NullBuffer> {
        if self.flags.is_none() && !self.is_always {
            return None;
        }
        let bits: BooleanBuffer = groups.iter().map(|group| self.is_seen(*group)).collect();
        Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
    }

    pub fn clear(&mut self) {
        self.flags = None;
    }

    pub fn bytes(&self) -> usize {
        self.flags.as_ref().map_or(0, Vec::capacity)
    }
}
