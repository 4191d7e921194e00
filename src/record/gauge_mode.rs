//! How a page combines the values of several processes. The byte of a mode is in records and in
//! the C API (docs/format.md).

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// How a page combines the values that several processes gave to one gauge.
///
/// [`Shared`](GaugeMode::Shared) and [`MostRecent`](GaugeMode::MostRecent) have one value for all
/// processes. The other modes have a value for each process, from its first update on. They combine
/// the value that each process set last, not earlier ones: after `set(5.0)` and `set(2.0)` the
/// value of a process is 2 in each mode. The `Live` modes leave out the values of dead processes,
/// without an exit hook: the value of a killed worker is missing from the next page on. The other
/// modes keep the last value of a dead process.
///
/// The modes have the meaning of `multiprocess_mode` in Python's `prometheus_client`.
///
/// ```
/// use shmetrics::GaugeMode;
/// assert_eq!("livesum".parse::<GaugeMode>()?, GaugeMode::LiveSum);
/// assert!(GaugeMode::ALL.iter().all(|mode| mode.as_str().parse::<GaugeMode>().unwrap() == *mode));
/// # Ok::<(), shmetrics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum GaugeMode {
    /// One value that all processes change.
    #[default]
    Shared = 0,
    /// One sample for each process, dead or alive, with its pid (or chosen identity) in the label
    /// `pid`. The sample of a dead process stays until a new process takes its slot.
    All = 1,
    /// One sample for each living process, as `All`.
    LiveAll = 2,
    /// The sum over all processes, dead or alive.
    Sum = 3,
    /// The sum over the living processes: requests in progress, open connections.
    LiveSum = 4,
    /// The smallest of the last values of all processes, dead or alive.
    Min = 5,
    /// The smallest of the last values of the living processes.
    LiveMin = 6,
    /// The greatest of the last values of all processes, dead or alive.
    Max = 7,
    /// The greatest of the last values of the living processes.
    LiveMax = 8,
    /// The value that any process set last.
    MostRecent = 9,
    /// The value that a living process set last.
    LiveMostRecent = 10,
}

impl GaugeMode {
    /// All modes, in the order of their bytes in a segment and of `SHMETRICS_GAUGE_...`.
    pub const ALL: &'static [GaugeMode] = &MODES;

    pub(crate) fn checked(byte: u32) -> Option<Self> {
        MODES.get(byte as usize).copied()
    }

    /// The mode of a byte in a segment. A damaged byte is the last mode.
    #[inline(always)]
    pub(crate) fn from_byte(byte: u8) -> Self {
        MODES[usize::from(byte).min(MODES.len() - 1)]
    }

    /// Whether each process has a sample of its own.
    pub(crate) fn is_listed(self) -> bool {
        matches!(self, GaugeMode::All | GaugeMode::LiveAll)
    }

    /// The name of the mode, as in Python's `multiprocess_mode`.
    pub fn as_str(self) -> &'static str {
        match self {
            GaugeMode::Shared => "shared",
            GaugeMode::All => "all",
            GaugeMode::LiveAll => "liveall",
            GaugeMode::Sum => "sum",
            GaugeMode::LiveSum => "livesum",
            GaugeMode::Min => "min",
            GaugeMode::LiveMin => "livemin",
            GaugeMode::Max => "max",
            GaugeMode::LiveMax => "livemax",
            GaugeMode::MostRecent => "mostrecent",
            GaugeMode::LiveMostRecent => "livemostrecent",
        }
    }
}

const MODES: [GaugeMode; 11] = [
    GaugeMode::Shared,
    GaugeMode::All,
    GaugeMode::LiveAll,
    GaugeMode::Sum,
    GaugeMode::LiveSum,
    GaugeMode::Min,
    GaugeMode::LiveMin,
    GaugeMode::Max,
    GaugeMode::LiveMax,
    GaugeMode::MostRecent,
    GaugeMode::LiveMostRecent,
];

impl fmt::Display for GaugeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GaugeMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let unknown = || {
            let all = MODES.map(GaugeMode::as_str).join(", ");
            Error::InvalidArgument(format!("there is no gauge mode {name:?}; the modes are {all}"))
        };
        MODES.into_iter().find(|mode| mode.as_str() == name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::GaugeMode;

    #[test]
    fn a_byte_is_the_mode_that_it_was_written_for() {
        assert_eq!(GaugeMode::ALL.len(), 11);
        for (byte, mode) in GaugeMode::ALL.iter().enumerate() {
            assert_eq!((*mode as usize, GaugeMode::from_byte(byte as u8)), (byte, *mode));
        }
        assert_eq!(GaugeMode::checked(11), None);
        assert_eq!(GaugeMode::from_byte(200), GaugeMode::LiveMostRecent);
    }
}
