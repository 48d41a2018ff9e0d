//! `sum` and `sum0` of 64-bit integers: exact, in any order of the rows.
//!
//! ```text
//! row of the group   | low 64 bits of the sum |       interpreted by the type of the sum
//! carries            group -> times 2^64              only for groups whose sum left 64 bits
//! sum                low + carry * 2^64
//! ```
//! Only a result that does not fit is an error; an intermediate sum may exceed 64 bits. A partial column has 128 bits.

use std::collections::HashMap;
use std::marker::PhantomData;

use arrow_array::ArrayRef;
use arrow_schema::DataType;

use super::limit::Limit;
use super::words::{Kept, DECIMAL128_DIGITS};
use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::state::{FromRows, Groups, Seen, Slots, State};
use crate::error::TableError;

const PARTIAL_TYPE: DataType = DataType::Decimal128(DECIMAL128_DIGITS, 0);
/// A carry of one.
const UNIT_BITS: u32 = 64;

/// The low 64 bits of a sum.
pub trait Low: Kept + 'static {
    fn whole(self) -> i128;
    fn low(sum: i128) -> Self;
}

impl Low for i64 {
    #[inline(always)]
    fn whole(self) -> i128 {
        i128::from(self)
    }
    #[inline(always)]
    fn low(sum: i128) -> Self {
        sum as i64
    }
}

impl Low for u64 {
    #[inline(always)]
    fn whole(self) -> i128 {
        i128::from(self)
    }
    #[inline(always)]
    fn low(sum: i128) -> Self {
        sum as u64
    }
}

/// The bits of sums above the low 64; no entry is zero.
#[derive(Clone, Default)]
struct Carries {
    by_group: HashMap<u32, i64>,
}

impl Carries {
    /// Adds `low` and `value`; returns the new low bits. The carry of the group receives the rest.
    #[inline(always)]
    fn add<W: Low>(&mut self, group: u32, low: W, value: i128) -> W {
        let sum = low.whole().wrapping_add(value);
        let kept = W::low(sum);
        let carry = (sum.wrapping_sub(kept.whole()) >> UNIT_BITS) as i64;
        if carry != 0 {
            self.carry(group, carry);
        }
        kept
    }

    #[cold]
    fn carry(&mut self, group: u32, carry: i64) {
        let kept = self.by_group.entry(group).or_insert(0);
        *kept += carry;
        if *kept == 0 {
            self.by_group.remove(&group);
        }
    }

    fn of(&self, group: u32) -> i128 {
        i128::from(self.by_group.get(&group).copied().unwrap_or(0)) << UNIT_BITS
    }
}

struct WholeSum<W> {
    offset: usize,
    data_type: DataType,
    seen: Seen,
    /// Without input, the result is 0, not null.
    is_never_null: bool,
    limit: Limit,
    carries: Carries,
    kind: PhantomData<fn() -> W>,
}

/// The sum of 64-bit integers with the type of `W`.
pub fn make<W: Low>(call: &Call<'_>, data_type: &DataType) -> Box<dyn State> {
    Box::new(WholeSum::<W> {
        offset: 0,
        data_type: data_type.clone(),
        seen: Seen::new(),
        is_never_null: call.function == "sum0",
        limit: Limit::of(call, data_type),
        carries: Carries::default(),
        kind: PhantomData,
    })
}

impl<W: Low> WholeSum<W> {
    /// Adds the values in 64 bits if no sum can exceed them, otherwise with carries.
    #[inline(always)]
    fn add<V: Kept>(
        &mut self,
        slots: &Slots<'_>,
        argument: &Argument,
        start: usize,
        low: impl Fn(V) -> W + Copy,
        whole: impl Fn(V) -> i128 + Copy,
    ) {
        let (slots, offset) = (*slots, self.offset);
        if self.limit.may_pass(argument, start, slots.len()) {
            let mut carries = std::mem::take(&mut self.carries);
            self.each(&slots, argument, start, |at, value: V| {
                let kept = carries.add::<W>(slots.groups[at], slots.read(at, offset), whole(value));
                slots.write(at, offset, kept);
            });
            self.carries = carries;
            return;
        }
        self.each(&slots, argument, start, move |at, value: V| {
            slots.write(at, offset, slots.read::<W>(at, offset).plus(low(value)));
        });
    }

