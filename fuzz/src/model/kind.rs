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

    /// As C numbers it, and a gauge's mode.
    pub(crate) fn number(self) -> (u32, u32) {
        match self {
            Kind::Unknown => (0, 0),
            Kind::Counter => (1, 0),
            Kind::Gauge(mode) => (2, mode),
            Kind::Histogram => (3, 0),
            Kind::GaugeHistogram => (4, 0),
            Kind::Summary => (5, 0),
            Kind::Info => (6, 0),
            Kind::StateSet => (7, 0),
            Kind::Enum => (8, 0),
        }
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
