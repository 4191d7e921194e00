//! How a recorder is made with other settings than the defaults.

use std::time::Duration;

use shmetrics::{Error, GaugeMode, Segment};

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
        self.settings.default_buckets = Some(bounds.to_vec());
        self
    }

    /// The upper bounds of these histograms' buckets.
    pub fn buckets_for(mut self, which: Matcher, bounds: &[f64]) -> Self {
        self.settings.buckets.push((which, bounds.to_vec()));
        self
    }

    /// The mode of all gauges that have no setting of their own.
    ///
    /// The default is [`GaugeMode::LiveSum`]: the sum of what living processes have set. Code that
    /// uses the facade knows of its own process only (its connections, its tasks, its pool), so the
    /// page shows what adding up a page per process would.
    pub fn gauge_mode(mut self, mode: GaugeMode) -> Self {
        self.settings.default_mode = Some(mode);
        self
    }

    /// The mode of these gauges. [`GaugeMode::Shared`] is for what is one truth for all processes,
    /// such as a version or the length of a queue in a database.
    pub fn gauge_mode_for(mut self, which: Matcher, mode: GaugeMode) -> Self {
        self.settings.modes.push((which, mode));
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
        self.settings.max_series = series;
        self
    }

    /// Label sets that no process updates for this time go off the pages; see
    /// [`shmetrics::LabelledBuilder::expire_after`].
    pub fn expire_after(mut self, time: Duration) -> Self {
        self.settings.expire_after = Some(time);
        self
    }

    /// The recorder.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if bucket bounds do not rise.
    pub fn build(self) -> Result<Recorder, Error> {
        let all = self.settings.default_buckets.iter().chain(self.settings.buckets.iter().map(|(_, b)| b));
        for bounds in all {
            if bounds.iter().any(|b| b.is_nan()) || bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(Error::InvalidArgument(format!(
                    "bucket bounds {bounds:?}: give numbers, each greater than the one before"
                )));
            }
        }
        Ok(Recorder::with(self.segment, self.settings))
    }
}
