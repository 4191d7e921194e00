//! Counters: the handle, and its updates through per-CPU cells or through the cell that all
//! processes share.

use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use super::sealed::FromSeries;
use super::{add_f64, exemplar};
use crate::kind::Kind;
use crate::segment::{Inner, Segment};
use crate::shm::layout::{counter, entry, header};
use crate::shm::pair::Pair;
use crate::shm::percpu::{self, Here};
use crate::shm::state::{Generation, SeriesAddr, State, TAG_MASK};

/// A value that only rises, shared by all processes.
///
/// Whole and fractional amounts are kept apart: counting by integers is one instruction, and exact
/// beyond 2^53. A counter that is hot has a cell for each CPU, and then not even that instruction
/// is locked.
///
/// Every update is async-signal-safe, takes no lock, allocates nothing, leaves `errno` as it is,
/// and cannot fail. One that gives the series cells for each CPU, or makes an exemplar's slot, may
/// ask the system for memory.
#[derive(Clone, Copy)]
pub struct Counter {
    inner: &'static Inner,
    series: &'static CounterRecord,
    generation: Generation,
}

/// The record of a counter series, as updates read it.
#[repr(C, align(16))]
struct CounterRecord {
    // No handle reads these or `_links`. They are atomic because other processes write to them.
    _head: [AtomicU32; 4],
    state: AtomicU32,
    per_cpu: AtomicU32,
    _links: [AtomicU32; 2],
    /// {tag and integer, fraction}. The tag of a series that is never removed is part of its
    /// integer.
    cells: [AtomicU64; 2],
}

const _: () = assert!(
    offset_of!(CounterRecord, state) as u64 == entry::STATE
        && offset_of!(CounterRecord, per_cpu) as u64 == entry::PER_CPU
);
const _: () = assert!(
    offset_of!(CounterRecord, cells) as u64 == counter::INTEGER && size_of::<CounterRecord>() as u64 == CELLS_END
);
const CELLS_END: u64 = counter::FRACTION + 8;
const _: () = assert!(CELLS_END <= entry::SIZE);

impl CounterRecord {
    /// Whether the record still has the series of this generation.
    #[inline(always)]
    fn is_in(&self, generation: Generation) -> bool {
        generation == Generation::FOREVER || State(self.state.load(Relaxed)).generation() == generation
    }
}

/// The target of updates in a damaged segment. The writes are discarded.
static NOWHERE: CounterRecord = CounterRecord {
    _head: [const { AtomicU32::new(0) }; 4],
    state: AtomicU32::new(0),
    per_cpu: AtomicU32::new(0),
    _links: [const { AtomicU32::new(0) }; 2],
    cells: [AtomicU64::new(0), AtomicU64::new(0)],
};

/// What moves from a full integer to the fraction is a multiple of this. Sums of such multiples are
/// exact there up to 2^96.
///
/// Amounts from here on are split at once: the multiple of `SPILL` goes to the fraction, the rest
/// to the integer.
const SPILL: u64 = 1 << 43;
/// An integer without a tag is full when it has this bit. Then the bit moves to the fraction. The
/// process whose addition finds the bit set moves it, so the integer would wrap only if 2^20
/// processes were stopped between these two steps.
const FULL: u64 = 1 << 63;
const _: () = assert!(FULL % SPILL == 0);

impl FromSeries for Counter {
    fn fits(kind: Kind) -> bool {
        kind == Kind::Counter
    }

    #[inline(always)]
    #[allow(private_interfaces)]
    fn from_series(segment: Segment, addr: SeriesAddr) -> Self {
        let inner = segment.inner;
        let series = match inner.memory.bytes(addr.at, CELLS_END) {
            // SAFETY: backed (checked), aligned to 16 as records are, mapped for the process'
            // lifetime; what changes is only accessed atomically.
            Some(p) if addr.at % 16 == 0 => unsafe { &*p.cast::<CounterRecord>() },
            _ => &NOWHERE,
        };
        Counter { inner, series, generation: addr.generation }
    }

