//! Values of one process: its part of a total, and its last exemplars.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

use pyo3::prelude::*;

use crate::fork;

/// A process' own part of a total.
pub(super) struct LocalValue {
    bits: AtomicU64,
    generation: AtomicU32,
}

impl LocalValue {
    pub(super) fn new() -> Self {
        LocalValue { bits: AtomicU64::new(0), generation: AtomicU32::new(fork::generation()) }
    }

    /// Begins anew in a forked child.
    #[inline(always)]
    fn fresh(&self) -> &AtomicU64 {
        let generation = fork::generation();
        if self.generation.load(Relaxed) != generation {
            self.bits.store(0, Relaxed);
            self.generation.store(generation, Relaxed);
        }
        &self.bits
    }

    /// Threads take turns: updates keep the GIL.
    #[inline(always)]
    pub(super) fn add(&self, v: f64) {
        let bits = self.fresh();
        bits.store((f64::from_bits(bits.load(Relaxed)) + v).to_bits(), Relaxed);
    }

    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.fresh().load(Relaxed))
    }
}

/// The last exemplar, as prometheus_client's object.
#[derive(Default)]
pub(super) struct LastExemplar(Mutex<Option<Py<PyAny>>>);

impl LastExemplar {
    pub(super) fn set(&self, exemplar: Option<Py<PyAny>>) {
        let before = match self.0.lock() {
            Ok(mut last) => std::mem::replace(&mut *last, exemplar),
            Err(_) => exemplar,
        };
        // After the lock is released: a destructor may count on the same value.
        drop(before);
    }

    pub(super) fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.lock().ok().and_then(|last| last.as_ref().map(|e| e.clone_ref(py)))
    }
}
