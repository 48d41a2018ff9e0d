//! The sessions of each key, in time order, and when they are due.
//!
//! ```text
//! heads[key] -> latest session -> previous one -> ...        sessions of a key neither overlap nor touch
//! due        time in steps of a granule -> sessions to be checked then
//! ```
//! A session is in `due` at the time at which it was due when it was added. If it has grown since, it moves to its new
//! time when it is checked, so that growing costs nothing. Late rows can put it there again; its own granule says which
//! entry counts. A session's number is the number of its state.

use std::collections::BTreeMap;

pub const NONE: u32 = u32::MAX;

/// The granule of a session that was taken out and not put back.
const NEVER: i64 = i64::MIN;

#[derive(Clone, Copy, Debug)]
pub struct Session {
    pub start: i64,
    /// Exclusive: the last row's time and the gap.
    pub end: i64,
    pub key: u32,
    /// The previous session.
    next: u32,
    /// Where it is in `due`.
    granule: i64,
    pub has_fired: bool,
    pub is_open: bool,
    /// Whether checkpoints have a row with its key and start.
    pub is_saved: bool,
    /// The session into which it was merged.
    merged_into: u32,
}

#[derive(Default)]
pub struct Chains {
    heads: Vec<u32>,
    pub sessions: Vec<Session>,
    due: BTreeMap<i64, Vec<u32>>,
    granule_ms: i64,
    pub open: usize,
    /// Key and start of saved sessions that have since ended or now begin earlier.
    pub gone: Vec<(u32, i64)>,
}

/// The result of adding a time range.
pub enum Joined {
    /// It touches a session, which has grown.
    Session(u32),
    /// It touches no open session; its place is behind this session of the key (NONE: at the head).
    Nothing { behind: u32 },
}

impl Chains {
    pub fn new(gap: i64) -> Self {
        Self {
            granule_ms: (gap / 8).max(1),
            ..Self::default()
        }
    }

    pub fn bytes(&self) -> usize {
        let due = self.sessions.len() * 4;
        self.heads.capacity() * 4 + self.sessions.capacity() * size_of::<Session>() + due
    }

    pub fn set_keys(&mut self, keys: usize) {
        self.heads.resize(keys, NONE);
    }

    /// Grows the session of `key` that `[start, end)` overlaps or touches. Further sessions that it touches are then
    /// merged into it, and added to `merged` as (session, the session into which it was merged).
    #[inline]
    pub fn join(&mut self, key: u32, start: i64, end: i64, merged: &mut Vec<(u32, u32)>) -> Joined {
        let (mut behind, mut at) = (NONE, self.heads[key as usize]);
        while at != NONE && self.sessions[at as usize].start > end {
            (behind, at) = (at, self.sessions[at as usize].next);
        }
        if at == NONE || start > self.sessions[at as usize].end {
            return Joined::Nothing { behind };
        }
        let session = &mut self.sessions[at as usize];
        if start < session.start {
            if std::mem::take(&mut session.is_saved) {
                self.gone.push((key, session.start));
            }
            session.start = start;
        }
        session.end = session.end.max(end);
        let (from, mut next) = (session.start, session.next);
        while next != NONE && self.sessions[next as usize].end >= from {
            let older = self.sessions[next as usize];
            self.sessions[next as usize].is_open = false;
            self.sessions[next as usize].merged_into = at;
            self.open -= 1;
            merged.push((next, at));
            self.begin_as(at, &older);
            self.sessions[at as usize].next = older.next;
            next = older.next;
        }
        Joined::Session(at)
    }

    /// Moves a session's start to that of a session merged into it, if that is earlier.
    fn begin_as(&mut self, number: u32, older: &Session) {
        let session = &mut self.sessions[number as usize];
        let (is_earlier, is_same) = (older.start < session.start, older.start == session.start);
        let vanished = if is_earlier { *session } else { *older };
        if vanished.is_saved && !is_same {
            self.gone.push((vanished.key, vanished.start));
        }
        if is_earlier {
            (session.start, session.is_saved) = (older.start, older.is_saved);
        } else if is_same {
            session.is_saved |= older.is_saved;
        }
    }

