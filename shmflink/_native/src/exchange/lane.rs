//! One channel of a partition: its open segment, and the rows, messages and control elements that wait for credit.
//!
//! Order on the channel: message in progress (schema, or image in pieces) → open rows → waiting rows → control.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::Buffer;

use super::columns::{Column, Shape};
use super::error::ExchangeError;
use super::image;
use super::pane::{fits_alone, FlatPlan, Pane, Pick};
use super::pieces::Pieces;
use super::wire::{control, data, flags, SCHEMAS_MAX};
use crate::transport::channel::{DataHeader, OpenSegment, OutputChannel};

/// A schema as the partition stores it.
pub struct PlannedSchema {
    /// Index among the schemas that this partition has met; `id % SCHEMAS_MAX` is its number on the wire.
    pub id: usize,
    pub shape: Shape,
    /// The schema message that is sent: u32 number, then an Arrow IPC schema message.
    pub message: Buffer,
}

impl PlannedSchema {
    pub fn number(&self) -> u32 {
        (self.id % SCHEMAS_MAX) as u32
    }
}

/// A batch being written, held until all its rows are placed.
pub struct Incoming {
    pub schema: Arc<PlannedSchema>,
    pub arrays: Vec<ArrayRef>,
    pub columns: Vec<Column>,
    pub rows: usize,
}

/// Rows of the incoming batch that wait for credit on one channel.
#[derive(Default)]
pub struct Waiting {
    range: (usize, usize),
    list: Vec<u32>,
    list_at: usize,
}

impl Waiting {
    pub fn range(start: usize, rows: usize) -> Self {
        Self {
            range: (start, rows),
            ..Self::default()
        }
    }

    pub fn extend(&mut self, rows: &[u32]) {
        self.list.extend_from_slice(rows);
    }

    pub fn pick(&self) -> Pick<'_> {
        if self.range.1 > 0 {
            Pick::Range(self.range.0, self.range.1)
        } else {
            Pick::List(&self.list[self.list_at..])
        }
    }

    pub fn len(&self) -> usize {
        self.range.1 + self.list.len() - self.list_at
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn advance(&mut self, rows: usize) {
        if self.range.1 > 0 {
            self.range = (self.range.0 + rows, self.range.1 - rows);
            return;
        }
        self.list_at += rows;
        if self.list_at == self.list.len() {
            self.list.clear();
            self.list_at = 0;
        }
    }
}

/// A message that takes one or more segments.
struct Message {
    kind: u16,
    bytes: Buffer,
    at: usize,
    rows: usize,
}

#[derive(Clone, Copy)]
struct Control {
    kind: u16,
    a: i64,
    b: i64,
    c: i64,
}

pub struct Lane {
    pub channel: OutputChannel,
    pane: Option<(Pane, Arc<PlannedSchema>)>,
    pub pieces: Pieces,
    message: Option<Message>,
    pub waiting: Waiting,
    controls: VecDeque<Control>,
    /// Ids of the schemas sent, by number.
    schemas_sent: Vec<usize>,
    backlog: u32,
    pub rows_out: u64,
    pub bytes_out: u64,
}

impl Lane {
    pub fn new(channel: OutputChannel) -> Self {
        Self {
            channel,
            pane: None,
            pieces: Pieces::default(),
            message: None,
            waiting: Waiting::default(),
            controls: VecDeque::new(),
            schemas_sent: vec![usize::MAX; SCHEMAS_MAX],
            backlog: 0,
            rows_out: 0,
            bytes_out: 0,
        }
    }

    pub fn publish(&mut self, segment: OpenSegment, bytes: usize, rows: usize, kind: u16, flags: u16) {
        let header = DataHeader {
            bytes: bytes as u32,
            rows: rows as u32,
            kind,
            flags,
        };
        self.channel.publish(segment, header);
        self.rows_out += rows as u64;
        self.bytes_out += bytes as u64;
    }

