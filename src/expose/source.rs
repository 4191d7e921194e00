//! What is known of a segment as a whole: which processes have it open, and whether its name leads
//! to it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use crate::os::clock::{after_1970, wall_ms};
use crate::process::{Slots, Token};
use crate::shm::layout::header;
use crate::shm::mapping::Backing;
use crate::shm::memory::Mapped;

/// A segment to render.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) memory: Mapped,
    pub(super) backing: &'a dyn Backing,
    /// The asking process' slot.
    pub(super) own_slot: Option<Token>,
    pub(super) path: Option<&'a Path>,
    /// In a reader that may not write, the looks that the header keeps for writers.
    pub(super) looks: Option<&'a Looks>,
}

/// The values that a page has shown.
#[derive(Default)]
pub(super) struct Look {
    digest: u64,
    /// Some were left out.
    pub(super) is_partial: bool,
}

impl Look {
    pub(super) fn add(&mut self, digest: u64) {
        self.digest = self.digest.wrapping_add(digest);
    }
}

/// The looks that a read-only reader had at all values.
#[derive(Default)]
pub(super) struct Looks {
    /// The digest of the last look; 0 before the first.
    digest: AtomicU64,
    /// When one last saw other values than the one before, in milliseconds since 1970; 0: none has.
    updated_ms: AtomicU64,
    /// When the first one was, if there was nothing to compare with.
    first_ms: AtomicU64,
}

/// When a process last updated a metric, as far as looks at the values tell: see
/// [`Reader::last_update`](crate::Reader::last_update).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LastUpdate {
    /// When the last update that is known was seen.
    pub at: SystemTime,
    /// Whether the values have not changed between then and now. If not, updates may have come
    /// later: there was no look to compare with.
    pub is_last: bool,
}

/// Facts about a segment, each of them `None` where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State {
    /// Whether any process has it open for counting.
    pub(super) in_use: Option<bool>,
    /// How many processes have.
    pub(super) attached: Option<u32>,
    /// Whether its name still leads to it.
    pub(super) current: Option<bool>,
    /// When it was last updated, in seconds since 1970.
    pub(super) updated: Option<f64>,
}

impl Source<'_> {
    /// The generation of each slot whose holder lives, 0 for the others.
    pub(super) fn living(&self) -> Vec<u32> {
        Slots::in_memory(&self.memory).living(self.backing, self.own_slot)
    }

    pub(super) fn attached(&self) -> Option<u32> {
        self.backing.attached(self.memory.pair(header::ATTENDANCE)?.load())
    }

    pub(super) fn state(&self) -> State {
        State {
            in_use: self.backing.is_in_use(),
            attached: self.attached(),
            current: self.path.and_then(|path| self.backing.is_led_to(path)),
            updated: None,
        }
    }

    /// When a process last updated a metric, in seconds since 1970, as far as this look at the
    /// values tells: the time of the first page that saw the update. Without a whole look, as far
    /// as the looks before tell.
    pub(super) fn updated(&self, look: Option<&Look>) -> Option<f64> {
        let look = look.filter(|look| !look.is_partial);
        let (at, is_last) = look.map_or_else(|| (self.stored(), false), |look| self.compare(look));
        // The first look of a reader is the first that sees what was before it.
        let first = self.looks.filter(|_| !is_last).map_or(0, |looks| looks.first_ms.load(Relaxed));
        let at = at.max(first);
        (at > 0).then_some(at as f64 / 1e3)
    }

    pub(super) fn last_update(&self, look: &Look) -> LastUpdate {
        let (at, is_last) = self.compare(look);
        LastUpdate { at: after_1970(Duration::from_millis(at)), is_last }
    }

    /// The last update that is known, in milliseconds since 1970.
    fn stored(&self) -> u64 {
        let own = self.looks.map_or(0, |looks| looks.updated_ms.load(Relaxed));
        own.max(self.memory.get64(header::UPDATED_MS))
    }

    /// Compares the values with those of the look before, and keeps them for the next look. Returns
    /// the time of the last known update, which is now if the values have changed, and whether
    /// there was none after it.
    ///
    /// Relaxed throughout: the words are read for people, and order nothing.
    fn compare(&self, look: &Look) -> (u64, bool) {
        let digest = look.digest.max(1);
        let common = self.memory.get64(header::LOOK_DIGEST);
        let Some(looks) = self.looks else {
            if common != digest {
                self.memory.put64(header::UPDATED_MS, wall_ms());
                self.memory.put64(header::LOOK_DIGEST, digest);
            }
            return (self.stored(), true);
        };
        let last = looks.digest.swap(digest, Relaxed);
        if common == digest {
            return (self.stored(), true);
        }
        if last == 0 {
            looks.first_ms.store(wall_ms(), Relaxed);
        } else if last != digest {
            looks.updated_ms.store(wall_ms(), Relaxed);
        }
        (self.stored(), looks.updated_ms.load(Relaxed) != 0)
    }
}
