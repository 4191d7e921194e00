//! Gauges: the handle, and updates of the shared value or of the cell that a process has in the
//! series.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8, Ordering::Acquire, Ordering::Relaxed};

use super::add_f64;
use super::sealed::FromSeries;
use crate::kind::Kind;
use crate::os::clock::now_ns;
use crate::os::errno::Errno;
use crate::process::Token;
use crate::record::gauge_mode::GaugeMode;
use crate::segment::{Inner, Segment};
use crate::shm::layout::offset;
use crate::shm::layout::{
    entry, gauge, header, process_cell as cell, CELLS_PER_BLOCK, CELL_BLOCK, CELL_BLOCK_HEAD, FLAG_MODE_SHIFT, GRANULE,
};
use crate::shm::memory::Memory;
use crate::shm::pair::Pair;
use crate::shm::percpu;
use crate::shm::state::{Generation, SeriesAddr, TAG_BITS, TAG_MASK};

/// A value that goes up and down.
///
/// Updates take no lock, allocate nothing, and cannot fail. They are async-signal-safe. The first
/// update of a per-process gauge in each process does system calls, to take a slot. If a signal
/// handler interrupts the last instructions of that first update, the handler's own update is not
/// done, but counted in `shmetrics_updates_rejected_total`; see [`Segment::attach_process`]. That
/// counter also counts the updates of processes beyond the segment's process limit.
#[derive(Clone, Copy)]
pub struct Gauge {
    inner: &'static Inner,
    at: u64,
    generation: Generation,
    mode: GaugeMode,
    /// The value of a shared gauge that is never removed. The value is a word of its own, so `set`
    /// is one store.
    word: Option<&'static AtomicU64>,
}

impl FromSeries for Gauge {
    fn fits(kind: Kind) -> bool {
        matches!(kind, Kind::Gauge | Kind::Unknown)
    }

    #[inline(always)]
    #[allow(private_interfaces)]
    fn from_series(segment: Segment, SeriesAddr { at, generation }: SeriesAddr) -> Self {
        Gauge::new(segment.inner, SeriesAddr { at, generation })
    }

    #[allow(private_interfaces)]
    fn seat(&self) -> (&'static Inner, SeriesAddr) {
        (self.inner, SeriesAddr { at: self.at, generation: self.generation })
    }
}

/// Cell states, in the low bits of the owner word {identity: 32, slot generation: 24, generation: 6
/// low bits, state: 2}.
pub(super) const LIVE: u32 = 1;
/// The owner is replacing the value of the previous owner by its first value.
const TAKING: u32 = 2;

/// The low half of an owner word.
pub(super) fn owner_bits(slot_generation: u32, generation: Generation, state: u32) -> u32 {
    slot_generation << 8 | (generation.0 as u32 & 0x3f) << 2 | state
}

/// Where a foreign handle has the mode, between the generation of its place and the bit of one that
/// is for ever.
const MODE_SHIFT: u32 = 56;
const MODE_MASK: u64 = 15;
const _: () = assert!(32 + (u64::BITS - TAG_BITS) <= MODE_SHIFT && MODE_MASK << MODE_SHIFT < 1 << 63);
/// Milliseconds for which a process without room for cells does not ask for it again.
const RETRY_MS: u64 = 10;

/// In place of a mode: shared, with a word of its own.
const HAS_WORD: u64 = 15;

/// The base of `min` and `max` before the first contribution: a NaN that arithmetic does not make.
pub(super) const NO_BASE: u64 = 0x7ff8_5ead_0000_0001;

enum Change {
    Set(f64),
    Add(f64),
}

/// This process' cell.
enum OwnCell {
    At(u64),
    /// This process took the cell, with the change made.
    Changed,
}

impl Gauge {
    #[inline(always)]
    fn new(inner: &'static Inner, SeriesAddr { at, generation }: SeriesAddr) -> Self {
        let read = || {
            let (record, _) = inner.memory.record(at)?;
            // SAFETY: an entry's fields are backed (`record`), and so is this word in front of its
            // last ones, aligned to 8 in a record aligned to 16, as every link is; mapped for the
            // life of the process, and only accessed atomically. The mode never changes.
            let (flags, value) = unsafe {
                let flags = &*record.add(entry::FLAGS as usize).cast::<AtomicU8>();
                (flags.load(Relaxed), &*record.add(gauge::VALUE as usize).cast::<AtomicU64>())
            };
            let mode = GaugeMode::from_byte(flags >> FLAG_MODE_SHIFT);
            let plain = mode == GaugeMode::Shared && generation == Generation::FOREVER && at % GRANULE == 0;
            Some((mode, plain.then_some(value)))
        };
        let (mode, word) = read().unwrap_or((GaugeMode::Shared, None));
        Gauge { inner, at, generation, mode, word }
    }

