//! Bundles in C: registration, one look-up for all members, and their handles.

use std::ffi::c_void;

use super::counter::{shmetrics_counter, shmetrics_counter_add_u64};
use super::family::{clear, family_of, is_removed, remove, texts, values_at, words, Given};
use super::gauge::shmetrics_gauge;
use super::histogram::shmetrics_histogram;
use super::points::shmetrics_kind;
use super::segment::{segment_of, shmetrics_segment};
use super::state::shmetrics_states;
use super::status::{fail, shmetrics_status};
use super::{guard, guarded, hot, null, shmetrics_family_spec, shmetrics_str, slice, status, whole_units, Growing};
use crate::kind::Kind;
use crate::metric::sealed::FromSeries;
use crate::metric::{Counter, Gauge, GaugeHistogram, Histogram, StateSet, Summary};
use crate::record::bundle::{Row, MEMBERS_MAX};
use crate::record::gauge_mode::GaugeMode;
use crate::registry::spec::Spec;
use crate::registry::{register_all, BundleEntry, BundleRef};
use crate::segment::{Inner, Segment};
use crate::shm::layout::{COUNTER_END, GRANULE};
use crate::shm::state::SeriesAddr;
use crate::Error;

/// A metric of a bundle.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_member {
    /// A `shmetrics_kind`.
    pub kind: u32,
    /// A `SHMETRICS_GAUGE_...` if the metric is a gauge; otherwise 0.
    pub mode: u32,
    /// The definition, without label names, `max_series`, `expire_after_seconds` and `replace`:
    /// these are the bundle's.
    pub family: *const shmetrics_family_spec,
}

/// The definition of a bundle. Set all bytes to zero, then `struct_size`. Registrations are the
/// same bundle if they have the same members in the same order, and agree in the set of label names
/// and in `expire_after_seconds`. Any other difference, or a name that is registered by itself or
/// in another bundle, is `SHMETRICS_STATUS_CONFLICT`, unless `replace` is set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_bundle_spec {
    /// `sizeof(shmetrics_bundle_spec)` where the program is compiled. Later versions may add fields
    /// at the end.
    pub struct_size: usize,
    /// The label names of all members.
    pub label_names: *const shmetrics_str,
    /// The number of label names; 0 for metrics without labels.
    pub label_count: usize,
    /// The members. Their order gives their numbers, from 0.
    pub members: *const shmetrics_member,
    /// The number of members, at least 1, and at most `SHMETRICS_MAX_MEMBERS`.
    pub member_count: usize,
    /// The most label sets. Further ones share the overflow series. 0 for no limit.
    pub max_series: u64,
    /// A label set of which no series has an update for this many seconds leaves the pages, and
    /// after twice as many it is removed. 0 for never.
    pub expire_after_seconds: f64,
    /// This definition takes the places of all bundles and families that have the members' names:
    /// see `shmetrics_family_spec.replace`.
    pub replace: bool,
}

// SAFETY: the struct is `repr(C)`, and its size comes first.
unsafe impl Growing for shmetrics_bundle_spec {
    const NAME: &'static str = "bundle spec";
    const REMEDY: &'static str = "set struct_size to sizeof(shmetrics_bundle_spec)";
    const FIRST_SIZE: usize = size_of::<Self>();
    const DEFAULTS: Self = {
        // SAFETY: NULL, 0 and false are values of these fields.
        let zero: Self = unsafe { std::mem::zeroed() };
        shmetrics_bundle_spec { struct_size: size_of::<Self>(), ..zero }
    };
}

/// Metrics with the same labels, whose series are found by one look-up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_bundle {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
}

/// The series of one label set of a bundle: a handle, as those of its members.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_entry {
    /// Private.
    pub p0: *const c_void,
    /// Private.
    pub p1: *const c_void,
    /// Private.
    pub p2: *const c_void,
}

const NULL: *const c_void = std::ptr::null();
const INERT: shmetrics_entry = shmetrics_entry { p0: NULL, p1: NULL, p2: NULL };

/// Where the third word of an entry has the number of rows: above the offset of the first.
const COUNT_SHIFT: u32 = 48;
const _: () = assert!(MEMBERS_MAX < 1 << (u64::BITS - COUNT_SHIFT));

impl shmetrics_entry {
    #[inline(always)]
    fn of(entry: BundleEntry) -> Self {
        let (inner, addr, rows) = entry.parts();
        let first = inner.memory.offset_of(rows.as_ptr().cast());
        let word = |word: u64| std::ptr::without_provenance(word as usize);
        shmetrics_entry {
            p0: std::ptr::from_ref(inner).cast(),
            p1: word(addr.into_word()),
            p2: word((rows.len() as u64) << COUNT_SHIFT | first),
        }
    }

