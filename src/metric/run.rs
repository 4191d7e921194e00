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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::metric::sealed::FromSeries;
    use crate::shm::percpu::{PerCpuKind, HEAT};
    use crate::Options;

    fn stay_on(cpus: &libc::cpu_set_t) {
        // SAFETY: plain bits, of this thread alone.
        assert_eq!(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), cpus) }, 0);
    }

    /// Cells are looked for once for several updates. In between, the thread may be moved.
    #[test]
    fn a_cpu_that_the_thread_has_left_is_not_written() {
        let segment = Options::new().anonymous().max_size(4 << 20).open().unwrap();
        let counter = segment.counter("c", "").register().unwrap();
        let histogram = segment.histogram("h", "").buckets(&[1.0]).register().unwrap();
        let inner = segment.inner;
        // SAFETY: sets of CPUs are plain bits.
        let (mut allowed, none): (libc::cpu_set_t, libc::cpu_set_t) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        // SAFETY: a plain call, and bits that are there.
        let cpus: Vec<usize> = unsafe {
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed);
            (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &allowed)).collect()
        };
        if inner.per_cpu.kind != PerCpuKind::Rseq || cpus.len() < 2 {
            eprintln!("skipped: a_cpu_that_the_thread_has_left_is_not_written (no restartable sequences, or one CPU)");
            return;
        }
        let only = |cpu: usize| {
            let mut set = none;
            // SAFETY: one of the set's bits.
            unsafe { libc::CPU_SET(cpu, &mut set) };
            stay_on(&set);
        };
        (0..2 * HEAT).for_each(|_| counter.inc());
        (0..2 * HEAT).for_each(|_| histogram.observe(0.5));
        let cells_of = |at| crate::shm::percpu::of(&inner.memory, at);
        let ((_, c), (_, h)) = (counter.seat(), histogram.seat());
        let (c, h) = (cells_of(c.at), cells_of(h.at));
        only(cpus[0]);
        let here = inner.per_cpu.here();
        let done = || [(0..100).any(|_| here.add(c, 1)), (0..100).any(|_| here.count(h, 0, 1.0))];
        assert_eq!(done(), [true; 2], "cells {c} and {h}");
        let before = (counter.get(), histogram.totals());
        only(cpus[1]);
        assert_eq!(done(), [false; 2]);
        assert_eq!((counter.get(), histogram.totals()), before);
        only(cpus[0]);
        assert_eq!(done(), [true; 2]);
        stay_on(&allowed);
    }
}
