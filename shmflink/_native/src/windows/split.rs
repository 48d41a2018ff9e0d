//! The rows of a batch by pane.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;

use super::slices::Slices;
use crate::error::TableError;

/// Up to this many runs of rows of one pane are sliced; with more, the rows are reordered first.
const STRETCHES_MAX: usize = 16;
/// Panes of one batch that are counted; with more, rows are sorted.
const COUNTED_PANES_MAX: usize = 1 << 12;

/// Consecutive rows of one pane.
#[derive(Debug, PartialEq, Eq)]
pub struct Stretch {
    pub pane: i64,
    pub start: usize,
    pub len: usize,
}

/// The result of splitting a batch.
pub struct Split {
    /// The columns, reordered and without some rows if that was necessary.
    pub columns: Vec<ArrayRef>,
    pub stretches: Vec<Stretch>,
    /// Numbers of the rows that are too late.
    pub late: Vec<i64>,
}

/// Splits the rows. Reports those that are late at `watermark`, and drops those in no window.
pub fn split(columns: &[ArrayRef], stamps: &[i64], slices: &Slices, watermark: i64) -> Result<Split, TableError> {
    let late_before = slices.late_before(watermark);
    let (least, most) = stamps.iter().fold((i64::MAX, i64::MIN), |(least, most), at| {
        (least.min(*at), most.max(*at))
    });
    let mut late = Vec::new();
    if stamps.is_empty() {
        return Ok(whole(columns, Vec::new(), late));
    }
    if least >= late_before && !slices.has_gaps() {
        if slices.pane(least) == slices.pane(most) {
            let all = Stretch {
                pane: slices.pane(least),
                start: 0,
                len: stamps.len(),
            };
            return Ok(whole(columns, vec![all], late));
        }
        if let Some(stretches) = stretches_of(stamps, slices) {
            return Ok(whole(columns, stretches, late));
        }
        let (order, stretches) = ordered(stamps, None, (least, most), slices);
        return taken(columns, &order, stretches, late);
    }
    let gap_late_before = slices.gap_late_before(watermark);
    let mut kept = Vec::with_capacity(stamps.len());
    for (row, at) in stamps.iter().enumerate() {
        let is_in_gap = slices.has_gaps() && slices.is_in_gap(*at);
        if *at < if is_in_gap { gap_late_before } else { late_before } {
            late.push(row as i64);
        } else if !is_in_gap {
            kept.push(row as u32);
        }
    }
    let least = kept.iter().map(|row| stamps[*row as usize]).min().unwrap_or(0);
    let (order, stretches) = ordered(stamps, Some(kept), (least, most), slices);
    taken(columns, &order, stretches, late)
}

fn whole(columns: &[ArrayRef], stretches: Vec<Stretch>, late: Vec<i64>) -> Split {
    Split {
        columns: columns.to_vec(),
        stretches,
        late,
    }
}

fn taken(
    columns: &[ArrayRef],
    order: &UInt32Array,
    stretches: Vec<Stretch>,
    late: Vec<i64>,
) -> Result<Split, TableError> {
    let columns = columns.iter().map(|column| take(column, order, None));
    Ok(Split {
        columns: columns.collect::<Result<_, _>>()?,
        stretches,
        late,
    })
}

/// Runs in a batch that is nearly in order.
fn stretches_of(stamps: &[i64], slices: &Slices) -> Option<Vec<Stretch>> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut row = 0;
    while row < stamps.len() {
        if stretches.len() == STRETCHES_MAX {
            return None;
        }
        let pane = slices.pane(stamps[row]);
        let end = pane.saturating_add(slices.slice);
        let rest = &stamps[row..];
        let len = rest
            .iter()
            .position(|at| *at < pane || *at >= end)
            .unwrap_or(rest.len());
        stretches.push(Stretch { pane, start: row, len });
        row += len;
    }
    Some(stretches)
}

