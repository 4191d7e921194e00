//! What a recorder does with which metric.

use std::collections::HashMap;
use std::time::Duration;

use shmetrics::GaugeMode;

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

fn best<'a, T>(settings: &'a [(Matcher, T)], name: &str) -> Option<&'a T> {
    let ranked = settings.iter().filter_map(|(matcher, value)| Some((matcher.rank(name)?, value)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, value)| value)
}

/// What a [`Builder`] was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// `None`: the library's.
    pub(crate) default_buckets: Option<Vec<f64>>,
    pub(crate) buckets: Vec<(Matcher, Vec<f64>)>,
    pub(crate) default_mode: Option<GaugeMode>,
    pub(crate) modes: Vec<(Matcher, GaugeMode)>,
    pub(crate) labels: HashMap<String, Vec<String>>,
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
