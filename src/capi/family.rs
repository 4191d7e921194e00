//! Families and their series, as the calls of every type need them. Exports nothing.

use super::segment::{segment_of, shmetrics_label, shmetrics_segment};
use super::status::{fail, shmetrics_status};
use super::{null, shmetrics_family_spec, shmetrics_str, slice, status, whole_units, Growing};
use crate::kind::Kind;
use crate::metric::sealed::FromSeries;
use crate::record::gauge_mode::GaugeMode;
use crate::record::native_schema::Native;
use crate::registry::by_name;
use crate::registry::by_name::check_amount;
use crate::registry::register;
use crate::registry::spec::Spec;
use crate::registry::FamilyRef;
use crate::registry::DEFAULT_BUCKETS;
use crate::segment::Inner;
use crate::shm::layout::header;
use crate::shm::state::SeriesAddr;
use crate::Error;
use std::ffi::c_void;

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
fn check_fields(spec: &shmetrics_family_spec, kind: Kind) -> Result<(), shmetrics_status> {
    let histogram = matches!(kind, Kind::Histogram | Kind::GaugeHistogram);
    let (summary, states) = (kind == Kind::Summary, matches!(kind, Kind::StateSet | Kind::Enum));
    let exemplars = histogram || kind == Kind::Counter;
    let coarser = spec.native_zero_threshold != 0.0 || spec.native_max_buckets != 0;
    let native = spec.native_factor != 0.0 || coarser;
    let fields = [
        ("buckets", spec.bucket_count > 0 && !histogram, "histograms"),
        ("native buckets", native && !histogram, "histograms"),
        ("quantiles", (spec.quantile_count > 0 || spec.quantile_max_age_seconds != 0.0) && !summary, "summaries"),
        ("an exemplar interval", spec.exemplar_interval_seconds != 0.0 && !exemplars, "counters and histograms"),
        ("states", spec.state_count > 0 && !states, "state sets and enums"),
        ("exact_name", spec.exact_name && kind != Kind::Counter, "counters"),
    ];
    if let Some((field, _, of)) = fields.iter().find(|(_, wrong, _)| *wrong) {
        let message = format!("the spec has {field}, which only {of} have; this is {}", kind.with_article());
        return Err(fail(shmetrics_status::InvalidArgument, message));
    }
    // What another field must come with.
    let alone = if coarser && spec.native_factor == 0.0 {
        "native_zero_threshold or native_max_buckets, but no native_factor"
    } else if spec.quantile_max_age_seconds > 0.0 && spec.quantile_count == 0 {
        "quantile_max_age_seconds, but no quantiles"
    } else {
        return Ok(());
    };
    Err(fail(shmetrics_status::InvalidArgument, format!("the spec has {alone}")))
}

/// A spec of C, checked as far as that needs no registry.
pub(super) struct Given<'a> {
    spec: shmetrics_family_spec,
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    labels: Vec<&'a str>,
    states: Vec<&'a str>,
    buckets: &'a [f64],
    quantiles: &'a [f64],
    expire: u32,
    exemplar_ms: u32,
    window: u32,
}