    #[inline(always)]
    #[allow(private_interfaces)]
    unsafe fn from_entry(segment: Segment, addr: SeriesAddr) -> Self {
        let series = segment.inner.memory.checked_before(addr.at);
        // SAFETY: backed and aligned (the caller's promise), and as above.
        let series = unsafe { &*series.cast::<CounterRecord>() };
        Counter { inner: segment.inner, series, generation: addr.generation }
    }

    #[allow(private_interfaces)]
    fn seat(&self) -> (&'static Inner, SeriesAddr) {
        (self.inner, SeriesAddr { at: self.record(), generation: self.generation })
    }
}

impl Counter {
    /// The words of the handle for C. `None`: the segment is damaged.
    pub(crate) fn into_words(self) -> Option<[*const c_void; 2]> {
        if std::ptr::eq(self.series, &raw const NOWHERE) {
            return None;
        }
        let addr = SeriesAddr { at: self.record(), generation: self.generation }.into_word();
        Some([std::ptr::from_ref(self.inner).cast(), std::ptr::without_provenance(addr as usize)])
    }

    /// # Safety
    /// The words are NULL or came from [`Counter::into_words`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(p: [*const c_void; 2]) -> Option<Self> {
        // SAFETY: the caller's promise; segments live as long as the process.
        let inner = unsafe { p[0].cast::<Inner>().as_ref()? };
        let addr = SeriesAddr::from_word(p[1].addr() as u64);
        let series = inner.memory.checked_before(addr.at);
        // SAFETY: as in `at`: `into_words` checked that it is there.
        Some(Counter { inner, series: unsafe { &*series.cast::<CounterRecord>() }, generation: addr.generation })
    }

    fn record(&self) -> u64 {
        self.inner.memory.offset_of(std::ptr::from_ref(self.series).cast())
    }

    /// Adds 1.
    #[inline(always)]
    pub fn inc(&self) {
        self.add_whole(1);
    }

    /// Adds a whole number.
    #[inline(always)]
    pub fn inc_by(&self, n: u64) {
        if n < SPILL {
            self.add_whole(n);
        } else {
            self.add_large(n);
        }
    }

    /// Adds `v`. A negative, infinite or NaN `v` is not added: it would break the counter for good.
    /// It is counted in `shmetrics_updates_rejected_total` instead.
    #[inline]
    pub fn add(&self, v: f64) {
        let whole = v as u64;
        if whole as f64 == v && whole < SPILL {
            // -0.0 comes here and adds 0.
            self.add_whole(whole);
        } else if v > 0.0 && v < f64::INFINITY {
            self.add_fraction_or_large(v);
        } else {
            self.reject();
        }
    }

    /// Adds 1, and keeps these labels, such as a `trace_id`, as the exemplar of the addition.
    ///
    /// A counter keeps its latest exemplar, and takes a new one no sooner than a second after the
    /// last (see [`Builder::exemplar_interval`](crate::Builder::exemplar_interval)). In between,
    /// the call costs little more than [`Counter::inc`]. Names and values may have 128 characters
    /// together. Labels that no page can show are not kept, but counted in
    /// `shmetrics_updates_rejected_total`; 1 is added in any case. The call neither allocates nor
    /// blocks, but the first exemplar of a series takes memory from the segment.
    pub fn inc_with_exemplar(&self, labels: &[(&str, &str)]) {
        self.add_with_exemplar(1.0, labels);
    }

    /// As [`Counter::add`], with an exemplar as of [`Counter::inc_with_exemplar`].
    pub fn add_with_exemplar(&self, v: f64, labels: &[(&str, &str)]) {
        self.add(v);
        if v >= 0.0 && v.is_finite() && !self.is_over() {
            exemplar::offer(self.inner, self.record(), self.generation, [0, 1], v, labels);
        }
    }

    /// Adds to this CPU's cell of the series at `at`, if the series has per-CPU cells that this
    /// process knows, and its state word is still `state`. False: nothing was added.
    ///
    /// # Safety
    /// An entry's record is at `at`, and backed.
    #[inline(always)]
    pub(crate) unsafe fn add_in_state(inner: &'static Inner, at: u64, state: u32, n: u64) -> bool {
        // SAFETY: the caller's promise; records are aligned to 16 and mapped for the process' life.
        let series = unsafe { &*inner.memory.checked_before(at).cast::<CounterRecord>() };
        // Acquire: if a later generation gave the per-CPU cells, the state that is read below is
        // that generation's.
        let cells = series.per_cpu.load(Acquire);
        n < percpu::MOST
            && series.state.load(Relaxed) == state
            && (inner.per_cpu.add(cells, n) || inner.per_cpu.add_locked(cells, n))
    }

    /// Amounts from here on are not for [`Counter::add_here`].
    pub(crate) const LARGE: u64 = SPILL;

    /// Adds to the series at `addr`: in `here`, if it has per-CPU cells. True: it has some, and the
    /// update went another way, so `here` may be out of date.
    ///
    /// # Safety
    /// A counter's record is at `addr`, and backed, and `n` is less than [`Counter::LARGE`].
    #[inline(always)]
    pub(crate) unsafe fn add_here(inner: &'static Inner, addr: SeriesAddr, here: &Here<'_>, n: u64) -> bool {
        // SAFETY: the caller's promise; records are aligned to 16 and mapped for the process' life.
        let series = unsafe { &*inner.memory.checked_before(addr.at).cast::<CounterRecord>() };
        // Acquire: as in `add_whole`.
        let cells = series.per_cpu.load(Acquire);
        if n < percpu::MOST && series.is_in(addr.generation) && here.add(cells, n) {
            return false;
        }
        Counter::add_elsewhere(inner, series, addr.generation, n);
        cells != 0
    }

    #[inline(never)]
    extern "C" fn add_elsewhere(inner: &'static Inner, series: &'static CounterRecord, generation: Generation, n: u64) {
        Counter { inner, series, generation }.add_whole(n);
    }

    #[inline(always)]
    fn add_whole(&self, n: u64) {
        let (series, per_cpu) = (self.series, &self.inner.per_cpu);
        // Acquire: if a later generation gave the per-CPU cells, `is_in` sees that generation.
        let cells = series.per_cpu.load(Acquire);
        if n < percpu::MOST && series.is_in(self.generation) && (per_cpu.add(cells, n) || per_cpu.add_locked(cells, n))
        {
            return;
        }
        Counter::add_slow(self.inner, series, self.generation, n);
    }

    /// Slow path of [`Counter::inc`]: the series has no per-CPU cells, or this process has not
    /// checked them yet. A C function does not unwind, so the callers end with a jump to it and
    /// need no frame.
    #[inline(never)]
    extern "C" fn add_slow(inner: &'static Inner, series: &'static CounterRecord, generation: Generation, n: u64) {
        // Acquire: as above.
        let cells = series.per_cpu.load(Acquire);
        if cells == percpu::CLOSED {
            return inner.count(header::STALE_UPDATES);
        }
        let to_per_cpu = cells != 0 && n < percpu::MOST && series.is_in(generation);
        if !(to_per_cpu && inner.per_cpu.add_slow(&inner.memory, cells, n)) {
            Counter { inner, series, generation }.add_to_cell(n);
        }
    }

    /// Adds to the cell that all processes share.
    #[inline(always)]
    fn add_to_cell(&self, n: u64) {
        let integer = &self.series.cells[0];
        if self.generation == Generation::FOREVER {
            // Relaxed: a sum of its own; nothing is published by it.
            let before = integer.fetch_add(n, Relaxed);
            if is_warm(before, n) {
                self.warm(before, n);
            }
            return;
        }
        let mut seen = integer.load(Relaxed);
        loop {
            if self.generation.is_over(seen) {
                return self.inner.count(header::STALE_UPDATES);
            }
            if (seen & TAG_MASK) + n > TAG_MASK {
                if !self.spill() {
                    return;
                }
                seen = integer.load(Relaxed);
                continue;
            }
            // Relaxed, as above. It fails in any other generation.
            match integer.compare_exchange_weak(seen, seen + n, Relaxed, Relaxed) {
                Ok(_) if is_warm(seen, n) => return self.ask_for_per_cpu(n),
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_for_per_cpu(&self, n: u64) {
        // `NOWHERE` is in no segment.
        if !std::ptr::eq(self.series, &raw const NOWHERE) {
            super::ask_for_per_cpu(self.inner, self.record(), 8, n);
        }
    }

    /// The integer of a series that is never removed has crossed a multiple of `percpu::HEAT`, by
    /// `n` from `before`. A rising integer comes here again and again, so this call also notices an
    /// integer that is nearly full.
    #[cold]
    #[inline(never)]
    fn warm(&self, before: u64, n: u64) {
        if before.saturating_add(n) >= FULL {
            self.spill();
        }
        self.ask_for_per_cpu(n);
    }

    /// Moves the high part of a nearly full integer to the fraction. False: the series was removed,
    /// and the update is counted as stale.
    #[cold]
    #[inline(never)]
    fn spill(&self) -> bool {
        let full = if self.generation == Generation::FOREVER { FULL } else { SPILL };
        self.change_pair(|integer, fraction| match integer & self.mask() {
            own if own >= full => [integer - full, (f64::from_bits(fraction) + full as f64).to_bits()],
            _ => [integer, fraction],
        })
    }

    /// What is a multiple of `SPILL` goes to the fraction, so that whole numbers stay exact.
    #[cold]
    #[inline(never)]
    fn add_large(&self, n: u64) {
        let most = if self.generation == Generation::FOREVER { FULL - 1 } else { TAG_MASK };
        let carried = most / 2 + 1;
        self.change_pair(|integer, fraction| {
            let low = (integer & self.mask()) + n % SPILL;
            let carry = if low > most { carried } else { 0 };
            // As floats: their sum may be 2^64.
            let spilled = (n - n % SPILL) as f64 + carry as f64;
            [(integer & !self.mask()) | (low - carry), (f64::from_bits(fraction) + spilled).to_bits()]
        });
    }

    /// Adds a positive amount that is not a small whole number.
    #[inline(never)]
    fn add_fraction_or_large(&self, v: f64) {
        let whole = v as u64;
        if whole as f64 == v && whole < FULL {
            return self.add_large(whole);
        }
        if self.is_closed() {
            return self.inner.count(header::STALE_UPDATES);
        }
        if self.generation == Generation::FOREVER {
            return add_f64(&self.series.cells[1], v);
        }
        self.change_pair(|integer, fraction| [integer, (f64::from_bits(fraction) + v).to_bits()]);
    }

    /// Whether its family was retired, which is so of embedded series alone.
    fn is_closed(&self) -> bool {
        // Relaxed: nothing else is read for it.
        self.series.per_cpu.load(Relaxed) == percpu::CLOSED
    }

    /// The bits of the first cell that are the integer's.
    #[inline(always)]
    fn mask(&self) -> u64 {
        if self.generation == Generation::FOREVER {
            u64::MAX
        } else {
            TAG_MASK
        }
    }

    /// False: the series is over, which is counted.
    fn change_pair(&self, new: impl Fn(u64, u64) -> [u64; 2]) -> bool {
        // SAFETY: 16 bytes aligned to 16, of a mapping (or a static) that outlives the handle,
        // accessed only atomically.
        let pair = unsafe { Pair::new(std::ptr::from_ref(&self.series.cells).cast_mut().cast()) };
        let changed = pair.update(|[integer, fraction]| {
            let is_over = self.generation != Generation::FOREVER && self.generation.is_over(integer);
            if is_over || self.is_closed() {
                Err(())
            } else {
                Ok(new(integer, fraction))
            }
        });
        if changed.is_err() {
            self.inner.count(header::STALE_UPDATES);
        }
        changed.is_ok()
    }

    /// Subtracts `v`, but not below 0: for hosts whose counters can be reset, such as Python's
    /// client. Scrapers see a reset. A `v` that is not positive and finite is not subtracted, but
    /// counted in `shmetrics_updates_rejected_total`.
    pub fn saturating_sub(&self, v: f64) {
        if v == 0.0 {
            return;
        }
        if !(v > 0.0 && v < f64::INFINITY) {
            return self.reject();
        }
        // Per-CPU cells only rise. What is subtracted of them is a negative fraction.
        let in_per_cpu = percpu::sum(&self.inner.memory, self.series.per_cpu.load(Acquire)) as f64;
        self.change_pair(|integer, fraction| {
            let (whole, part) = (integer & self.mask(), f64::from_bits(fraction));
            let mut take = (v as u64).min(whole);
            let rest = v - take as f64;
            if rest > part {
                take = take.saturating_add((rest - part).ceil() as u64).min(whole);
            }
            [integer - take, (part - (v - take as f64)).max(-in_per_cpu).to_bits()]
        });
    }

    #[cold]
    fn reject(&self) {
        self.inner.count(header::REJECTED_UPDATES);
    }

    /// The value now, over all processes; 0 once the series is removed.
    pub fn get(&self) -> f64 {
        let (whole, parts) = self.parts();
        whole_sum(whole, parts).map_or_else(|| (whole as f64 + parts).max(0.0), |sum| sum as f64)
    }

    /// The value now, exact also beyond 2^53. `None`: fractions were added, or it is 2^64 or more.
    pub fn get_whole(&self) -> Option<u64> {
        let (whole, parts) = self.parts();
        whole_sum(whole, parts).and_then(|sum| sum.try_into().ok())
    }

    /// The whole amounts, and the fraction.
    fn parts(&self) -> (u128, f64) {
        // Acquire: as in `add_whole`.
        let per_cpu = self.series.per_cpu.load(Acquire);
        let [integer, fraction] = read(&self.series.cells);
        // After the cells: what was taken back of the per-CPU cells was in them before.
        let in_cells = percpu::sum(&self.inner.memory, per_cpu);
        let own = integer & self.mask();
        // Acquire: all of it was read before this look at the generation.
        fence(Acquire);
        let over = self.generation != Generation::FOREVER
            && (self.generation.is_over(integer) || !self.series.is_in(self.generation));
        if over || per_cpu == percpu::CLOSED || self.is_closed() {
            return (0, 0.0);
        }
        (u128::from(own) + in_cells, f64::from_bits(fraction))
    }
}

/// Whether the addition of `n` has taken a cell across a multiple of `percpu::HEAT`. Each hot cell
/// crosses one sooner or later.
#[inline(always)]
fn is_warm(before: u64, n: u64) -> bool {
    (before & (percpu::HEAT - 1)).saturating_add(n) >= percpu::HEAT
}

/// A counter's cells, between two spills.
#[inline(always)]
pub(crate) fn read(cells: &[AtomicU64; 2]) -> [u64; 2] {
    let mut integer = cells[0].load(Acquire);
    for _ in 0..64 {
        let fraction = cells[1].load(Acquire);
        let again = cells[0].load(Relaxed);
        if again >= integer {
            return [integer, fraction];
        }
        integer = again;
    }
    [integer, f64::to_bits(0.0)]
}

/// The sum of a counter's whole amounts and its fraction, if the sum is known to be a whole number.
/// The fraction may hold a part of a large whole number, and what was subtracted of the per-CPU
/// cells.
pub(crate) fn whole_sum(whole: u128, parts: f64) -> Option<u128> {
    let size = parts.abs() as u128;
    match size as f64 == parts.abs() {
        true if parts >= SPILL as f64 => Some(whole.saturating_add(size)),
        true if parts <= 0.0 => Some(whole.saturating_sub(size)),
        _ => None,
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[test]
    fn an_update_of_a_removed_series_is_counted_once() {
        let segment = Options::new().anonymous().max_size(1 << 20).open().unwrap();
        let family = segment.counter("c", "").labels(["n"]).register().unwrap();
        let old = family.with(["a"]);
        old.inc_by(SPILL - 1);
        old.inc_by(SPILL - 1);
        assert!(family.remove(["a"]));
        family.with(["a"]);
        let stale = || segment.inner.memory.get64(header::STALE_UPDATES);
        old.add_to_cell(3);
        assert_eq!(stale(), 1);
        old.inc_by(SPILL);
        old.add(0.5);
        old.add(1e15);
        old.saturating_sub(1.0);
        assert_eq!(stale(), 5);
    }
}
