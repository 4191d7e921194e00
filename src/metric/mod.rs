//! The metrics: handles, and updates of the cells of a series. Handles are a few words, `Copy`,
//! `Send` and `Sync`, and never dangle.
//!
//! * `counter`, `gauge`, `histogram`, `summary`, `state`: a type of metric each
//! * `gauge_merge`: the values of a gauge over processes; `exemplar`: the exemplars of a series
//! * `native`: native histograms, and the quantiles of summaries
//! * `run`: several updates, one after the other

use std::hash::{Hash, Hasher};
use std::panic::{RefUnwindSafe, UnwindSafe};

use self::sealed::FromSeries;
use crate::record::bundle;
use crate::segment::Inner;

mod counter;
mod exemplar;
mod gauge;
pub(crate) mod gauge_merge;
mod histogram;
mod native;
mod run;
mod state;
mod summary;

pub use self::counter::Counter;
pub use self::gauge::{Gauge, InProgress};
pub use self::histogram::{Histogram, Timer};
pub use self::state::{Enum, Info, StateSet};
pub use self::summary::{GaugeHistogram, Summary};

pub(crate) use self::counter::{read as counter_read, whole_sum};
pub(crate) use self::exemplar::{read as exemplar_read, Exemplar, CODE_POINTS};
pub(crate) use self::gauge::Word as GaugeWord;
pub(crate) use self::histogram::{read as histogram_read, saw_negatives};
pub(crate) use self::native::{
    each_block, each_cell, per_cpu_is_sound, quantiles_read, read as native_read, spans, Block, Counted, Sketch,
    EXEMPLARS as NATIVE_EXEMPLARS,
};
pub(crate) use self::run::Run;
pub(crate) use self::state::read as states_read;

pub(crate) mod sealed {
    use crate::kind::Kind;
    use crate::segment::{Inner, Segment};
    use crate::shm::state::SeriesAddr;

    pub trait FromSeries {
        /// The handle of the series at this address.
        #[allow(private_interfaces)]
        fn from_series(segment: Segment, addr: SeriesAddr) -> Self;
        /// As `from_series`, for the address of an entry.
        ///
        /// # Safety
        /// The address is a multiple of 16, and the `entry::SIZE` bytes there are backed.
        #[inline(always)]
        #[allow(private_interfaces)]
        unsafe fn from_entry(segment: Segment, addr: SeriesAddr) -> Self
        where
            Self: Sized,
        {
            Self::from_series(segment, addr)
        }
        /// Whether it is the handle of series of this kind.
        fn fits(kind: Kind) -> bool;
        /// The mapping and the series that the handle belongs to.
        #[allow(private_interfaces)]
        fn seat(&self) -> (&'static Inner, SeriesAddr);
        /// Whether its series has been removed.
        fn is_over(&self) -> bool {
            let (inner, SeriesAddr { at, generation }) = self.seat();
            inner.is_over(at, generation)
        }
    }
}

/// A kind of metric: [`Counter`], [`Gauge`], [`Histogram`] and so on.
///
/// A handle belongs to one series. After any process removes the series, updates through the handle
/// change nothing and are counted in `shmetrics_stale_updates_total`. They never change another
/// series, even if that series uses the same memory. So keep handles only for label sets that are
/// never removed, and look up the others.
pub trait Metric: sealed::FromSeries + Copy {
    /// Whether the series has been removed. A look-up of the same label set then makes a new one.
    fn is_removed(&self) -> bool {
        sealed::FromSeries::is_over(self)
    }
}
/// Two handles are equal if they lead to one series, by one mapping. A series that was removed and
/// the one that came after it are two.
macro_rules! handles {
    ($($metric:ident)*) => {$(
        impl Metric for $metric {}
        impl PartialEq for $metric {
            fn eq(&self, other: &Self) -> bool {
                let ((inner, place), (its_inner, its_place)) = (self.seat(), other.seat());
                std::ptr::eq(inner, its_inner) && place == its_place
            }
        }
        impl Eq for $metric {}
        impl Hash for $metric {
            fn hash<H: Hasher>(&self, state: &mut H) {
                let (inner, place) = self.seat();
                (std::ptr::from_ref(inner), place.into_word()).hash(state);
            }
        }
    )*};
}
handles!(Counter Gauge Histogram Summary GaugeHistogram StateSet Enum Info);

const fn is_shared_between_threads<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
const _: () = is_shared_between_threads::<(Counter, Gauge, Histogram, Summary, GaugeHistogram)>();
const _: () = is_shared_between_threads::<(StateSet, Enum, Info, Timer, InProgress)>();

/// Asks for per-CPU cells with so many bytes for each CPU, for a series that has just added `n`: in
/// a bundle, for all series of its label set.
#[cold]
#[inline(never)]
fn ask_for_per_cpu(inner: &Inner, record: u64, bytes: u64, n: u64) {
    match bundle::per_cpu_places(&inner.memory, record) {
        Some(places) => inner.ask_for_per_cpu_together(places.all(), places.bytes, n),
        None => inner.ask_for_per_cpu(record, bytes, n),
    }
}

/// Adds to an f64 kept as bits.
#[inline(always)]
fn add_f64(cell: &std::sync::atomic::AtomicU64, v: f64) {
    use std::sync::atomic::Ordering::Relaxed;
    let mut seen = cell.load(Relaxed);
    // Relaxed: a value of its own; nothing is published by it.
    while let Err(now) = cell.compare_exchange_weak(seen, (f64::from_bits(seen) + v).to_bits(), Relaxed, Relaxed) {
        seen = now;
    }
}