    /// The words of the handle for C: the segment, and the address of the series with the mode. So
    /// an update does not read the mode in the record, on a cache line that others may be writing
    /// to.
    pub(crate) fn into_words(self) -> [*const c_void; 2] {
        let mode = if self.word.is_some() { HAS_WORD } else { self.mode as u64 };
        let addr = SeriesAddr { at: self.at, generation: self.generation }.into_word() | mode << MODE_SHIFT;
        [std::ptr::from_ref(self.inner).cast(), std::ptr::without_provenance(addr as usize)]
    }

    /// # Safety
    /// The words are NULL or came from [`Gauge::into_words`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(p: [*const c_void; 2]) -> Option<Self> {
        // SAFETY: the caller's promise; segments live as long as the process.
        let inner = unsafe { p[0].cast::<Inner>().as_ref()? };
        let word = p[1].addr() as u64;
        let mode = word >> MODE_SHIFT & MODE_MASK;
        let SeriesAddr { at, generation } = SeriesAddr::from_word(word & !(MODE_MASK << MODE_SHIFT));
        if mode == HAS_WORD {
            let value = inner.memory.checked_before(at + gauge::VALUE).cast::<AtomicU64>();
            // SAFETY: as in `new`, which checked it before the handle was made.
            let word = Some(unsafe { &*value });
            return Some(Gauge { inner, at, generation, mode: GaugeMode::Shared, word });
        }
        Some(Gauge { inner, at, generation, mode: GaugeMode::from_byte(mode as u8), word: None })
    }

    /// The word of its own that a gauge has whose family is live: an update is one instruction, or
    /// a loop of one.
    #[inline(always)]
    pub(crate) fn open_word(&self) -> Option<Word> {
        self.word.filter(|word| !is_closed(word)).map(Word)
    }

    /// Sets the value. Any f64 may be set, NaN and infinities too.
    #[inline]
    pub fn set(&self, v: f64) {
        match self.word {
            Some(word) if is_closed(word) => self.stale(),
            Some(word) => change_word(word, &Change::Set(v)),
            None => self.change(&Change::Set(v)),
        }
    }

    /// Adds `v`, which may be negative. Adding NaN makes the value NaN until it is set again.
    #[inline]
    pub fn add(&self, v: f64) {
        match self.word {
            Some(word) if is_closed(word) => self.stale(),
            Some(word) => change_word(word, &Change::Add(v)),
            None => self.change(&Change::Add(v)),
        }
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

    /// The value now. For a per-process gauge, this is the value of this process, or 0 if it has
    /// set none; a page has the merged value of all processes. The result is also 0 once the series
    /// is removed.
    pub fn get(&self) -> f64 {
        if self.is_over() {
            return 0.0;
        }
        let memory = &self.inner.memory;
        let pair = |at| memory.pair(at).map(Pair::load);
        let own = |at: u64| {
            let token = self.inner.process.token()?;
            let mut word = at + gauge::VALUE;
            for _ in 0..=u64::from(token.slot) / CELLS_PER_BLOCK {
                // Acquire pairs with the Release of `link_or_give_back`.
                word = match memory.load32(word, Acquire) {
                    0 => return None,
                    link => offset(link),
                };
            }
            let at = word + CELL_BLOCK_HEAD + u64::from(token.slot) % CELLS_PER_BLOCK * cell::SIZE;
            let mine =
                memory.get64(at + cell::OWNER) as u32 == owner_bits(token.generation, self.cell_generation(), LIVE);
            pair(at + cell::TAG).filter(|_| mine)
        };
        let found = match self.mode {
            // A shared gauge that is never removed has no tag.
            GaugeMode::Shared if self.generation == Generation::FOREVER => {
                Some([0, memory.get64(self.at + gauge::VALUE)])
            }
            GaugeMode::Shared | GaugeMode::MostRecent => pair(self.at + gauge::TAG),
            _ => own(self.at),
        };
        match found {
            Some([tag, value]) if !self.cell_generation().is_over(tag) => f64::from_bits(value),
            _ => 0.0,
        }
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
        let memory = &self.inner.memory;
        match self.mode {
            GaugeMode::Shared if self.generation == Generation::FOREVER => {
                match memory.u64_at(self.at + gauge::VALUE) {
                    Some(value) => change_word(value, change),
                    None => self.reject(),
                }
            }
            // The tag of a shared gauge counts updates. Only `expiry` reads this count.
            GaugeMode::Shared => self.change_pair(memory.pair(self.at + gauge::TAG), change, |tag| tag + 1),
            GaugeMode::MostRecent => self.change_recent(self.at + gauge::TAG, change),
            mode => match self.own_cell(mode, change) {
                Some(OwnCell::Changed) => {}
                Some(OwnCell::At(at)) if mode == GaugeMode::LiveMostRecent => {
                    self.change_recent(at + cell::TAG, change);
                }
                Some(OwnCell::At(at)) if self.generation == Generation::FOREVER => {
                    match memory.u64_at(at + cell::VALUE) {
                        Some(value) => change_word(value, change),
                        None => self.reject(),
                    }
                }
                Some(OwnCell::At(at)) => self.change_pair(memory.pair(at + cell::TAG), change, |tag| tag),
                None => self.reject(),
            },
        }
    }

    /// {tag, value} changes as one, in this generation only. Of what the tag holds besides the
    /// generation, `next` makes the new.
    #[inline(always)]
    fn change_pair(&self, pair: Option<Pair<'_>>, change: &Change, next: impl Fn(u64) -> u64) {
        let Some(pair) = pair else { return self.reject() };
        self.inner.update_tagged(pair, self.cell_generation(), |[tag, value]| {
            let value = match change {
                Change::Set(v) => *v,
                Change::Add(v) => f64::from_bits(value) + v,
            };
            [next(tag) & TAG_MASK, value.to_bits()]
        });
    }

    /// The tag holds the time. Each change has to change it, so of two changes in one tick one gets
    /// the next tick. It never runs further ahead, however many changes there are: then it would
    /// win over the later value of another process.
    fn change_recent(&self, at: u64, change: &Change) {
        let now = self.inner.ticks();
        self.change_pair(self.inner.memory.pair(at), change, |tag| recent_tag(tag & TAG_MASK, now));
    }

    /// The generation as it stands in the cells: a series that is never removed is in its first.
    #[inline(always)]
    fn cell_generation(&self) -> Generation {
        if self.generation == Generation::FOREVER {
            Generation(0)
        } else {
            self.generation
        }
    }

    /// An update of a series without generations whose family was retired.
    #[cold]
    #[inline(never)]
    fn stale(&self) {
        self.inner.count(header::STALE_UPDATES);
    }

    /// Counts an update that was not done: as stale if the series is removed, whatever else was
    /// missing.
    #[cold]
    fn reject(&self) {
        self.inner.count(if self.is_over() { header::STALE_UPDATES } else { header::REJECTED_UPDATES });
    }

    /// This process' cell, taken with the change made if it is not ours yet.
    #[inline(always)]
    fn own_cell(&self, mode: GaugeMode, change: &Change) -> Option<OwnCell> {
        let token = match self.inner.process.token() {
            Some(token) => token,
            None => self.register()?,
        };
        let (at, generation) = (self.cell_of(token)?, self.cell_generation());
        let memory = &self.inner.memory;
        if memory.get64(at + cell::OWNER) as u32 == owner_bits(token.generation, generation, LIVE)
            && !generation.is_over(memory.get64(at + cell::TAG))
        {
            return Some(OwnCell::At(at));
        }
        if self.still_holds(token) {
            return self.take(mode, at, token, change);
        }
        // The host closed the descriptor of our lock, and another process took the slot. The cell
        // belongs to that process now.
        let token = self.register()?;
        self.take(mode, self.cell_of(token)?, token, change)
    }

    /// See `Process::still_holds`. Out of line, as updates come here rarely.
    #[cold]
    #[inline(never)]
    fn still_holds(&self, token: Token) -> bool {
        self.inner.process.still_holds(&self.inner.attached(), token)
    }

    /// Takes a slot for this process. An update may be the caller, which leaves `errno` as it is.
    #[cold]
    #[inline(never)]
    fn register(&self) -> Option<Token> {
        let _errno = Errno::keep();
        self.inner.process.register(&self.inner.attached())
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
        if self.is_over() {
            return None;
        }
        let arena = self.inner.arena();
        // Where there was no room a moment ago the system is not asked again: an update without a
        // cell is to cost little.
        let (refused, now) = (&self.inner.cells_refused_ms, self.inner.coarse_ms());
        let is_fresh = now.wrapping_sub(refused.load(Relaxed)) < RETRY_MS;
        let Some(link) = (if is_fresh { None } else { arena.allocate_cells() }) else {
            if !is_fresh {
                refused.store(now, Relaxed);
            }
            self.inner.count(header::ROOMLESS_UPDATES);
            return None;
        };
        match arena.link_or_give_back(word, link, CELL_BLOCK) {
            Ok(link) => {
                self.inner.count(header::CELL_BLOCKS);
                Some(offset(link))
            }
            Err(other) => (other != 0).then(|| offset(other)),
        }
    }

    /// Takes over the cell of the slot's last holder. The holder is dead, because the kernel gave
    /// its slot to this process. One swap takes the cell and moves the last value into the base, so
    /// that value counts once, even if a process is killed at any instruction. The cell takes part
    /// in the merge from the first change on, so no page shows a value that was never set.
    #[cold]
    #[inline(never)]
    fn take(&self, mode: GaugeMode, at: u64, token: Token, change: &Change) -> Option<OwnCell> {
        let memory = &self.inner.memory;
        let (owner, cell) = (memory.pair(at + cell::OWNER)?, memory.pair(at + cell::TAG)?);
        let generation = self.cell_generation();
        let identity = u64::from(self.inner.process.identity()) << 32;
        let mine = |state| identity | u64::from(owner_bits(token.generation, generation, state));
        let _turn = self.inner.process.turn();
        for attempt in 0..1000 {
            let [old, old_base] = owner.load();
            let seen = cell.load();
            if self.inner.is_over(self.at, self.generation) || seen[0] >> TAG_BITS > generation.0 {
                self.inner.count(header::STALE_UPDATES);
                return Some(OwnCell::Changed);
            }
            let current = !generation.is_over(seen[0]);
            if old as u32 == owner_bits(token.generation, generation, LIVE) && current {
                return Some(OwnCell::At(at));
            }
            if old as u32 == owner_bits(token.generation, generation, TAKING) {
                // This thread is taking the cell, below a signal handler; or another one, which has
                // not been given the processor for long.
                if attempt > 10 {
                    std::thread::yield_now();
                }
                continue;
            }
            let first = match *change {
                Change::Set(v) => v,
                Change::Add(v) => 0.0 + v,
            };
            if self.take_from(mode, [owner, cell], [[old, old_base], seen], mine, first) {
                return Some(OwnCell::Changed);
            }
        }
        None
    }

    /// Takes over a cell whose pairs were `seen`, unless its owner has changed since. False: the
    /// owner has changed.
    fn take_from(
        &self,
        mode: GaugeMode,
        [owner, cell]: [Pair<'_>; 2],
        [[old, old_base], mut seen]: [[u64; 2]; 2],
        mine: impl Fn(u32) -> u64,
        first: f64,
    ) -> bool {
        let generation = self.cell_generation();
        // A cell of another generation has no value to inherit.
        let current = !generation.is_over(seen[0]);
        let left = (current && old as u32 & 0xff == owner_bits(0, generation, LIVE)).then(|| f64::from_bits(seen[1]));
        let base = fold(mode, (old != 0).then_some(old_base), left);
        if owner.cas([old, old_base], [mine(TAKING), base]).is_err() {
            return false;
        }
        // The time tells the newest holder of an identity from older ones, and the most recent
        // value. In another boot it goes on from here.
        self.inner.note_time(self.inner.time_ns());
        let new = [generation.tag() | self.inner.ticks(), first.to_bits()];
        while let Err(now) = cell.cas(seen, new) {
            if now[0] >> TAG_BITS > generation.0 {
                // The series was removed meanwhile, so this update is not counted. The owner word
                // has six bits of the generation. It may be that of 64 generations later, when it
                // is the same word again: then it must not stay taken, by the owner of that
                // generation.
                let _ = owner.cas([mine(TAKING), base], [old, old_base]);
                self.inner.count(header::STALE_UPDATES);
                return true;
            }
            seen = now;
        }
        let _ = owner.cas([mine(TAKING), base], [mine(LIVE), base]);
        true
    }
}

/// Whether the family of a gauge that has a word of its own was retired: its record says so in
/// place of per-CPU cells, which no gauge has.
#[inline(always)]
fn is_closed(word: &'static AtomicU64) -> bool {
    let cells =
        std::ptr::from_ref(word).wrapping_byte_sub((gauge::VALUE - entry::PER_CPU) as usize).cast::<AtomicU32>();
    // SAFETY: the word is in a record of the segment (`new`), behind this field, which is aligned
    // to 4 and only accessed atomically. Relaxed: nothing else is read for it.
    unsafe { &*cells }.load(Relaxed) == percpu::CLOSED
}

/// The time in a tag after a change at `now`. It is another than before, and at most one tick
/// ahead.
#[inline(always)]
fn recent_tag(before: u64, now: u64) -> u64 {
    if before != now {
        now
    } else if now < TAG_MASK {
        now + 1
    } else {
        now - 1
    }
}

/// The value of a gauge that needs nothing else.
#[derive(Clone, Copy)]
pub(crate) struct Word(&'static AtomicU64);

impl Word {
    #[inline(always)]
    pub(crate) fn set(self, v: f64) {
        change_word(self.0, &Change::Set(v));
    }

    #[inline(always)]
    pub(crate) fn add(self, v: f64) {
        change_word(self.0, &Change::Add(v));
    }
}

#[inline(always)]
fn change_word(value: &AtomicU64, change: &Change) {
    match change {
        // Relaxed: a value of its own; nothing is published by it. Atomic, because threads share
        // the cell.
        Change::Set(v) => value.store(v.to_bits(), Relaxed),
        Change::Add(v) => add_f64(value, *v),
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
        f.debug_struct("Gauge").field("mode", &self.mode).finish_non_exhaustive()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::Options;

    #[test]
    fn the_tag_of_the_most_recent_value_stays_with_the_clock() {
        for now in [1, 1000, TAG_MASK - 1, TAG_MASK] {
            let mut tag = 0;
            for _ in 0..1000 {
                let next = recent_tag(tag, now);
                assert!(
                    next != tag && next.abs_diff(now) <= 1 && (1..=TAG_MASK).contains(&next),
                    "{now}: {next} after {tag}"
                );
                tag = next;
            }
        }
    }

    /// A thread that has lost the processor in the middle of it.
    #[test]
    fn a_cell_that_another_thread_is_taking_is_waited_for() {
        let segment = Options::new().anonymous().max_size(1 << 20).open().unwrap();
        let family = segment.gauge("g", "", GaugeMode::LiveSum).labels(["n"]).register().unwrap();
        family.with(["first"]).set(1.0);
        // Each attempt may meet a machine that does not run the test for longer than a thread
        // waits.
        let is_counted = |attempt: u32| {
            let gauge = family.with([&attempt.to_string()]);
            let (memory, token) = (&gauge.inner.memory, gauge.inner.process.token().unwrap());
            let at = gauge.cell_of(token).unwrap();
            let owner = memory.pair(at + cell::OWNER).unwrap();
            let taking = u64::from(owner_bits(token.generation, gauge.cell_generation(), TAKING));
            let turn = gauge.inner.process.turn();
            owner.cas([0, 0], [taking, 0]).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| gauge.inc());
                std::thread::sleep(std::time::Duration::from_millis(50));
                owner.cas([taking, 0], [0, 0]).unwrap();
                drop(turn);
            });
            gauge.get() == 1.0
        };
        assert!((0..5).any(is_counted));
    }

    /// The owner word has six bits of the generation. A thread that stood still for 64 generations
    /// of the record takes a cell of another series for its own, and has to give it back.
    #[test]
    fn a_thread_that_is_64_lives_late_leaves_the_cell_as_it_was() {
        let segment = Options::new().anonymous().max_size(1 << 20).open().unwrap();
        let family = segment.gauge("g", "", GaugeMode::LiveSum).labels(["n"]).register().unwrap();
        let late = family.with(["a"]);
        late.set(1.0);
        let token = late.inner.process.token().unwrap();
        let cell_at = late.cell_of(token).unwrap();
        for _ in 0..64 {
            assert!(family.remove(["a"]));
            family.with(["a"]);
        }
        let new = family.with(["a"]);
        assert_eq!(
            (new.at, new.generation.0),
            (late.at, late.generation.0 + 64),
            "the record serves the same label set"
        );
        let pairs = [cell::OWNER, cell::TAG].map(|at| late.inner.memory.pair(cell_at + at).unwrap());
        let mine = |state| 7 << 32 | u64::from(owner_bits(token.generation, late.generation, state));
        // What it saw before: a cell of its own generation, of no owner.
        let stale = segment.inner.memory.get64(header::STALE_UPDATES);
        assert!(late.take_from(GaugeMode::LiveSum, pairs, [[0, 0], [late.generation.tag(), 0]], mine, 5.0));
        assert_eq!(pairs[0].load(), [0, 0], "it is taken for ever");
        assert_eq!(segment.inner.memory.get64(header::STALE_UPDATES), stale + 1);
        new.set(7.0);
        assert_eq!(new.get(), 7.0);
        let page = String::from_utf8(segment.render(Format::Text)).unwrap();
        assert!(page.contains("\ng{n=\"a\"} 7\n") && page.contains("\nshmetrics_updates_rejected_total 0\n"), "{page}");
    }
}
