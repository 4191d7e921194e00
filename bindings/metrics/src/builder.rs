//! The builder of a recorder with other settings than the defaults.

use std::time::Duration;

use shmetrics::{Error, GaugeMode, Native, Segment};

use crate::names;
use crate::recorder::Recorder;
use crate::settings::{Matcher, Settings};

/// A [`Recorder`] about to be made, by [`Recorder::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    segment: Segment,
    settings: Settings,
}

impl Recorder {
    /// For a recorder with other settings.
    pub fn builder(segment: Segment) -> Builder {
        Builder::new(segment)
    }
}

impl Builder {
    fn new(segment: Segment) -> Self {
        Builder { segment, settings: Settings::default() }
    }

    /// The upper bounds of all histograms' buckets that have no setting of their own. The default
    /// is Prometheus', for latencies in seconds.
    pub fn buckets(mut self, bounds: &[f64]) -> Self {
        self.settings.buckets.default = Some(bounds.to_vec());
        self
    }

    /// The upper bounds of these histograms' buckets.
    pub fn buckets_for(mut self, which: Matcher, bounds: &[f64]) -> Self {
        self.settings.buckets.set_for(which, bounds.to_vec());
        self
    }

    /// Native buckets for all histograms: instead of Prometheus' default buckets, and as well as
    /// buckets that were set. See [`shmetrics::Builder::native`].
    pub fn native(mut self, native: Native) -> Self {
        self.settings.native.default = Some(native);
        self
    }

    /// Native buckets for these histograms, as [`Builder::native`].
    pub fn native_for(mut self, which: Matcher, native: Native) -> Self {
        self.settings.native.set_for(which, native);
        self
    }

    /// All histograms become summaries with these quantiles, as with the facade's Prometheus
    /// exporter; they have no buckets then. See [`shmetrics::Builder::quantiles`].
    pub fn quantiles(mut self, quantiles: &[f64]) -> Self {
        self.settings.quantiles.default = Some(quantiles.to_vec());
        self
    }

    /// These histograms become summaries with these quantiles. With an empty list, they stay
    /// histograms.
    pub fn quantiles_for(mut self, which: Matcher, quantiles: &[f64]) -> Self {
        self.settings.quantiles.set_for(which, quantiles.to_vec());
        self
    }

    /// The mode of all gauges that have no setting of their own.
    ///
    /// The default is [`GaugeMode::LiveSum`]: the sum of what living processes have set. Code that
    /// uses the facade knows of its own process only (its connections, its tasks, its pool), so the
    /// page shows what adding up a page per process would.
    pub fn gauge_mode(mut self, mode: GaugeMode) -> Self {
        self.settings.modes.default = Some(mode);
        self
    }

    /// The mode of these gauges. [`GaugeMode::Shared`] is for what is one truth for all processes,
    /// such as a version or the length of a queue in a database.
    pub fn gauge_mode_for(mut self, which: Matcher, mode: GaugeMode) -> Self {
        self.settings.modes.set_for(which, mode);
        self
    }

    /// The label names of a metric. Without this they are those of its first use in any process.
    ///
    /// For metrics that are used with different sets of label names: give all of them here.
    pub fn label_names(mut self, metric: &str, names: &[&str]) -> Self {
        let names = names.iter().map(|&n| n.to_owned()).collect();
        self.settings.labels.insert(names::metric(metric).into_owned(), names);
        self
    }

    /// Gives every metric one more label, which holds the labels for which the metric has no name,
    /// as `NAME=VALUE,NAME=VALUE`. It is empty for the usual label sets, and Prometheus takes an
    /// empty label for none.
    ///
    /// Without this such labels are dropped, and label sets that differ only in them are one
    /// series.
    pub fn other_labels(mut self, name: &str) -> Self {
        self.settings.other_labels = Some(names::label(name, &[]).into_owned());
        self
    }

    /// Whether a unit given by `describe_*!` is appended to a name that does not end in it, as with
    /// the facade's Prometheus exporter. By default names stay as they are. Describe metrics before
    /// their first use then, in every process.
    pub fn unit_suffix(mut self, yes: bool) -> Self {
        self.settings.unit_suffix = yes;
        self
    }

    /// The most series of any metric; further label sets share its overflow series. 0, the default:
    /// no limit.
    pub fn max_series(mut self, series: u64) -> Self {
        self.settings.max_series.default = Some(series);
        self
    }

    /// The most series of each of these metrics.
    pub fn max_series_for(mut self, which: Matcher, series: u64) -> Self {
        self.settings.max_series.set_for(which, series);
        self
    }

    /// Label sets that no process updates for this time go off the pages; see
    /// [`shmetrics::Builder::expire_after`].
    pub fn expire_after(mut self, time: Duration) -> Self {
        self.settings.expire_after.default = Some(time);
        self
    }

    /// As [`Builder::expire_after`], for these metrics. Zero: their label sets do not expire.
    pub fn expire_after_for(mut self, which: Matcher, time: Duration) -> Self {
        self.settings.expire_after.set_for(which, time);
        self
    }

    /// The recorder.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if bucket bounds or quantiles do not rise, or quantiles are not
    /// between 0 and 1.
    pub fn build(self) -> Result<Recorder, Error> {
        let rise =
            |numbers: &[f64]| !numbers.iter().any(|n| n.is_nan()) && !numbers.windows(2).any(|pair| pair[0] >= pair[1]);
        if let Some(bounds) = self.settings.buckets.values().find(|bounds| !rise(bounds)) {
            return Err(Error::InvalidArgument(format!(
                "bucket bounds {bounds:?}: give numbers, each greater than the one before"
            )));
        }
        let fits = |quantiles: &[f64]| rise(quantiles) && quantiles.iter().all(|q| (0.0..=1.0).contains(q));
        if let Some(quantiles) = self.settings.quantiles.values().find(|quantiles| !fits(quantiles)) {
            return Err(Error::InvalidArgument(format!(
                "quantiles {quantiles:?}: give numbers from 0 to 1, each greater than the one before"
            )));
        }
        Ok(Recorder::with(self.segment, self.settings))
    }
}
