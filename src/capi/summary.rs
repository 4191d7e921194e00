//! Summaries in C: registration, look-up, observations.

use std::ffi::c_void;

use super::family::{clear, find, register_family, remove};
use super::histogram::{shmetrics_histogram, shmetrics_histogram_family};
use super::segment::shmetrics_segment;
use super::status::shmetrics_status;
use super::{guard, guarded, hot, shmetrics_family_spec, shmetrics_str};
use crate::kind::Kind;
use crate::metric::{GaugeHistogram, Summary};
use crate::record::gauge_mode::GaugeMode;

/// A family of summaries.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_summary_family {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// Registers a family of summaries, or finds it: the count and the sum of observations, and
/// quantiles if the spec has `quantiles`.
///
/// ```c
/// const double quantiles[] = {0.5, 0.9, 0.99};
/// shmetrics_summary_family sizes;
/// shmetrics_summary_register(segment, &SHMETRICS_FAMILY_SPEC(
///     .name = SHMETRICS_STR("response_bytes"),
///     .quantiles = quantiles, .quantile_count = 3), &sizes);
/// ```
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_summary_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_summary_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::Summary, GaugeMode::Shared, family) })
}

/// The summary with these label values, made if there is none. The handle is that of a histogram
/// without buckets: observe with `shmetrics_histogram_observe`. See "Label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_summary_with(
    family: shmetrics_summary_family,
    values: *const shmetrics_str,
    count: usize,
) -> shmetrics_histogram {
    hot(shmetrics_histogram::INERT, || {
        // SAFETY: the caller's promise.
        let found: Option<Summary> = unsafe { find(family.p0, family.p1, values, count) };
        shmetrics_histogram::of(found.map(Summary::into_histogram))
    })
}

/// Removes the summary with these label values, for all processes. False if there is none. See
/// "Removing label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_summary_remove(
    family: shmetrics_summary_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(family.p0, family.p1, values, count) })
}

/// Removes all summaries of the family, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_summary_clear(family: shmetrics_summary_family) -> u64 {
    // SAFETY: the words of a family handle.
    guard(0, || unsafe { clear(family.p0, family.p1) })
}

/// Registers a family of gauge histograms, or finds it: histograms whose observations can be taken
/// back by `shmetrics_histogram_unobserve`, such as the ages of the jobs in a queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_gauge_histogram_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_histogram_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::GaugeHistogram, GaugeMode::Shared, family) })
}

/// Takes back an observation of `v` that was counted before: for gauge histograms. An empty bucket
/// stays empty, which is counted in `shmetrics_updates_rejected_total`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_unobserve(histogram: shmetrics_histogram, v: f64) {
    if let Some(h) = histogram.get() {
        GaugeHistogram::of(h).unobserve(v);
    }
}
