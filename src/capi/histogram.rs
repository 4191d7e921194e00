//! Histograms in C: registration, look-up, observations.

use std::ffi::c_void;

use super::family::{by_name, clear, find, is_removed, register_family, remove, with_labels};
use super::segment::{shmetrics_label, shmetrics_segment};
use super::status::shmetrics_status;
use super::{guard, guarded, hot, hot_guarded, shmetrics_family_spec, shmetrics_str};
use crate::kind::Kind;
use crate::metric::Histogram;
use crate::os::clock::monotonic_ns;
use crate::record::gauge_mode::GaugeMode;
use crate::shm::state::SeriesAddr;

/// A family of histograms.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_histogram_family {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// A histogram: with classic buckets, native ones, or both.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_histogram {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
    /// Private.
    pub p2: *const c_void,
}

const NULL: *const c_void = std::ptr::null();
const INERT: shmetrics_histogram = shmetrics_histogram::INERT;

impl shmetrics_histogram {
    pub(super) const INERT: Self = shmetrics_histogram { p0: NULL, p1: NULL, p2: NULL };

    #[inline(always)]
    pub(super) fn of(found: Option<Histogram>) -> Self {
        found.and_then(Histogram::into_words).map_or(INERT, |[p0, p1, p2]| shmetrics_histogram { p0, p1, p2 })
    }

    #[inline(always)]
    pub(super) fn get(self) -> Option<Histogram> {
        // SAFETY: the words are NULL or what `shmetrics_histogram_with` gave.
        unsafe { Histogram::from_words([self.p0, self.p1, self.p2]) }
    }
}

/// Registers a family of histograms, or finds it: with classic buckets, with native ones if
/// `native_factor` is set, or with both.
///
/// ```c
/// shmetrics_histogram_family latency;
/// shmetrics_histogram_register(segment, &SHMETRICS_FAMILY_SPEC(
///     .name = SHMETRICS_STR("latency_seconds"), .unit = SHMETRICS_STR("seconds"),
///     .native_factor = 1.1), &latency);
/// shmetrics_histogram_observe(shmetrics_histogram_with(latency, NULL, 0), 0.0042);
/// ```
///
/// Native buckets are made at their first observation. An observation that finds no room for its
/// bucket is not counted, except in `shmetrics_observations_refused_total`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_histogram_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::Histogram, GaugeMode::Shared, family) })
}

/// The histogram with these label values, made if there is none. See "Label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_with(
    family: shmetrics_histogram_family,
    values: *const shmetrics_str,
    count: usize,
) -> shmetrics_histogram {
    hot(INERT, || {
        // SAFETY: the caller's promise.
        shmetrics_histogram::of(unsafe { find(family.p0, family.p1, values, count) })
    })
}

/// Removes the histogram with these label values, for all processes. False if there is none. See
/// "Removing label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_remove(
    family: shmetrics_histogram_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(family.p0, family.p1, values, count) })
}

/// Removes all histograms of the family, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_clear(family: shmetrics_histogram_family) -> u64 {
    // SAFETY: the words of a family handle.
    guard(0, || unsafe { clear(family.p0, family.p1) })
}

/// Whether the histogram has been removed. A look-up of the same values then makes a new one. False
/// for an inert handle.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_is_removed(histogram: shmetrics_histogram) -> bool {
    let place = SeriesAddr::from_word(histogram.p1.addr() as u64);
    // SAFETY: the words are NULL or those of a handle.
    unsafe { is_removed(histogram.p0, place) }
}

/// Counts one observation. NaN is not counted, except in `shmetrics_updates_rejected_total`. An
/// infinite value is counted in its bucket and does not change the sum.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_observe(histogram: shmetrics_histogram, v: f64) {
    // SAFETY: the words are NULL or what `shmetrics_histogram_with` gave.
    unsafe { Histogram::observe_by_words([histogram.p0, histogram.p1, histogram.p2], v) }
}

/// As `shmetrics_histogram_observe`, and keeps these labels as the exemplar of the bucket, as
/// `shmetrics_counter_add_with_exemplar` does. Not for summaries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_observe_with_exemplar(
    histogram: shmetrics_histogram,
    v: f64,
    labels: *const shmetrics_label,
    count: usize,
) {
    if let Some(h) = histogram.get() {
        // SAFETY: the caller's promise.
        hot((), || unsafe { with_labels(labels, count, |labels| h.observe_with_exemplar(v, labels)) });
    }
}

/// Counts one observation of the histogram of this name with these labels, as
/// `shmetrics_counter_add_named` adds. A histogram that is made has the default buckets. NaN is
/// `SHMETRICS_STATUS_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_observe_named(
    segment: *mut shmetrics_segment,
    name: shmetrics_str,
    labels: *const shmetrics_label,
    count: usize,
    v: f64,
) -> shmetrics_status {
    hot_guarded(|| {
        // SAFETY: the caller's promise.
        unsafe {
            by_name(segment, Kind::Histogram, name, labels, count, v, |histogram: Histogram| histogram.observe(v))
        }
    })
}

/// The time now, for `shmetrics_histogram_observe_since`. The number has no other meaning.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_timer_start() -> u64 {
    monotonic_ns()
}

/// Observes the seconds since `start`, which `shmetrics_timer_start` gave.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_observe_since(histogram: shmetrics_histogram, start: u64) {
    shmetrics_histogram_observe(histogram, monotonic_ns().saturating_sub(start) as f64 / 1e9);
}

/// Writes the number of observations to `*count` and their sum to `*sum`, over all processes. Both
/// are of the same observations; 0 for an inert handle, and once the series is removed. Either
/// pointer may be NULL. The handle may be that of a summary. The call takes memory of the process
/// for a moment, so it is not async-signal-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_value(histogram: shmetrics_histogram, count: *mut u64, sum: *mut f64) {
    let value = guard((0, 0.0), || histogram.get().map_or((0, 0.0), |histogram| histogram.value()));
    // SAFETY: the caller's promise: each pointer is NULL or can be written to.
    unsafe {
        if let Some(count) = count.as_mut() {
            *count = value.0;
        }
        if let Some(sum) = sum.as_mut() {
            *sum = value.1;
        }
    }
}
