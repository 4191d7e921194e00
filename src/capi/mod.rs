//! The C ABI, one file per C noun, thin. `include/shmetrics.h` is generated from here; its conventions stand in
//! `cbindgen.toml`.
//!
//! What a caller has to promise is the same for every exported call, and stands in the header: a pointer is NULL or came from
//! this library and was not freed, strings and arrays are as long as they say, outputs can be written. "The caller's promise" in
//! SAFETY comments means that. All else is checked.
//!
//! Names are C names. Handles are values of private words, so there is nothing to free and nothing that can dangle.
#![allow(non_camel_case_types)]
// Everything here is for C: Rust does not see it, and C needs some constants that Rust does not.
#![allow(unreachable_pub, dead_code, clippy::missing_safety_doc)]

mod counter;
mod gauge;
mod histogram;
mod pointers;
mod points;
mod render;
mod segment;
mod state;
mod status;
mod summary;

use std::ffi::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

use self::status::{fail, shmetrics_status};

use crate::kind::{KIND_COUNTER, KIND_ENUM, KIND_GAUGE_HISTOGRAM, KIND_HISTOGRAM, KIND_STATE_SET, KIND_SUMMARY};
use crate::metric::sealed::At;
use crate::os::host::Undisturbed;
use crate::record::family::a_kind;
use crate::record::gauge_mode::GaugeMode;
use crate::record::native_schema::Native;
use crate::registry::by_name;
use crate::registry::by_name::check_amount;
use crate::registry::spec::Spec;
use crate::registry::{register, Table, DEFAULT_BUCKETS};
use crate::segment::{Inner, Segment};
use crate::shm::layout::header;
use crate::Error;

/// Bytes with their length. They need not end in NUL. As a label value, a NULL pointer is the empty string.
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

/// What a family is called and made of. Zero-initialise it, then set what you need. What families of a type do not have, such as buckets
/// of a counter, is `SHMETRICS_STATUS_INVALID_ARGUMENT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_family_spec {
    /// The metric's name: any UTF-8 without control characters. What is not letters, digits, `_` and `:` is escaped for scrapers that do
    /// not ask for it. A counter is shown as `name_total`, whether or not the name ends so.
    pub name: shmetrics_str,
    /// What it means, for people; may be empty. The help of the registration that makes the family is shown; another one is no conflict.
    pub help: shmetrics_str,
    /// The base unit, such as `seconds`, in which the name must end; may be empty.
    pub unit: shmetrics_str,
    /// The label names: any UTF-8, as the metric's name.
    pub label_names: *const shmetrics_str,
    /// How many; 0 for a metric without labels.
    pub label_count: usize,
    /// A histogram's rising upper bounds; `+Inf` is added by itself. NULL for Prometheus' default ones, or for none where there are
    /// native buckets.
    pub buckets: *const f64,
    /// How many.
    pub bucket_count: usize,
    /// The states of a state set or an enum.
    pub states: *const shmetrics_str,
    /// How many, up to 64.
    pub state_count: usize,
    /// The most series; further label sets share one overflow series. 0 for no limit of its own.
    pub max_series: u64,
    /// Seconds without an update after which a series goes off the pages, and after twice as many is removed; 0 for never.
    pub expire_after: u32,
    /// The least time between two exemplars that a counter or a bucket keeps, in milliseconds; 0 for a second.
    pub exemplar_interval_ms: u32,
    /// A summary's quantiles, of 0 to 1, rising: of what all processes together have observed in the last ten minutes. Each is right to
    /// 1.1 %. NULL for none.
    pub quantiles: *const f64,
    /// How many.
    pub quantile_count: usize,
    /// A histogram's native buckets, which need no bounds: each is larger than the one before by at most this factor, such as 1.1. 0 for
    /// none. With `buckets`, there are both.
    pub native_factor: f64,
    /// What is at most so far from 0 is counted in the native zero bucket. 0 for 2^-128; a negative number: only 0 itself.
    pub native_zero_threshold: f64,
    /// The most native buckets that pages show of a series; beyond that, coarser ones. 0 for 160; UINT32_MAX for no limit.
    pub native_max_buckets: u32,
    /// How long an observation counts in quantiles, in seconds; 0 for ten minutes. It leaves them after half that time to all of it.
    pub quantile_max_age: u32,
    /// A counter is shown under this very name in Prometheus' text formats and in protobuf, without `_total`: for dashboards and rules that
    /// name an exporter's counters. OpenMetrics shows it with `_total`. A family registered without it conflicts.
    pub exact_name: bool,
    /// If a family of this name is registered with another definition, this one takes its place, as a reload needs it that has one more
    /// label or bucket. The old definition leaves all pages at that instant, and updates through its handles are not done but
    /// counted. A process of an earlier generation gets `SHMETRICS_STATUS_CONFLICT`: see `shmetrics_options.generation`. Without
    /// `replace`, another definition is `SHMETRICS_STATUS_CONFLICT`. Of one that is as it was, `max_series` and `exemplar_interval_ms`
    /// are put in force.
    pub replace: bool,
}