impl Given<'_> {
    /// # Safety
    /// The header's rules for `spec`, which stays as it is for as long as the result is in use.
    pub(super) unsafe fn read(spec: *const shmetrics_family_spec, kind: Kind) -> Result<Self, shmetrics_status> {
        if spec.is_null() {
            return Err(null("the spec"));
        }
        // SAFETY: the caller's promise.
        let spec = unsafe { shmetrics_family_spec::copy_from(spec)? };
        check_fields(&spec, kind)?;
        let expire = whole_units(spec.expire_after_seconds, 1.0, "spec.expire_after_seconds")?;
        let exemplar_ms = whole_units(spec.exemplar_interval_seconds, 1e3, "spec.exemplar_interval_seconds")?;
        let window = whole_units(spec.quantile_max_age_seconds, 1.0, "spec.quantile_max_age_seconds")?;
        Error::unless_memory(64 << 10).map_err(status::report)?;
        // SAFETY: as above, of everything the spec points to.
        unsafe {
            Ok(Given {
                name: spec.name.text("the name")?,
                help: spec.help.text("the help")?,
                unit: spec.unit.text("the unit")?,
                labels: texts(spec.label_names, spec.label_count, "label_names", "a label name")?,
                states: texts(spec.states, spec.state_count, "states", "a state")?,
                buckets: slice(spec.buckets, spec.bucket_count, "buckets")?,
                quantiles: slice(spec.quantiles, spec.quantile_count, "quantiles")?,
                spec,
                expire,
                exemplar_ms,
                window,
            })
        }
    }

    /// Whether it says something of label sets, which a bundle does for its members.
    pub(super) fn says_of_label_sets(&self) -> bool {
        !self.labels.is_empty() || self.spec.max_series > 0 || self.expire > 0 || self.spec.replace
    }

    pub(super) fn spec(&self, kind: Kind, mode: GaugeMode) -> Spec<'_> {
        let with_buckets = matches!(kind, Kind::Histogram | Kind::GaugeHistogram);
        let default_buckets = self.spec.buckets.is_null() && with_buckets;
        let usual = Spec::new(self.name, self.help, kind, mode);
        Spec {
            unit: self.unit,
            labels: &self.labels,
            buckets: if default_buckets { DEFAULT_BUCKETS } else { self.buckets },
            default_buckets,
            native: native(&self.spec),
            quantiles: self.quantiles,
            window: if self.window > 0 { self.window } else { usual.window },
            states: &self.states,
            max_series: self.spec.max_series,
            expire: if self.labels.is_empty() { 0 } else { self.expire },
            exemplar_ms: if self.exemplar_ms > 0 { self.exemplar_ms } else { usual.exemplar_ms },
            exact: self.spec.exact_name,
            replace: self.spec.replace,
            ..usual
        }
    }
}

/// # Safety
/// The header's rules for the array and its strings.
pub(super) unsafe fn texts<'a>(
    data: *const shmetrics_str,
    count: usize,
    what: &str,
    each: &str,
) -> Result<Vec<&'a str>, shmetrics_status> {
    // SAFETY: the caller's promise.
    unsafe { slice(data, count, what)?.iter().map(|text| text.text(each)).collect() }
}

/// Registers a family for C, and writes its handle to `family`.
///
/// # Safety
/// The header's rules for `segment`, `spec` and `family`, which is `repr(C)` and has two words.
pub(super) unsafe fn register_family<F>(
    segment: *const shmetrics_segment,
    spec: *const shmetrics_family_spec,
    kind: Kind,
    mode: GaugeMode,
    family: *mut F,
) -> Result<(), shmetrics_status> {
    const { assert!(size_of::<F>() == size_of::<Words>()) };
    if family.is_null() {
        return Err(null("where to put the family"));
    }
    // SAFETY: the caller's promise.
    let (segment, given) = unsafe { (segment_of(segment)?, Given::read(spec, kind)?) };
    let at = register(segment.inner, given.spec(kind, mode)).map_err(status::report)?;
    // SAFETY: as above, and it is not NULL.
    unsafe { *family.cast() = words(segment.inner, at) };
    Ok(())
}

/// The words of the handle of a family or a bundle.
pub(super) type Words = [*const c_void; 2];

/// Those of the one whose record is here.
pub(super) fn words(inner: &'static Inner, at: u64) -> Words {
    [std::ptr::from_ref(inner).cast(), inner.memory.bytes(at, 1).unwrap_or(std::ptr::null()).cast()]
}

