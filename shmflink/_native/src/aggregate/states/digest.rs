//! `approx_quantile(x, fraction)`: a merging t-digest (Dunning 2019) of at most some hundred centroids per group.
//!
//! The error is a fraction of the rank that shrinks toward both ends: about 1 % in the middle, 0.1 % at the 99th
//! percentile. The smallest and the largest value are exact. NaN is ignored.

use std::f64::consts::PI;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;

use super::gather::Quantiles;
use super::numbers::each_float;
use super::Call;
use crate::aggregate::argument::Argument;
use crate::aggregate::lists::{exploded, list_array, list_type};
use crate::aggregate::state::{Groups, Slots, State};
use crate::error::TableError;

const COMPRESSION: f64 = 100.0;
const BUFFERED_MAX: usize = 500;

#[derive(Clone, Copy)]
struct Centroid {
    mean: f64,
    weight: f64,
}

#[derive(Clone, Default)]
struct Digest {
    /// Sorted by mean up to `merged`.
    centroids: Vec<Centroid>,
    merged: usize,
    least: f64,
    greatest: f64,
}

impl Digest {
    fn add(&mut self, mean: f64, weight: f64) {
        if mean.is_nan() {
            return;
        }
        if self.centroids.is_empty() {
            (self.least, self.greatest) = (mean, mean);
        }
        (self.least, self.greatest) = (self.least.min(mean), self.greatest.max(mean));
        self.centroids.push(Centroid { mean, weight });
        if self.centroids.len() >= self.merged + BUFFERED_MAX {
            self.compress();
        }
    }

    /// Merges neighbors whose ranks are within one unit of the scale function k(q) = d / 2 pi * asin(2 q - 1).
    fn compress(&mut self) {
        self.centroids.sort_unstable_by(|a, b| a.mean.total_cmp(&b.mean));
        let total: f64 = self.centroids.iter().map(|centroid| centroid.weight).sum();
        let scale = |rank: f64| COMPRESSION / (2.0 * PI) * (2.0 * rank - 1.0).clamp(-1.0, 1.0).asin();
        let limit_after = |rank: f64| {
            let k = scale(rank) + 1.0;
            if k >= COMPRESSION / 4.0 {
                1.0
            } else {
                ((2.0 * PI * k / COMPRESSION).sin() + 1.0) / 2.0
            }
        };
        let (mut joined, mut before): (Vec<Centroid>, f64) = (Vec::new(), 0.0);
        let mut limit = limit_after(0.0);
        for centroid in &self.centroids {
            match joined.last_mut() {
                Some(last) if (before + last.weight + centroid.weight) / total <= limit => {
                    last.weight += centroid.weight;
                    last.mean += (centroid.mean - last.mean) * centroid.weight / last.weight;
                }
                last => {
                    before += last.map_or(0.0, |last| last.weight);
                    limit = limit_after(before / total);
                    joined.push(*centroid);
                }
            }
        }
        self.merged = joined.len();
        self.centroids = joined;
    }

    /// Interpolates between the middles of neighboring centroids; None without values.
    fn quantile(&self, fraction: f64) -> Option<f64> {
        let (first, last) = (self.centroids.first()?, self.centroids.last()?);
        let total: f64 = self.centroids.iter().map(|centroid| centroid.weight).sum();
        // Ranks count from 0 to total - 1, as for exact quantiles.
        let rank = fraction * (total - 1.0);
        let middle = |before: f64, centroid: &Centroid| before + (centroid.weight - 1.0) / 2.0;
        let between = |from: (f64, f64), to: (f64, f64)| {
            if to.0 > from.0 {
                from.1 + (to.1 - from.1) * ((rank - from.0) / (to.0 - from.0)).clamp(0.0, 1.0)
            } else {
                from.1
            }
        };
        let (mut before, mut left) = (0.0, (0.0, self.least));
        for centroid in &self.centroids {
            let right = (middle(before, centroid), centroid.mean);
            if rank <= right.0 {
                let is_first = std::ptr::eq(centroid, first);
                return Some(if is_first && centroid.weight == 1.0 {
                    right.1
                } else {
                    between(left, right)
                });
            }
            (before, left) = (before + centroid.weight, right);
        }
        Some(if last.weight == 1.0 {
            last.mean
        } else {
            between(left, (total - 1.0, self.greatest))
        })
    }
}

struct ApproximateQuantile {
    quantiles: Quantiles,
    digests: Vec<Digest>,
}

pub fn make(call: &Call<'_>) -> Result<Box<dyn State>, TableError> {
    Ok(Box::new(ApproximateQuantile {
        quantiles: Quantiles::of(call)?,
        digests: Vec::new(),
    }))
}

impl ApproximateQuantile {
    fn make_room(&mut self, slots: &Slots<'_>) {
        self.digests
            .resize_with(slots.groups_now.max(self.digests.len()), Digest::default);
    }

    fn compressed(&self, groups: &Groups<'_>) -> Vec<Digest> {
        let mut digests: Vec<_> = groups
            .ids
            .iter()
            .map(|group| self.digests[*group as usize].clone())
            .collect();
        digests.iter_mut().for_each(Digest::compress);
        digests
    }
}

