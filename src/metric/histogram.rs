//! Classic histograms: the handle, and the {count, sum} pair of each bucket. `native` has the other
//! buckets.

use std::ffi::c_void;
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, Instant};

use super::exemplar;
use super::native;
use super::sealed::FromSeries;
use crate::kind::Kind;
use crate::record::family::Record;
use crate::record::native_schema::BucketScheme;
use crate::segment::{Inner, Segment};
use crate::shm::layout::offset;
use crate::shm::layout::{entry, family, header, histogram, GRANULE, NO_SCHEMA, SCHEMA_BIAS};
use crate::shm::memory::Mapped;
use crate::shm::pair::{fallen, Pair, FALLING_MASK};
use crate::shm::percpu::{self, Here};
use crate::shm::state::{Generation, SeriesAddr, State, TAG_MASK};

/// A histogram, shared by all processes: with classic buckets, [native](crate::Builder::native)
/// ones, or both.
///
/// Each bucket is one 16-byte cell {count, sum} that changes as one. An observation changes one
/// cell. So the buckets of both kinds, `_count` and `_sum` of a page agree, even if a process is
/// killed between two instructions.
///
/// Every update is async-signal-safe, takes no lock, allocates nothing, leaves `errno` as it is,
/// and cannot fail. Most make no system call. One that makes a native bucket, an exemplar's slot or
/// cells for each CPU may ask the system for memory.
#[derive(Clone, Copy)]
pub struct Histogram {
    inner: &'static Inner,
    /// The finite bounds, in the family's record.
    bounds: &'static [f64],
    /// `bounds.len() + 1` cells; null in a damaged segment.
    cells: *mut [u64; 2],
    generation: Generation,
    /// The scheme of the native buckets, or of the quantiles.
    native: Option<BucketScheme>,
}

// SAFETY: the cells are shared memory, accessed only through the atomics of `Pair`.
unsafe impl Send for Histogram {}
// SAFETY: as above.
unsafe impl Sync for Histogram {}

impl FromSeries for Histogram {
    fn fits(kind: Kind) -> bool {
        kind == Kind::Histogram
    }

    #[inline(always)]
    #[allow(private_interfaces)]
    fn from_series(segment: Segment, addr: SeriesAddr) -> Self {
        let memory = &segment.inner.memory;
        let family = Record::new(memory, offset(memory.get32(addr.at + entry::PARENT)));
        Histogram::new(segment, addr, family.bounds().unwrap_or(&[]), family.scheme())
    }

    #[allow(private_interfaces)]
    fn seat(&self) -> (&'static Inner, SeriesAddr) {
        (self.inner, SeriesAddr { at: self.record(), generation: self.generation })
    }
}

/// The number of bounds below `v`, which is the bucket it belongs to. Looks at all of them without
/// a branch, which beats searching up to some 64.
#[inline(always)]
pub(super) fn bucket(bounds: &[f64], v: f64) -> usize {
    if bounds.len() <= 64 {
        bounds.iter().map(|b| usize::from(*b < v)).sum()
    } else {
        bounds.partition_point(|b| *b < v)
    }
}

/// Whether a value is 0 or positive, and finite. One comparison of integers does it: as integers,
/// negative values, infinities and NaN are greater than all other values.
#[inline(always)]
pub(super) fn is_ordinary(v: f64) -> bool {
    v.to_bits() < f64::INFINITY.to_bits()
}

/// Whether negative values have been observed in this generation of the series at `record`, which
/// is backed.
///
/// # Safety
/// An entry's record is there, with a histogram's fixed part, aligned to 16, for as long as the
/// process.
#[inline(always)]
pub(crate) unsafe fn saw_negatives(record: *const u8, generation: Generation) -> bool {
    // SAFETY: the caller's promise; the word is only accessed atomically.
    let word = unsafe { &*record.add(histogram::NEGATIVE as usize).cast::<AtomicU64>() };
    // Acquire pairs with `note_sign`.
    word.load(Acquire) == generation.tag() | 1
}

/// The position of the schema in the third word of a foreign handle.
const SCHEMA_SHIFT: u32 = 60;

