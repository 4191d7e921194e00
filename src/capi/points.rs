//! The series of a page as values, for hosts that translate them into something else.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::page::{shmetrics_cursor, CPage};
use super::segment::shmetrics_label;
use super::status::{fail, report, shmetrics_status};
use super::{guard, guarded, null, shmetrics_str};
use crate::expose::MEMORY_TO_RENDER;
use crate::{Error, Kind, NativeBuckets, Point, PointFamily, PointValue, Points};

/// The series of a page as values. Freed by `shmetrics_points_free`.
pub struct shmetrics_points {
    _private: [u8; 0],
}

/// A family's type.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmetrics_kind {
    /// A value of unknown type.
    Unknown = 0,
    /// A value that only rises.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
    /// Observations in buckets, which can be taken back.
    GaugeHistogram,
    /// The count and the sum of observations.
    Summary,
    /// Labels that carry information; the value is 1.
    Info,
    /// States, each on or off.
    StateSet,
    /// States, one of them on.
    Enum,
}

/// The family of points. Pointers in it are valid until `shmetrics_points_next` gives a point of
/// another family. Later versions may add fields at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_point_family {
    /// Its name as it was registered, without a counter's `_total` or an info's `_info`.
    pub name: shmetrics_str,
    /// Its help text.
    pub help: shmetrics_str,
    /// Its unit; may be empty.
    pub unit: shmetrics_str,
    /// A histogram's finite bounds, each the upper one of its bucket.
    pub bounds: *const f64,
    /// The number of them.
    pub bound_count: usize,
    /// The states of a state set or an enum.
    pub states: *const shmetrics_str,
    /// The number of them.
    pub state_count: usize,
    /// A `SHMETRICS_KIND_...`.
    pub kind: u32,
    /// Whether points of this histogram have native buckets.
    pub is_native: bool,
}

/// A quantile of a summary.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_quantile {
    /// Such as 0.99.
    pub quantile: f64,
    /// Its value; NaN if there was no observation lately.
    pub value: f64,
}

/// A native bucket that has observations.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_native_bucket {
    /// Bucket `i` is of sizes above 2^((i - 1) / 2^schema) and up to 2^(i / 2^schema).
    pub index: i32,
    /// Observations, not cumulated.
    pub count: u64,
}

/// The native buckets of a histogram's point.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_native_buckets {
    /// Observations up to this size, of either sign, are in the zero bucket.
    pub zero_threshold: f64,
    /// The zero bucket.
    pub zero_count: u64,
    /// Buckets of positive observations, by rising index.
    pub positive: *const shmetrics_native_bucket,
    /// The number of them.
    pub positive_count: usize,
    /// Buckets of negative observations, by the rising index of their size.
    pub negative: *const shmetrics_native_bucket,
    /// The number of them.
    pub negative_count: usize,
    /// The resolution, from -4 to 8.
    pub schema: i32,
}

/// An exemplar.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_exemplar {
    /// Its labels.
    pub labels: *const shmetrics_label,
    /// The number of them.
    pub label_count: usize,
    /// What was counted or observed.
    pub value: f64,
    /// When, in seconds since 1970.
    pub at_seconds: f64,
}

/// A series as it was at one moment. Pointers in it are valid until the next call with the same
/// points. Arrays that a type does not have are NULL with a count of 0. Later versions may add
/// fields at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmetrics_point {
    /// Its family: the same pointer for all points of the family that follow each other.
    pub family: *const shmetrics_point_family,
    /// Its labels, those of the whole segment first.
    pub labels: *const shmetrics_label,
    /// The number of them.
    pub label_count: usize,
    /// When the series began, in seconds since 1970; 0 where the time is not known.
    pub began_seconds: f64,
    /// The value of a counter, gauge, unknown or info; the sum of a histogram's or summary's
    /// observations.
    pub value: f64,
    /// A counter's exact value, if `is_whole`.
    pub whole: u64,
    /// The observations of each bucket by itself, not cumulated, one bucket more than there are
    /// bounds. A summary, and a histogram with native buckets alone, has one bucket. `value` is the
    /// sum of these observations.
    pub counts: *const u64,
    /// The number of them.
    pub bucket_count: usize,
    /// A summary's quantiles.
    pub quantiles: *const shmetrics_quantile,
    /// The number of them.
    pub quantile_count: usize,
    /// For each state of the family, whether it is on.
    pub states: *const bool,
    /// The number of them.
    pub state_count: usize,
    /// The same observations in native buckets, or NULL.
    pub native_buckets: *const shmetrics_native_buckets,
    /// Its exemplars, those of buckets in their order.
    pub exemplars: *const shmetrics_exemplar,
    /// The number of them.
    pub exemplar_count: usize,
    /// Whether `whole` is the exact value of a counter: true unless a fraction was ever added.
    pub is_whole: bool,
}

