//! Series as values instead of text, for callers that translate them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::format::plain::PlainFamily;
use super::page::family::View;
use super::page::observations::{native_exemplars, Observed};
use super::page::snapshot::{FamilyReader, Rendered, Series, Total};
use crate::kind::Kind;
use crate::metric::gauge_merge::{Merged, Sample};
use crate::os::clock::after_1970;
use crate::record::gauge_mode::GaugeMode;
use crate::text::label_set;

/// A family, as its points tell it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PointFamily {
    /// Its name, without a counter's `_total` or an info's `_info`.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Its help text.
    pub help: String,
    /// Its unit, or nothing.
    pub unit: String,
    /// A histogram's finite bounds, each the upper one of its bucket.
    pub bounds: Vec<f64>,
    /// A state set's states.
    pub states: Vec<String>,
    /// Whether a histogram's points have native buckets.
    pub is_native: bool,
}

/// A series as it was at one moment: made by [`Points`](crate::Points).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The family, shared by its points.
    pub family: Arc<PointFamily>,
    /// Its labels, those of the whole segment first.
    pub labels: Vec<(String, String)>,
    /// When the series began. A family that is in no segment does not tell.
    pub began: Option<SystemTime>,
    /// Its value.
    pub value: PointValue,
    /// Its exemplars, those of buckets in their order.
    pub exemplars: Vec<PointExemplar>,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PointValue {
    /// A counter that has counted whole amounts only.
    Whole(u64),
    /// Any other single number.
    Float(f64),
    /// The observations of each bucket of a histogram, not cumulated, and the sum of the same
    /// observations. There is one bucket more than bounds. A summary, and a histogram that is only
    /// native, has a single bucket.
    #[non_exhaustive]
    Buckets {
        /// Observations, not cumulated.
        counts: Vec<u64>,
        /// Their sum.
        sum: f64,
        /// The same observations in native buckets, if the family has them.
        native: Option<Box<NativeBuckets>>,
        /// A summary's quantiles, each with its value: NaN if there was no observation lately.
        quantiles: Vec<(f64, f64)>,
    },
    /// Which of the family's states are on.
    States(Vec<bool>),
}

/// Native buckets of a [`Point`]: those with observations, by index. Bucket `i` is of values above
/// 2 to the power of `(i - 1) / 2^schema` and up to 2 to the power of `i / 2^schema`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NativeBuckets {
    /// The resolution, from -4 to 8.
    pub schema: i8,
    /// Observations up to this size, of either sign, are in the zero bucket.
    pub zero_threshold: f64,
    /// The zero bucket.
    pub zero_count: u64,
    /// Positive observations, not cumulated, by rising index.
    pub positive: Vec<(i32, u64)>,
    /// Negative observations, by the index of their size.
    pub negative: Vec<(i32, u64)>,
}

/// An exemplar of a [`Point`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PointExemplar {
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// What was counted or observed.
    pub value: f64,
    /// When, to the millisecond.
    pub at: SystemTime,
}

/// A family's points in the making.
pub(super) struct PointsEncoder {
    view: View,
    family: Arc<PointFamily>,
    ready: Vec<Point>,
    /// Those of the series that is read: kept if it did not change hands meanwhile.
    fresh: Vec<Point>,
    observed: Observed,
    each: Vec<Sample>,
}

impl PointsEncoder {
    pub(super) fn new(view: View) -> Self {
        let bucket_labels = || view.texts.bucket_labels.clone();
        let family = PointFamily {
            name: view.name(""),
            kind: view.kind,
            help: view.texts.help.clone(),
            unit: view.texts.unit.clone(),
            bounds: match view.kind {
                Kind::Histogram | Kind::GaugeHistogram => view.bounds.clone(),
                _ => Vec::new(),
            },
            states: if matches!(view.kind, Kind::StateSet | Kind::Enum) { bucket_labels() } else { Vec::new() },
            is_native: view.native.is_some() && view.kind != Kind::Summary,
        };
        let (observed, each) = (Observed::default(), Vec::new());
        PointsEncoder { view, family: Arc::new(family), ready: Vec::new(), fresh: Vec::new(), observed, each }
    }

    /// Goes on with the family's namesake in another segment, whose bounds may differ.
    pub(super) fn continued(self, view: View) -> Self {
        PointsEncoder { ready: self.ready, ..PointsEncoder::new(view) }
    }

    /// How many points there are.
    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn take(&mut self, to: &mut VecDeque<Point>) {
        to.extend(self.ready.drain(..));
    }

