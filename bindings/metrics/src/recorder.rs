//! The recorder: what the `metrics` facade asks for, as families and handles of a segment.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SetRecorderError, SharedString, Unit};
use shmetrics::Segment;

use crate::cache;
use crate::settings::Settings;
use crate::shared::{Shared, Warnings};

/// Counts what the `metrics` facade is told into a segment. A copy is the same recorder.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    segment: Segment,
}

impl Recorder {
    /// A recorder with the defaults: Prometheus' buckets, gauges that are sums over living
    /// processes.
    pub fn new(segment: Segment) -> Self {
        Self::with(segment, Settings::default())
    }

    pub(crate) fn with(segment: Segment, settings: Settings) -> Self {
        Recorder { shared: Arc::new(Shared::new(segment, settings)), segment }
    }

    /// Makes it the recorder of this process, and of those forked from it later. Keep this copy to
    /// ask it for [`warnings`](Recorder::warnings).
    ///
    /// # Errors
    /// If the process has a recorder already.
    pub fn install(&self) -> Result<(), SetRecorderError<Recorder>> {
        metrics::set_global_recorder(self.clone())
    }

    /// What could not be done as it was told. The facade's calls return nothing and this crate
    /// prints nothing, so look here: in a test, or in a health check.
    ///
    /// The page has the totals of all processes, in `metrics_facade_labels_dropped_total` and in
    /// `metrics_facade_updates_lost_total`.
    pub fn warnings(&self) -> Warnings {
        self.shared.warnings()
    }

    /// The segment, for rendering pages.
    pub fn segment(&self) -> Segment {
        self.segment
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("path", &self.segment.path()).finish_non_exhaustive()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.shared.describe(key.as_str(), unit, &description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.shared.describe(key.as_str(), unit, &description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.shared.describe(key.as_str(), unit, &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(cache::handle::<shmetrics::Counter>(&self.shared, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(cache::handle::<shmetrics::Gauge>(&self.shared, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if self.shared.is_summary(key.name()) {
            return Histogram::from_arc(cache::handle::<shmetrics::Summary>(&self.shared, key));
        }
        Histogram::from_arc(cache::handle::<shmetrics::Histogram>(&self.shared, key))
    }
}