/// Runs an update or a look-up, which may not unwind into C. Where it calls the system, it guards itself (see [`Undisturbed`]).
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

/// # Safety
/// `segment` is NULL or came from `shmetrics_segment_open`.
unsafe fn segment_of(segment: *const segment::shmetrics_segment) -> Result<Segment, shmetrics_status> {
    // SAFETY: segments live as long as the process.
    match unsafe { segment.cast::<Inner>().as_ref() } {
        Some(inner) => Ok(Segment { inner }),
        None => Err(null("the segment")),
    }
}

/// The native buckets that C asks for.
fn native(spec: &shmetrics_family_spec) -> Option<Native> {
    if spec.native_factor == 0.0 {
        return None;
    }
    let mut native = Native::factor(spec.native_factor);
    if spec.native_zero_threshold != 0.0 {
        native = native.zero_threshold(if spec.native_zero_threshold < 0.0 { 0.0 } else { spec.native_zero_threshold });
    }
    if spec.native_max_buckets != 0 {
        native = native.max_buckets(spec.native_max_buckets);
    }
    Some(native)
}

/// Refuses what families of this kind do not have.
fn check_fields(spec: &shmetrics_family_spec, kind: u8) -> Result<(), shmetrics_status> {
    let histogram = matches!(kind, KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM);
    let (summary, states) = (kind == KIND_SUMMARY, matches!(kind, KIND_STATE_SET | KIND_ENUM));
    let native = spec.native_factor != 0.0 || spec.native_zero_threshold != 0.0 || spec.native_max_buckets != 0;
    let fields = [
        ("buckets", spec.bucket_count > 0 && !histogram, "histograms"),
        ("native buckets", native && !histogram, "histograms"),
        ("quantiles", (spec.quantile_count > 0 || spec.quantile_max_age != 0) && !summary, "summaries"),
        ("states", spec.state_count > 0 && !states, "state sets and enums"),
        ("exact_name", spec.exact_name && kind != KIND_COUNTER, "counters"),
    ];
    match fields.iter().find(|(_, wrong, _)| *wrong) {
        None => Ok(()),
        Some((field, _, of)) => {
            let message = format!("the spec has {field}, which only {of} have; this is {}", a_kind(kind));
            Err(fail(shmetrics_status::InvalidArgument, message))
        }
    }
}

/// Registers a family for C. Returns the words of its handle.
///
/// # Safety
/// The header's rules for `segment` and `spec`.
unsafe fn register_family(
    segment: *const segment::shmetrics_segment,
    spec: *const shmetrics_family_spec,
    kind: u8,
    mode: GaugeMode,
) -> Result<(*const c_void, *const c_void), shmetrics_status> {
    // SAFETY: the caller's promise.
    let (segment, spec) = unsafe { (segment_of(segment)?, spec.as_ref().ok_or_else(|| null("the spec"))?) };
    check_fields(spec, kind)?;
    Error::unless_memory(64 << 10).map_err(status::report)?;
    // SAFETY: as above, of everything the spec points to.
    let (labels, states, name, help, unit, buckets, quantiles) = unsafe {
        let names = slice(spec.label_names, spec.label_count, "label_names")?;
        let labels = names.iter().map(|n| n.text("a label name")).collect::<Result<Vec<_>, _>>()?;
        let states = slice(spec.states, spec.state_count, "states")?;
        let states = states.iter().map(|s| s.text("a state")).collect::<Result<Vec<_>, _>>()?;
        let buckets = slice(spec.buckets, spec.bucket_count, "buckets")?;
        let quantiles = slice(spec.quantiles, spec.quantile_count, "quantiles")?;
        let (name, help, unit) =
            (spec.name.text("the name")?, spec.help.text("the help")?, spec.unit.text("the unit")?);
        (labels, states, name, help, unit, buckets, quantiles)
    };
    let with_buckets = matches!(kind, KIND_HISTOGRAM | KIND_GAUGE_HISTOGRAM);
    let default_buckets = spec.buckets.is_null() && with_buckets;
    let buckets = if default_buckets { DEFAULT_BUCKETS } else { buckets };
    let (max_series, expire) = (spec.max_series, if labels.is_empty() { 0 } else { spec.expire_after });
    let usual = Spec::new(name, help, kind, mode);
    let exemplar_ms = if spec.exemplar_interval_ms > 0 { spec.exemplar_interval_ms } else { usual.exemplar_ms };
    let window = if spec.quantile_max_age > 0 { spec.quantile_max_age } else { usual.window };
    let native = native(spec);
    let spec = Spec {
        unit,
        labels: &labels,
        buckets,
        default_buckets,
        native,
        quantiles,
        window,
        states: &states,
        max_series,
        expire,
        exemplar_ms,
        exact: spec.exact_name,
        replace: spec.replace,
        ..usual
    };
    let at = register(segment.inner, spec).map_err(status::report)?;
    let record = segment.inner.memory.bytes(at, 1).unwrap_or(std::ptr::null());
    Ok((std::ptr::from_ref(segment.inner).cast(), record.cast()))
}

