use std::ffi::c_void;
use std::sync::atomic::{fence, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::add_f64;
use super::sealed::At;
use crate::process::Token;
use crate::segment::chain::offset;
use crate::segment::layout::{
    entry, gauge, header, process_cell as cell, CELLS_PER_BLOCK, CELL_BLOCK, CELL_BLOCK_HEAD, FLAG_MODE_SHIFT,
};
use crate::segment::memory::{Mapped, Memory};
use crate::segment::pair::Pair;
use crate::segment::{now_ns, Inner, Segment};

/// What the values of several processes amount to.
///
/// All but [`Shared`](GaugeMode::Shared) and [`MostRecent`](GaugeMode::MostRecent) keep a value for each process, which takes part from its
/// first update on. The `Live` modes count living processes only: a worker that was killed is gone from the next page on,
/// without a hook anywhere. The modes mean what they mean in Python's `prometheus_client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum GaugeMode {
    /// One value that all processes change.
    #[default]
    Shared = 0,
    /// One sample for each process, dead or alive, with its pid (or chosen identity) in the label `pid`. The sample of a dead
    /// process stays until a new process takes its slot.
    All = 1,
    /// As `All`, living processes only.
    LiveAll = 2,
    /// The sum over all processes, dead or alive.
    Sum = 3,
    /// The sum over the living: requests in progress, open connections.
    LiveSum = 4,
    /// The least value of any process, dead or alive.
    Min = 5,
    /// The least value of a living process.
    LiveMin = 6,
    /// The greatest value of any process, dead or alive.
    Max = 7,
    /// The greatest value of a living process.
    LiveMax = 8,
    /// The value that was set last, by whichever process.
    MostRecent = 9,
    /// The value that was set last by a process that still lives.
    LiveMostRecent = 10,
}

impl GaugeMode {
    const ALL: [GaugeMode; 11] = [
        GaugeMode::Shared,
        GaugeMode::All,
        GaugeMode::LiveAll,
        GaugeMode::Sum,
        GaugeMode::LiveSum,
        GaugeMode::Min,
        GaugeMode::LiveMin,
        GaugeMode::Max,
        GaugeMode::LiveMax,
        GaugeMode::MostRecent,
        GaugeMode::LiveMostRecent,
    ];

    pub(crate) fn checked(byte: u32) -> Option<Self> {
        Self::ALL.get(byte as usize).copied()
    }

    #[inline(always)]
    pub(crate) fn from_byte(byte: u8) -> Self {
        Self::ALL[usize::from(byte).min(Self::ALL.len() - 1)]
    }

    /// Whether each process has a sample of its own.
    pub(crate) fn is_listed(self) -> bool {
        matches!(self, GaugeMode::All | GaugeMode::LiveAll)
    }

    /// The mode's name, as in Python's `multiprocess_mode`.
    pub fn name(self) -> &'static str {
        match self {
            GaugeMode::Shared => "shared",
            GaugeMode::All => "all",
            GaugeMode::LiveAll => "liveall",
            GaugeMode::Sum => "sum",
            GaugeMode::LiveSum => "livesum",
            GaugeMode::Min => "min",
            GaugeMode::LiveMin => "livemin",
            GaugeMode::Max => "max",
            GaugeMode::LiveMax => "livemax",
            GaugeMode::MostRecent => "mostrecent",
            GaugeMode::LiveMostRecent => "livemostrecent",
        }
    }
}

impl std::fmt::Display for GaugeMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

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
const LIVE: u32 = 1;
/// Its owner is putting its first value in place of the one that the last owner left.
const TAKING: u32 = 2;
const STATE: u32 = 0xff;
/// A base of `min` and `max` to which nobody has contributed: a NaN that arithmetic does not make.
const NO_BASE: u64 = 0x7ff8_5ead_0000_0001;

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

/// What a page shows of a gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shown {
    /// No sample: nobody has set it.
    Nothing,
    One(f64),
    /// A sample for each process, in the list.
    Each,
}