fn text(text: &str) -> shmetrics_str {
    shmetrics_str { data: text.as_ptr().cast(), len: text.len() }
}

fn labels(labels: &[(String, String)]) -> Vec<shmetrics_label> {
    labels.iter().map(|(name, value)| shmetrics_label { name: text(name), value: text(value) }).collect()
}

fn at<T>(values: &[T]) -> *const T {
    if values.is_empty() {
        std::ptr::null()
    } else {
        values.as_ptr()
    }
}

impl shmetrics_kind {
    /// The kind of a number of C.
    pub(super) fn kind(number: u32) -> Option<Kind> {
        let mut all = (0..=u8::MAX).filter_map(Kind::from_byte);
        all.find(|kind| shmetrics_kind::from(*kind) as u32 == number)
    }
}

impl From<Kind> for shmetrics_kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => shmetrics_kind::Counter,
            Kind::Gauge => shmetrics_kind::Gauge,
            Kind::Histogram => shmetrics_kind::Histogram,
            Kind::GaugeHistogram => shmetrics_kind::GaugeHistogram,
            Kind::Summary => shmetrics_kind::Summary,
            Kind::Info => shmetrics_kind::Info,
            Kind::StateSet => shmetrics_kind::StateSet,
            Kind::Enum => shmetrics_kind::Enum,
            Kind::Unknown => shmetrics_kind::Unknown,
        }
    }
}

/// A family, and what C sees of it.
struct Family {
    of: Arc<PointFamily>,
    /// What `view` points to.
    _states: Vec<shmetrics_str>,
    view: Box<shmetrics_point_family>,
}

impl Family {
    fn new(of: Arc<PointFamily>) -> Self {
        let states: Vec<_> = of.states.iter().map(|state| text(state)).collect();
        let view = Box::new(shmetrics_point_family {
            name: text(&of.name),
            help: text(&of.help),
            unit: text(&of.unit),
            bounds: at(&of.bounds),
            bound_count: of.bounds.len(),
            states: at(&states),
            state_count: states.len(),
            kind: shmetrics_kind::from(of.kind) as u32,
            is_native: of.is_native,
        });
        Family { of, _states: states, view }
    }
}

/// What a point in C points to.
#[derive(Default)]
struct Parts {
    labels: Vec<shmetrics_label>,
    quantiles: Vec<shmetrics_quantile>,
    positive: Vec<shmetrics_native_bucket>,
    negative: Vec<shmetrics_native_bucket>,
    native: Option<Box<shmetrics_native_buckets>>,
    exemplar_labels: Vec<Vec<shmetrics_label>>,
    exemplars: Vec<shmetrics_exemplar>,
}

struct Reading {
    points: Points<'static>,
    family: Option<Family>,
    /// The point that was given last, which `view` points into.
    point: Option<Point>,
    parts: Parts,
    view: Option<Box<shmetrics_point>>,
}

