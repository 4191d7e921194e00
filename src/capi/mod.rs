//! The C ABI, one file per C noun, thin. `include/shmetrics.h` is generated from here; its
//! conventions stand in `cbindgen.toml`.
//!
//! What a caller has to promise is the same for every exported call, and stands in the header: a
//! pointer is NULL or came from this library and was not freed, strings and arrays are as long as
//! they say, outputs can be written. "The caller's promise" in SAFETY comments means that. All else
//! is checked.
//!
//! Names are C names. Handles are values of private words, so there is nothing to free and nothing
//! that can dangle.
#![allow(non_camel_case_types)]
// Everything here is for C: Rust does not see it, and C needs some constants that Rust does not.
#![allow(unreachable_pub, dead_code, clippy::missing_safety_doc)]

mod counter;
mod family;
mod gauge;
mod histogram;
mod pointers;
mod points;
mod render;
mod segment;
mod state;
mod status;
mod summary;

use std::ffi::c_char;
use std::panic::{catch_unwind, AssertUnwindSafe};

use self::status::{fail, shmetrics_status};

use crate::os::host::Undisturbed;

/// Bytes with their length. They need not end in NUL. As a label value, a NULL pointer is the empty
/// string.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_str {
    /// The first byte.
    pub data: *const c_char,
    /// How many.
    pub len: usize,
}

impl shmetrics_str {
    /// # Safety
    /// As the header says: `data` points to `len` readable bytes for the duration of the call.
    #[inline(always)]
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.len) }
    }

    /// # Safety
    /// As [`shmetrics_str::bytes`].
    #[inline(always)]
    unsafe fn given<'a>(self, what: &str) -> Result<&'a [u8], shmetrics_status> {
        if self.data.is_null() && self.len > 0 {
            return Err(fail(shmetrics_status::NullArgument, format!("{what} is NULL but has a length")));
        }
        fits::<u8>(self.len, what)?;
        // SAFETY: the caller's promise.
        Ok(unsafe { self.bytes() })
    }

    /// # Safety
    /// As [`shmetrics_str::bytes`].
    unsafe fn text<'a>(self, what: &str) -> Result<&'a str, shmetrics_status> {
        // SAFETY: the caller's promise.
        std::str::from_utf8(unsafe { self.given(what)? })
            .map_err(|_| fail(shmetrics_status::InvalidName, format!("{what} is not UTF-8")))
    }
}