/// A family and the lengths of its label names; `None` for an inert family or the wrong number of values.
///
/// # Safety
/// The words of a family handle; `values` points to `count` strings.
#[inline(always)]
unsafe fn table(
    p0: *const c_void,
    p1: *const c_void,
    values: *const shmetrics_str,
    count: usize,
) -> Option<(Table, &'static [u16])> {
    // SAFETY: a handle's words are NULL or what `register_family` gave.
    let inner = unsafe { p0.cast::<Inner>().as_ref() }?;
    let at = inner.memory.offset_of(p1.cast());
    let (table, lens) = Table::with_label_lens(inner, at)?;
    if lens.len() != count || (count > 0 && values.is_null()) {
        inner.count(header::REJECTED_UPDATES);
        return None;
    }
    Some((table, lens))
}

/// The series of a family with these values; `None` for an inert family or the wrong number of values.
///
/// # Safety
/// As [`table`].
#[inline(always)]
unsafe fn find<M: At>(p0: *const c_void, p1: *const c_void, values: *const shmetrics_str, count: usize) -> Option<M> {
    // SAFETY: the caller's promise.
    let (table, lens) = unsafe { table(p0, p1, values, count) }?;
    Some(table.find::<false, _>(
        count,
        |i| usize::from(lens[i]),
        // SAFETY: `i < count`; the caller's promise.
        |i| unsafe { (*values.add(i)).bytes() },
    ))
}

/// Updates the series that a name and labels stand for, made if there is none.
///
/// # Safety
/// `segment` is NULL or came from `shmetrics_segment_open`, the texts are what they say, and `labels` points to `count` labels.
#[inline(always)]
unsafe fn named<M: At>(
    segment: *mut segment::shmetrics_segment,
    kind: u8,
    name: shmetrics_str,
    labels: *const segment::shmetrics_label,
    count: usize,
    v: f64,
    update: impl Fn(M),
) -> Result<(), shmetrics_status> {
    // SAFETY: the caller's promise.
    let (segment, name, labels) =
        unsafe { (segment_of(segment)?, name.given("the name")?, slice(labels, count, "labels")?) };
    check_amount(segment.inner, kind, v).map_err(status::report)?;
    // SAFETY: as above, of their texts.
    let text = |text: &shmetrics_str| unsafe { text.bytes() };
    let (label, value) = (|i: usize| text(&labels[i].name), |i: usize| text(&labels[i].value));
    by_name::update_named(segment.inner, kind, name, count, label, value, update).map_err(status::report)
}

/// Gives the labels of an exemplar to `f`, without allocation. What is no text becomes a label that is refused.
///
/// # Safety
/// `labels` is NULL or points to `count` labels.
unsafe fn with_labels(labels: *const segment::shmetrics_label, count: usize, f: impl FnOnce(&[(&str, &str)])) {
    const MOST: usize = 64;
    const WRONG: (&str, &str) = ("", "");
    let count = if labels.is_null() { 0 } else { count };
    if count > MOST {
        return f(&[WRONG]);
    }
    let mut found = [WRONG; MOST];
    for (i, found) in found.iter_mut().take(count).enumerate() {
        // SAFETY: the caller's promise.
        let (name, value) = unsafe {
            let label = &*labels.add(i);
            (std::str::from_utf8(label.name.bytes()), std::str::from_utf8(label.value.bytes()))
        };
        if let (Ok(name), Ok(value)) = (name, value) {
            *found = (name, value);
        }
    }
    f(&found[..count]);
}

/// Removes the series of a family with these values.
///
/// # Safety
/// As [`table`].
unsafe fn remove(p0: *const c_void, p1: *const c_void, values: *const shmetrics_str, count: usize) -> bool {
    // SAFETY: the caller's promise.
    let Some((table, lens)) = (unsafe { table(p0, p1, values, count) }) else { return false };
    count > 0
        && table.remove(
            count,
            &|i| usize::from(lens[i]),
            // SAFETY: `i < count`; the caller's promise.
            &|i| unsafe { (*values.add(i)).bytes() },
        )
}

/// Removes all series of a family.
///
/// # Safety
/// The words of a family handle.
unsafe fn clear(p0: *const c_void, p1: *const c_void) -> u64 {
    // SAFETY: a handle's words are NULL or what `register_family` gave.
    let Some(inner) = (unsafe { p0.cast::<Inner>().as_ref() }) else { return 0 };
    Table::with_label_lens(inner, inner.memory.offset_of(p1.cast())).map_or(0, |(table, _)| table.clear())
}
