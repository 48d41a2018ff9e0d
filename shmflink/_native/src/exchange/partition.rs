//! The producing end of one edge: places the rows of a batch in the open segments of all channels; resumable anywhere.

use super::columns::Shape;
use super::error::ExchangeError;
use super::incoming::Incoming;
use super::lane::{Lane, Waiting};
use super::open_rows::{FlatPlan, Pick};
use super::targets::{check_targets, Lists, Strategy};
use super::wire::SCHEMAS_MAX;
use crate::transport::channel::OutputChannel;
use crate::transport::error::TransportError;

pub struct Partition {
    lanes: Vec<Lane>,
    strategy: Strategy,
    lists: Option<Lists>,
    /// The batch whose remaining rows wait, and the plan of its schema.
    incoming: Option<Incoming>,
    /// By schema number; None if a schema is nested or wide.
    plans: Vec<Option<FlatPlan>>,
    schemas: usize,
    /// A control element waits on some channel.
    is_emitting: bool,
}

fn plan_of<'a>(plans: &'a [Option<FlatPlan>], incoming: &Incoming) -> Option<&'a FlatPlan> {
    plans[incoming.schema.number() as usize].as_ref()
}

impl Partition {
    pub fn new(channels: Vec<OutputChannel>, strategy: Strategy) -> Self {
        let needs_lists = channels.len() > 1 && !matches!(strategy, Strategy::Broadcast | Strategy::Global);
        Self {
            lists: needs_lists.then(|| Lists::new(channels.len())),
            lanes: channels.into_iter().map(Lane::new).collect(),
            strategy,
            incoming: None,
            plans: (0..SCHEMAS_MAX).map(|_| None).collect(),
            schemas: 0,
            is_emitting: false,
        }
    }

    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    pub fn channels(&self) -> usize {
        self.lanes.len()
    }

    /// Whether batches of this shape travel in images of several segments.
    pub fn is_wide(&self, shape: Shape) -> bool {
        let segment_bytes = self.lanes.first().map(|lane| lane.channel.segment_bytes());
        segment_bytes.is_some_and(|bytes| shape.image_bytes(bytes) > bytes)
    }

    /// Id for the next new schema, which takes the number of the oldest one; its plan is `None` if the schema is
    /// nested or wide.
    pub fn add_plan(&mut self, plan: Option<FlatPlan>) -> Result<usize, ExchangeError> {
        self.check_idle()?;
        let id = self.schemas;
        self.plans[id % SCHEMAS_MAX] = plan;
        self.schemas += 1;
        Ok(id)
    }

    /// Takes a batch; `keys` are its key columns and `targets` its channels, if the strategy needs them. True when all
    /// rows are placed.
    pub fn write(
        &mut self,
        incoming: Incoming,
        keys: &[(arrow_array::ArrayRef, bool)],
        targets: &[i32],
    ) -> Result<bool, ExchangeError> {
        self.check_idle()?;
        if matches!(self.strategy, Strategy::Custom) {
            check_targets(targets, incoming.rows, self.lanes.len())?;
        }
        if u32::try_from(incoming.rows).is_err() {
            return Err(ExchangeError::Unfit(format!(
                "a batch of {} rows; split it",
                incoming.rows
            )));
        }
        if let Some(plan) = &mut self.plans[incoming.schema.number() as usize] {
            plan.observe(&incoming.columns);
        }
        if incoming.rows == 0 || self.lanes.is_empty() {
            return Ok(true);
        }
        match (&self.strategy, self.lists.take()) {
            (Strategy::Broadcast, lists) => {
                self.lists = lists;
                self.lanes
                    .iter_mut()
                    .for_each(|lane| lane.waiting = Waiting::range(0, incoming.rows));
            }
            (_, Some(mut lists)) => {
                let scattered = self.scatter(&mut lists, &incoming, keys, targets);
                self.lists = Some(lists);
                scattered?;
            }
            (_, None) => self.lanes[0].waiting = Waiting::range(0, incoming.rows),
        }
        self.incoming = Some(incoming);
        self.resume()
    }

    /// Lists rows block by block and places them; rows without credit wait on their lane while the other lanes proceed.
    fn scatter(
        &mut self,
        lists: &mut Lists,
        incoming: &Incoming,
        keys: &[(arrow_array::ArrayRef, bool)],
        targets: &[i32],
    ) -> Result<(), ExchangeError> {
        let plan = plan_of(&self.plans, incoming);
        let mut start = 0;
        while start < incoming.rows {
            let rows = lists.block_rows().min(incoming.rows - start);
            lists.fill(&mut self.strategy, keys, targets, start, rows)?;
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let list = lists.of(index);
                let is_free = lane.waiting.is_empty() && lane.pieces.rows() == 0;
                let placed = match plan {
                    Some(plan) if is_free && !list.is_empty() => lane.place(plan, incoming, Pick::List(list)),
                    _ => 0,
                };
                lane.waiting.extend(list.split(placed).1);
            }
            start += rows;
        }
        Ok(())
    }

    fn check_idle(&self) -> Result<(), ExchangeError> {
        if self.incoming.is_none() && !self.is_emitting {
            return Ok(());
        }
        Err(TransportError::Internal("a partition was used before `resume` returned True".into()).into())
    }

    /// Continues on every channel; true when nothing waits any longer.
    pub fn resume(&mut self) -> Result<bool, ExchangeError> {
        let incoming = self
            .incoming
            .as_ref()
            .map(|incoming| (incoming, plan_of(&self.plans, incoming)));
        let mut is_settled = true;
        for lane in &mut self.lanes {
            lane.channel.check()?;
            is_settled &= lane.advance(incoming)?;
            lane.channel.ring_peer();
        }
        if is_settled {
            self.incoming = None;
            self.is_emitting = false;
        }
        Ok(is_settled)
    }

    pub fn flush(&mut self) -> Result<(), ExchangeError> {
        self.lanes.iter_mut().try_for_each(Lane::flush)
    }

    /// Sends a control element to all channels, after the rows written so far.
    pub fn emit(&mut self, kind: u16, a: i64, b: i64, c: i64) -> Result<bool, ExchangeError> {
        self.check_idle()?;
        let mut is_settled = true;
        for lane in &mut self.lanes {
            is_settled &= lane.emit(kind, a, b, c)?;
        }
        self.is_emitting = !is_settled;
        Ok(is_settled)
    }

    /// True while something waits and no channel could make progress.
    pub fn is_blocked(&mut self) -> bool {
        let is_suspended = self.incoming.is_some() || self.is_emitting;
        is_suspended && !self.lanes.iter_mut().any(Lane::could_go_on)
    }

    pub fn has_pending(&self) -> bool {
        self.lanes.iter().any(Lane::has_pending)
    }

    pub fn rows_out(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.rows_out).sum()
    }

    pub fn bytes_out(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.bytes_out).sum()
    }

    pub fn close(&mut self) {
        self.lanes.iter_mut().for_each(Lane::close);
        self.lanes.clear();
        self.incoming = None;
        self.is_emitting = false;
    }
}