/// What a family is called and made of. Zero-initialise it, then set what you need. What families
/// of a type do not have, such as buckets of a counter, is `SHMETRICS_STATUS_INVALID_ARGUMENT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_family_spec {
    /// The metric's name: any UTF-8 without control characters. What is not letters, digits, `_`
    /// and `:` is escaped for scrapers that do not ask for it. A counter is shown as `name_total`,
    /// whether or not the name ends so.
    pub name: shmetrics_str,
    /// What it means, for people; may be empty. The help of the registration that makes the family
    /// is shown; another one is no conflict.
    pub help: shmetrics_str,
    /// The base unit, such as `seconds`, in which the name must end; may be empty.
    pub unit: shmetrics_str,
    /// The label names: any UTF-8, as the metric's name.
    pub label_names: *const shmetrics_str,
    /// How many; 0 for a metric without labels.
    pub label_count: usize,
    /// A histogram's rising upper bounds; `+Inf` is added by itself. NULL for Prometheus' default
    /// ones, or for none where there are native buckets.
    pub buckets: *const f64,
    /// How many.
    pub bucket_count: usize,
    /// The states of a state set or an enum.
    pub states: *const shmetrics_str,
    /// How many, up to 64.
    pub state_count: usize,
    /// The most series; further label sets share one overflow series. 0 for no limit of its own.
    pub max_series: u64,
    /// Seconds without an update after which a series goes off the pages, and after twice as many
    /// is removed; 0 for never.
    pub expire_after: u32,
    /// The least time between two exemplars that a counter or a bucket keeps, in milliseconds; 0
    /// for a second.
    pub exemplar_interval_ms: u32,
    /// A summary's quantiles, of 0 to 1, rising: of what all processes together have observed in
    /// the last ten minutes. Each is right to 1.1 %. NULL for none.
    pub quantiles: *const f64,
    /// How many.
    pub quantile_count: usize,
    /// A histogram's native buckets, which need no bounds: each is larger than the one before by at
    /// most this factor, such as 1.1. 0 for none. With `buckets`, there are both.
    pub native_factor: f64,
    /// What is at most so far from 0 is counted in the native zero bucket. 0 for 2^-128; a negative
    /// number: only 0 itself.
    pub native_zero_threshold: f64,
    /// The most native buckets that pages show of a series; beyond that, coarser ones. 0 for 160;
    /// UINT32_MAX for no limit.
    pub native_max_buckets: u32,
    /// How long an observation counts in quantiles, in seconds; 0 for ten minutes. It leaves them
    /// after half that time to all of it.
    pub quantile_max_age: u32,
    /// A counter is shown under this very name in Prometheus' text formats and in protobuf, without
    /// `_total`: for dashboards and rules that name an exporter's counters. OpenMetrics shows it
    /// with `_total`. A family registered without it conflicts.
    pub exact_name: bool,
    /// If a family of this name is registered with another definition, this one takes its place, as
    /// a reload needs it that has one more label or bucket. The old definition leaves all pages at
    /// that instant, and updates through its handles are not done but counted. A process of an
    /// earlier generation gets `SHMETRICS_STATUS_CONFLICT`: see `shmetrics_options.generation`.
    /// Without `replace`, another definition is `SHMETRICS_STATUS_CONFLICT`. Of one that is as it
    /// was, `max_series` and `exemplar_interval_ms` are put in force.
    pub replace: bool,
}

/// Runs an update or a look-up, which may not unwind into C. Where it calls the system, it guards
/// itself (see [`Undisturbed`]).
#[inline(always)]
fn hot<R>(otherwise: R, f: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(otherwise)
}

/// Runs any other call that may not unwind into C.
fn guard<R>(otherwise: R, f: impl FnOnce() -> R) -> R {
    let _undisturbed = Undisturbed::new();
    hot(otherwise, f)
}

/// Runs a call that reports a status; a panic becomes one.
fn guarded(f: impl FnOnce() -> Result<(), shmetrics_status>) -> shmetrics_status {
    let _undisturbed = Undisturbed::new();
    hot_guarded(f)
}

/// As [`guarded`], of an update or a look-up.
#[inline(always)]
fn hot_guarded(f: impl FnOnce() -> Result<(), shmetrics_status>) -> shmetrics_status {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| {
            Err(fail(shmetrics_status::Panic, "a defect of the library, caught at its border; please report it"))
        })
        .err()
        .unwrap_or(shmetrics_status::Ok)
}

fn null(what: &str) -> shmetrics_status {
    fail(shmetrics_status::NullArgument, format!("{what} is NULL"))
}

/// No array is larger than half of the address space: a length beyond is a mistake, such as -1.
#[inline(always)]
fn fits<T>(len: usize, what: &str) -> Result<(), shmetrics_status> {
    if len <= isize::MAX as usize / size_of::<T>() {
        return Ok(());
    }
    Err(too_long(len, what))
}

#[cold]
#[inline(never)]
fn too_long(len: usize, what: &str) -> shmetrics_status {
    fail(shmetrics_status::InvalidArgument, format!("{what}: no array has {len} elements"))
}

/// # Safety
/// `data` is NULL, or points to `len` valid values for the duration of the call.
#[inline(always)]
unsafe fn slice<'a, T>(data: *const T, len: usize, what: &str) -> Result<&'a [T], shmetrics_status> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(what));
    }
    fits::<T>(len, what)?;
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}