    /// Ships the open rows, whose segment already holds its credit.
    fn ship_pane(&mut self) {
        if let Some((mut pane, schema)) = self.pane.take() {
            let bytes = pane.finish(schema.number());
            self.publish(pane.segment, bytes, pane.rows, data::IMAGE, 0);
        }
    }

    /// Begins sending the image of one row that takes several segments.
    pub fn begin_image(&mut self, schema: &PlannedSchema, columns: &[Column], row: usize) {
        debug_assert!(
            self.message.is_none() && self.pane.is_none(),
            "one message at a time, behind the open rows"
        );
        let mut bytes = vec![0; image::image_bytes(columns, schema.shape, row, 1)];
        let length = image::write(&mut bytes, schema.number(), columns, schema.shape, row, 1);
        bytes.truncate(length);
        self.message = Some(Message {
            kind: data::IMAGE_PIECE,
            bytes: bytes.into(),
            at: 0,
            rows: 1,
        });
    }

    /// Begins sending the schema message unless the consumer has it.
    pub fn announce_schema(&mut self, schema: &PlannedSchema) -> bool {
        let sent = &mut self.schemas_sent[schema.number() as usize];
        if *sent == schema.id {
            return false;
        }
        *sent = schema.id;
        self.message = Some(Message {
            kind: data::SCHEMA_PIECE,
            bytes: schema.message.clone(),
            at: 0,
            rows: 0,
        });
        true
    }

    /// Continues the message in progress; false without credit.
    pub fn send_message(&mut self) -> bool {
        while let Some(mut message) = self.message.take() {
            let Some(mut segment) = self.channel.try_open() else {
                self.message = Some(message);
                return false;
            };
            let left = message.bytes.len() - message.at;
            let bytes = left.min(segment.len());
            segment[..bytes].copy_from_slice(&message.bytes[message.at..message.at + bytes]);
            let first = if message.at == 0 { flags::FIRST } else { 0 };
            let last = if bytes == left { flags::LAST } else { 0 };
            let rows = if last != 0 { message.rows } else { 0 };
            self.publish(segment, bytes, rows, message.kind, first | last);
            message.at += bytes;
            if last == 0 {
                self.message = Some(message);
            }
        }
        true
    }

    /// Places rows of a flat batch; returns how many found room before the credit ran out.
    pub fn place(&mut self, plan: &FlatPlan, incoming: &Incoming, pick: Pick<'_>) -> usize {
        let mut rest = pick;
        while !rest.is_empty() {
            let taken = match self.make_room(plan, incoming, rest.first()) {
                Room::None => break,
                Room::Large => 1, // turned into a message, which the next round sends before anything else
                Room::Open => {
                    let Some((pane, _)) = &mut self.pane else { break };
                    let taken = pane.append(&incoming.columns, rest);
                    if taken < rest.len() {
                        self.ship_pane();
                    }
                    taken
                }
            };
            rest = rest.split(taken).1;
        }
        self.channel.ring_peer(); // keeps consumers busy while a long batch is scattered
        pick.len() - rest.len()
    }

    fn make_room(&mut self, plan: &FlatPlan, incoming: &Incoming, row: usize) -> Room {
        let schema = &incoming.schema;
        if self.pane.as_ref().is_some_and(|(_, open)| open.id != schema.id) {
            self.ship_pane();
        }
        if self.pane.is_some() {
            return Room::Open;
        }
        if !self.send_message() || (self.announce_schema(schema) && !self.send_message()) {
            return Room::None;
        }
        if !fits_alone(plan, &incoming.columns, row, self.channel.segment_bytes()) {
            self.begin_image(schema, &incoming.columns, row);
            return Room::Large;
        }
        let Some(segment) = self.channel.try_open() else {
            return Room::None;
        };
        let pane = Pane::new(segment, plan, &incoming.columns, row);
        self.pane = Some((pane, schema.clone()));
        Room::Open
    }