    #[inline(always)]
    pub(super) fn entry(self) -> Option<BundleEntry> {
        // SAFETY: the words are NULL or what `of` gave; segments live as long as the process.
        let inner = unsafe { self.p0.cast::<Inner>().as_ref()? };
        let (addr, word) = (SeriesAddr::from_word(self.p1.addr() as u64), self.p2.addr() as u64);
        let first = inner.memory.checked_before(word & ((1 << COUNT_SHIFT) - 1)).cast::<Row>();
        // SAFETY: the table was checked when the entry was made (`of`), or has no rows here.
        let rows = unsafe { std::slice::from_raw_parts(first, (word >> COUNT_SHIFT) as usize) };
        Some(BundleEntry::of(inner, addr, rows))
    }

    /// The kind of a member, and where its series is.
    #[inline(always)]
    fn place(self, member: usize) -> Option<(Segment, Kind, SeriesAddr)> {
        let entry = self.entry()?;
        let (kind, addr) = entry.place(member)?;
        Some((Segment { inner: entry.parts().0 }, kind, addr))
    }

    /// The words of the handle of a member that is a counter, if a few instructions find it. `None`
    /// also of a bundle of one, which has no table.
    #[inline(always)]
    fn counter_words(self, member: usize) -> Option<shmetrics_counter> {
        let (inner, addr, row) = self.row(member)?;
        let seat = row.seat_of(Kind::Counter)?;
        // The place is the low half of the word, which does not overflow: it is in the arena.
        let word = self.p1.wrapping_byte_add((seat / GRANULE) as usize);
        inner.memory.is_known(addr.at + seat, COUNTER_END).then_some(shmetrics_counter { p0: self.p0, p1: word })
    }

    /// The same of a member that is a histogram with classic buckets alone.
    #[inline(always)]
    fn histogram_words(self, member: usize) -> Option<[*const c_void; 3]> {
        let (inner, addr, row) = self.row(member)?;
        let seat = row.seat_of(Kind::Histogram)?;
        let (family, bounds) = row.classic()?;
        Histogram::words_at(inner, SeriesAddr { at: addr.at + seat, ..addr }, family, bounds)
    }

    #[inline(always)]
    fn row(self, member: usize) -> Option<(&'static Inner, SeriesAddr, &'static Row)> {
        let (inner, addr, rows) = self.entry()?.parts();
        Some((inner, addr, rows.get(member)?))
    }

    /// The handle of a member of this kind.
    #[inline(always)]
    fn get<M: FromSeries>(self, member: usize) -> Option<M> {
        let (segment, kind, addr) = self.place(member)?;
        M::fits(kind).then(|| M::from_series(segment, addr))
    }

    /// The kinds that have the handle of a histogram.
    #[inline(always)]
    fn observer(self, member: usize) -> Option<Histogram> {
        let (segment, kind, addr) = self.place(member)?;
        match kind {
            Kind::Histogram => Some(Histogram::from_series(segment, addr)),
            Kind::Summary => Some(Summary::from_series(segment, addr).into_histogram()),
            Kind::GaugeHistogram => Some(GaugeHistogram::from_series(segment, addr).into_histogram()),
            _ => None,
        }
    }
}

/// The member as the registry has it, or why it is none.
///
/// # Safety
/// The header's rules for `member`.
unsafe fn given<'a>(member: &shmetrics_member) -> Result<(Kind, GaugeMode, Given<'a>), shmetrics_status> {
    let kind = shmetrics_kind::kind(member.kind).ok_or_else(|| {
        fail(
            shmetrics_status::InvalidArgument,
            format!("the kind {} of a member: it must be a shmetrics_kind", member.kind),
        )
    })?;
    let mode = GaugeMode::checked(member.mode).filter(|mode| kind == Kind::Gauge || *mode == GaugeMode::Shared);
    let mode = mode.ok_or_else(|| {
        let message = format!("the gauge mode {} of a member that is {}", member.mode, kind.with_article());
        fail(shmetrics_status::InvalidArgument, message)
    })?;
    // SAFETY: the caller's promise.
    let given = unsafe { Given::read(member.family, kind)? };
    if given.says_of_label_sets() {
        let message = "a member has label names, max_series, expire_after_seconds or replace: set them in the bundle";
        return Err(fail(shmetrics_status::InvalidArgument, message));
    }
    Ok((kind, mode, given))
}

