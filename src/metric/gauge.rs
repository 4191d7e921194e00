use std::ffi::c_void;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::add_f64;
use super::mode::GaugeMode;
use super::sealed::At;
use crate::process::Token;
use crate::segment::chain::offset;
use crate::segment::layout::{
    entry, gauge, header, process_cell as cell, CELLS_PER_BLOCK, CELL_BLOCK, CELL_BLOCK_HEAD, FLAG_MODE_SHIFT,
};
use crate::segment::memory::Memory;
use crate::segment::pair::Pair;
use crate::segment::{now_ns, Inner, Segment};

/// A value that goes up and down.
///
/// Updates take no lock and cannot fail. They are async-signal-safe, with one exception: the first update of a per-process
/// gauge in each process does system calls, and where a signal handler interrupts just that one, its own update of the
/// same gauge is not done but counted in `shmetrics_updates_rejected_total`. That counter also tells of updates by
/// processes beyond the segment's process limit.
#[derive(Clone, Copy)]
pub struct Gauge {
    inner: &'static Inner,
    at: u64,
}

impl At for Gauge {
    #[inline(always)]
    fn at(segment: Segment, at: u64) -> Self {
        let inner = segment.inner;
        Gauge { inner, at }
    }
}

/// Cell states, in the low byte of the owner word {identity: 32, generation: 24, state: 8}.
pub(super) const LIVE: u32 = 1;
/// Its owner is putting its first value in place of the one that the last owner left.
const TAKING: u32 = 2;
pub(super) const STATE: u32 = 0xff;
/// A base of `min` and `max` to which nobody has contributed: a NaN that arithmetic does not make.
pub(super) const NO_BASE: u64 = 0x7ff8_5ead_0000_0001;

enum Change {
    Set(f64),
    Add(f64),
}

/// This process' cell.
enum Own {
    At(u64),
    /// It became ours with the change made.
    Changed,
}

impl Gauge {
    /// The words of a foreign handle.
    pub(crate) fn into_words(self) -> (*const c_void, *const c_void) {
        (std::ptr::from_ref(self.inner).cast(), std::ptr::without_provenance(self.at as usize))
    }

