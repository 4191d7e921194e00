/// What the values of several processes amount to.
///
/// All but [`Shared`](GaugeMode::Shared) and [`MostRecent`](GaugeMode::MostRecent) keep a value for
/// each process, which takes part from its first update on. The `Live` modes count living processes
/// only: a worker that was killed is gone from the next page on, without a hook anywhere. The modes
/// mean what they mean in Python's `prometheus_client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum GaugeMode {
    /// One value that all processes change.
    #[default]
    Shared = 0,
    /// One sample for each process, dead or alive, with its pid (or chosen identity) in the label
    /// `pid`. The sample of a dead process stays until a new process takes its slot.
    All = 1,
    /// As `All`, living processes only.
    LiveAll = 2,
    /// The sum over all processes, dead or alive.
    Sum = 3,
    /// The sum over the living: requests in progress, open connections.
    LiveSum = 4,
    /// The least value of any process, dead or alive.
    Min = 5,
    /// The least value of a living process.
    LiveMin = 6,
    /// The greatest value of any process, dead or alive.
    Max = 7,
    /// The greatest value of a living process.
    LiveMax = 8,
    /// The value that was set last, by whichever process.
    MostRecent = 9,
    /// The value that was set last by a process that still lives.
    LiveMostRecent = 10,
}

impl GaugeMode {
    const ALL: [GaugeMode; 11] = [
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

    pub(crate) fn checked(byte: u32) -> Option<Self> {
        Self::ALL.get(byte as usize).copied()
    }

    #[inline(always)]
    pub(crate) fn from_byte(byte: u8) -> Self {
        Self::ALL[usize::from(byte).min(Self::ALL.len() - 1)]
    }

    /// Whether each process has a sample of its own.
    pub(crate) fn is_listed(self) -> bool {
        matches!(self, GaugeMode::All | GaugeMode::LiveAll)
    }

    /// The mode's name, as in Python's `multiprocess_mode`.
    pub fn name(self) -> &'static str {
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

impl std::fmt::Display for GaugeMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
