//! The types of metrics. Their numbers are the bytes that records have for them (docs/format.md).

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// A value that only rises.
    Counter = 1,
    /// A value that rises and falls.
    Gauge = 2,
    /// Observations in buckets.
    Histogram = 3,
    /// A value of unknown type, for example from another system.
    Unknown = 4,
    /// Labels that describe something. The value is always 1.
    Info = 5,
    /// Named states, each on or off.
    StateSet = 6,
    /// Named states, exactly one of them on.
    Enum = 7,
    /// The count and the sum of observations, with or without quantiles.
    Summary = 8,
    /// Observations in buckets, which can be taken back.
    GaugeHistogram = 9,
}

impl Kind {
    /// `None`: the byte is damaged, or a later version wrote it.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Kind::Counter,
            2 => Kind::Gauge,
            3 => Kind::Histogram,
            4 => Kind::Unknown,
            5 => Kind::Info,
            6 => Kind::StateSet,
            7 => Kind::Enum,
            8 => Kind::Summary,
            9 => Kind::GaugeHistogram,
            _ => return None,
        })
    }

    /// The name of the type, as error messages and `shmetrics inspect` have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Unknown => "metric of unknown type",
            Kind::Info => "info",
            Kind::StateSet => "state set",
            Kind::Enum => "enum",
            Kind::Summary => "summary",
            Kind::GaugeHistogram => "gauge histogram",
        }
    }

    /// The name with its article, for error messages.
    pub(crate) fn with_article(self) -> String {
        let article = if matches!(self, Kind::Info | Kind::Enum) { "an" } else { "a" };
        format!("{article} {self}")
    }

    /// The suffix of the family's samples that the registered name does not have.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_byte_is_the_kind_that_it_was_written_for() {
        let kinds: Vec<_> = (0..=u8::MAX).filter_map(|byte| Some((byte, Kind::from_byte(byte)?))).collect();
        assert_eq!(kinds.len(), 9);
        assert!(kinds.iter().all(|(byte, kind)| *kind as u8 == *byte));
    }
}