    /// Proceeds as far as credit allows; true when nothing waits except, perhaps, a watermark.
    pub fn advance(&mut self, incoming: Option<(&Incoming, Option<&FlatPlan>)>) -> Result<bool, ExchangeError> {
        if let Some((incoming, plan)) = incoming.filter(|_| !self.waiting.is_empty()) {
            self.advance_rows(incoming, plan)?;
        }
        let is_shipped = self.ship_pieces(false)?; // sends the message in progress first
        let is_settled = is_shipped && self.waiting.is_empty() && self.send_controls();
        if !is_settled {
            self.announce_backlog(incoming.and_then(|(_, plan)| plan));
        }
        Ok(is_settled)
    }

    fn advance_rows(&mut self, incoming: &Incoming, plan: Option<&FlatPlan>) -> Result<(), ExchangeError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let taken = match plan {
            Some(plan) if self.ship_pieces(true)? => self.place(plan, incoming, waiting.pick()),
            None if self.pieces.is_of(&incoming.schema) || self.ship_pieces(true)? => {
                self.ship_pane();
                self.take_in(incoming, waiting.pick())?;
                waiting.len()
            }
            _ => 0,
        };
        waiting.advance(taken);
        self.waiting = waiting;
        Ok(())
    }

    /// Announces the waiting bytes, in segments, so that the consumer can lend credits.
    fn announce_backlog(&mut self, plan: Option<&FlatPlan>) {
        let message = self
            .message
            .as_ref()
            .map_or(0, |message| message.bytes.len() - message.at);
        let rows = self.waiting.len() as f64 * plan.map_or(0.0, FlatPlan::row_bytes);
        let segments = (message + self.pieces.bytes() + rows as usize) / self.channel.segment_bytes();
        let backlog = u32::try_from(segments + 1).unwrap_or(u32::MAX);
        if backlog != self.backlog {
            self.backlog = backlog;
            self.channel.announce_backlog(backlog);
        }
    }

    /// Ships what is open; returns floating credits when nothing waits.
    pub fn flush(&mut self) -> Result<(), ExchangeError> {
        self.ship_pane();
        let is_shipped = self.ship_pieces(true)?;
        if is_shipped && self.waiting.is_empty() {
            self.send_controls();
            if std::mem::take(&mut self.backlog) > 0 {
                self.channel.announce_backlog(0);
            }
        }
        self.channel.ring_peer();
        Ok(())
    }

    /// Queues a control element behind all rows; a watermark replaces a waiting watermark.
    pub fn emit(&mut self, kind: u16, a: i64, b: i64, c: i64) -> Result<bool, ExchangeError> {
        self.flush()?;
        let element = Control { kind, a, b, c };
        match self.controls.back_mut() {
            Some(last) if kind == control::WATERMARK && last.kind == kind => *last = element,
            _ => self.controls.push_back(element),
        }
        let is_settled = self.advance(None)?;
        self.channel.ring_peer();
        Ok(is_settled)
    }

    /// Sends control elements as long as there are slots; true when at most a watermark is left.
    fn send_controls(&mut self) -> bool {
        while let Some(Control { kind, a, b, c }) = self.controls.front().copied() {
            if !self.channel.try_control(kind, a, b, c) {
                break;
            }
            self.controls.pop_front();
        }
        self.controls.iter().all(|element| element.kind == control::WATERMARK)
    }

    /// True when `flush` would ship something.
    pub fn has_pending(&self) -> bool {
        self.pane.is_some() || self.pieces.rows() > 0 || !self.controls.is_empty()
    }

    /// True when the lane waits and `advance` could now make progress.
    pub fn could_go_on(&mut self) -> bool {
        if self.message.is_some() || !self.waiting.is_empty() || self.pieces.waits() {
            return self.channel.can_open();
        }
        let before = self.controls.len();
        self.send_controls();
        self.controls.len() < before
    }

    /// Abandons what is open.
    pub fn close(&mut self) {
        if let Some((pane, _)) = self.pane.take() {
            self.channel.abandon(pane.segment);
        }
        self.pieces = Pieces::default();
        self.message = None;
        self.waiting = Waiting::default();
        self.controls.clear();
    }
}

enum Room {
    Open,
    /// No credit, or a message must go first.
    None,
    /// The row takes several segments.
    Large,
}
