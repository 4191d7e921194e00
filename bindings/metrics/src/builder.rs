use std::collections::HashMap;
use std::time::Duration;

use shmetrics::{Error, GaugeMode, Segment};

use crate::names;
use crate::recorder::Recorder;

/// Which metrics a setting is for, by the name that the application gives them (without a unit that the recorder appends).
///
/// Of several that match, the full name counts before prefixes, and these before suffixes; of two alike, the longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// The metric of this name.
    Full(String),
    /// Metrics whose names begin so.
    Prefix(String),
    /// Metrics whose names end so.
    Suffix(String),
}

impl Matcher {
    /// How well it matches, if it does.
    fn rank(&self, name: &str) -> Option<(u8, usize)> {
        let (pattern, rank) = match self {
            Matcher::Full(s) => (s, 2),
            Matcher::Prefix(s) => (s, 1),
            Matcher::Suffix(s) => (s, 0),
        };
        // As given, and so only in characters that names can have.
        let pattern = pattern.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' });
        let pattern: String = pattern.collect();
        let matches = match self {
            Matcher::Full(_) => name == pattern,
            Matcher::Prefix(_) => name.starts_with(&pattern),
            Matcher::Suffix(_) => name.ends_with(&pattern),
        };
        matches.then_some((rank, pattern.len()))
    }
}

fn best<'a, T>(settings: &'a [(Matcher, T)], name: &str) -> Option<&'a T> {
    let ranked = settings.iter().filter_map(|(matcher, value)| Some((matcher.rank(name)?, value)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, value)| value)
}

/// What a [`Builder`] was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// `None`: the library's.
    default_buckets: Option<Vec<f64>>,
    buckets: Vec<(Matcher, Vec<f64>)>,
    default_mode: Option<GaugeMode>,
    modes: Vec<(Matcher, GaugeMode)>,
    labels: HashMap<String, Vec<String>>,
    pub(crate) unit_suffix: bool,
    pub(crate) max_series: u64,
    pub(crate) expire_after: Option<Duration>,
}

impl Settings {
    pub(crate) fn buckets(&self, name: &str) -> Option<&[f64]> {
        best(&self.buckets, name).or(self.default_buckets.as_ref()).map(Vec::as_slice)
    }

    pub(crate) fn mode(&self, name: &str) -> GaugeMode {
        best(&self.modes, name).copied().or(self.default_mode).unwrap_or(GaugeMode::LiveSum)
    }

    pub(crate) fn labels(&self, name: &str) -> Option<&[String]> {
        self.labels.get(name).map(Vec::as_slice)
    }
}

/// A [`Recorder`] about to be made, by [`Recorder::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    segment: Segment,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new(segment: Segment) -> Self {
        Builder { segment, settings: Settings::default() }
    }

    /// The upper bounds of all histograms' buckets that have no setting of their own. The default is Prometheus', for
    /// latencies in seconds.
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
    /// The default is [`GaugeMode::LiveSum`]: the sum of what living processes have set. Code that uses the facade knows of
    /// its own process only (its connections, its tasks, its pool), so the page shows what adding up a page per process
    /// would.
    pub fn gauge_mode(mut self, mode: GaugeMode) -> Self {
        self.settings.default_mode = Some(mode);
        self
    }

    /// The mode of these gauges. [`GaugeMode::Shared`] is for what is one truth for all processes, such as a version or the
    /// length of a queue in a database.
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

    /// Whether a unit given by `describe_*!` is appended to a name that does not end in it, as with the facade's Prometheus
    /// exporter. By default names stay as they are. Describe metrics before their first use then, in every process.
    pub fn unit_suffix(mut self, yes: bool) -> Self {
        self.settings.unit_suffix = yes;
        self
    }

    /// The most series of any metric; further label sets share its overflow series. 0, the default: no limit.
    pub fn max_series(mut self, series: u64) -> Self {
        self.settings.max_series = series;
        self
    }

    /// Label sets that no process updates for this time go off the pages; see [`shmetrics::LabelledBuilder::expire_after`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_counts_before_prefix_and_suffix_and_the_longer_before_the_shorter() {
        let settings = [
            (Matcher::Suffix("_seconds".into()), 1),
            (Matcher::Prefix("db_".into()), 2),
            (Matcher::Prefix("db.pool".into()), 3),
            (Matcher::Full("db_pool_wait_seconds".into()), 4),
        ];
        for (name, value) in [
            ("http_seconds", Some(1)),
            ("db_seconds", Some(2)),
            ("db_pool_seconds", Some(3)),
            ("db_pool_wait_seconds", Some(4)),
            ("other", None),
        ] {
            assert_eq!(best(&settings, name).copied(), value, "{name}");
        }
    }
}
