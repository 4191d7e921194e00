//! What the facade's macros hand to the application.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, HistogramFn, Key};
use shmetrics::{Counter, Gauge, Histogram, Metric, Summary};

use crate::family::{Definition, LABELS_MAX};
use crate::shared::{Shared, Stored};
use crate::warnings;

/// A metric of the library, and where to count what the metric cannot show.
pub(crate) struct Handle<M> {
    /// `None`: its family cannot be registered.
    pub(crate) metric: Option<M>,
    /// Whether a label is left out.
    pub(crate) merged: bool,
    /// Counters on the page that rise with each update: of each label that is left out, or of lost
    /// updates.
    pub(crate) warnings: Vec<Counter>,
    pub(crate) key: Key,
    pub(crate) shared: Arc<Shared>,
}

impl Shared {
    /// The handle for a key, from the segment.
    pub(crate) fn look_up<M: Stored>(self: &Arc<Self>, key: &Key) -> Handle<M> {
        let (mut metric, mut merged, mut warnings) = (None, false, Vec::new());
        if let Some(family) = self.family::<M>(key) {
            let placed = family.series(key);
            let Definition { name, labels, .. } = &family.definition;
            for label in &placed.left_out {
                self.tell(&format!(
                    "{name}: the label {label:?} is left out of some series, as the metric has the labels {labels:?}; give \
                     all its labels, each once, to `Builder::label_names` (at most {LABELS_MAX}), or set \
                     `Builder::other_labels`, and start with a new segment"
                ));
                warnings.extend(warnings::dropped_label(self.segment, name, label));
            }
            (metric, merged) = (placed.metric, !placed.left_out.is_empty());
        }
        if metric.is_none() {
            warnings.extend(warnings::lost_updates(self.segment, key.name()));
        }
        Handle { metric, merged, warnings, key: key.to_retained(), shared: Arc::clone(self) }
    }
}

impl<M: Metric> Handle<M> {
    /// Whether a look-up now would give the same.
    pub(crate) fn is_current(&self) -> bool {
        !self.metric.is_some_and(|m| m.is_removed())
    }

    #[inline]
    fn update(&self, change: impl FnOnce(&M)) {
        self.update_many(1, change);
    }

    #[inline]
    fn update_many(&self, updates: u64, change: impl FnOnce(&M)) {
        match &self.metric {
            Some(metric) => change(metric),
            None => self.shared.count_lost(updates),
        }
        if self.merged {
            self.shared.count_merged(updates);
        }
        for warning in &self.warnings {
            warning.inc_by(updates);
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
        self.update_many(count as u64, |histogram| (0..count).for_each(|_| histogram.observe(value)));
    }
}

impl HistogramFn for Handle<Summary> {
    fn record(&self, value: f64) {
        self.update(|summary| summary.observe(value));
    }

    fn record_many(&self, value: f64, count: usize) {
        self.update_many(count as u64, |summary| (0..count).for_each(|_| summary.observe(value)));
    }
}