/// One process' sample of a listed mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) identity: u32,
    pub(crate) alive: bool,
    /// When the process took its cell.
    pub(crate) since: u64,
    pub(crate) value: f64,
}

/// Reads a gauge. `living` holds the generation of each living slot; the samples of listed modes go to `each`.
pub(crate) fn shown(memory: &Mapped, at: u64, mode: GaugeMode, living: &[u32], each: &mut Vec<Sample>) -> Shown {
    each.clear();
    match mode {
        GaugeMode::Shared => return Shown::One(f64::from_bits(memory.get64(at + gauge::VALUE))),
        GaugeMode::MostRecent => {
            return match memory.pair(at + gauge::RECENT).map(Pair::load) {
                Some([time, value]) if time != 0 => Shown::One(f64::from_bits(value)),
                _ => Shown::Nothing,
            }
        }
        _ => {}
    }
    let live_only = matches!(
        mode,
        GaugeMode::LiveAll | GaugeMode::LiveSum | GaugeMode::LiveMin | GaugeMode::LiveMax | GaugeMode::LiveMostRecent
    );
    let mut sum = 0.0;
    let mut extreme: Option<f64> = None;
    let mut latest = (0, 0.0);
    let mut reach = |v: f64| {
        extreme = Some(match extreme {
            None => v,
            Some(e) if matches!(mode, GaugeMode::Min | GaugeMode::LiveMin) => e.min(v),
            Some(e) => e.max(v),
        });
    };
    each_cell(memory, at, |slot, c| {
        let alive = c.generation != 0 && living.get(slot) == Some(&c.generation);
        if !live_only {
            if mode == GaugeMode::Sum {
                sum += f64::from_bits(c.base);
            } else if c.base != NO_BASE && matches!(mode, GaugeMode::Min | GaugeMode::Max) {
                reach(f64::from_bits(c.base));
            }
        }
        let Some(value) = c.value else { return };
        if live_only && !alive {
            return;
        }
        sum += value;
        reach(value);
        if mode.is_listed() {
            each.push(Sample { identity: c.identity, alive, since: c.time, value });
        }
        if c.time > latest.0 {
            latest = (c.time, value);
        }
    });
    match mode {
        GaugeMode::Sum | GaugeMode::LiveSum => Shown::One(sum),
        GaugeMode::LiveMostRecent if latest.0 != 0 => Shown::One(latest.1),
        GaugeMode::LiveMostRecent => Shown::Nothing,
        _ if mode.is_listed() => Shown::Each,
        _ => extreme.map_or(Shown::Nothing, Shown::One),
    }
}

struct Cell {
    identity: u32,
    generation: u32,
    base: u64,
    /// `None` while it is being taken over.
    value: Option<f64>,
    time: u64,
}

/// Visits the cells that ever had an owner.
fn each_cell(memory: &Mapped, at: u64, mut visit: impl FnMut(usize, &Cell)) {
    let mut link = memory.load32(at + gauge::VALUE, Acquire);
    let mut slot = 0;
    while link != 0 && slot < crate::segment::layout::MAX_PROCESSES as usize {
        let block = offset(link);
        for i in 0..CELLS_PER_BLOCK {
            if let Some(c) = read_cell(memory, block + CELL_BLOCK_HEAD + i * cell::SIZE) {
                visit(slot, &c);
            }
            slot += 1;
        }
        link = memory.load32(block, Acquire);
    }
}

fn read_cell(memory: &Mapped, at: u64) -> Option<Cell> {
    let pair = memory.pair(at + cell::OWNER)?;
    let mut last = pair.load();
    for _ in 0..16 {
        let [owner, base] = last;
        if owner == 0 {
            return None;
        }
        let [time, value] = memory.pair(at + cell::TIME)?.load();
        // Acquire: the value was read before the second look at its owner.
        fence(Acquire);
        let again = pair.load();
        if again == last {
            let (generation, state) = (owner as u32 >> 8, owner as u32 & STATE);
            let value = (state == LIVE).then(|| f64::from_bits(value));
            return Some(Cell { identity: (owner >> 32) as u32, generation, base, value, time });
        }
        last = again;
    }
    None
}