/// A family and the lengths of its label names; `None` for an inert family or the wrong number of
/// values.
///
/// # Safety
/// The words of a family handle; `values` points to `count` strings.
#[inline(always)]
pub(super) unsafe fn family_of(
    p0: *const c_void,
    p1: *const c_void,
    values: *const shmetrics_str,
    count: usize,
) -> Option<(FamilyRef, &'static [u16])> {
    // SAFETY: a handle's words are NULL or what `register_family` gave.
    let inner = unsafe { p0.cast::<Inner>().as_ref() }?;
    let at = inner.memory.offset_of(p1.cast());
    let (family, lens) = FamilyRef::with_label_lens(inner, at)?;
    if lens.len() != count || (count > 0 && values.is_null()) {
        inner.count(header::REJECTED_UPDATES);
        return None;
    }
    Some((family, lens))
}

/// The label values, as a look-up asks for them.
///
/// # Safety
/// `values` points to as many strings as the look-up is told of, for as long as it takes.
#[inline(always)]
pub(super) unsafe fn values_at<'v>(values: *const shmetrics_str) -> impl Fn(usize) -> &'v [u8] + Copy {
    // SAFETY: the caller's promise.
    move |i| unsafe { (*values.add(i)).bytes() }
}

/// The series of a family with these values; `None` for an inert family or the wrong number of
/// values.
///
/// # Safety
/// As [`family_of`].
#[inline(always)]
pub(super) unsafe fn find<M: FromSeries>(
    p0: *const c_void,
    p1: *const c_void,
    values: *const shmetrics_str,
    count: usize,
) -> Option<M> {
    // SAFETY: the caller's promise.
    let ((family, lens), value) = unsafe { (family_of(p0, p1, values, count)?, values_at(values)) };
    Some(family.find::<false, _>(count, |i| usize::from(lens[i]), value))
}

/// Updates the series that a name and labels stand for, made if there is none.
///
/// # Safety
/// `segment` is NULL or came from `shmetrics_segment_open`, the texts are what they say, and
/// `labels` points to `count` labels.
#[inline(always)]
pub(super) unsafe fn by_name<M: FromSeries>(
    segment: *mut shmetrics_segment,
    kind: Kind,
    name: shmetrics_str,
    labels: *const shmetrics_label,
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
    by_name::update_by_name(segment.inner, kind, name, count, label, value, update).map_err(status::report)
}

/// Gives the labels of an exemplar to `f`, without allocation. What is no text becomes a label that
/// is refused.
///
/// # Safety
/// `labels` is NULL or points to `count` labels.
pub(super) unsafe fn with_labels(labels: *const shmetrics_label, count: usize, f: impl FnOnce(&[(&str, &str)])) {
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
/// As [`family_of`].
pub(super) unsafe fn remove(p0: *const c_void, p1: *const c_void, values: *const shmetrics_str, count: usize) -> bool {
    // SAFETY: the caller's promise.
    let (found, value) = unsafe { (family_of(p0, p1, values, count), values_at(values)) };
    found.is_some_and(|(family, lens)| count > 0 && family.remove(count, &|i| usize::from(lens[i]), &value))
}

/// Whether the series of a handle has been removed, by the handle's words. Hosts ask before each
/// update: to make the handle would take longer than the answer.
///
/// # Safety
/// `p0` is NULL or the first word of a handle.
#[inline(always)]
pub(super) unsafe fn is_removed(p0: *const c_void, place: SeriesAddr) -> bool {
    // SAFETY: the caller's promise; segments live as long as the process.
    unsafe { p0.cast::<Inner>().as_ref() }.is_some_and(|inner| inner.is_over(place.at, place.generation))
}

/// Removes all series of a family.
///
/// # Safety
/// The words of a family handle.
pub(super) unsafe fn clear(p0: *const c_void, p1: *const c_void) -> u64 {
    // SAFETY: a handle's words are NULL or what `register_family` gave.
    let Some(inner) = (unsafe { p0.cast::<Inner>().as_ref() }) else { return 0 };
    FamilyRef::with_label_lens(inner, inner.memory.offset_of(p1.cast())).map_or(0, |(family, _)| family.clear())
}
