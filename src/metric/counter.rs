use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed};

use super::sealed::At;
use super::{add_f64, exemplar};
use crate::segment::layout::{counter, header};
use crate::segment::life::{Life, Place, TAG_MASK};
use crate::segment::pair::Pair;
use crate::segment::{Inner, Segment};

/// A value that only rises, shared by all processes.
///
/// Whole and fractional amounts are kept apart: counting by integers is one atomic instruction, and exact beyond 2^53.
///
/// Every update is async-signal-safe, takes no lock, calls nothing, and cannot fail.
#[derive(Clone, Copy)]
pub struct Counter {
    inner: &'static Inner,
    cells: &'static Cells,
    life: Life,
}

/// {tag and integer, fraction}. The tag of a series that is never removed is part of its integer.
#[repr(C, align(16))]
struct Cells([AtomicU64; 2]);

/// Where updates go of a series that cannot be (a damaged segment).
static NOWHERE: Cells = Cells([AtomicU64::new(0), AtomicU64::new(0)]);

/// What moves from a full integer to the fraction: sums of it are exact there up to 2^96.
pub(crate) const SPILL: u64 = 1 << 43;
/// Greater amounts are added to the fraction. A thousand of them could wrap the integer of a series that is never removed,
/// which would look like a reset; f64 cannot.
const LARGE: u64 = 1 << 54;

impl At for Counter {
    #[inline(always)]
    #[allow(private_interfaces)]
    fn at(segment: Segment, place: Place) -> Self {
        let inner = segment.inner;
        let cells = match inner.memory.bytes(place.at + counter::INTEGER, 16) {
            // SAFETY: backed (checked), aligned (records to 16, and so the pair in them), mapped for the process' life, and
            // only accessed atomically.
            Some(p) => unsafe { &*p.cast::<Cells>() },
            None => &NOWHERE,
        };
        Counter { inner, cells, life: place.life }
    }

    fn is_over(&self) -> bool {
        self.inner.is_over(self.record(), self.life)
    }
}

impl Counter {
    /// The words of a foreign handle. `None`: it is none (a damaged segment).
    pub(crate) fn into_words(self) -> Option<[*const c_void; 2]> {
        let at = self.record();
        self.inner.memory.bytes(at, counter::SIZE)?;
        let place = Place { at, life: self.life }.into_word();
        Some([std::ptr::from_ref(self.inner).cast(), std::ptr::without_provenance(place as usize)])
    }