    pub(super) fn series(&mut self, reader: &FamilyReader<'_>, at: u64, out: &mut Vec<u8>) -> Rendered {
        let text_at = self.view.text_at;
        let rendered = reader.series(at, text_at, out, |series, _| {
            self.fresh.clear();
            self.read(series)
        });
        if rendered == Rendered::Shown {
            self.ready.append(&mut self.fresh);
        }
        self.fresh.clear();
        rendered
    }

    fn read(&mut self, series: &Series<'_>) -> bool {
        match self.view.kind {
            Kind::Counter => {
                let Some(total) = series.counter(self.view.text_at) else { return false };
                let value = match total {
                    Total::Whole(n) => PointValue::Whole(n),
                    Total::Float(v) => PointValue::Float(v),
                };
                self.keep(series, None, value, 1);
            }
            Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => {
                let Some(sum) = self.observed.read(series, &self.view) else { return false };
                let counts = self.observed.counts.clone();
                let slots = counts.len();
                let (native, quantiles) = (self.native(), self.quantiles());
                self.keep(series, None, PointValue::Buckets { counts, sum, native, quantiles }, slots);
            }
            Kind::Info => self.keep(series, None, PointValue::Float(1.0), 0),
            Kind::StateSet | Kind::Enum => {
                let word = series.states();
                let on = |i: usize| if self.view.kind == Kind::Enum { word == i as u64 } else { word >> i & 1 == 1 };
                let states = (0..self.family.states.len()).map(on).collect();
                self.keep(series, None, PointValue::States(states), 0);
            }
            kind => {
                let mode = if kind == Kind::Gauge { self.view.mode } else { GaugeMode::Shared };
                let mut each = std::mem::take(&mut self.each);
                match series.gauge(mode, &mut each) {
                    Merged::Nothing => {}
                    Merged::One(v) => self.keep(series, None, PointValue::Float(v), 0),
                    Merged::Each => {
                        for sample in &each {
                            let pid = ("pid".to_owned(), sample.identity.to_string());
                            self.keep(series, Some(pid), PointValue::Float(sample.value), 0);
                        }
                    }
                }
                self.each = each;
            }
        }
        true
    }

    fn native(&self) -> Option<Box<NativeBuckets>> {
        if self.view.native.is_none() || self.view.kind == Kind::Summary {
            return None;
        }
        let sketch = &self.observed.sketch;
        Some(Box::new(NativeBuckets {
            schema: sketch.schema,
            zero_threshold: sketch.zero_threshold,
            zero_count: sketch.zero_count,
            positive: sketch.positive.clone(),
            negative: sketch.negative.clone(),
        }))
    }

    fn quantiles(&self) -> Vec<(f64, f64)> {
        if self.view.kind != Kind::Summary || self.view.native.is_none() {
            return Vec::new();
        }
        self.view.bounds.iter().copied().zip(self.observed.quantiles.iter().copied()).collect()
    }

    fn keep(&mut self, series: &Series<'_>, more: Option<(String, String)>, value: PointValue, slots: usize) {
        let mut all = self.view.const_label_pairs().to_vec();
        all.extend(self.view.labels_of(&series.text.bytes(), series.escaped));
        all.extend(more);
        let found = if self.view.is_only_native() && self.view.kind != Kind::Summary {
            native_exemplars(series)
        } else {
            let slots = if series.has_exemplars() { 0..slots } else { 0..0 };
            slots.filter_map(|i| series.exemplar(i)).collect()
        };
        let exemplars = found.iter().map(|e| PointExemplar {
            labels: label_set::pairs(e.text()).unwrap_or_default(),
            value: e.value,
            at: after_1970(Duration::from_millis(e.at_ms)),
        });
        let exemplars = exemplars.collect();
        let family = Arc::clone(&self.family);
        let began = Some(after_1970(Duration::from_nanos(series.created())));
        self.fresh.push(Point { family, labels: all, began, value, exemplars });
    }
}

/// The points of a family that is in no segment.
pub(super) fn plain(family: &PlainFamily<'_>, to: &mut VecDeque<Point>) {
    let described = Arc::new(PointFamily {
        name: family.name.to_owned(),
        kind: if family.is_counter { Kind::Counter } else { Kind::Gauge },
        help: family.help.to_owned(),
        unit: String::new(),
        bounds: Vec::new(),
        states: Vec::new(),
        is_native: false,
    });
    to.extend(family.samples.iter().map(|(labels, value)| Point {
        family: Arc::clone(&described),
        labels: labels.clone(),
        began: None,
        value: PointValue::Float(*value),
        exemplars: Vec::new(),
    }));
}