    /// A new session at the place that `join` found. `look_at`: when it must be checked.
    pub fn open(&mut self, key: u32, start: i64, end: i64, behind: u32, look_at: i64) -> u32 {
        let number = self.sessions.len() as u32;
        let link = match behind {
            NONE => &mut self.heads[key as usize],
            session => &mut self.sessions[session as usize].next,
        };
        let next = std::mem::replace(link, number);
        self.sessions.push(Session {
            start,
            end,
            key,
            next,
            granule: 0,
            has_fired: false,
            is_open: true,
            is_saved: false,
            merged_into: NONE,
        });
        self.open += 1;
        self.look_at(number, look_at);
        number
    }

    /// Schedules a check of `number` for when the watermark reaches `time`.
    pub fn look_at(&mut self, number: u32, time: i64) {
        let granule = time.div_euclid(self.granule_ms);
        self.sessions[number as usize].granule = granule;
        self.due.entry(granule).or_default().push(number);
    }

    /// The open sessions that may be due at `watermark`, each once; the caller puts back those that are not.
    pub fn take_due(&mut self, watermark: i64) -> Vec<u32> {
        let last = watermark.div_euclid(self.granule_ms);
        let later = match last.checked_add(1) {
            Some(first_kept) => self.due.split_off(&first_kept),
            None => BTreeMap::new(),
        };
        let taken = std::mem::replace(&mut self.due, later);
        let mut found = Vec::new();
        for (granule, numbers) in taken {
            for number in numbers {
                let session = &mut self.sessions[number as usize];
                if session.is_open && session.granule == granule {
                    session.granule = NEVER; // it may be listed twice under one granule
                    found.push(number);
                }
            }
        }
        found
    }

    /// When the first session must be checked.
    pub fn next_due(&self) -> Option<i64> {
        let is_valid = |granule: i64, session: &Session| session.is_open && session.granule == granule;
        self.due.iter().find_map(|(granule, numbers)| {
            let sessions = numbers.iter().map(|number| &self.sessions[*number as usize]);
            sessions
                .filter(|session| is_valid(*granule, session))
                .map(|session| session.end - 1)
                .min()
        })
    }

    /// Removes an open session.
    pub fn close(&mut self, number: u32) {
        let session = self.sessions[number as usize];
        debug_assert!(session.is_open);
        let mut at = self.heads[session.key as usize];
        if at == number {
            self.heads[session.key as usize] = session.next;
        } else {
            while self.sessions[at as usize].next != number {
                at = self.sessions[at as usize].next;
            }
            self.sessions[at as usize].next = session.next;
        }
        self.sessions[number as usize].is_open = false;
        self.open -= 1;
        if session.is_saved {
            self.gone.push((session.key, session.start));
        }
    }

    /// The session that `number` has been merged into.
    pub fn root(&self, mut number: u32) -> u32 {
        while self.sessions[number as usize].merged_into != NONE {
            number = self.sessions[number as usize].merged_into;
        }
        number
    }

    /// Renumbers the open sessions and their keys without gaps; returns the old numbers of sessions and keys, in the
    /// order of the new ones.
    pub fn compact(&mut self) -> (Vec<u32>, Vec<u32>) {
        let old = std::mem::take(&mut self.sessions);
        let heads = std::mem::take(&mut self.heads);
        self.due.clear();
        let (mut numbers, mut keys) = (Vec::with_capacity(self.open), Vec::new());
        for (key, head) in heads.into_iter().enumerate() {
            if head == NONE {
                continue;
            }
            self.heads.push(self.sessions.len() as u32);
            let mut at = head;
            while at != NONE {
                let session = old[at as usize];
                let number = self.sessions.len() as u32;
                self.sessions.push(Session {
                    key: keys.len() as u32,
                    next: if session.next == NONE { NONE } else { number + 1 },
                    ..session
                });
                self.due.entry(session.granule).or_default().push(number);
                numbers.push(at);
                at = session.next;
            }
            keys.push(key as u32);
        }
        (numbers, keys)
    }
}