    #[inline(always)]
    fn each<V: Kept>(&mut self, slots: &Slots<'_>, argument: &Argument, start: usize, mut join: impl FnMut(usize, V)) {
        let has_nulls = argument.nulls.is_some();
        if !self.is_never_null && self.seen.prepare(slots, has_nulls) {
            let seen = &mut self.seen;
            V::each(argument, start, slots.len(), |at, value| {
                join(at, value);
                seen.mark(slots.groups[at]);
            });
        } else {
            V::each(argument, start, slots.len(), join);
        }
    }

    fn nulls(&self, groups: &Groups<'_>) -> Option<arrow_buffer::NullBuffer> {
        (!self.is_never_null).then(|| self.seen.nulls(groups.ids)).flatten()
    }
}

impl<W: Low> State for WholeSum<W> {
    fn initial(&self) -> Vec<u64> {
        vec![0]
    }

    fn place(&mut self, offset: usize) {
        self.offset = offset;
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        vec![("", PARTIAL_TYPE)]
    }

    fn result_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], start: usize) -> Result<(), TableError> {
        assert_eq!(slots.rows.len(), slots.groups.len(), "an address for each row");
        self.add::<W>(slots, arguments[0], start, |value| value, W::whole);
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], start: usize) -> Result<(), TableError> {
        self.add::<i128>(slots, partials[0], start, W::low, |value| value);
        Ok(())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let lows = groups.values::<W>(self.offset).map(W::whole);
        let sums = if self.carries.by_group.is_empty() {
            lows.collect()
        } else {
            let carries = groups.ids.iter().map(|group| self.carries.of(*group));
            lows.zip(carries).map(|(low, carry)| low.wrapping_add(carry)).collect()
        };
        Ok(vec![i128::array(sums, &PARTIAL_TYPE, self.nulls(groups))])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        let carries = &self.carries.by_group;
        let is_over = !carries.is_empty() && groups.ids.iter().any(|group| carries.contains_key(group));
        self.limit.check(is_over, &self.data_type)?;
        let values = groups.values(self.offset).collect();
        Ok(W::array(values, &self.data_type, self.nulls(groups)))
    }

    fn skips_rows(&mut self) {
        self.seen.always();
    }

    fn is_in_rows(&self) -> bool {
        (self.is_never_null || self.seen.is_every_group()) && self.carries.by_group.is_empty()
    }

    fn merge_rows(&mut self, slots: &Slots<'_>, rows: &FromRows) -> Result<(), TableError> {
        self.limit.always(); // the size of a merged sum is unknown
        let offset = self.offset;
        for at in 0..slots.len() {
            let value = rows.read::<W>(at, offset).whole();
            let kept = self.carries.add::<W>(slots.groups[at], slots.read(at, offset), value);
            slots.write(at, offset, kept);
        }
        Ok(())
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            data_type: self.data_type.clone(),
            seen: self.seen.clone(),
            limit: self.limit.clone(),
            carries: self.carries.clone(),
            ..*self
        })
    }

    fn forget(&mut self, groups: &[u32], groups_now: usize) {
        if !self.is_never_null {
            self.seen.forget(groups, groups_now);
        }
        if !self.carries.by_group.is_empty() {
            groups.iter().for_each(|group| {
                self.carries.by_group.remove(group);
            });
        }
    }

    fn end_restore(&mut self, groups_now: usize) {
        self.seen.tidy(groups_now);
    }

    fn copy_rows(&mut self) {
        self.limit.always();
    }

    fn clear(&mut self) {
        self.seen.clear();
        self.limit.clear();
        self.carries.by_group.clear();
    }

    fn bytes(&self) -> usize {
        let entry = size_of::<(u32, i64)>() + 1; // one control byte per entry
        self.seen.bytes() + self.carries.by_group.capacity() * entry
    }
}