/// Registers a bundle, or finds it. Any process may do so at any time.
///
/// ```c
/// const shmetrics_str labels[] = {SHMETRICS_STR("method"), SHMETRICS_STR("status")};
/// enum { REQUESTS, LATENCY };
/// const shmetrics_family_spec requests = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("requests"));
/// const shmetrics_family_spec latency = SHMETRICS_FAMILY_SPEC(.name = SHMETRICS_STR("latency"));
/// const shmetrics_member members[] = {
///     [REQUESTS] = {SHMETRICS_KIND_COUNTER, 0, &requests},
///     [LATENCY] = {SHMETRICS_KIND_HISTOGRAM, 0, &latency},
/// };
/// const shmetrics_bundle_spec spec = {.struct_size = sizeof spec, .label_names = labels,
///     .label_count = 2, .members = members, .member_count = 2};
/// shmetrics_bundle http;
/// shmetrics_bundle_register(segment, &spec, &http);
/// ```
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_bundle_register(
    segment: *mut shmetrics_segment,
    spec: *const shmetrics_bundle_spec,
    bundle: *mut shmetrics_bundle,
) -> shmetrics_status {
    guarded(|| {
        if bundle.is_null() {
            return Err(null("where to put the bundle"));
        }
        if spec.is_null() {
            return Err(null("the spec"));
        }
        // SAFETY: the caller's promise, here and below.
        let (segment, spec) = unsafe { (segment_of(segment)?, shmetrics_bundle_spec::copy_from(spec)?) };
        let expire = whole_units(spec.expire_after_seconds, 1.0, "spec.expire_after_seconds")?;
        Error::unless_memory(64 << 10).map_err(status::report)?;
        // SAFETY: as above.
        let (labels, members) = unsafe {
            let members = slice(spec.members, spec.member_count, "members")?;
            (texts(spec.label_names, spec.label_count, "label_names", "a label name")?, members)
        };
        // SAFETY: as above.
        let given = members.iter().map(|member| unsafe { given(member) }).collect::<Result<Vec<_>, _>>()?;
        let specs = given.iter().map(|(kind, mode, given)| Spec {
            labels: &labels,
            max_series: spec.max_series,
            expire: if labels.is_empty() { 0 } else { expire },
            replace: spec.replace,
            ..given.spec(*kind, *mode)
        });
        let at = register_all(segment.inner, specs.collect()).map_err(status::report)?;
        let [p0, p1] = words(segment.inner, at);
        // SAFETY: as above.
        unsafe { *bundle = shmetrics_bundle { p0, p1 } };
        Ok(())
    })
}

/// The series of all members with these label values, made if there are none. See "Label sets"
/// above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_bundle_with(
    bundle: shmetrics_bundle,
    values: *const shmetrics_str,
    count: usize,
) -> shmetrics_entry {
    hot(INERT, || {
        // SAFETY: the caller's promise.
        let (found, value) = unsafe { (family_of(bundle.p0, bundle.p1, values, count), values_at(values)) };
        let Some((family, lens)) = found else { return INERT };
        let addr = family.find_addr::<false>(count, |i| usize::from(lens[i]), value);
        shmetrics_entry::of(BundleRef::new(family).entry(addr))
    })
}

/// Removes the series with these label values from all members, for all processes. False if there
/// are none. See "Removing label sets" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_bundle_remove(
    bundle: shmetrics_bundle,
    values: *const shmetrics_str,
    count: usize,
) -> bool {
    // SAFETY: the caller's promise.
    guard(false, || unsafe { remove(bundle.p0, bundle.p1, values, count) })
}

/// Removes all label sets of the bundle, and returns how many.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_bundle_clear(bundle: shmetrics_bundle) -> u64 {
    // SAFETY: the words of a bundle's handle.
    guard(0, || unsafe { clear(bundle.p0, bundle.p1) })
}

/// Whether the label set has been removed. False for an inert handle.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_is_removed(entry: shmetrics_entry) -> bool {
    let place = SeriesAddr::from_word(entry.p1.addr() as u64);
    // SAFETY: the words are NULL or what `shmetrics_bundle_with` gave.
    unsafe { is_removed(entry.p0, place) }
}

/// The counter that is the member of this number. All calls of this kind give an inert handle if
/// the number is that of another type.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_counter(entry: shmetrics_entry, member: usize) -> shmetrics_counter {
    shmetrics_counter::of(entry.get::<Counter>(member))
}

