//! Ring memory: the control memory of one TaskManager attempt. It holds the doorbells of its slots and the rings of its input
//! channels.
//!
//! ```text
//!   0 Header (memory.rs): a = doorbells | rings << 32, b = data capacity | control capacity << 32, c = start position
//!  64 doorbells x 64 bytes   (doorbell.rs)
//!     rings x stride bytes   (ring.rs)
//! ```
//! The consumer's TaskManager creates it; the producers' TaskManagers map it read-write.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use super::doorbell::{DoorbellSlot, Wake, DOORBELL_BYTES};
use super::error::TransportError;
use super::memory::{Access, Header, Mapping, HEADER_BYTES, KIND_RING_MEMORY};
use super::ring_words::{Entry, RingControl, RingShape};
#[cfg(not(loom))]
use super::ring_words::{CONTROL_BYTES, ENTRY_BYTES};
use super::sync::AtomicU32;

/// Limits that keep every size far below overflow; real clusters use a fraction.
const DOORBELLS_MAX: u32 = 4096;
const RINGS_MAX: u32 = 1 << 20;
const CAPACITY_MAX: u32 = 1 << 16;

/// The content of a ring memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingMemoryShape {
    pub doorbells: u32,
    pub rings: u32,
    pub ring: RingShape,
}

impl RingMemoryShape {
    fn check(&self) -> Result<(), String> {
        let RingShape {
            data_capacity,
            control_capacity,
            ..
        } = self.ring;
        let limits = [
            ("doorbells", self.doorbells, 1, DOORBELLS_MAX),
            ("rings", self.rings, 0, RINGS_MAX),
            ("data_capacity", data_capacity, 1, CAPACITY_MAX),
            ("control_capacity", control_capacity, 1, CAPACITY_MAX),
        ];
        for (name, value, least, most) in limits {
            if value < least || value > most {
                return Err(format!("a ring memory has {least} to {most} {name}, not {value}"));
            }
        }
        Ok(())
    }

    fn rings_offset(&self) -> usize {
        HEADER_BYTES + self.doorbells as usize * DOORBELL_BYTES
    }

    fn bytes(&self) -> usize {
        self.rings_offset() + self.rings as usize * self.ring.stride()
    }

    fn to_fields(self) -> [u64; 4] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let RingShape {
            data_capacity,
            control_capacity,
            start,
        } = self.ring;
        [
            pair(self.doorbells, self.rings),
            pair(data_capacity, control_capacity),
            start,
            0,
        ]
    }

    fn from_fields(fields: [u64; 4]) -> Self {
        let split = |pair: u64| (pair as u32, (pair >> 32) as u32);
        let (doorbells, rings) = split(fields[0]);
        let (data_capacity, control_capacity) = split(fields[1]);
        Self {
            doorbells,
            rings,
            ring: RingShape {
                data_capacity,
                control_capacity,
                start: fields[2],
            },
        }
    }
}

pub struct RingMemory {
    mapping: Mapping,
    shape: RingMemoryShape,
    epoch: u64,
    #[cfg(loom)]
    model: Model,
}

/// The same words on the heap: loom's atomics do not fit into mapped memory. All other code is the shipped code.
#[cfg(loom)]
struct Model {
    bells: Vec<DoorbellSlot>,
    rings: Vec<(RingControl, Vec<Entry>, Vec<AtomicU32>)>,
}

#[cfg(loom)]
impl Model {
    fn new(shape: RingMemoryShape) -> Self {
        fn many<T: Default>(count: usize) -> Vec<T> {
            (0..count).map(|_| T::default()).collect()
        }
        let ring = || {
            (
                RingControl::default(),
                many(shape.ring.entry_count()),
                many(shape.ring.return_count()),
            )
        };
        Self {
            bells: many(shape.doorbells as usize),
            rings: (0..shape.rings).map(|_| ring()).collect(),
        }
    }
}

impl RingMemory {
    /// A new ring memory in a sealed memfd. Resource if there is too little memory, Internal for an impossible shape.
    pub fn create(epoch: u64, shape: RingMemoryShape) -> Result<Self, TransportError> {
        shape.check().map_err(TransportError::Internal)?;
        Self::initialise(
            Mapping::create("shmflink control memory", shape.bytes(), Access::PeersWrite)?,
            epoch,
            shape,
        )
    }

    /// The same in anonymous memory: both ends are in this process.
    pub fn anonymous(epoch: u64, shape: RingMemoryShape) -> Result<Self, TransportError> {
        shape.check().map_err(TransportError::Internal)?;
        Self::initialise(Mapping::anonymous(shape.bytes())?, epoch, shape)
    }

    /// Maps a peer's ring memory. Corrupt if the descriptor is not the sealed ring memory of that epoch.
    pub fn open(fd: OwnedFd, epoch: u64) -> Result<Self, TransportError> {
        let mapping = Mapping::open(fd, "shmflink control memory", Access::PeersWrite)?;
        let header = Header::read(&mapping, KIND_RING_MEMORY, epoch, "control memory")?;
        let shape = RingMemoryShape::from_fields(header.fields);
        shape.check().map_err(TransportError::Corrupt)?;
        if shape.bytes() != mapping.bytes() {
            return Err(TransportError::Corrupt(format!(
                "control memory of {} bytes where its shape needs {}",
                mapping.bytes(),
                shape.bytes()
            )));
        }
        Ok(Self::over(mapping, epoch, shape))
    }

    fn over(mapping: Mapping, epoch: u64, shape: RingMemoryShape) -> Self {
        Self {
            mapping,
            shape,
            epoch,
            #[cfg(loom)]
            model: Model::new(shape),
        }
    }

