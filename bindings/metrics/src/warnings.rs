//! Families on the page that say what the recorders of all processes could not do. A family is
//! registered when it has something to say.

use shmetrics::{Counter, Segment};

/// The most series of each: names of metrics and labels may come from anywhere.
const SERIES_MAX: u64 = 100;

/// Updates that counted without this label.
pub(crate) fn dropped_label(segment: Segment, metric: &str, label: &str) -> Option<Counter> {
    let help = "Updates that counted without a label, because their metric has no label of this name.";
    let family = segment.counter("metrics_facade_labels_dropped_total", help).max_series(SERIES_MAX);
    Some(family.labels(["metric", "label"]).register().ok()?.with([metric, label]))
}

/// Updates of a metric that could not be registered.
pub(crate) fn lost_updates(segment: Segment, metric: &str) -> Option<Counter> {
    let help = "Updates that counted nowhere, because their metric could not be registered.";
    let family = segment.counter("metrics_facade_updates_lost_total", help).max_series(SERIES_MAX);
    Some(family.labels(["metric"]).register().ok()?.with([metric]))
}