impl State for ApproximateQuantile {
    fn takes_whole_batches(&self) -> bool {
        true
    }

    fn partial_fields(&self) -> Vec<(&'static str, DataType)> {
        let list = list_type(&DataType::Float64);
        vec![
            ("means", list.clone()),
            ("weights", list),
            ("least", DataType::Float64),
            ("greatest", DataType::Float64),
        ]
    }

    fn result_type(&self) -> DataType {
        self.quantiles.result_type()
    }

    fn update(&mut self, slots: &Slots<'_>, arguments: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.make_room(slots);
        let digests = &mut self.digests;
        each_float(arguments[0], 0, slots.len(), |at, value| {
            digests[slots.groups[at] as usize].add(value, 1.0);
        });
        Ok(())
    }

    fn merge(&mut self, slots: &Slots<'_>, partials: &[&Argument], _start: usize) -> Result<(), TableError> {
        self.make_room(slots);
        let (groups, means) = exploded(partials[0], slots);
        let (_, weights) = exploded(partials[1], slots);
        let weights = weights.as_primitive::<Float64Type>().values();
        let centroids = means.as_primitive::<Float64Type>().values().iter().zip(weights);
        for (group, (mean, weight)) in groups.iter().zip(centroids) {
            self.digests[*group as usize].add(*mean, *weight);
        }
        each_float(partials[2], 0, slots.len(), |at, least| {
            let digest = &mut self.digests[slots.groups[at] as usize];
            digest.least = digest.least.min(least);
        });
        each_float(partials[3], 0, slots.len(), |at, greatest| {
            let digest = &mut self.digests[slots.groups[at] as usize];
            digest.greatest = digest.greatest.max(greatest);
        });
        Ok(())
    }

    fn partials(&self, groups: &Groups<'_>) -> Result<Vec<ArrayRef>, TableError> {
        let digests = self.compressed(groups);
        let mut ends = vec![0];
        ends.extend(digests.iter().scan(0, |end, digest| {
            *end += digest.centroids.len();
            Some(*end)
        }));
        let centroids = || digests.iter().flat_map(|digest| &digest.centroids);
        let means = Float64Array::from_iter_values(centroids().map(|centroid| centroid.mean));
        let weights = Float64Array::from_iter_values(centroids().map(|centroid| centroid.weight));
        let extreme = |of: fn(&Digest) -> f64| {
            let values = digests
                .iter()
                .map(|digest| (!digest.centroids.is_empty()).then(|| of(digest)));
            Arc::new(values.collect::<Float64Array>())
        };
        Ok(vec![
            list_array(Arc::new(means), &ends, None)?,
            list_array(Arc::new(weights), &ends, None)?,
            extreme(|digest| digest.least),
            extreme(|digest| digest.greatest),
        ])
    }

    fn result(&self, groups: &Groups<'_>) -> Result<ArrayRef, TableError> {
        self.quantiles.array(self.compressed(groups), Digest::quantile)
    }

    fn frozen(&self) -> Box<dyn State> {
        Box::new(Self {
            quantiles: self.quantiles.clone(),
            digests: self.digests.clone(),
        })
    }

    fn clear(&mut self) {
        self.digests.clear();
    }

    fn bytes(&self) -> usize {
        let centroids: usize = self.digests.iter().map(|digest| digest.centroids.capacity() * 16).sum();
        centroids + self.digests.capacity() * std::mem::size_of::<Digest>()
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn quantiles_are_close_in_rank_also_after_merges() {
        let mut whole = Digest::default();
        let mut parts = vec![Digest::default(); 7];
        let count = 50_000;
        for value in 0..count {
            let shuffled = (value * 7919) % count;
            whole.add(f64::from(shuffled), 1.0);
            parts[shuffled as usize % 7].add(f64::from(shuffled), 1.0);
        }
        let mut merged = Digest::default();
        for part in &mut parts {
            part.compress();
            part.centroids
                .iter()
                .for_each(|centroid| merged.add(centroid.mean, centroid.weight));
            (merged.least, merged.greatest) = (merged.least.min(part.least), merged.greatest.max(part.greatest));
        }
        for digest in [&mut whole, &mut merged] {
            digest.compress();
            assert!(digest.centroids.len() < 200, "{}", digest.centroids.len());
            for (fraction, error) in [(0.5, 0.01), (0.25, 0.01), (0.99, 0.002), (0.001, 0.0005)] {
                let off = digest.quantile(fraction).expect("values") / f64::from(count) - fraction;
                assert!(off.abs() < error, "{fraction}: {off}");
            }
            assert_eq!(digest.quantile(0.0), Some(0.0));
            assert_eq!(digest.quantile(1.0), Some(f64::from(count - 1)));
        }
    }

    #[test]
    fn few_values_are_exact() {
        let mut digest = Digest::default();
        assert_eq!(digest.quantile(0.5), None);
        [3.0, 1.0, f64::NAN, 2.0]
            .into_iter()
            .for_each(|value| digest.add(value, 1.0));
        digest.compress();
        assert_eq!(digest.quantile(0.5), Some(2.0));
        assert_eq!(digest.quantile(1.0), Some(3.0));
    }
}