    fn initialise(mapping: Mapping, epoch: u64, shape: RingMemoryShape) -> Result<Self, TransportError> {
        let ring_memory = Self::over(mapping, epoch, shape);
        for ring in 0..shape.rings {
            ring_memory.ring_control(ring).initialise(shape.ring.start);
        }
        Header::new(KIND_RING_MEMORY, epoch, ring_memory.bytes(), shape.to_fields()).write(&ring_memory.mapping);
        Ok(ring_memory)
    }

    pub fn shape(&self) -> RingMemoryShape {
        self.shape
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn bytes(&self) -> usize {
        self.mapping.bytes()
    }

    /// The descriptor to pass to peers; None for opened and anonymous ring memories.
    pub fn fd(&self) -> Option<RawFd> {
        self.mapping.fd()
    }

    /// The doorbell of a slot. Internal if there is no such slot.
    pub fn doorbell(self: &Arc<Self>, slot: u32) -> Result<Doorbell, TransportError> {
        if slot >= self.shape.doorbells {
            return Err(TransportError::Internal(format!(
                "doorbell {slot} of {}",
                self.shape.doorbells
            )));
        }
        Ok(Doorbell {
            ring_memory: self.clone(),
            slot,
        })
    }

    /// The words of a ring. Internal if there is no such ring.
    pub fn ring(self: &Arc<Self>, index: u32) -> Result<MappedRing, TransportError> {
        if index >= self.shape.rings {
            return Err(TransportError::Internal(format!(
                "ring {index} of {}",
                self.shape.rings
            )));
        }
        Ok(MappedRing {
            ring_memory: self.clone(),
            index,
        })
    }

    fn doorbell_slot(&self, slot: u32) -> &DoorbellSlot {
        assert!(slot < self.shape.doorbells);
        #[cfg(loom)]
        return &self.model.bells[slot as usize];
        // SAFETY: `shape.bytes()` equals the mapping's size, so the slot is inside it. The mapping is page-aligned and
        // the offset is a multiple of 64. The type consists of atomics, so concurrent writes by peers are not data
        // races. Zeroed memory is a valid value. The borrow ends before the mapping does.
        #[cfg(not(loom))]
        unsafe {
            &*self
                .mapping
                .base()
                .add(HEADER_BYTES + slot as usize * DOORBELL_BYTES)
                .cast()
        }
    }

    /// First byte of a ring plus `offset`. Requires `offset <= stride`; caller guarantees it.
    #[cfg(not(loom))]
    fn ring_base(&self, index: u32, offset: usize) -> *mut u8 {
        assert!(index < self.shape.rings && offset < self.shape.ring.stride());
        let start = self.shape.rings_offset() + index as usize * self.shape.ring.stride();
        // SAFETY: inside the mapping, because its size equals `shape.bytes()`.
        unsafe { self.mapping.base().add(start + offset) }
    }

    fn ring_control(&self, index: u32) -> &RingControl {
        #[cfg(loom)]
        return &self.model.rings[index as usize].0;
        // SAFETY: as in `doorbell_slot`; the stride is a multiple of 64, so the control words are aligned.
        #[cfg(not(loom))]
        unsafe {
            &*self.ring_base(index, 0).cast()
        }
    }

    fn ring_entries(&self, index: u32) -> &[Entry] {
        #[cfg(loom)]
        return &self.model.rings[index as usize].1;
        // SAFETY: as in `doorbell_slot`; `stride` includes these entries after the control words.
        #[cfg(not(loom))]
        unsafe {
            std::slice::from_raw_parts(
                self.ring_base(index, CONTROL_BYTES).cast(),
                self.shape.ring.entry_count(),
            )
        }
    }

    fn ring_returns(&self, index: u32) -> &[AtomicU32] {
        #[cfg(loom)]
        return &self.model.rings[index as usize].2;
        // SAFETY: as in `doorbell_slot`; `stride` includes these words after the entries.
        #[cfg(not(loom))]
        unsafe {
            let offset = CONTROL_BYTES + self.shape.ring.entry_count() * ENTRY_BYTES;
            std::slice::from_raw_parts(self.ring_base(index, offset).cast(), self.shape.ring.return_count())
        }
    }
}

/// One ring; keeps its ring memory mapped.
#[derive(Clone)]
pub struct MappedRing {
    ring_memory: Arc<RingMemory>,
    index: u32,
}

impl MappedRing {
    pub fn shape(&self) -> RingShape {
        self.ring_memory.shape.ring
    }

    pub fn control(&self) -> &RingControl {
        self.ring_memory.ring_control(self.index)
    }

    pub fn entries(&self) -> &[Entry] {
        self.ring_memory.ring_entries(self.index)
    }

    pub fn returns(&self) -> &[AtomicU32] {
        self.ring_memory.ring_returns(self.index)
    }
}

/// One doorbell; keeps its ring memory mapped.
#[derive(Clone)]
pub struct Doorbell {
    ring_memory: Arc<RingMemory>,
    slot: u32,
}

impl Doorbell {
    fn shared(&self) -> &DoorbellSlot {
        self.ring_memory.doorbell_slot(self.slot)
    }

    /// See `DoorbellSlot::prepare`.
    pub fn prepare(&self) -> u32 {
        self.shared().prepare()
    }

    /// See `DoorbellSlot::ring`.
    pub fn ring(&self) {
        self.shared().ring();
    }

    /// See `DoorbellSlot::wait`.
    pub fn wait(&self, token: u32, deadline_ns: Option<u64>, spin_ns: u64) -> Wake {
        self.shared().wait(token, deadline_ns, spin_ns)
    }
}