impl Reading {
    fn next(&mut self) -> *const shmetrics_point {
        self.view = None;
        self.parts = Parts::default();
        self.point = self.points.next();
        let Some(point) = &self.point else { return std::ptr::null() };
        if !self.family.as_ref().is_some_and(|family| Arc::ptr_eq(&family.of, &point.family)) {
            self.family = Some(Family::new(Arc::clone(&point.family)));
        }
        let family = self.family.as_ref().map_or(std::ptr::null(), |family| std::ptr::from_ref(&*family.view));
        let view = self.parts.view(point, family);
        std::ptr::from_ref(self.view.insert(Box::new(view)))
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Parts {
    fn view(&mut self, point: &Point, family: *const shmetrics_point_family) -> shmetrics_point {
        self.labels = labels(&point.labels);
        self.exemplar_labels = point.exemplars.iter().map(|e| labels(&e.labels)).collect();
        let exemplars = point.exemplars.iter().zip(&self.exemplar_labels);
        self.exemplars = exemplars
            .map(|(e, labels)| shmetrics_exemplar {
                labels: at(labels),
                label_count: labels.len(),
                value: e.value,
                at_seconds: seconds(e.at),
            })
            .collect();
        let mut view = shmetrics_point {
            family,
            labels: at(&self.labels),
            label_count: self.labels.len(),
            began_seconds: point.began.map_or(0.0, seconds),
            value: 0.0,
            whole: 0,
            counts: std::ptr::null(),
            bucket_count: 0,
            quantiles: std::ptr::null(),
            quantile_count: 0,
            states: std::ptr::null(),
            state_count: 0,
            native_buckets: std::ptr::null(),
            exemplars: at(&self.exemplars),
            exemplar_count: self.exemplars.len(),
            is_whole: false,
        };
        match &point.value {
            PointValue::Whole(n) => (view.value, view.whole, view.is_whole) = (*n as f64, *n, true),
            PointValue::Float(v) => view.value = *v,
            PointValue::Buckets { counts, sum, native, quantiles } => {
                view.value = *sum;
                (view.counts, view.bucket_count) = (at(counts), counts.len());
                self.quantiles =
                    quantiles.iter().map(|&(quantile, value)| shmetrics_quantile { quantile, value }).collect();
                (view.quantiles, view.quantile_count) = (at(&self.quantiles), self.quantiles.len());
                if let Some(native) = native {
                    view.native_buckets = self.native(native);
                }
            }
            PointValue::States(states) => (view.states, view.state_count) = (at(states), states.len()),
        }
        view
    }

    fn native(&mut self, native: &NativeBuckets) -> *const shmetrics_native_buckets {
        let buckets = |all: &[(i32, u64)]| -> Vec<_> {
            all.iter().map(|&(index, count)| shmetrics_native_bucket { index, count }).collect()
        };
        (self.positive, self.negative) = (buckets(&native.positive), buckets(&native.negative));
        std::ptr::from_ref(self.native.insert(Box::new(shmetrics_native_buckets {
            zero_threshold: native.zero_threshold,
            zero_count: native.zero_count,
            positive: at(&self.positive),
            positive_count: self.positive.len(),
            negative: at(&self.negative),
            negative_count: self.negative.len(),
            schema: i32::from(native.schema),
        })))
    }
}

/// Reads the page of the cursor as values instead of text. Each series is read at one moment, all
/// series of a family before the next family, the library's own families last.
/// `shmetrics_cursor_add_filter` selects families beforehand. The exposition has no effect: names
/// are as they were registered. At most some hundred series are held at a time. On success the
/// cursor is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_cursor_points(
    cursor: *mut shmetrics_cursor,
    points: *mut *mut shmetrics_points,
) -> shmetrics_status {
    guarded(|| {
        if cursor.is_null() || points.is_null() {
            return Err(null(if cursor.is_null() { "the cursor" } else { "where to put the points" }));
        }
        Error::unless_memory(MEMORY_TO_RENDER).map_err(report)?;
        // SAFETY: the caller's promise.
        let page = unsafe { CPage::of(cursor)? };
        page.not_begun()?;
        if page.collecting {
            return Err(fail(shmetrics_status::InvalidArgument, "a collector does not read the page that it adds to"));
        }
        // SAFETY: as above; the cursor is given up.
        let mut page = unsafe { Box::from_raw(cursor.cast::<CPage>()) };
        let page = page.take_page().ok_or_else(|| null("the cursor"))?;
        let reading = Reading { points: page.points(), family: None, point: None, parts: Parts::default(), view: None };
        // SAFETY: as above.
        unsafe { *points = Box::into_raw(Box::new(reading)).cast() };
        Ok(())
    })
}

/// Reads the next series. `*point` becomes NULL after the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_points_next(
    points: *mut shmetrics_points,
    point: *mut *const shmetrics_point,
) -> shmetrics_status {
    guarded(|| {
        if points.is_null() || point.is_null() {
            return Err(null(if points.is_null() { "the points" } else { "where to put the point" }));
        }
        Error::unless_memory(MEMORY_TO_RENDER).map_err(report)?;
        // SAFETY: the caller's promise.
        unsafe { *point = (*points.cast::<Reading>()).next() };
        Ok(())
    })
}

/// Frees points; NULL is ignored. Free the points of a reader before the reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmetrics_points_free(points: *mut shmetrics_points) {
    if !points.is_null() {
        // SAFETY: the caller's promise.
        guard((), || drop(unsafe { Box::from_raw(points.cast::<Reading>()) }));
    }
}
