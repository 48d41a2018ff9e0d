//! Chooses the channel of each row.

use arrow_array::ArrayRef;

use super::ascending::{Ascending, ChannelRows};
use super::error::ExchangeError;
use super::hash::{combine_column, write_column, KeyGroups};

/// Flink's partitioners. `Forward` and `Rescale` receive only their own channels.
#[derive(Clone, Debug)]
pub enum Strategy {
    /// One row per channel in turn; with a single channel, all rows go there.
    Cycle {
        next: usize,
    },
    Shuffle {
        state: u64,
    },
    Hash {
        groups: KeyGroups,
        owners: Vec<u16>,
    },
    Broadcast,
    Global,
    /// Targets are passed with each batch.
    Custom,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next value of a sequence that depends only on `state` (Steele, Lea, Flood: SplitMix64).
#[inline]
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Strategy {
    /// By the job graph's name; `Unfit` for an unknown name.
    pub fn of(name: &str, channels: usize, max_parallelism: u32, seed: u64) -> Result<Self, ExchangeError> {
        match name {
            "FORWARD" | "REBALANCE" | "RESCALE" => Ok(Self::Cycle {
                next: (seed % channels as u64) as usize,
            }),
            "SHUFFLE" => Ok(Self::Shuffle { state: seed }),
            "HASH" => Self::hash(channels, max_parallelism),
            "BROADCAST" => Ok(Self::Broadcast),
            "GLOBAL" => Ok(Self::Global),
            "CUSTOM" => Ok(Self::Custom),
            _ => Err(ExchangeError::Unfit(format!("unknown partitioner {name}"))),
        }
    }

    fn hash(channels: usize, max_parallelism: u32) -> Result<Self, ExchangeError> {
        if !(1..=1 << 15).contains(&max_parallelism) || channels > max_parallelism as usize {
            return Err(ExchangeError::Unfit(format!(
                "max parallelism {max_parallelism} with {channels} channels; it lies between those and 32768"
            )));
        }
        let owner = |group| (group as usize * channels / max_parallelism as usize) as u16;
        Ok(Self::Hash {
            groups: KeyGroups::new(max_parallelism),
            owners: (0..max_parallelism).map(owner).collect(),
        })
    }
}

/// Rows of one block, listed by channel.
pub struct Lists {
    rows: ChannelRows,
    hashes: Vec<u64>,
    scratch: Vec<u64>,
}

/// Rows listed at a time: the columns of a block stay in the first-level cache from hash to copy, and each channel
/// still gets some hundred rows per block.
const BLOCK_ROWS: usize = 4096;
const ROWS_PER_CHANNEL: usize = 64;
const BLOCK_ROWS_MAX: usize = 1 << 16;

impl Lists {
    pub fn new(channels: usize) -> Self {
        let block = (channels * ROWS_PER_CHANNEL).clamp(BLOCK_ROWS, BLOCK_ROWS_MAX);
        Self {
            rows: ChannelRows::new(channels, block),
            hashes: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub fn block_rows(&self) -> usize {
        self.rows.block()
    }

    pub fn of(&self, channel: usize) -> Ascending<'_> {
        self.rows.of(channel)
    }

    /// Lists rows `start` to `start + rows` (at most a block). `keys`: the key columns, and whether they are canonical;
    /// `targets`, for Custom: the channels of the whole batch.
    pub fn fill(
        &mut self,
        strategy: &mut Strategy,
        keys: &[(ArrayRef, bool)],
        targets: &[i32],
        start: usize,
        rows: usize,
    ) -> Result<(), ExchangeError> {
        let channels = self.rows.channels();
        match strategy {
            Strategy::Cycle { next } => {
                let first = *next;
                self.rows.fill(start, (0..rows).map(|row| (first + row) % channels));
                *next = (first + rows) % channels;
            }
            Strategy::Shuffle { state } => {
                let next = |_| ((u128::from(next_random(state)) * channels as u128) >> 64) as usize;
                self.rows.fill(start, (0..rows).map(next));
            }
            Strategy::Hash { groups, owners } => {
                self.hash(keys, start, rows)?;
                let hashes = std::mem::take(&mut self.hashes);
                let owner = |hash: &u64| usize::from(owners[groups.of(*hash) as usize]);
                self.rows.fill(start, hashes.iter().map(owner));
                self.hashes = hashes;
            }
            Strategy::Custom => {
                let targets = &targets[start..start + rows];
                self.rows.fill(start, targets.iter().map(|target| *target as usize));
            }
            Strategy::Broadcast | Strategy::Global => unreachable!("whole batches need no lists"),
        }
        Ok(())
    }

    fn hash(&mut self, keys: &[(ArrayRef, bool)], start: usize, rows: usize) -> Result<(), ExchangeError> {
        self.hashes.resize(rows, 0);
        for (i, (key, canonical)) in keys.iter().enumerate() {
            let key = key.slice(start, rows);
            if i == 0 {
                write_column(&key, *canonical, &mut self.hashes)?;
            } else {
                combine_column(&key, *canonical, &mut self.scratch, &mut self.hashes)?;
            }
        }
        Ok(())
    }
}

/// Refuses targets outside `0..channels`.
pub fn check_targets(targets: &[i32], rows: usize, channels: usize) -> Result<(), ExchangeError> {
    if targets.len() != rows {
        return Err(ExchangeError::Unfit(format!(
            "{} targets for {rows} rows; one for each is needed",
            targets.len()
        )));
    }
    match targets
        .iter()
        .position(|target| *target < 0 || *target as usize >= channels)
    {
        None => Ok(()),
        Some(row) => Err(ExchangeError::Unfit(format!(
            "the partitioner sent row {row} to channel {} of {channels}; return a number from 0 to {}",
            targets[row],
            channels - 1
        ))),
    }
}
