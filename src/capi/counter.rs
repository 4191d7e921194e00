//! Counters in C: registration, look-up, updates.

use std::ffi::c_void;

use super::family::{by_name, clear, find, is_removed, register_family, remove, with_labels};
use super::segment::{shmetrics_label, shmetrics_segment};
use super::status::shmetrics_status;
use super::{guard, guarded, hot, hot_guarded, shmetrics_family_spec, shmetrics_str};
use crate::kind::Kind;
use crate::metric::Counter;
use crate::record::gauge_mode::GaugeMode;
use crate::shm::state::SeriesAddr;

/// A family of counters.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_counter_family {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// A counter: a value that only rises.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_counter {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

const INERT: shmetrics_counter = shmetrics_counter { p0: std::ptr::null(), p1: std::ptr::null() };

impl shmetrics_counter {
    #[inline(always)]
    pub(super) fn of(found: Option<Counter>) -> Self {
        found.and_then(Counter::into_words).map_or(INERT, |[p0, p1]| shmetrics_counter { p0, p1 })
    }

    #[inline(always)]
    fn get(self) -> Option<Counter> {
        // SAFETY: the words are NULL or what `shmetrics_counter_with` gave.
        unsafe { Counter::from_words([self.p0, self.p1]) }
    }
}

/// Registers a family of counters, or finds it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_counter_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_counter_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::Counter, GaugeMode::Shared, family) })
}

/// The counter with these label values, made if there is none. See "Label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_counter_with(
    family: shmetrics_counter_family,
    values: *const shmetrics_str,
    count: usize,
) -> shmetrics_counter {
    hot(INERT, || {
        // SAFETY: the caller's promise.
        shmetrics_counter::of(unsafe { find(family.p0, family.p1, values, count) })
    })
}

/// Removes the counter with these label values, for all processes. False if there is none. See
/// "Removing label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_counter_remove(
    family: shmetrics_counter_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(family.p0, family.p1, values, count) })
}

/// Removes all counters of the family, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_clear(family: shmetrics_counter_family) -> u64 {
    // SAFETY: the words of a family handle.
    guard(0, || unsafe { clear(family.p0, family.p1) })
}

/// Whether the counter has been removed. A look-up of the same values then makes a new one. False
/// for an inert handle.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_is_removed(counter: shmetrics_counter) -> bool {
    let place = SeriesAddr::from_word(counter.p1.addr() as u64);
    // SAFETY: the words are NULL or those of a handle.
    unsafe { is_removed(counter.p0, place) }
}

/// Adds 1.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_inc(counter: shmetrics_counter) {
    if let Some(c) = counter.get() {
        c.inc();
    }
}

/// Adds `v`. A negative, infinite or NaN `v` is not added but counted in
/// `shmetrics_updates_rejected_total`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_add(counter: shmetrics_counter, v: f64) {
    if let Some(c) = counter.get() {
        c.add(v);
    }
}

/// Adds `v`, and keeps these labels as the exemplar of the addition, such as a `trace_id`. A
/// counter keeps the latest exemplar, and takes a new one at the earliest
/// `exemplar_interval_seconds` after the last. Names and values have at most
/// `SHMETRICS_MAX_EXEMPLAR_CHARACTERS` together. Labels that no page could show are not kept, and
/// counted in `shmetrics_updates_rejected_total`. OpenMetrics and protobuf pages show exemplars.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_counter_add_with_exemplar(
    counter: shmetrics_counter,
    v: f64,
    labels: *const shmetrics_label,
    count: usize,
) {
    if let Some(c) = counter.get() {
        // SAFETY: the caller's promise.
        hot((), || unsafe { with_labels(labels, count, |labels| c.add_with_exemplar(v, labels)) });
    }
}

/// Adds `v` to the counter of this name with these labels, in one call: for hosts that have no
/// place to keep handles between two requests. The labels may be in any order; that of the family
/// is fastest. A family or series that is missing is made. The new family has no help text and no
/// limit: register the family beforehand where it needs them. The call takes two look-ups. On an
/// error nothing is counted. A negative, infinite or NaN `v` is
/// `SHMETRICS_STATUS_INVALID_ARGUMENT`, and makes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_counter_add_named(
    segment: *mut shmetrics_segment,
    name: shmetrics_str,
    labels: *const shmetrics_label,
    count: usize,
    v: f64,
) -> shmetrics_status {
    hot_guarded(|| {
        // SAFETY: the caller's promise.
        unsafe { by_name(segment, Kind::Counter, name, labels, count, v, |counter: Counter| counter.add(v)) }
    })
}

/// Adds a whole number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_add_u64(counter: shmetrics_counter, n: u64) {
    if let Some(c) = counter.get() {
        c.inc_by(n);
    }
}

/// The value now, over all processes; 0 for an inert handle.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_value(counter: shmetrics_counter) -> f64 {
    counter.get().map_or(0.0, |c| c.get())
}

/// Sets the value, for hosts whose counters can be set, such as copies of the counters of another
/// system. Scrapers see a lower value as a restart. A negative, infinite or NaN `v` is not set, and
/// counted in `shmetrics_updates_rejected_total`. Updates of other threads and processes during the
/// call are kept. If several threads set the counter at the same time, none of their values may be
/// the result.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_set(counter: shmetrics_counter, v: f64) {
    if let Some(c) = counter.get() {
        let now = c.get();
        if v < now && v >= 0.0 {
            c.saturating_sub(now - v);
        } else {
            c.add(if v.is_finite() { v - now } else { v });
        }
    }
}

/// Sets the value to 0, for hosts whose counters can be reset. Scrapers see a restart. Updates of
/// other threads and processes during the call are kept.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_reset(counter: shmetrics_counter) {
    if let Some(c) = counter.get() {
        // Beyond 2^53 the value is rounded. What a round leaves goes with the next one.
        for _ in 0..3 {
            c.saturating_sub(c.get());
        }
    }
}