/// The gauge, or the metric of unknown type, that is the member of this number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_gauge(entry: shmetrics_entry, member: usize) -> shmetrics_gauge {
    shmetrics_gauge::of(entry.get::<Gauge>(member))
}

/// The histogram, gauge histogram or summary that is the member of this number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_histogram(entry: shmetrics_entry, member: usize) -> shmetrics_histogram {
    shmetrics_histogram::of(entry.observer(member))
}

/// The state set or enum that is the member of this number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_states(entry: shmetrics_entry, member: usize) -> shmetrics_states {
    let Some((segment, kind, addr)) = entry.place(member) else { return shmetrics_states::INERT };
    let has_states = matches!(kind, Kind::StateSet | Kind::Enum);
    shmetrics_states::of(has_states.then(|| StateSet::from_series(segment, addr)))
}

/// Adds a whole number to the counter that is the member of this number. All calls of this kind
/// do nothing if the number is that of another type.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_add_u64(entry: shmetrics_entry, member: usize, n: u64) {
    // Both ways end with a jump.
    match entry.counter_words(member) {
        Some(counter) => shmetrics_counter_add_u64(counter, n),
        None => add_slow(entry.p0, entry.p1, entry.p2, member, n),
    }
}

#[inline(never)]
extern "C" fn add_slow(p0: *const c_void, p1: *const c_void, p2: *const c_void, member: usize, n: u64) {
    if let Some(counter) = (shmetrics_entry { p0, p1, p2 }).get::<Counter>(member) {
        counter.inc_by(n);
    }
}

/// Adds to the counter, or to the gauge, that is the member of this number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_add(entry: shmetrics_entry, member: usize, v: f64) {
    match entry.place(member) {
        Some((segment, Kind::Counter, addr)) => Counter::from_series(segment, addr).add(v),
        Some((segment, Kind::Gauge | Kind::Unknown, addr)) => hot((), || Gauge::from_series(segment, addr).add(v)),
        _ => {}
    }
}

/// Sets the gauge that is the member of this number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_set(entry: shmetrics_entry, member: usize, v: f64) {
    if let Some(gauge) = entry.get::<Gauge>(member) {
        hot((), || gauge.set(v));
    }
}

/// Observes in the histogram, gauge histogram or summary that is the member of this number.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_observe(entry: shmetrics_entry, member: usize, v: f64) {
    // Both ways end with a jump.
    match entry.histogram_words(member) {
        // SAFETY: `words_at` has checked what they lead to.
        Some(words) => unsafe { Histogram::observe_by_words(words, v) },
        None => observe_slow(entry.p0, entry.p1, entry.p2, member, v),
    }
}

#[inline(never)]
extern "C" fn observe_slow(p0: *const c_void, p1: *const c_void, p2: *const c_void, member: usize, v: f64) {
    if let Some(histogram) = (shmetrics_entry { p0, p1, p2 }).observer(member) {
        histogram.observe(v);
    }
}

/// As `shmetrics_bundle_with`: see `shmetrics_counter_with_p`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_bundle_with_p(
    bundle: Option<&shmetrics_bundle>,
    values: *const shmetrics_str,
    count: usize,
    entry: Option<&mut shmetrics_entry>,
) {
    if let (Some(bundle), Some(entry)) = (bundle, entry) {
        // SAFETY: the caller's promise.
        *entry = unsafe { shmetrics_bundle_with(*bundle, values, count) };
    }
}

/// As `shmetrics_entry_add_u64`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_add_u64_p(entry: Option<&shmetrics_entry>, member: usize, n: u64) {
    if let Some(entry) = entry {
        shmetrics_entry_add_u64(*entry, member, n);
    }
}

/// As `shmetrics_entry_add`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_add_p(entry: Option<&shmetrics_entry>, member: usize, v: f64) {
    if let Some(entry) = entry {
        shmetrics_entry_add(*entry, member, v);
    }
}

/// As `shmetrics_entry_set`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_set_p(entry: Option<&shmetrics_entry>, member: usize, v: f64) {
    if let Some(entry) = entry {
        shmetrics_entry_set(*entry, member, v);
    }
}

/// As `shmetrics_entry_observe`.
#[unsafe(no_mangle)]
pub extern "C" fn shmetrics_entry_observe_p(entry: Option<&shmetrics_entry>, member: usize, v: f64) {
    if let Some(entry) = entry {
        shmetrics_entry_observe(*entry, member, v);
    }
}
