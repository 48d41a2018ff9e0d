//! The consuming end of one input: polls all channels in turn, yields batches as images over their segments.

use std::ops::Deref;
use std::sync::Arc;

use arrow_buffer::{Buffer, MutableBuffer};

use super::error::corrupt;
use super::import::{Header, Keep};
use super::wire::{data, flags, SCHEMAS_MAX};
use crate::transport::channel::{InputChannel, Received, SegmentRef};
use crate::transport::error::TransportError;

/// The bytes of an image and their owner: a segment, or a copy.
pub enum Image {
    Segment(Arc<SegmentRef>),
    Copy(Buffer),
}

impl Image {
    pub fn keep(&self) -> Keep {
        match self {
            Self::Segment(segment) => segment.clone(),
            Self::Copy(buffer) => Arc::new(buffer.clone()),
        }
    }
}

impl Deref for Image {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Segment(segment) => segment,
            Self::Copy(buffer) => buffer,
        }
    }
}

/// What a gate returns; the caller decodes and keeps schemas.
pub enum Element {
    /// The message that follows the number of the schema.
    Schema {
        number: usize,
        message: Vec<u8>,
    },
    Image {
        schema: usize,
        image: Image,
    },
    Control {
        kind: u16,
        a: i64,
        b: i64,
        c: i64,
    },
}

struct Partial {
    kind: u16,
    bytes: MutableBuffer,
}

struct Inlet {
    channel: InputChannel,
    is_blocked: bool,
    partial: Option<Partial>,
}

pub struct Gate {
    inlets: Vec<Inlet>,
    next: usize,
    pub bytes_in: u64,
    pub rows_in: u64,
    pub retained_copies: u64,
}

/// Reserved for a message that announces its length; it grows as pieces arrive, so a wrong length costs nothing.
const RESERVED_BYTES_MAX: usize = 64 << 20;

impl Gate {
    pub fn new(channels: Vec<InputChannel>) -> Self {
        let inlet = |channel| Inlet {
            channel,
            is_blocked: false,
            partial: None,
        };
        Self {
            inlets: channels.into_iter().map(inlet).collect(),
            next: 0,
            bytes_in: 0,
            rows_in: 0,
            retained_copies: 0,
        }
    }

    pub fn channels(&self) -> usize {
        self.inlets.len()
    }

    /// The next element and its channel. Each call starts after the channel of the last element.
    pub fn poll(&mut self) -> Result<Option<(usize, Element)>, TransportError> {
        let count = self.inlets.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            if self.inlets[index].is_blocked {
                continue;
            }
            self.inlets[index].channel.grant();
            if let Some(element) = self.receive(index)? {
                // A schema does not count as a turn: its batch follows.
                self.next = if matches!(element, Element::Schema { .. }) {
                    index
                } else {
                    index + 1
                } % count;
                return Ok(Some((index, element)));
            }
        }
        Ok(None)
    }

    fn receive(&mut self, index: usize) -> Result<Option<Element>, TransportError> {
        loop {
            let (header, segment) = match self.inlets[index].channel.try_next()? {
                None => return Ok(None),
                Some(Received::Control { kind, a, b, c }) => return Ok(Some(Element::Control { kind, a, b, c })),
                Some(Received::Data { header, segment }) => (header, segment),
            };
            self.bytes_in += u64::from(header.bytes);
            self.rows_in += u64::from(header.rows);
            match header.kind {
                data::IMAGE => return self.whole(index, segment).map(Some),
                data::IMAGE_PIECE | data::SCHEMA_PIECE => {
                    let partial = &mut self.inlets[index].partial;
                    if let Some(bytes) = collect(partial, header.kind, header.flags, &segment)? {
                        drop(segment);
                        return message(header.kind, bytes).map(Some);
                    }
                }
                other => return Err(corrupt(format!("a data segment of kind {other}"))),
            }
        }
    }

    fn whole(&mut self, index: usize, segment: SegmentRef) -> Result<Element, TransportError> {
        let inlet = &self.inlets[index];
        if inlet.partial.is_some() {
            return Err(corrupt("a batch between the pieces of a message".into()));
        }
        let schema = schema_number(Header::read(&segment)?.schema)?;
        // References that a user retains must not use up the last credit: then nothing would ever arrive again.
        let image = if inlet.channel.outstanding() >= inlet.channel.credit_limit() {
            self.retained_copies += 1;
            Image::Copy(Buffer::from(&*segment))
        } else {
            Image::Segment(Arc::new(segment))
        };
        Ok(Element::Image { schema, image })
    }

    pub fn set_blocked(&mut self, channel: usize, is_blocked: bool) {
        self.inlets[channel].is_blocked = is_blocked;
    }

    /// True when `poll` would return an element. Also grants credit: a slot that goes to sleep because nothing is here
    /// must have answered the backlog first.
    pub fn is_available(&mut self) -> bool {
        self.inlets.iter_mut().any(|inlet| {
            inlet.channel.grant();
            !inlet.is_blocked && inlet.channel.has_next()
        })
    }

    pub fn close(&mut self) {
        self.inlets.clear();
        self.next = 0;
    }
}

/// Adds a piece to the message in progress; returns the message's bytes with the last piece.
fn collect(
    partial: &mut Option<Partial>,
    kind: u16,
    piece_flags: u16,
    piece: &[u8],
) -> Result<Option<MutableBuffer>, TransportError> {
    let is_first = piece_flags & flags::FIRST != 0;
    if is_first != partial.is_none() || partial.as_ref().is_some_and(|partial| partial.kind != kind) {
        return Err(corrupt(format!(
            "a piece of kind {kind} with flags {piece_flags} out of order"
        )));
    }
    let into = match partial {
        Some(partial) => partial,
        None => {
            let bytes = if kind == data::IMAGE_PIECE {
                Header::read(piece)?.bytes
            } else {
                piece.len()
            };
            let bytes = MutableBuffer::with_capacity(bytes.min(RESERVED_BYTES_MAX));
            partial.insert(Partial { kind, bytes })
        }
    };
    into.bytes.extend_from_slice(piece);
    let is_last = piece_flags & flags::LAST != 0;
    Ok(if is_last {
        partial.take().map(|partial| partial.bytes)
    } else {
        None
    })
}

fn message(kind: u16, bytes: MutableBuffer) -> Result<Element, TransportError> {
    if kind == data::IMAGE_PIECE {
        let schema = schema_number(Header::read(&bytes)?.schema)?;
        return Ok(Element::Image {
            schema,
            image: Image::Copy(bytes.into()),
        });
    }
    let Some((number, message)) = bytes.split_first_chunk::<4>() else {
        return Err(corrupt(format!("a schema message of {} bytes", bytes.len())));
    };
    let number = schema_number(u32::from_le_bytes(*number))?;
    Ok(Element::Schema {
        number,
        message: message.to_vec(),
    })
}

fn schema_number(number: u32) -> Result<usize, TransportError> {
    let number = number as usize;
    if number >= SCHEMAS_MAX {
        return Err(corrupt(format!("schema number {number} of {SCHEMAS_MAX}")));
    }
    Ok(number)
}
