//! Which pane contains a time, which windows contain a pane, and when they are late. Milliseconds.

/// Windows `[start, start + size)` with `start = offset + n * slide`.
#[derive(Clone, Copy, Debug)]
pub struct Slices {
    pub size: i64,
    pub slide: i64,
    offset: i64,
    /// Length of a pane. Windows that do not overlap have one pane each, which extends to the next window.
    pub slice: i64,
    lateness: i64,
}

impl Slices {
    pub fn new(size: i64, slide: i64, offset: i64, lateness: i64) -> Self {
        let slice = if size <= slide {
            slide
        } else {
            greatest_divisor(size, slide)
        };
        Self {
            size,
            slide,
            offset,
            slice,
            lateness,
        }
    }

    fn floor(&self, at: i64, step: i64) -> i64 {
        at.saturating_sub(at.wrapping_sub(self.offset).rem_euclid(step))
    }

    /// Start of the pane that contains `at`.
    #[inline]
    pub fn pane(&self, at: i64) -> i64 {
        self.floor(at, self.slice)
    }

    /// The panes of many times, which are mostly close together.
    pub fn panes(&self, stamps: &[i64]) -> Vec<i64> {
        let least = stamps.iter().copied().min().unwrap_or(0);
        let most = stamps.iter().copied().max().unwrap_or(0);
        let base = self.pane(least);
        match (u32::try_from(most.abs_diff(base)), u32::try_from(self.slice)) {
            (Ok(span), Ok(slice)) if span < slice => vec![base; stamps.len()],
            (Ok(span), Ok(slice)) if span < i32::MAX as u32 && slice < i32::MAX as u32 => {
                // Half a millisecond more keeps the result farther from the next pane than rounding errors reach.
                // Conversions and a product are vectorized, divisions are not.
                let (share, slice) = (1.0 / f64::from(slice), slice as i32);
                let number = |at: &i64| ((f64::from((at - base) as i32) + 0.5) * share) as i32;
                stamps.iter().map(|at| base + i64::from(number(at) * slice)).collect()
            }
            _ => stamps.iter().map(|at| self.pane(*at)).collect(),
        }
    }

    /// True if a window is one pane.
    pub fn is_one_pane(&self) -> bool {
        self.size <= self.slide
    }

    /// True if times between two windows are in no window.
    pub fn has_gaps(&self) -> bool {
        self.size < self.slide
    }

    /// Whether a time is in its pane's window, if windows have one pane.
    #[inline]
    pub fn is_in_gap(&self, at: i64) -> bool {
        at.wrapping_sub(self.offset).rem_euclid(self.slide) >= self.size
    }

    /// The first window that ends after `at`.
    pub fn first_window_after(&self, at: i64) -> i64 {
        self.floor(at.saturating_sub(self.size), self.slide)
            .saturating_add(self.slide)
    }

    /// The last window that begins at or before `at`.
    pub fn last_window(&self, at: i64) -> i64 {
        self.floor(at, self.slide)
    }

    /// The greatest timestamp of a window.
    pub fn max_timestamp(&self, window: i64) -> i64 {
        window.saturating_add(self.size - 1)
    }

    /// Whether the window's contents are dropped at this watermark.
    pub fn is_late(&self, window: i64, watermark: i64) -> bool {
        self.max_timestamp(window).saturating_add(self.lateness) <= watermark
    }

    /// Rows before this time are only in late windows; the same holds for panes. The minimum time if nothing is late.
    pub fn late_before(&self, watermark: i64) -> i64 {
        if watermark == i64::MIN {
            return i64::MIN;
        }
        // The first window with max_timestamp + lateness > watermark.
        self.first_window_after(watermark.saturating_sub(self.lateness).saturating_add(1))
    }

    /// Rows in no window are late before this time: when the watermark has passed the rows themselves.
    pub fn gap_late_before(&self, watermark: i64) -> i64 {
        watermark
            .saturating_sub(self.lateness)
            .saturating_add(i64::from(watermark != i64::MIN))
    }
}

fn greatest_divisor(a: i64, b: i64) -> i64 {
    if b == 0 {
        a
    } else {
        greatest_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::Slices;

    fn windows_of(slices: Slices, at: i64) -> Vec<i64> {
        let mut starts = Vec::new();
        let mut start = slices.last_window(at);
        while start > at - slices.size {
            starts.push(start);
            start -= slices.slide;
        }
        starts
    }

    #[test]
    fn panes_lie_in_windows_as_a_whole() {
        for (size, slide, offset) in [(10, 10, 0), (10, 10, 3), (10, 2, 1), (10, 4, -3), (7, 3, 2), (4, 10, 0)] {
            let slices = Slices::new(size, slide, offset, 0);
            for at in -40..40 {
                if slices.has_gaps() && slices.is_in_gap(at) {
                    assert!(windows_of(slices, at).is_empty());
                    continue;
                }
                let pane = slices.pane(at);
                assert!(pane <= at && at < pane + slices.slice);
                let windows = windows_of(slices, at);
                assert_eq!(windows, windows_of(slices, pane));
                assert_eq!(windows.last(), Some(&slices.first_window_after(at)));
            }
        }
    }

    #[test]
    fn a_row_is_late_when_all_its_windows_are() {
        for (size, slide, lateness) in [(10, 10, 0), (10, 2, 0), (10, 4, 7), (7, 3, 2), (4, 10, 5)] {
            let slices = Slices::new(size, slide, 1, lateness);
            for watermark in -30..30 {
                for at in -40..40 {
                    let windows = windows_of(slices, at);
                    let is_late = windows.iter().all(|start| slices.is_late(*start, watermark));
                    if !windows.is_empty() {
                        assert_eq!(
                            is_late,
                            at < slices.late_before(watermark),
                            "{slices:?} {watermark} {at}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn panes_of_many_moments_are_those_of_each() {
        for (size, slide) in [
            (1, 1),
            (3, 3),
            (10_000, 10_000),
            (7_777, 1_111),
            (86_400_000, 86_400_000),
        ] {
            let slices = Slices::new(size, slide, 5 % slide, 0);
            for base in [-1_000_000_007, 0, 1_735_689_600_000] {
                let near = |step: i64| (0..3_000).map(move |n| base + n / 3 * step + n % 3 - 1);
                let stamps: Vec<i64> = near(slices.slice.min(700_000)).chain(near(1)).collect();
                let panes: Vec<i64> = stamps.iter().map(|at| slices.pane(*at)).collect();
                assert_eq!(slices.panes(&stamps), panes);
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let slices = Slices::new(10, 2, 1, i64::MAX);
        slices.late_before(i64::MAX);
        slices.late_before(i64::MIN + 1);
        slices.first_window_after(i64::MIN + 1);
        assert_eq!(slices.max_timestamp(i64::MAX - 1), i64::MAX);
    }
}
