//! Several updates of series in one record, one after the other: what they have in common is found
//! once.

use super::{Counter, Histogram};
use crate::segment::Inner;
use crate::shm::layout::COUNTER_END;
use crate::shm::percpu::Here;
use crate::shm::state::SeriesAddr;

/// Updates of the series at the seats of one record.
pub(crate) struct Run {
    inner: &'static Inner,
    addr: SeriesAddr,
    /// Bytes from the record on that are known to be granted.
    room: u64,
    here: Here<'static>,
}

impl Run {
    /// `addr` is a multiple of 16, as the addresses of all series.
    #[inline(always)]
    pub(crate) fn new(inner: &'static Inner, addr: SeriesAddr) -> Self {
        Run { inner, addr, room: inner.memory.known_from(addr.at), here: inner.per_cpu.here() }
    }

    #[inline(always)]
    fn at(&self, seat: u64) -> SeriesAddr {
        SeriesAddr { at: self.addr.at + seat, ..self.addr }
    }

    /// Adds to the counter at this seat, a multiple of 16. False: nothing was done.
    #[inline(always)]
    pub(crate) fn add(&mut self, seat: u64, n: u64) -> bool {
        if seat.saturating_add(COUNTER_END) > self.room || n >= Counter::LARGE {
            return false;
        }
        // SAFETY: a counter's record, or its seat, is granted there (checked), aligned to 16.
        if unsafe { Counter::add_here(self.inner, self.at(seat), &self.here, n) } {
            self.here = self.inner.per_cpu.here();
        }
        true
    }

    /// Observes in the histogram at this seat, which has so many bounds in its family's record, and
    /// no native buckets. False: nothing was done.
    #[inline(always)]
    pub(crate) fn observe(&mut self, seat: u64, family: u32, bounds: u64, v: f64) -> bool {
        let Some(words) = Histogram::words_at(self.inner, self.at(seat), family, bounds) else { return false };
        // SAFETY: `words_at` has checked what they lead to.
        if unsafe { Histogram::observe_here(words, &self.here, v) } {
            self.here = self.inner.per_cpu.here();
        }
        true
    }
}
