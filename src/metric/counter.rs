use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::add_f64;
use super::sealed::At;
use crate::segment::layout::{counter, header};
use crate::segment::{Inner, Segment};

/// A value that only rises, shared by all processes.
///
/// Whole and fractional amounts are kept apart: counting by integers is one atomic add, and exact beyond 2^53.
///
/// Every update is async-signal-safe, takes no lock, calls nothing, and cannot fail.
#[derive(Clone, Copy)]
pub struct Counter {
    inner: &'static Inner,
    cells: &'static [AtomicU64; 2],
}

/// Where updates go of a series that cannot be (a damaged segment).
static NOWHERE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

impl At for Counter {
    #[inline(always)]
    fn at(segment: Segment, at: u64) -> Self {
        let inner = segment.inner;
        let cells = match inner.memory.bytes(at + counter::INTEGER, 16) {
            // SAFETY: backed (checked), aligned to 8 (records to 16, the field to 8), mapped for the process' life, and only
            // accessed atomically.
            Some(p) => unsafe { &*p.cast::<[AtomicU64; 2]>() },
            None => &NOWHERE,
        };
        Counter { inner, cells }
    }
}

impl Counter {
    /// The words of a foreign handle.
    pub(crate) fn into_words(self) -> (*const c_void, *const c_void) {
        (std::ptr::from_ref(self.inner).cast(), std::ptr::from_ref(self.cells).cast())
    }

    /// # Safety
    /// The words are NULL or came from [`Counter::into_words`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(p0: *const c_void, p1: *const c_void) -> Option<Self> {
        // SAFETY: the caller's promise; both live as long as the process.
        unsafe { Some(Counter { inner: p0.cast::<Inner>().as_ref()?, cells: p1.cast::<[AtomicU64; 2]>().as_ref()? }) }
    }

    /// Adds 1.
    #[inline(always)]
    pub fn inc(&self) {
        // Relaxed: a sum of its own; nothing is published by it.
        self.cells[0].fetch_add(1, Relaxed);
    }

    /// Adds a whole number.
    #[inline(always)]
    pub fn inc_by(&self, n: u64) {
        if n >> 54 != 0 {
            // A thousand of these could wrap the integer cell, which would look like a reset. f64 cannot.
            add_f64(&self.cells[1], n as f64);
        } else {
            self.cells[0].fetch_add(n, Relaxed);
        }
    }

    /// Adds `v`. A negative, infinite or NaN `v` is not added: it would break the counter for good. It is counted in
    /// `shmetrics_updates_rejected_total` instead.
    #[inline]
    pub fn add(&self, v: f64) {
        let whole = v as u64;
        if whole as f64 == v && whole >> 54 == 0 {
            // -0.0 comes here and adds 0.
            self.cells[0].fetch_add(whole, Relaxed);
        } else if v > 0.0 && v < f64::INFINITY {
            add_f64(&self.cells[1], v);
        } else {
            self.reject();
        }
    }

    #[cold]
    fn reject(&self) {
        self.inner.count(header::REJECTED_UPDATES);
    }

    /// The value now, over all processes.
    pub fn get(&self) -> f64 {
        self.cells[0].load(Relaxed) as f64 + f64::from_bits(self.cells[1].load(Relaxed))
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}