/// The native buckets of a family whose bounds are here, and whose schema is known.
///
/// # Safety
/// A family's record is in front of them.
#[inline(always)]
unsafe fn native_before(bounds: *const f64, schema: i8) -> BucketScheme {
    // SAFETY: the caller's promise: the fields are aligned in a record aligned to 16, and never
    // written after the family was published.
    let (zero_threshold, window) = unsafe {
        let family = bounds.byte_sub(family::SIZE as usize);
        (
            family.byte_add(family::ZERO_THRESHOLD as usize).read(),
            family.byte_add(family::WINDOW as usize).cast::<u32>().read(),
        )
    };
    BucketScheme { schema, zero_threshold: zero_threshold.max(0.0), window }
}

impl Histogram {
    #[inline(always)]
    pub(super) fn new(
        segment: Segment,
        SeriesAddr { at, generation }: SeriesAddr,
        bounds: &'static [f64],
        native: Option<BucketScheme>,
    ) -> Self {
        let inner = segment.inner;
        let cells = inner.memory.bytes(at + histogram::SIZE, 16 * (bounds.len() as u64 + 1));
        Histogram {
            inner,
            bounds,
            cells: cells.map_or(std::ptr::null_mut(), |p| p.cast_mut().cast()),
            generation,
            native,
        }
    }

    /// The words of the handle for C: the segment, the address, and the bounds as {native schema
    /// and 5, or 0: high 4 bits, count: 12 bits, offset, where they would be if there were any: low
    /// 48}. `None`: the segment is damaged.
    pub(crate) fn into_words(self) -> Option<[*const c_void; 3]> {
        let memory = &self.inner.memory;
        let at = self.record();
        memory.bytes(at, histogram::SIZE + 16 * (self.bounds.len() as u64 + 1))?;
        let family = offset(memory.get32(at + entry::PARENT));
        let count = self.bounds.len() as u64;
        memory.bytes(family, family::SIZE + 8 * count)?;
        let bounds = count << 48 | (family + family::SIZE);
        let schema = self.native.map_or(NO_SCHEMA, |scheme| (scheme.schema + SCHEMA_BIAS) as u8);
        let bounds = bounds | u64::from(schema) << SCHEMA_SHIFT;
        let word = |w: u64| std::ptr::without_provenance(w as usize);
        Some([
            std::ptr::from_ref(self.inner).cast(),
            word(SeriesAddr { at, generation: self.generation }.into_word()),
            word(bounds),
        ])
    }

    /// The words of a histogram without native buckets, whose family has so many bounds. `None`: a
    /// damaged segment, or memory that this process does not know yet.
    #[inline(always)]
    pub(crate) fn words_at(
        inner: &'static Inner,
        addr: SeriesAddr,
        family: u32,
        count: u64,
    ) -> Option<[*const c_void; 3]> {
        let (memory, family) = (&inner.memory, offset(family));
        let known = memory.is_known(addr.at, histogram::SIZE + 16 * (count + 1))
            && memory.is_known(family, family::SIZE + 8 * count);
        if !known {
            return None;
        }
        let word = |w: u64| std::ptr::without_provenance(w as usize);
        let bounds = count << 48 | (family + family::SIZE);
        Some([std::ptr::from_ref(inner).cast(), word(addr.into_word()), word(bounds)])
    }

