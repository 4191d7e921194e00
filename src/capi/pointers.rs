//! The hot calls with handles by pointer, for foreign-function interfaces that cannot pass structs
//! by value, or compile no call that does. Rust's `Option` of a reference is a pointer that may be
//! NULL; what else the header says of pointers is the caller's promise.

use super::counter::{
    shmetrics_counter, shmetrics_counter_add, shmetrics_counter_add_u64, shmetrics_counter_family,
    shmetrics_counter_inc, shmetrics_counter_reset, shmetrics_counter_set, shmetrics_counter_value,
    shmetrics_counter_with,
};
use super::gauge::{
    shmetrics_gauge, shmetrics_gauge_add, shmetrics_gauge_dec, shmetrics_gauge_family, shmetrics_gauge_inc,
    shmetrics_gauge_set, shmetrics_gauge_value, shmetrics_gauge_with,
};
use super::histogram::{
    shmetrics_histogram, shmetrics_histogram_family, shmetrics_histogram_observe, shmetrics_histogram_observe_since,
    shmetrics_histogram_value, shmetrics_histogram_with,
};
use super::shmetrics_str;
use super::summary::{shmetrics_summary_family, shmetrics_summary_with};

/// As `shmetrics_counter_with`, for foreign-function interfaces that cannot pass structs by value.
/// All calls that end in `_p` take the address of a handle, and do nothing if it is NULL.
/// `*counter` becomes the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_counter_with_p(
    family: Option<&shmetrics_counter_family>,
    values: *const shmetrics_str,
    count: usize,
    counter: Option<&mut shmetrics_counter>,
) {
    if let (Some(family), Some(counter)) = (family, counter) {
        // SAFETY: the caller's promise.
        *counter = unsafe { shmetrics_counter_with(*family, values, count) };
    }
}

/// As `shmetrics_counter_inc`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_inc_p(counter: Option<&shmetrics_counter>) {
    if let Some(counter) = counter {
        shmetrics_counter_inc(*counter);
    }
}

/// As `shmetrics_counter_add`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_add_p(counter: Option<&shmetrics_counter>, v: f64) {
    if let Some(counter) = counter {
        shmetrics_counter_add(*counter, v);
    }
}

/// As `shmetrics_counter_add_u64`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_add_u64_p(counter: Option<&shmetrics_counter>, n: u64) {
    if let Some(counter) = counter {
        shmetrics_counter_add_u64(*counter, n);
    }
}

/// As `shmetrics_counter_set`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_set_p(counter: Option<&shmetrics_counter>, v: f64) {
    if let Some(counter) = counter {
        shmetrics_counter_set(*counter, v);
    }
}

/// As `shmetrics_counter_reset`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_reset_p(counter: Option<&shmetrics_counter>) {
    if let Some(counter) = counter {
        shmetrics_counter_reset(*counter);
    }
}

/// As `shmetrics_counter_value`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_counter_value_p(counter: Option<&shmetrics_counter>) -> f64 {
    counter.map_or(0.0, |counter| shmetrics_counter_value(*counter))
}

/// As `shmetrics_gauge_with`: see `shmetrics_counter_with_p`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_gauge_with_p(
    family: Option<&shmetrics_gauge_family>,
    values: *const shmetrics_str,
    count: usize,
    gauge: Option<&mut shmetrics_gauge>,
) {
    if let (Some(family), Some(gauge)) = (family, gauge) {
        // SAFETY: the caller's promise.
        *gauge = unsafe { shmetrics_gauge_with(*family, values, count) };
    }
}

/// As `shmetrics_gauge_set`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_set_p(gauge: Option<&shmetrics_gauge>, v: f64) {
    if let Some(gauge) = gauge {
        shmetrics_gauge_set(*gauge, v);
    }
}

/// As `shmetrics_gauge_add`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_add_p(gauge: Option<&shmetrics_gauge>, v: f64) {
    if let Some(gauge) = gauge {
        shmetrics_gauge_add(*gauge, v);
    }
}

/// As `shmetrics_gauge_inc`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_inc_p(gauge: Option<&shmetrics_gauge>) {
    if let Some(gauge) = gauge {
        shmetrics_gauge_inc(*gauge);
    }
}

/// As `shmetrics_gauge_dec`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_dec_p(gauge: Option<&shmetrics_gauge>) {
    if let Some(gauge) = gauge {
        shmetrics_gauge_dec(*gauge);
    }
}

/// As `shmetrics_gauge_value`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_gauge_value_p(gauge: Option<&shmetrics_gauge>) -> f64 {
    gauge.map_or(0.0, |gauge| shmetrics_gauge_value(*gauge))
}

/// As `shmetrics_histogram_with`: see `shmetrics_counter_with_p`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_with_p(
    family: Option<&shmetrics_histogram_family>,
    values: *const shmetrics_str,
    count: usize,
    histogram: Option<&mut shmetrics_histogram>,
) {
    if let (Some(family), Some(histogram)) = (family, histogram) {
        // SAFETY: the caller's promise.
        *histogram = unsafe { shmetrics_histogram_with(*family, values, count) };
    }
}

/// As `shmetrics_summary_with`: see `shmetrics_counter_with_p`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_summary_with_p(
    family: Option<&shmetrics_summary_family>,
    values: *const shmetrics_str,
    count: usize,
    summary: Option<&mut shmetrics_histogram>,
) {
    if let (Some(family), Some(summary)) = (family, summary) {
        // SAFETY: the caller's promise.
        *summary = unsafe { shmetrics_summary_with(*family, values, count) };
    }
}

/// As `shmetrics_histogram_observe`, of summaries too.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_observe_p(histogram: Option<&shmetrics_histogram>, v: f64) {
    if let Some(histogram) = histogram {
        shmetrics_histogram_observe(*histogram, v);
    }
}

/// As `shmetrics_histogram_observe_since`, of summaries too.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_histogram_observe_since_p(histogram: Option<&shmetrics_histogram>, start: u64) {
    if let Some(histogram) = histogram {
        shmetrics_histogram_observe_since(*histogram, start);
    }
}

/// As `shmetrics_histogram_value`, of summaries too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_histogram_value_p(
    histogram: Option<&shmetrics_histogram>,
    count: *mut u64,
    sum: *mut f64,
) {
    if let Some(histogram) = histogram {
        // SAFETY: the caller's promise.
        unsafe { shmetrics_histogram_value(*histogram, count, sum) };
    }
}
