//! Summaries and gauge histograms: handles over a histogram, with other updates.

use std::time::Duration;

use super::histogram::{Histogram, Timer};
use super::sealed::FromSeries;
use crate::kind::Kind;
use crate::record::family::Record;
use crate::segment::{Inner, Segment};
use crate::shm::layout::entry;
use crate::shm::layout::offset;
use crate::shm::state::SeriesAddr;

/// The count and the sum of observations, shared by all processes: a [`Histogram`] without buckets.
/// With [quantiles](crate::Builder::quantiles) if asked for.
///
/// Count and sum change as one. Every update is async-signal-safe, takes no lock, allocates
/// nothing, leaves `errno` as it is, and cannot fail. One that makes a bucket for quantiles may ask
/// the system for memory.
#[derive(Clone, Copy)]
pub struct Summary(Histogram);

/// A histogram whose observations can be taken back, such as the ages of the jobs in a queue.
///
/// An observation and its end must be of the same value: they find the same bucket, in whichever
/// processes they happen. What a killed process does not take back stays.
#[derive(Clone, Copy)]
pub struct GaugeHistogram(Histogram);

impl FromSeries for Summary {
    fn fits(kind: Kind) -> bool {
        kind == Kind::Summary
    }

    #[inline(always)]
    #[allow(private_interfaces)]
    fn from_series(segment: Segment, addr: SeriesAddr) -> Self {
        let memory = &segment.inner.memory;
        let family = Record::new(memory, offset(memory.get32(addr.at + entry::PARENT)));
        Summary(Histogram::new(segment, addr, &[], family.scheme()))
    }

    #[allow(private_interfaces)]
    fn seat(&self) -> (&'static Inner, SeriesAddr) {
        self.0.seat()
    }
}

impl FromSeries for GaugeHistogram {
    fn fits(kind: Kind) -> bool {
        kind == Kind::GaugeHistogram
    }

    #[inline(always)]
    #[allow(private_interfaces)]
    fn from_series(segment: Segment, addr: SeriesAddr) -> Self {
        GaugeHistogram(Histogram::from_series(segment, addr))
    }

    #[allow(private_interfaces)]
    fn seat(&self) -> (&'static Inner, SeriesAddr) {
        self.0.seat()
    }
}

/// The calls that a summary and a gauge histogram share.
macro_rules! observations {
    ($($metric:ident)*) => {$(
        impl $metric {
            /// Counts an observation of this many seconds.
            #[inline]
            pub fn observe_duration(&self, time: Duration) {
                self.0.observe_duration(time);
            }

            /// The number of observations now, over all processes; 0 once the series is removed.
            pub fn count(&self) -> u64 {
                self.0.count()
            }

            /// The sum of the observations now, over all processes; 0 once the series is removed.
            pub fn sum(&self) -> f64 {
                self.0.sum()
            }

            /// The count and the sum of the same observations.
            pub fn totals(&self) -> (u64, f64) {
                self.0.totals()
            }
        }
    )*};
}
observations!(Summary GaugeHistogram);

impl Summary {
    pub(crate) fn into_histogram(self) -> Histogram {
        self.0
    }

    /// Counts one observation. NaN is not counted, except in `shmetrics_updates_rejected_total`. An
    /// infinite value does not change the sum.
    #[inline]
    pub fn observe(&self, v: f64) {
        self.0.observe(v);
    }

    /// Starts a timer that observes the seconds from now to when it is dropped or stopped.
    pub fn start_timer(&self) -> Timer {
        self.0.start_timer()
    }

    /// Runs `f` and observes the seconds it took.
    pub fn time<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.time(f)
    }
}

impl GaugeHistogram {
    pub(crate) fn of(histogram: Histogram) -> Self {
        GaugeHistogram(histogram)
    }

    pub(crate) fn into_histogram(self) -> Histogram {
        self.0
    }

    /// Counts one observation; values are treated as by [`Histogram::observe`].
    #[inline]
    pub fn observe(&self, v: f64) {
        self.0.observe(v);
    }

    /// Takes back an observation of `v`. An empty bucket stays empty, and the call is counted in
    /// `shmetrics_updates_rejected_total`.
    #[inline]
    pub fn unobserve(&self, v: f64) {
        self.0.unobserve(v);
    }
}

impl std::fmt::Debug for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Summary").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for GaugeHistogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GaugeHistogram").field(&self.0).finish()
    }
}
