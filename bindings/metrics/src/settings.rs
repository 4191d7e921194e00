//! The settings of a recorder: for all metrics, or for some of them by name.

use std::collections::HashMap;
use std::time::Duration;

use shmetrics::{GaugeMode, Native};

/// Which metrics a setting is for, by the name that the application gives them (without a unit that
/// the recorder appends).
///
/// Of several that match, the full name counts before prefixes, and these before suffixes; of two
/// alike, the longer.
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

/// One setting: its value for all metrics, and the values for some of them.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    /// `None`: the library's.
    pub(crate) default: Option<T>,
    pub(crate) by_name: Vec<(Matcher, T)>,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Setting { default: None, by_name: Vec::new() }
    }
}

impl<T> Setting<T> {
    pub(crate) fn set_for(&mut self, which: Matcher, value: T) {
        self.by_name.push((which, value));
    }

    /// The value for the metric of this name.
    pub(crate) fn of(&self, name: &str) -> Option<&T> {
        let ranked = self.by_name.iter().filter_map(|(matcher, value)| Some((matcher.rank(name)?, value)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, value)| value).or(self.default.as_ref())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.default.is_none() && self.by_name.is_empty()
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.default.iter().chain(self.by_name.iter().map(|(_, value)| value))
    }
}

/// The settings of a [`Builder`](crate::Builder).
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) buckets: Setting<Vec<f64>>,
    pub(crate) native: Setting<Native>,
    pub(crate) quantiles: Setting<Vec<f64>>,
    pub(crate) modes: Setting<GaugeMode>,
    pub(crate) max_series: Setting<u64>,
    pub(crate) expire_after: Setting<Duration>,
    pub(crate) labels: HashMap<String, Vec<String>>,
    /// The label for labels that a metric does not have.
    pub(crate) other_labels: Option<String>,
    pub(crate) unit_suffix: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_counts_before_prefix_and_suffix_and_the_longer_before_the_shorter() {
        let mut setting = Setting::default();
        for (which, value) in [
            (Matcher::Suffix("_seconds".into()), 1),
            (Matcher::Prefix("db_".into()), 2),
            (Matcher::Prefix("db.pool".into()), 3),
            (Matcher::Full("db_pool_wait_seconds".into()), 4),
        ] {
            setting.set_for(which, value);
        }
        for (name, value) in [
            ("http_seconds", Some(1)),
            ("db_seconds", Some(2)),
            ("db_pool_seconds", Some(3)),
            ("db_pool_wait_seconds", Some(4)),
            ("other", None),
        ] {
            assert_eq!(setting.of(name).copied(), value, "{name}");
        }
        setting.default = Some(5);
        assert_eq!(setting.of("other"), Some(&5));
    }
}
