//! The types of families.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Counter,
    /// With its mode, as C numbers them.
    Gauge(u32),
    Histogram,
    GaugeHistogram,
    Summary,
    Unknown,
    StateSet,
    Enum,
    Info,
}

impl Kind {
    pub(crate) fn has_buckets(self) -> bool {
        matches!(self, Kind::Histogram | Kind::GaugeHistogram)
    }

    pub(crate) fn has_states(self) -> bool {
        matches!(self, Kind::StateSet | Kind::Enum)
    }

    /// What names may end in without it being a part of the family's name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        }
    }
}
