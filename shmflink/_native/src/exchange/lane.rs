//! One channel of a partition: its open segment, and the rows, messages and control elements that wait for credit.
//!
//! Order on the channel: message in progress (schema, or image in pieces) → open rows → waiting rows → control.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_buffer::Buffer;

use super::ascending::{Ascending, AscendingList};
use super::columns::Column;
use super::error::ExchangeError;
use super::image;
use super::incoming::{Incoming, PlannedSchema};
use super::open_rows::{fits_alone, FlatPlan, OpenRows, Pick};
use super::pieces::Pieces;
use super::wire::{control, data, flags, SCHEMAS_MAX};
use crate::transport::channel::{DataHeader, OpenSegment, OutputChannel};

/// Rows of the incoming batch that wait for credit on one channel.
#[derive(Default)]
pub struct Waiting {
    range: (usize, usize),
    list: AscendingList,
    list_at: usize,
}

impl Waiting {
    pub fn range(start: usize, rows: usize) -> Self {
        Self {
            range: (start, rows),
            ..Self::default()
        }
    }

    pub fn extend(&mut self, rows: Ascending<'_>) {
        self.list.extend(rows);
    }

    pub fn pick(&self) -> Pick<'_> {
        if self.range.1 > 0 {
            Pick::Range(self.range.0, self.range.1)
        } else {
            Pick::List(self.list.from(self.list_at))
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
    open: Option<(OpenRows, Arc<PlannedSchema>)>,
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
            open: None,
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

    fn publish(&mut self, segment: OpenSegment, bytes: usize, rows: usize, kind: u16, flags: u16) {
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
    fn ship_open(&mut self) {
        if let Some((mut open, schema)) = self.open.take() {
            let bytes = open.finish(schema.number());
            self.publish(open.segment, bytes, open.rows, data::IMAGE, 0);
        }
    }

    /// Begins sending the image of rows that takes several segments.
    fn begin_image(&mut self, schema: &PlannedSchema, columns: &[Column], row: usize, rows: usize) {
        debug_assert!(
            self.message.is_none() && self.open.is_none(),
            "one message at a time, behind the open rows"
        );
        let mut bytes = vec![0; image::image_bytes(columns, schema.shape, row, rows)];
        let length = image::write(&mut bytes, schema.number(), columns, schema.shape, row, rows);
        bytes.truncate(length);
        self.message = Some(Message {
            kind: data::IMAGE_PIECE,
            bytes: bytes.into(),
            at: 0,
            rows,
        });
    }

    /// Begins sending the schema message unless the consumer has it.
    fn announce_schema(&mut self, schema: &PlannedSchema) -> bool {
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
    fn send_message(&mut self) -> bool {
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
                    let Some((open, _)) = &mut self.open else { break };
                    let taken = open.append(&incoming.columns, rest);
                    if taken < rest.len() {
                        self.ship_open();
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
        if self.open.as_ref().is_some_and(|(_, open)| open.id != schema.id) {
            self.ship_open();
        }
        if self.open.is_some() {
            return Room::Open;
        }
        if !self.send_message() || (self.announce_schema(schema) && !self.send_message()) {
            return Room::None;
        }
        if !fits_alone(plan, &incoming.columns, row, self.channel.segment_bytes()) {
            self.begin_image(schema, &incoming.columns, row, 1);
            return Room::Large;
        }
        let Some(segment) = self.channel.try_open() else {
            return Room::None;
        };
        let open = OpenRows::new(segment, plan, &incoming.columns, row);
        self.open = Some((open, schema.clone()));
        Room::Open
    }

    /// Ships full images and, with `all`, the rest; false if credit is missing, even for the rows that are held back.
    fn ship_pieces(&mut self, all: bool) -> Result<bool, ExchangeError> {
        loop {
            if !self.send_message() {
                return Ok(false);
            }
            let Some(schema) = self.pieces.waiting_schema() else {
                return Ok(true);
            };
            if self.announce_schema(&schema) {
                continue;
            }
            if !self.pieces.hold(|| self.channel.try_open()) {
                return Ok(false);
            }
            if !all && self.pieces.bytes() < schema.shape.image_bytes(self.channel.segment_bytes()) {
                self.pieces.own()?;
                return Ok(true);
            }
            if !self.ship_piece(&schema, all)? {
                return Ok(true);
            }
        }
    }

    /// Ships one image of the held rows; false if, once joined, they turn out to fill less than one.
    fn ship_piece(&mut self, schema: &PlannedSchema, all: bool) -> Result<bool, ExchangeError> {
        let segment_bytes = self.channel.segment_bytes();
        let limit = schema.shape.image_bytes(segment_bytes);
        let (arrays, rows) = self.pieces.join();
        let columns = Column::of_all(&arrays)?;
        let taken = image::rows_that_fit(&columns, schema.shape, 0, rows, limit);
        let is_rest = taken == rows && self.pieces.rows() == 0;
        if is_rest && !all && image::image_bytes(&columns, schema.shape, 0, rows) < limit {
            self.pieces.put_back(arrays, rows)?;
            self.pieces.own()?;
            return Ok(false);
        }
        let Some(mut segment) = self.pieces.take_held() else {
            return Ok(false);
        };
        if taken == 0 || image::image_bytes(&columns, schema.shape, 0, taken) > segment_bytes {
            self.channel.abandon(segment);
            self.begin_image(schema, &columns, 0, taken.max(1));
        } else {
            let bytes = image::write(&mut segment, schema.number(), &columns, schema.shape, 0, taken);
            self.publish(segment, bytes, taken, data::IMAGE, 0);
        }
        let sent = taken.max(1);
        let rest = arrays.iter().map(|array| array.slice(sent, rows - sent)).collect();
        self.pieces.put_back(rest, rows - sent)?;
        Ok(true)
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
                self.ship_open();
                self.pieces.take_in(incoming, waiting.pick())?;
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
        self.ship_open();
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

    /// Sends control elements while there are free slots; true if at most a watermark is left.
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
        self.open.is_some() || self.message.is_some() || self.pieces.rows() > 0 || !self.controls.is_empty()
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
        if let Some((open, _)) = self.open.take() {
            self.channel.abandon(open.segment);
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