    /// # Safety
    /// The words are NULL or came from [`Counter::into_words`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(p: [*const c_void; 2]) -> Option<Self> {
        // SAFETY: the caller's promise; segments live as long as the process.
        let inner = unsafe { p[0].cast::<Inner>().as_ref()? };
        let place = Place::from_word(p[1].addr() as u64);
        let cells = inner.memory.checked_before(place.at + counter::INTEGER);
        // SAFETY: as in `at`: `into_words` checked that it is there.
        Some(Counter { inner, cells: unsafe { &*cells.cast::<Cells>() }, life: place.life })
    }

    fn record(&self) -> u64 {
        self.inner.memory.offset_of(std::ptr::from_ref(self.cells).cast()).wrapping_sub(counter::INTEGER)
    }

    /// Adds 1.
    #[inline(always)]
    pub fn inc(&self) {
        self.add_whole(1);
    }

    /// Adds a whole number.
    #[inline(always)]
    pub fn inc_by(&self, n: u64) {
        if n < LARGE || self.life != Life::FOREVER {
            self.add_whole(n);
        } else {
            self.add_fraction(n as f64);
        }
    }

    /// Adds `v`. A negative, infinite or NaN `v` is not added: it would break the counter for good. It is counted in
    /// `shmetrics_updates_rejected_total` instead.
    #[inline]
    pub fn add(&self, v: f64) {
        let whole = v as u64;
        if whole as f64 == v && whole < LARGE {
            // -0.0 comes here and adds 0.
            self.add_whole(whole);
        } else if v > 0.0 && v < f64::INFINITY {
            self.add_fraction(v);
        } else {
            self.reject();
        }
    }

    /// Adds 1, and keeps what these labels say of it as an exemplar: `trace_id`, mostly.
    ///
    /// A counter keeps the latest, and takes a new one no sooner than a second after the last (see
    /// [`Builder::exemplar_interval`](crate::Builder::exemplar_interval)); else this costs little more than [`Counter::inc`]. Names and values
    /// may have 128 characters together. Labels that no page could have are not kept, but noted in
    /// `shmetrics_updates_rejected_total`; the update is done in any case. Neither allocates nor blocks, but for the first exemplar
    /// of a series, which takes memory from the segment.
    pub fn inc_with_exemplar(&self, labels: &[(&str, &str)]) {
        self.add_with_exemplar(1.0, labels);
    }

    /// As [`Counter::add`], with an exemplar as of [`Counter::inc_with_exemplar`].
    pub fn add_with_exemplar(&self, v: f64, labels: &[(&str, &str)]) {
        self.add(v);
        if v >= 0.0 && v.is_finite() && !self.is_over() {
            exemplar::offer(self.inner, self.record(), self.life, [0, 1], v, labels);
        }
    }

    #[inline(always)]
    fn add_whole(&self, n: u64) {
        let integer = &self.cells.0[0];
        if self.life == Life::FOREVER {
            // Relaxed: a sum of its own; nothing is published by it.
            integer.fetch_add(n, Relaxed);
            return;
        }
        if n >= SPILL {
            return self.add_large(n);
        }
        let mut seen = integer.load(Relaxed);
        loop {
            if self.life.is_over(seen) {
                return self.inner.count(header::STALE_UPDATES);
            }
            if (seen & TAG_MASK) + n > TAG_MASK {
                self.spill();
                seen = integer.load(Relaxed);
                continue;
            }
            // Relaxed, as above. It fails in any other life.
            match integer.compare_exchange_weak(seen, seen + n, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Moves what would not fit into the integer for long to the fraction.
    #[cold]
    #[inline(never)]
    fn spill(&self) {
        self.change_pair(|integer, fraction| match integer & TAG_MASK {
            full if full >= SPILL => [integer - SPILL, (f64::from_bits(fraction) + SPILL as f64).to_bits()],
            _ => [integer, fraction],
        });
    }

    /// What is a multiple of `SPILL` goes to the fraction, so that whole numbers stay exact.
    #[cold]
    #[inline(never)]
    fn add_large(&self, n: u64) {
        self.change_pair(|integer, fraction| {
            let low = (integer & TAG_MASK) + n % SPILL;
            let carry = if low > TAG_MASK { SPILL } else { 0 };
            // As floats: their sum may be 2^64.
            let spilled = (n - n % SPILL) as f64 + carry as f64;
            [(integer & !TAG_MASK) | (low - carry), (f64::from_bits(fraction) + spilled).to_bits()]
        });
    }

    #[inline(never)]
    fn add_fraction(&self, v: f64) {
        if self.life == Life::FOREVER {
            return add_f64(&self.cells.0[1], v);
        }
        self.change_pair(|integer, fraction| [integer, (f64::from_bits(fraction) + v).to_bits()]);
    }

    fn change_pair(&self, new: impl Fn(u64, u64) -> [u64; 2]) {
        // SAFETY: 16 bytes aligned to 16, of a mapping (or a static) that outlives the handle, accessed only atomically.
        let pair = unsafe { Pair::new(std::ptr::from_ref(self.cells).cast_mut().cast()) };
        let mut seen = pair.guess();
        loop {
            if self.life != Life::FOREVER && self.life.is_over(seen[0]) {
                return self.inner.count(header::STALE_UPDATES);
            }
            match pair.cas(seen, new(seen[0], seen[1])) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes `v` back, or as much of it as is there: for hosts whose counters can be reset, such as Python's client. Scrapers see a
    /// reset. What is not positive and finite is not taken, but counted in `shmetrics_updates_rejected_total`.
    pub fn take_back(&self, v: f64) {
        if v == 0.0 {
            return;
        }
        if !(v > 0.0 && v < f64::INFINITY) {
            return self.reject();
        }
        let mask = if self.life == Life::FOREVER { u64::MAX } else { TAG_MASK };
        self.change_pair(|integer, fraction| {
            let (whole, part) = (integer & mask, f64::from_bits(fraction));
            let mut take = (v as u64).min(whole);
            let rest = v - take as f64;
            if rest > part {
                take = take.saturating_add((rest - part).ceil() as u64).min(whole);
            }
            [integer - take, (part - (v - take as f64)).max(0.0).to_bits()]
        });
    }

    #[cold]
    fn reject(&self) {
        self.inner.count(header::REJECTED_UPDATES);
    }

    /// The value now, over all processes; 0 once the series is removed and its memory in use elsewhere.
    pub fn get(&self) -> f64 {
        let [integer, fraction] = read(&self.cells.0);
        if self.life == Life::FOREVER {
            integer as f64 + f64::from_bits(fraction)
        } else if self.life.is_over(integer) {
            0.0
        } else {
            (integer & TAG_MASK) as f64 + f64::from_bits(fraction)
        }
    }
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

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}
