//! Gauges in C: registration, look-up, updates.

use std::ffi::c_void;

use super::family::{clear, find, register_family, remove};
use super::segment::shmetrics_segment;
use super::status::{fail, shmetrics_status};
use super::{guard, guarded, hot, shmetrics_family_spec, shmetrics_str};
use crate::kind::Kind;
use crate::metric::sealed::FromSeries;
use crate::metric::{Gauge, GaugeWord as Word};
use crate::record::gauge_mode::GaugeMode;

/// One value that all processes change.
pub const SHMETRICS_GAUGE_SHARED: u32 = 0;
/// One sample for each process, alive or dead, with the label `pid`. The sample of a dead process
/// stays until a new process takes its slot.
pub const SHMETRICS_GAUGE_ALL: u32 = 1;
/// One sample for each living process, with the label `pid`.
pub const SHMETRICS_GAUGE_LIVEALL: u32 = 2;
/// The sum over all processes, alive or dead.
pub const SHMETRICS_GAUGE_SUM: u32 = 3;
/// The sum over living processes, such as requests in progress.
pub const SHMETRICS_GAUGE_LIVESUM: u32 = 4;
/// The least value of all processes.
pub const SHMETRICS_GAUGE_MIN: u32 = 5;
/// The least value of the living processes.
pub const SHMETRICS_GAUGE_LIVEMIN: u32 = 6;
/// The greatest value of all processes.
pub const SHMETRICS_GAUGE_MAX: u32 = 7;
/// The greatest value of the living processes.
pub const SHMETRICS_GAUGE_LIVEMAX: u32 = 8;
/// The value of the latest `set` by any process.
pub const SHMETRICS_GAUGE_MOSTRECENT: u32 = 9;
/// The value of the latest `set` by a process that still lives.
pub const SHMETRICS_GAUGE_LIVEMOSTRECENT: u32 = 10;

/// A family of gauges.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_gauge_family {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// A gauge: a value that goes up and down.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_gauge {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

const INERT: shmetrics_gauge = shmetrics_gauge { p0: std::ptr::null(), p1: std::ptr::null() };

impl shmetrics_gauge {
    #[inline(always)]
    pub(super) fn of(found: Option<Gauge>) -> Self {
        found.map(Gauge::into_words).map_or(INERT, |[p0, p1]| shmetrics_gauge { p0, p1 })
    }

    #[inline(always)]
    fn get(self) -> Option<Gauge> {
        // SAFETY: the words are NULL or what `shmetrics_gauge_with` gave.
        unsafe { Gauge::from_words([self.p0, self.p1]) }
    }

    /// The fast path needs no frame. Other updates end with a jump to `slow`.
    #[inline(always)]
    fn update(self, v: f64, f: impl FnOnce(Word, f64), slow: extern "C" fn(shmetrics_gauge, f64)) {
        match self.get().and_then(|gauge| gauge.open_word()) {
            Some(word) => f(word, v),
            None => slow(self, v),
        }
    }

    fn update_slow(self, f: impl FnOnce(Gauge)) {
        if let Some(gauge) = self.get() {
            hot((), || f(gauge));
        }
    }
}

#[inline(never)]
extern "C" fn set(gauge: shmetrics_gauge, v: f64) {
    gauge.update_slow(|g| g.set(v));
}

#[inline(never)]
extern "C" fn add(gauge: shmetrics_gauge, v: f64) {
    gauge.update_slow(|g| g.add(v));
}

/// Registers a family of gauges, or finds it. `mode`, a `SHMETRICS_GAUGE_...`, says how a page
/// combines the values of several processes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_gauge_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    mode: u32,
    family: *mut shmetrics_gauge_family,
) -> shmetrics_status {
    guarded(|| {
        let mode = GaugeMode::checked(mode).ok_or_else(|| {
            fail(shmetrics_status::InvalidArgument, format!("gauge mode {mode}: it must be one of SHMETRICS_GAUGE_..."))
        })?;
        // SAFETY: the caller's promise.
        unsafe { register_family(segment, spec, Kind::Gauge, mode, family) }
    })
}

/// Registers a family of metrics of unknown type (`untyped`), or finds it: one value for all
/// processes, such as a value from another system. It is set as a gauge is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_unknown_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_family_spec,
    family: *mut shmetrics_gauge_family,
) -> shmetrics_status {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { register_family(segment, spec, Kind::Unknown, GaugeMode::Shared, family) })
}

/// The gauge with these label values, made if there is none. See "Label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_gauge_with(
    family: shmetrics_gauge_family,
    values: *const shmetrics_str,
    count: usize,
) -> shmetrics_gauge {
    hot(INERT, || {
        // SAFETY: the caller's promise.
        shmetrics_gauge::of(unsafe { find(family.p0, family.p1, values, count) })
    })
}

/// Removes the gauge with these label values, for all processes. False if there is none. See
/// "Removing label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_gauge_remove(
    family: shmetrics_gauge_family,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(family.p0, family.p1, values, count) })
}

/// Removes all gauges of the family, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_clear(family: shmetrics_gauge_family) -> u64 {
    // SAFETY: the words of a family handle.
    guard(0, || unsafe { clear(family.p0, family.p1) })
}

/// Whether the gauge has been removed. A look-up of the same values then makes a new one. False for
/// an inert handle.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_is_removed(gauge: shmetrics_gauge) -> bool {
    gauge.get().is_some_and(|g| g.is_over())
}

/// Sets the value.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_set(gauge: shmetrics_gauge, v: f64) {
    gauge.update(v, Word::set, set);
}

/// Adds `v`, which may be negative.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_add(gauge: shmetrics_gauge, v: f64) {
    gauge.update(v, Word::add, add);
}

/// Adds 1.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_inc(gauge: shmetrics_gauge) {
    gauge.update(1.0, Word::add, add);
}

/// Subtracts 1.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_dec(gauge: shmetrics_gauge) {
    gauge.update(-1.0, Word::add, add);
}

/// Sets the value to the time now, in seconds since 1970.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_set_to_now(gauge: shmetrics_gauge) {
    gauge.update_slow(|g| g.set_to_now());
}

/// The value now; 0 for an inert handle, and once the gauge is removed. For a per-process gauge
/// this is the value of this process, 0 if it has set none; a page combines the values of all
/// processes.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_value(gauge: shmetrics_gauge) -> f64 {
    gauge.get().map_or(0.0, |gauge| gauge.get())
}