    /// # Safety
    /// The words are NULL or came from [`Histogram::into_words`] or [`Histogram::words_at`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(p: [*const c_void; 3]) -> Option<Self> {
        // SAFETY: the caller's promise; segments live as long as the process.
        let inner = unsafe { p[0].cast::<Inner>().as_ref()? };
        let (addr, word) = (SeriesAddr::from_word(p[1].addr() as u64), p[2].addr() as u64);
        let first = inner.memory.checked_before(word << 16 >> 16).cast::<f64>();
        // SAFETY: a handle's bounds were checked when it was made, as its cells were
        // (`into_words`).
        let bounds = unsafe { std::slice::from_raw_parts(first, (word << 4 >> 52) as usize) };
        let cells = inner.memory.checked_before(addr.at + histogram::SIZE).cast_mut().cast();
        let native = match (word >> SCHEMA_SHIFT) as u8 {
            NO_SCHEMA => None,
            // SAFETY: they are in their family's record (`into_words`).
            schema => Some(unsafe { native_before(first, schema as i8 - SCHEMA_BIAS) }),
        };
        Some(Histogram { inner, bounds, cells, generation: addr.generation, native })
    }

    /// As [`Histogram::observe`]. The slow paths are the targets of jumps at the end: a C function
    /// does not unwind, so this needs no frame.
    ///
    /// # Safety
    /// As for [`Histogram::from_words`].
    #[inline(always)]
    pub(crate) unsafe fn observe_by_words(p: [*const c_void; 3], v: f64) {
        // SAFETY: the caller's promise.
        if let Some(histogram) = unsafe { Histogram::from_words(p) } {
            if histogram.native.is_none() && is_ordinary(v) && histogram.inner.per_cpu.are_known() {
                let i = bucket(histogram.bounds, v);
                if histogram.count_per_cpu(i, v) {
                    return;
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { Histogram::observe_by_words_slow(p[0], p[1], p[2], v) }
    }

    /// As [`Histogram::observe_by_words`]: in `here`, if the series has per-CPU cells. True: it may
    /// have some, and the update went another way, so `here` may be out of date.
    ///
    /// # Safety
    /// As for [`Histogram::from_words`].
    #[inline(always)]
    pub(crate) unsafe fn observe_here(p: [*const c_void; 3], here: &Here<'_>, v: f64) -> bool {
        // SAFETY: the caller's promise.
        if let Some(histogram) = unsafe { Histogram::from_words(p) } {
            if histogram.native.is_none() && is_ordinary(v) {
                // Acquire: as in `count_per_cpu`.
                let cells = histogram.half(entry::PER_CPU).load(Acquire);
                if histogram.is_in_its_generation() && here.count(cells, bucket(histogram.bounds, v), v) {
                    return false;
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { Histogram::observe_by_words_slow(p[0], p[1], p[2], v) }
        true
    }

    #[inline(never)]
    unsafe extern "C" fn observe_by_words_slow(p0: *const c_void, p1: *const c_void, p2: *const c_void, v: f64) {
        // SAFETY: the caller's promise.
        if let Some(histogram) = unsafe { Histogram::from_words([p0, p1, p2]) } {
            histogram.observe(v);
        }
    }

    fn record(&self) -> u64 {
        self.inner.memory.offset_of(self.cells.cast()).wrapping_sub(histogram::SIZE)
    }

    /// The number of observations and their sum, of the same observations of all processes; 0 once
    /// the series is removed.
    pub fn value(&self) -> (u64, f64) {
        let (memory, at) = (&self.inner.memory, self.record());
        let kind = Kind::from_byte(memory.get8(at + entry::KIND));
        let mask = match kind {
            Some(Kind::GaugeHistogram) => FALLING_MASK,
            _ if self.generation == Generation::FOREVER => u64::MAX,
            _ => TAG_MASK,
        };
        let mut counts = Vec::new();
        let sum = match self.native {
            // The buckets of quantiles count a second time what the only cell has counted.
            Some(scheme) if kind != Some(Kind::Summary) => {
                let ordinals: Vec<i32> = self.bounds.iter().map(|b| scheme.ordinal(*b)).collect();
                let (addr, mut sketch) = (SeriesAddr { at, generation: self.generation }, native::Sketch::default());
                native::read(memory, addr, mask, scheme, &ordinals, &mut sketch, &mut counts, |_| true)
            }
            _ => read(memory, at, mask, self.bounds.len(), &mut counts),
        };
        // Acquire: all of it was read before this look at the generation.
        fence(Acquire);
        match sum {
            Some(sum) if !self.is_over() => (counts.iter().fold(0, |all, n| all.wrapping_add(*n)), sum),
            _ => (0, 0.0),
        }
    }

    /// Counts one observation.
    ///
    /// NaN is not counted, except in `shmetrics_updates_rejected_total`: it belongs to no bucket,
    /// and would make the sum NaN. An infinite value is counted in its bucket, the first or `+Inf`,
    /// and does not change the sum. A negative value is counted in its bucket and lowers the sum.
    #[inline]
    pub fn observe(&self, v: f64) {
        self.observe_counted(v);
    }

    #[inline(always)]
    fn observe_counted(&self, v: f64) -> bool {
        match &self.native {
            None => self.change::<false>(v),
            Some(scheme) => self.change_native::<false>(scheme, v),
        }
    }

    /// As `change`, for a series with native buckets or quantiles.
    #[inline(never)]
    fn change_native<const UNDO: bool>(&self, scheme: &BucketScheme, v: f64) -> bool {
        let is_fast = !UNDO && scheme.window == 0 && self.bounds.is_empty() && !self.cells.is_null();
        if is_fast && native::count_fast(&self.target(&[], *scheme), v).is_some() {
            return true;
        }
        self.change_native_slow::<UNDO>(scheme, v)
    }

    /// Slow path of `change_native`. A C function does not unwind, so callers end with a jump to
    /// it.
    #[inline(never)]
    extern "C" fn change_native_slow<const UNDO: bool>(&self, scheme: &BucketScheme, v: f64) -> bool {
        if !is_ordinary(v) || self.cells.is_null() {
            if v.is_nan() || self.cells.is_null() {
                self.reject();
                return false;
            }
            if !UNDO {
                self.note_sign(v);
            }
        }
        if scheme.window > 0 {
            return self.observe_recent(*scheme, v);
        }
        // A call of its own keeps the path short for families without classic bounds.
        if self.bounds.is_empty() {
            return native::change::<UNDO>(&self.target(&[], *scheme), v);
        }
        self.change_both::<UNDO>(*scheme, v)
    }

    #[inline(never)]
    fn change_both<const UNDO: bool>(&self, scheme: BucketScheme, v: f64) -> bool {
        native::change::<UNDO>(&self.target(self.bounds, scheme), v)
    }

    #[inline(always)]
    fn target<'a>(&self, bounds: &'a [f64], scheme: BucketScheme) -> native::Target<'a> {
        // Records are aligned, which tells the compiler.
        let record = self.record() / GRANULE * GRANULE;
        native::Target { inner: self.inner, record, generation: self.generation, bounds, scheme }
    }

    /// Observes in a summary with quantiles.
    #[inline(never)]
    fn observe_recent(&self, scheme: BucketScheme, v: f64) -> bool {
        let counted = self.change::<false>(v);
        if counted && !self.is_over() {
            native::observe_recent(
                self.inner,
                SeriesAddr { at: self.record(), generation: self.generation },
                scheme,
                v,
            );
        }
        counted
    }

    /// As [`Histogram::observe`], and keeps these labels as the exemplar of the bucket, as
    /// [`Counter::inc_with_exemplar`](crate::Counter::inc_with_exemplar) does.
    pub fn observe_with_exemplar(&self, v: f64, labels: &[(&str, &str)]) {
        if self.observe_counted(v) && !self.is_over() {
            let slot = if self.native.is_some() && self.bounds.is_empty() {
                [native::slot_of(v), native::EXEMPLARS]
            } else {
                [bucket(self.bounds, v) as u64, self.bounds.len() as u64 + 1]
            };
            exemplar::offer(self.inner, self.record(), self.generation, slot, v, labels);
        }
    }

    /// Undoes one observation of `v`.
    #[inline]
    pub(super) fn unobserve(&self, v: f64) {
        // C has one handle for all histograms, and the counts of others never fall.
        let is_gauge = |at| self.inner.memory.get8(at + entry::KIND) == Kind::GaugeHistogram as u8;
        if self.cells.is_null() || !is_gauge(self.record()) {
            return self.reject();
        }
        if self.is_closed() {
            return self.inner.count(header::STALE_UPDATES);
        }
        match &self.native {
            None => self.change::<true>(v),
            Some(scheme) => self.change_native::<true>(scheme, v),
        };
    }

    /// False: it was not counted.
    #[inline(always)]
    fn change<const UNDO: bool>(&self, v: f64) -> bool {
        if !is_ordinary(v) || self.cells.is_null() {
            return self.change_special::<UNDO>(v);
        }
        let i = bucket(self.bounds, v);
        if !UNDO && self.count_per_cpu(i, v) {
            return true;
        }
        self.change_slow::<UNDO>(i, v)
    }

    /// As `change`, for negative and infinite values and NaN.
    #[cold]
    #[inline(never)]
    extern "C" fn change_special<const UNDO: bool>(&self, v: f64) -> bool {
        if v.is_nan() || self.cells.is_null() {
            self.reject();
            return false;
        }
        if !UNDO {
            self.note_sign(v);
        }
        let i = bucket(self.bounds, v);
        // An infinite value leaves the sum as it is.
        let v = if v.is_finite() { v } else { 0.0 };
        if !UNDO && self.count_per_cpu(i, v) {
            return true;
        }
        self.change_slow::<UNDO>(i, v)
    }

    /// Notes in the record that this generation has negative observations, before the first of them
    /// is counted.
    #[cold]
    #[inline(never)]
    fn note_sign(&self, v: f64) {
        let generation = if self.generation == Generation::FOREVER { Generation(0) } else { self.generation };
        if v < 0.0 && !self.is_over() {
            if let Some(word) = self.inner.memory.u64_at(self.record() + histogram::NEGATIVE) {
                // Generations only rise. Release pairs with `saw_negatives`, and so does the swap
                // that counts the observation.
                let mine = generation.tag() | 1;
                if word.load(Relaxed) < mine {
                    word.fetch_max(mine, Release);
                }
            }
        }
    }

    /// Counts in the cell of this CPU, if the fast path can.
    #[inline(always)]
    fn count_per_cpu(&self, i: usize, v: f64) -> bool {
        // Acquire: if a later generation gave the per-CPU cells, `is_in_its_generation` sees that
        // generation.
        let cells = self.half(entry::PER_CPU).load(Acquire);
        self.is_in_its_generation() && self.inner.per_cpu.count(cells, i, v)
    }

    /// Slow path of `change`: counts with a locked instruction in a per-CPU cell, if there is one.
    #[inline(never)]
    extern "C" fn change_slow<const UNDO: bool>(&self, i: usize, v: f64) -> bool {
        if !UNDO {
            // Acquire: as above.
            let cells = self.half(entry::PER_CPU).load(Acquire);
            if self.is_in_its_generation() && self.inner.per_cpu.count_locked(cells, i, v) {
                return true;
            }
        }
        self.change_first_time::<UNDO>(i, v)
    }

    /// Counts in per-CPU cells that this process has not checked yet, or in the shared cell.
    #[inline(never)]
    extern "C" fn change_first_time<const UNDO: bool>(&self, i: usize, v: f64) -> bool {
        if !UNDO {
            // Acquire: as above.
            let cells = self.half(entry::PER_CPU).load(Acquire);
            if cells != 0
                && self.is_in_its_generation()
                && self.inner.per_cpu.count_slow(&self.inner.memory, cells, i, v)
            {
                return true;
            }
        }
        self.change_shared_cell::<UNDO>(i, v)
    }

    /// A word of the record's entry.
    #[inline(always)]
    fn half(&self, field: u64) -> &AtomicU32 {
        // SAFETY: the cells are not null; their record is in front of them, aligned to 16, and
        // these words are only accessed atomically.
        unsafe { &*self.cells.cast::<u8>().sub((histogram::SIZE - field) as usize).cast::<AtomicU32>() }
    }

    /// Whether its family was retired, which is so of embedded series alone.
    fn is_closed(&self) -> bool {
        // Relaxed: nothing else is read for it.
        self.half(entry::PER_CPU).load(Relaxed) == percpu::CLOSED
    }

    /// Whether the record still has the series of this handle.
    #[inline(always)]
    fn is_in_its_generation(&self) -> bool {
        self.generation == Generation::FOREVER
            || State(self.half(entry::STATE).load(Relaxed)).generation() == self.generation
    }

    /// Counts in the cell that all processes share.
    #[inline(always)]
    fn change_shared_cell<const UNDO: bool>(&self, i: usize, v: f64) -> bool {
        // SAFETY: `i <= bounds.len()`, and that many cells plus one were checked to be there; they
        // are aligned to 16, mapped for the process' lifetime, and only accessed atomically. A
        // successful swap changes the count.
        let pair = unsafe { Pair::new(self.cells.add(i)) };
        let mut seen = pair.guess();
        loop {
            let mask = if self.generation == Generation::FOREVER { u64::MAX } else { TAG_MASK };
            if mask == TAG_MASK && self.generation.is_over(seen[0]) {
                self.inner.count(header::STALE_UPDATES);
                return false;
            }
            if if UNDO { seen[0] & FALLING_MASK == 0 } else { seen[0] & mask == mask } {
                if self.is_closed() {
                    self.inner.count(header::STALE_UPDATES);
                } else {
                    self.reject();
                }
                return false;
            }
            let sum = f64::from_bits(seen[1]);
            let (count, sum) = if UNDO { (fallen(seen[0], mask), sum - v) } else { (seen[0] + 1, sum + v) };
            match pair.cas(seen, [count, sum.to_bits()]) {
                // Counts of gauge histograms fall, and they have no per-CPU cells.
                Ok(()) if !UNDO && count & (percpu::HEAT_OF_BUCKET - 1) == 0 => {
                    self.ask_for_per_cpu();
                    return true;
                }
                Ok(()) => return true,
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn ask_for_per_cpu(&self) {
        // Native buckets and quantiles have cells of their own kinds.
        let falls = self.inner.memory.get8(self.record() + entry::KIND) == Kind::GaugeHistogram as u8;
        if falls {
            return;
        }
        if self.native.is_none() {
            super::ask_for_per_cpu(self.inner, self.record(), 16 * (self.bounds.len() as u64 + 1), 1);
        }
    }

    #[cold]
    fn reject(&self) {
        self.inner.count(header::REJECTED_UPDATES);
    }

    /// Counts an observation of this many seconds.
    #[inline]
    pub fn observe_duration(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// The number of observations now, over all processes; 0 once the series is removed.
    pub fn count(&self) -> u64 {
        self.totals().0
    }

    /// The sum of the observations now, over all processes; 0 once the series is removed.
    pub fn sum(&self) -> f64 {
        self.totals().1
    }

    /// The count and the sum of the same observations.
    pub fn totals(&self) -> (u64, f64) {
        self.read_totals().filter(|_| !self.is_over() && !self.is_closed()).unwrap_or_default()
    }

    fn read_totals(&self) -> Option<(u64, f64)> {
        let (memory, mut counts) = (&self.inner.memory, Vec::new());
        if self.cells.is_null() {
            return None;
        }
        let (_, place) = self.seat();
        let mask = match (memory.get8(place.at + entry::KIND) == Kind::GaugeHistogram as u8, self.generation) {
            (true, _) => FALLING_MASK,
            (_, Generation::FOREVER) => u64::MAX,
            _ => TAG_MASK,
        };
        let sum = match &self.native {
            Some(shape) if shape.window == 0 => {
                let ordinals: Vec<i32> = self.bounds.iter().map(|bound| shape.ordinal(*bound)).collect();
                let (mut sketch, all) = (native::Sketch::default(), |_| true);
                native::read(memory, place, mask, *shape, &ordinals, &mut sketch, &mut counts, all)?
            }
            _ => read(memory, place.at, mask, self.bounds.len(), &mut counts)?,
        };
        Some((counts.iter().fold(0, |all, count| all.wrapping_add(*count)), sum))
    }

    /// Starts a timer that observes the seconds from now to when it is dropped or stopped.
    pub fn start_timer(&self) -> Timer {
        Timer { histogram: *self, start: Instant::now(), armed: true }
    }

    /// Runs `f` and observes the seconds it took.
    pub fn time<R>(&self, f: impl FnOnce() -> R) -> R {
        let _timer = self.start_timer();
        f()
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Measures a duration for a [`Histogram`]: observes it when dropped.
#[must_use = "a timer that is dropped at once observes nothing but itself"]
#[derive(Debug)]
pub struct Timer {
    histogram: Histogram,
    start: Instant,
    armed: bool,
}

impl Timer {
    /// Observes now, and returns the seconds.
    pub fn stop(mut self) -> f64 {
        self.armed = false;
        let seconds = self.start.elapsed().as_secs_f64();
        self.histogram.observe(seconds);
        seconds
    }

    /// Ends without an observation.
    pub fn discard(mut self) {
        self.armed = false;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if self.armed {
            self.histogram.observe(self.start.elapsed().as_secs_f64());
        }
    }
}

/// Reads the buckets of a series: the count of each, of which `mask` takes bits out, into `counts`.
/// Returns the sum of the same observations.
#[inline]
pub(crate) fn read(memory: &Mapped, at: u64, mask: u64, buckets: usize, counts: &mut Vec<u64>) -> Option<f64> {
    counts.clear();
    let mut sum = 0.0;
    for i in 0..=buckets as u64 {
        let [count, part] = memory.pair(at + histogram::SIZE + 16 * i)?.load();
        counts.push(count & mask);
        sum += f64::from_bits(part);
    }
    percpu::pairs(memory, percpu::of(memory, at), buckets + 1, |i, [count, part]| {
        counts[i] = counts[i].wrapping_add(count);
        sum += f64::from_bits(part);
    });
    Some(sum)
}

#[cfg(test)]
mod tests {
    use crate::metric::histogram::bucket;

    #[test]
    fn item_54_a_bound_belongs_to_its_own_bucket() {
        let few = [1.0, 2.0, 5.0];
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        for (v, i) in [(0.5, 0), (1.0, 0), (1.5, 1), (5.0, 2), (5.1, 3), (f64::INFINITY, 3), (f64::NEG_INFINITY, 0)] {
            assert_eq!(bucket(&few, v), i, "{v}");
        }
        for v in [-1.0, 0.0, 0.5, 98.0, 99.0, 99.5] {
            assert_eq!(bucket(&many, v), many.iter().filter(|b| **b < v).count(), "{v}");
        }
    }
}
