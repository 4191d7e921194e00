//! What the facade's macros hand to the application.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, HistogramFn, Key};
use shmetrics::{Counter, Gauge, Histogram, Metric};

use crate::family::{Definition, LABELS_MAX};
use crate::shared::{Shared, Stored};

/// A metric of the library, and whom to tell of what it cannot show.
pub(crate) struct Handle<M> {
    /// `None`: its family cannot be registered.
    pub(crate) metric: Option<M>,
    /// A label is left out.
    pub(crate) merged: bool,
    pub(crate) key: Key,
    pub(crate) shared: Arc<Shared>,
}

impl Shared {
    /// The handle for a key, from the segment.
    pub(crate) fn look_up<M: Stored>(self: &Arc<Self>, key: &Key) -> Handle<M> {
        let family = self.family::<M>(key);
        let placed = family.map(|family| {
            let placed = family.series(key);
            if let Some(label) = &placed.left_out {
                let Definition { name, labels, .. } = &family.definition;
                self.tell(&format!(
                    "{name}: the label {label:?} is left out of some series, as the metric has the labels {labels:?}; give \
                     all its labels, each once, to `Builder::label_names` (at most {LABELS_MAX}), and start with a new segment"
                ));
            }
            placed
        });
        let merged = placed.as_ref().is_some_and(|p| p.left_out.is_some());
        Handle { metric: placed.map(|p| p.metric), merged, key: key.to_retained(), shared: Arc::clone(self) }
    }
}

impl<M: Metric> Handle<M> {
    /// Whether a look-up now would give the same.
    pub(crate) fn is_current(&self) -> bool {
        !self.metric.is_some_and(|m| m.is_removed())
    }

    #[inline]
    fn update(&self, change: impl FnOnce(&M)) {
        match &self.metric {
            Some(metric) => change(metric),
            None => self.shared.count_lost(),
        }
        if self.merged {
            self.shared.count_merged();
        }
    }
}

impl CounterFn for Handle<Counter> {
    fn increment(&self, value: u64) {
        self.update(|counter| counter.inc_by(value));
    }

    fn absolute(&self, value: u64) {
        self.update(|counter| counter.inc_by(self.shared.raise(&self.key, value)));
    }
}

impl GaugeFn for Handle<Gauge> {
    fn increment(&self, value: f64) {
        self.update(|gauge| gauge.add(value));
    }

    fn decrement(&self, value: f64) {
        self.update(|gauge| gauge.sub(value));
    }

    fn set(&self, value: f64) {
        self.update(|gauge| gauge.set(value));
    }
}

impl HistogramFn for Handle<Histogram> {
    fn record(&self, value: f64) {
        self.update(|histogram| histogram.observe(value));
    }

    fn record_many(&self, value: f64, count: usize) {
        for _ in 0..count {
            self.record(value);
        }
    }
}