    /// # Safety
    /// The words are NULL or came from [`Gauge::into_words`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(p0: *const c_void, p1: *const c_void) -> Option<Self> {
        // SAFETY: the caller's promise; segments live as long as the process.
        Some(Gauge { inner: unsafe { p0.cast::<Inner>().as_ref()? }, at: p1.addr() as u64 })
    }

    #[inline(always)]
    fn mode(&self) -> GaugeMode {
        GaugeMode::from_byte(self.inner.memory.get8(self.at + entry::FLAGS) >> FLAG_MODE_SHIFT)
    }

    /// Sets the value. Any f64 may be set, NaN and infinities too.
    #[inline]
    pub fn set(&self, v: f64) {
        self.change(&Change::Set(v));
    }

    /// Adds `v`, which may be negative. Adding NaN makes the value NaN until it is set again.
    #[inline]
    pub fn add(&self, v: f64) {
        self.change(&Change::Add(v));
    }

    /// Adds 1.
    #[inline]
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// Subtracts 1.
    #[inline]
    pub fn dec(&self) {
        self.add(-1.0);
    }

    /// Subtracts `v`.
    #[inline]
    pub fn sub(&self, v: f64) {
        self.add(-v);
    }

    /// Sets the value to the time now, in seconds since 1970.
    pub fn set_to_now(&self) {
        self.set(now_ns() as f64 / 1e9);
    }

    /// Adds 1 until the returned guard is dropped.
    pub fn track_in_progress(&self) -> InProgress {
        self.inc();
        InProgress { gauge: *self }
    }

    #[inline(always)]
    fn change(&self, change: &Change) {
        let value = match self.mode() {
            GaugeMode::Shared => self.inner.memory.u64_at(self.at + gauge::VALUE),
            GaugeMode::MostRecent => {
                return self.change_recent(self.inner.memory.pair(self.at + gauge::RECENT), change)
            }
            mode => match self.own_cell(mode, change) {
                Some(Own::Changed) => return,
                Some(Own::At(at)) if mode == GaugeMode::LiveMostRecent => {
                    return self.change_recent(self.inner.memory.pair(at + cell::TIME), change)
                }
                Some(Own::At(at)) => self.inner.memory.u64_at(at + cell::VALUE),
                None => None,
            },
        };
        match (value, change) {
            // Relaxed: a value of its own; nothing is published by it. Atomic, because threads share the cell.
            (Some(value), Change::Set(v)) => value.store(v.to_bits(), Relaxed),
            (Some(value), Change::Add(v)) => add_f64(value, *v),
            (None, _) => self.reject(),
        }
    }

    /// {time, value} changes as one, and the time always rises: the last one to set is the most recent.
    fn change_recent(&self, pair: Option<Pair<'_>>, change: &Change) {
        let Some(pair) = pair else { return self.reject() };
        let now = now_ns();
        let mut seen = pair.load();
        loop {
            let value = match change {
                Change::Set(v) => *v,
                Change::Add(v) => f64::from_bits(seen[1]) + v,
            };
            match pair.cas(seen, [now.max(seen[0].saturating_add(1)), value.to_bits()]) {
                Ok(()) => return,
                Err(other) => seen = other,
            }
        }
    }

    #[cold]
    fn reject(&self) {
        self.inner.count(header::REJECTED_UPDATES);
    }

    /// This process' cell, taken with the change made if it is not ours yet.
    #[inline(always)]
    fn own_cell(&self, mode: GaugeMode, change: &Change) -> Option<Own> {
        let token = match self.inner.process.token() {
            Some(token) => token,
            None => self.inner.process.register(self.inner)?,
        };
        let at = self.cell_of(token)?;
        if self.inner.memory.get64(at + cell::OWNER) as u32 == token.generation << 8 | LIVE {
            return Some(Own::At(at));
        }
        if self.inner.process.still_holds(self.inner, token) {
            return self.take(mode, at, token, change);
        }
        // The host closed the descriptor of our lock, and the slot has gone to somebody else: this cell is his.
        let token = self.inner.process.register(self.inner)?;
        self.take(mode, self.cell_of(token)?, token, change)
    }

    /// Where the cell of a slot is.
    #[inline(always)]
    fn cell_of(&self, token: Token) -> Option<u64> {
        let memory = &self.inner.memory;
        let mut word = self.at + gauge::VALUE;
        for _ in 0..=u64::from(token.slot) / CELLS_PER_BLOCK {
            // Acquire pairs with the Release in `add_block`.
            word = match memory.load32(word, Acquire) {
                0 => self.add_block(word)?,
                link => offset(link),
            };
        }
        Some(word + CELL_BLOCK_HEAD + u64::from(token.slot) % CELLS_PER_BLOCK * cell::SIZE)
    }

    #[cold]
    #[inline(never)]
    fn add_block(&self, word: u64) -> Option<u64> {
        let arena = self.inner.arena();
        let link = arena.allocate(CELL_BLOCK)?;
        // Release publishes the block's zeros.
        match self.inner.memory.cas32(word, 0, link, Release, Acquire) {
            Ok(_) => {
                self.inner.memory.add64(header::ARENA_REACHABLE, CELL_BLOCK, Relaxed);
                Some(offset(link))
            }
            Err(other) => {
                arena.give_back(link, CELL_BLOCK);
                Some(offset(other))
            }
        }
    }

    /// Takes over the cell of the slot's last holder, who is dead: the kernel gave us his slot. What he leaves moves into
    /// the base by the one swap that makes the cell ours, so it is counted once whoever dies where. It takes part with the
    /// first change made, so nobody sees (or inherits, if we die here) a value that was never set.
    #[cold]
    #[inline(never)]
    fn take(&self, mode: GaugeMode, at: u64, token: Token, change: &Change) -> Option<Own> {
        let memory = &self.inner.memory;
        let owner = memory.pair(at + cell::OWNER)?;
        let mine = u64::from(self.inner.process.identity()) << 32 | u64::from(token.generation << 8);
        for attempt in 0..1000 {
            let [old, old_base] = owner.load();
            let (generation, state) = (old as u32 >> 8, old as u32 & STATE);
            if generation == token.generation && state == LIVE {
                return Some(Own::At(at));
            }
            if generation == token.generation {
                // Another thread of this process is at it (or this one, below a signal handler).
                if attempt > 10 {
                    std::thread::yield_now();
                }
                continue;
            }
            let left = (state == LIVE).then(|| memory.get64(at + cell::VALUE));
            let base = fold(mode, (old != 0).then_some(old_base), left.map(f64::from_bits));
            if owner.cas([old, old_base], [mine | u64::from(TAKING), base]).is_ok() {
                let first = match *change {
                    Change::Set(v) => v,
                    Change::Add(v) => 0.0 + v,
                };
                memory.put64(at + cell::VALUE, first.to_bits());
                // Listed samples tell the newest holder of an identity from older ones by it.
                let timed = mode.is_listed() || mode == GaugeMode::LiveMostRecent;
                memory.put64(at + cell::TIME, if timed { now_ns() } else { 0 });
                let _ = owner.cas([mine | u64::from(TAKING), base], [mine | u64::from(LIVE), base]);
                return Some(Own::Changed);
            }
        }
        None
    }
}

/// What dead holders have left behind, as f64 bits, after one more of them.
fn fold(mode: GaugeMode, base: Option<u64>, left: Option<f64>) -> u64 {
    let extreme = |pick: fn(f64, f64) -> f64| match (base.filter(|b| *b != NO_BASE).map(f64::from_bits), left) {
        (Some(a), Some(b)) => pick(a, b).to_bits(),
        (Some(one), None) | (None, Some(one)) => one.to_bits(),
        (None, None) => NO_BASE,
    };
    match mode {
        GaugeMode::Sum => (base.map_or(0.0, f64::from_bits) + left.unwrap_or(0.0)).to_bits(),
        GaugeMode::Min => extreme(f64::min),
        GaugeMode::Max => extreme(f64::max),
        _ => 0,
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gauge").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

/// Keeps a [`Gauge`] one higher until it is dropped.
#[must_use = "the gauge falls again when this is dropped"]
#[derive(Debug)]
pub struct InProgress {
    gauge: Gauge,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