/// The order of the rows by pane, and its runs. `kept`: only these rows.
fn ordered(
    stamps: &[i64],
    kept: Option<Vec<u32>>,
    (least, most): (i64, i64),
    slices: &Slices,
) -> (UInt32Array, Vec<Stretch>) {
    let base = slices.pane(least);
    let rows: Vec<u32> = kept.unwrap_or_else(|| (0..stamps.len() as u32).collect());
    let span = most.abs_diff(base);
    let panes = span / slices.slice as u64 + 1;
    if panes as usize > COUNTED_PANES_MAX {
        return sorted(stamps, rows, slices);
    }
    let numbers: Vec<u32> = match (u32::try_from(span), u32::try_from(slices.slice)) {
        (Ok(_), Ok(slice)) => {
            let number = |row: &u32| stamps[*row as usize].wrapping_sub(base) as u32 / slice;
            rows.iter().map(number).collect()
        }
        _ => {
            let number = |row: &u32| (stamps[*row as usize].abs_diff(base) / slices.slice as u64) as u32;
            rows.iter().map(number).collect()
        }
    };
    let mut places = vec![0_u32; panes as usize + 1];
    for number in &numbers {
        places[*number as usize + 1] += 1;
    }
    for pane in 0..panes as usize {
        places[pane + 1] += places[pane];
    }
    let stretches = (0..panes as usize).filter_map(|pane| {
        let (start, end) = (places[pane] as usize, places[pane + 1] as usize);
        (end > start).then(|| Stretch {
            pane: base + pane as i64 * slices.slice,
            start,
            len: end - start,
        })
    });
    let stretches = stretches.collect();
    let mut order = vec![0_u32; rows.len()];
    for (row, number) in rows.iter().zip(&numbers) {
        let place = &mut places[*number as usize];
        order[*place as usize] = *row;
        *place += 1;
    }
    (order.into(), stretches)
}

fn sorted(stamps: &[i64], mut rows: Vec<u32>, slices: &Slices) -> (UInt32Array, Vec<Stretch>) {
    rows.sort_by_key(|row| slices.pane(stamps[*row as usize]));
    let mut stretches: Vec<Stretch> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let pane = slices.pane(stamps[*row as usize]);
        match stretches.last_mut() {
            Some(last) if last.pane == pane => last.len += 1,
            _ => stretches.push(Stretch {
                pane,
                start: at,
                len: 1,
            }),
        }
    }
    (rows.into(), stretches)
}

#[cfg(test)]
mod tests {
    use super::{split, Slices};
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    /// (pane, its rows) of a split, in pane order.
    fn panes_of(stamps: &[i64], slices: &Slices, watermark: i64) -> (Vec<(i64, Vec<i64>)>, Vec<i64>) {
        let column: ArrayRef = Arc::new(Int64Array::from(stamps.to_vec()));
        let done = split(&[column], stamps, slices, watermark).expect("fits");
        let values = done.columns[0].as_primitive::<Int64Type>().values().to_vec();
        let mut panes: std::collections::BTreeMap<i64, Vec<i64>> = Default::default();
        for stretch in &done.stretches {
            let rows = &values[stretch.start..stretch.start + stretch.len];
            panes.entry(stretch.pane).or_default().extend(rows);
        }
        (panes.into_iter().collect(), done.late)
    }

    #[test]
    fn each_row_is_in_its_pane_once() {
        let mut at = 7_u64;
        let mut stamps = Vec::new();
        for _ in 0..5_000 {
            at = at
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            stamps.push((at >> 33) as i64 % 90_000 - 45_000);
        }
        for (size, slide, watermark) in [(10_000, 10_000, -9_000), (10_000, 1_000, i64::MIN), (10, 10, 0)] {
            let slices = Slices::new(size, slide, 3, 0);
            let (panes, late) = panes_of(&stamps, &slices, watermark);
            let late_before = slices.late_before(watermark);
            let count: usize = panes.iter().map(|(_, rows)| rows.len()).sum();
            assert_eq!(count + late.len(), stamps.len());
            assert!(panes
                .iter()
                .all(|(pane, rows)| rows.iter().all(|at| slices.pane(*at) == *pane)));
            assert!(late.iter().all(|row| stamps[*row as usize] < late_before));
        }
    }

    #[test]
    fn rows_in_order_are_not_moved() {
        let stamps: Vec<i64> = (0..100).collect();
        let (panes, late) = panes_of(&stamps, &Slices::new(30, 30, 0, 0), i64::MIN);
        assert_eq!(
            panes.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(),
            [30, 30, 30, 10]
        );
        assert!(late.is_empty());
    }

    #[test]
    fn moments_between_windows_are_in_none() {
        let (panes, late) = panes_of(&[0, 3, 4, 9, 12, 25], &Slices::new(4, 10, 0, 0), 4);
        assert_eq!(panes, [(10, vec![12])]);
        assert_eq!(late, [0, 1, 2]);
    }
}
