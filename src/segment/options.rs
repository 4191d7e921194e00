use std::path::{Path, PathBuf};

use super::lane::{self, Plan};
use super::layout::{MAX_CEILING, MAX_PROCESSES, MIN_CEILING};
use super::{mapping, Segment};
use crate::Error;

/// How to open a segment: its name, its limits, and whether it may be created.
///
/// The defaults create or attach the segment called `$SHMETRICS_SEGMENT` (or `default`) in `$SHMETRICS_DIR` (or
/// `/dev/shm`), which may grow to `$SHMETRICS_CEILING` bytes (or 64 MiB) and is readable by its owner alone.
///
/// ```
/// # fn main() -> Result<(), shmetrics::Error> {
/// # let name = format!("doc-options-{}", std::process::id());
/// use shmetrics::Options;
/// let segment = Options::new().name(&name).ceiling(8 << 20).mode(0o640).open()?;
/// # shmetrics::Segment::remove(&name)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open`"]
#[allow(clippy::struct_excessive_bools)] // Each is a question of its own.
pub struct Options {
    pub(super) name: Option<String>,
    pub(super) how: How,
    pub(super) mode: u32,
    pub(super) ceiling: Option<u64>,
    pub(super) max_series: u64,
    pub(super) max_processes: u32,
    pub(super) allow_disk: bool,
    pub(super) portable: bool,
    pub(super) reset_if_unused: bool,
    pub(super) apart: bool,
    pub(super) labels: Vec<(String, String)>,
    pub(super) plan: Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    OpenOrCreate,
    CreateNew,
    Attach,
    Anonymous,
}

const DEFAULT_CEILING: u64 = 64 << 20;

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Options {
            name: None,
            how: How::OpenOrCreate,
            mode: 0o600,
            ceiling: None,
            max_series: 0,
            max_processes: 512,
            allow_disk: false,
            portable: false,
            reset_if_unused: false,
            apart: false,
            labels: Vec::new(),
            plan: Plan { lanes: true, rseq: true },
        }
    }

    /// The segment's name: letters, digits and `. _ - : @`, up to 245 bytes; or, with a slash in it, the path of a file
    /// on a tmpfs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The bytes the segment may grow to, 512 KiB to 64 GiB. Address space only: memory is taken as it is needed, and a
    /// small application stays below 1 MiB. Only the creator's counts.
    pub fn ceiling(mut self, bytes: u64) -> Self {
        self.ceiling = Some(bytes);
        self
    }

    /// The file mode of a new segment: `0o600`, or `0o640` for scrapers of the same group.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The most series a new segment takes, over all families; 0 for as many as fit.
    pub fn max_series(mut self, series: u64) -> Self {
        self.max_series = series;
        self
    }

    /// The most processes with gauges of their own at one time. Only the creator's counts.
    pub fn max_processes(mut self, processes: u32) -> Self {
        self.max_processes = processes;
        self
    }

    /// A label that every series of a new segment has in front of its own, such as `app`. Whoever attaches the segment with labels
    /// must give the same, in the same order, or else gets [`Error::Conflict`]; who gives none takes it as it is.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Fails with [`Error::AlreadyExists`] if the segment exists.
    pub fn create_new(mut self) -> Self {
        self.how = How::CreateNew;
        self
    }

    /// Fails with [`Error::NotFound`] unless the segment exists.
    pub fn attach(mut self) -> Self {
        self.how = How::Attach;
        self
    }

    /// A segment without a name, for processes forked from this one. Its memory is sealed against truncation and goes
    /// with its last user.
    pub fn anonymous(mut self) -> Self {
        self.how = How::Anonymous;
        self
    }

    /// Accepts a file system that is not tmpfs. Updates may then wait for the disk.
    pub fn allow_disk(mut self, yes: bool) -> Self {
        self.allow_disk = yes;
        self
    }

    /// Starts with a new segment if the name leads to one that no process has open for counting any more, also of another
    /// layout version. By default the old one is kept and its counts go on.
    ///
    /// For the process that starts a service, such as a master, and stays: of users that come and go, each would begin
    /// anew. Stopped processes and silent forked children are users, also those that closed all descriptors; readers are not.
    /// Not with [`Options::create_new`] or [`Options::attach`], nor in the portable backend.
    pub fn reset_if_unused(mut self, yes: bool) -> Self {
        self.reset_if_unused = yes;
        self
    }

    /// Has the segment mapped once more, as by another process: per-process gauges through it are that one's, with an identity of its
    /// own ([`Segment::set_identity`]), until [`Segment::leave`]. For a process that plays several, as tests do, and hosts that
    /// count for others. Each call maps it anew, for the life of the process. Not with [`Options::anonymous`], nor in the portable backend.
    pub fn apart(mut self, yes: bool) -> Self {
        self.apart = yes;
        self
    }

    /// Uses the portable backend (the `shared_memory` crate), the only one outside of Linux. Needs the feature `portable`.
    pub fn portable(mut self, yes: bool) -> Self {
        self.portable = yes;
        self
    }

    /// Whether hot counters and histograms of a new segment may have cells for each CPU, which makes them several times as fast and
    /// takes up to an eighth of the ceiling. They do by default; only the creator's word counts.
    pub fn lanes(mut self, yes: bool) -> Self {
        self.plan.lanes = yes;
        self
    }

    /// Whether this process may use Linux' restartable sequences (`rseq`), through glibc's registration. It does by default where they
    /// are to be had, unless `$SHMETRICS_RSEQ` is `0`: then hot series cost a tenth.
    ///
    /// Who makes a segment without them makes one that never uses them. In a segment that does, a process that may not, or cannot,
    /// counts in the cells that all share. Pages are the same in any case. The first word of a process counts for a segment.
    pub fn rseq(mut self, yes: bool) -> Self {
        self.plan.rseq = yes;
        self
    }

    /// Opens the segment.
    ///
    /// The mapping lives as long as the process: handles are plain copies that can never dangle, in any thread, signal
    /// handler or forked child. Opening the same segment twice in one process gives the same mapping.
    ///
    /// # Errors
    /// Every [`Error`] but `Full`.
    pub fn open(&self) -> Result<Segment, Error> {
        super::open(self)
    }

    pub(super) fn lane_plan(&self) -> Plan {
        Plan { rseq: self.plan.rseq && lane::rseq_allowed(), ..self.plan }
    }

    pub(super) fn resolved_name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => default_name(),
        }
    }

    pub(super) fn path(&self) -> Result<PathBuf, Error> {
        mapping::path_of(&self.resolved_name())
    }

    pub(super) fn checked_ceiling(&self) -> Result<u64, Error> {
        let bytes = match self.ceiling {
            Some(bytes) => bytes,
            None => match std::env::var("SHMETRICS_CEILING") {
                Ok(s) => parse_bytes(&s).ok_or_else(|| {
                    Error::InvalidArgument(format!("SHMETRICS_CEILING={s}: give bytes, or a number with K, M or G"))
                })?,
                Err(_) => DEFAULT_CEILING,
            },
        };
        if !(MIN_CEILING..=MAX_CEILING).contains(&bytes) {
            return Err(Error::InvalidArgument(format!("a ceiling of {bytes} bytes: it must be 512 KiB to 64 GiB")));
        }
        if !(1..=MAX_PROCESSES).contains(&self.max_processes) {
            return Err(Error::InvalidArgument(format!(
                "room for {} processes: it must be 1 to {MAX_PROCESSES}",
                self.max_processes
            )));
        }
        Ok(bytes)
    }
}

/// The segment meant when no name is given.
pub(crate) fn default_name() -> String {
    std::env::var("SHMETRICS_SEGMENT").ok().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into())
}

fn parse_bytes(s: &str) -> Option<u64> {
    let s = s.trim();
    let (digits, shift) = match s.as_bytes().last()? {
        b'k' | b'K' => (&s[..s.len() - 1], 10),
        b'm' | b'M' => (&s[..s.len() - 1], 20),
        b'g' | b'G' => (&s[..s.len() - 1], 30),
        _ => (s, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A segment found by [`list`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// Its plain name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

/// The files in `$SHMETRICS_DIR` (or `/dev/shm`) that are named like segments, by name. What is in them has not been
/// looked at.
pub fn list() -> Result<Vec<Listing>, Error> {
    let _undisturbed = crate::host::Undisturbed::new();
    let directory = mapping::directory();
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::system(format!("listing {}", directory.display()), e)),
    };
    let mut found: Vec<Listing> = entries
        .flatten()
        .filter_map(|e| {
            let name = e.file_name().to_str()?.strip_prefix(mapping::PREFIX)?.to_owned();
            (!name.is_empty()).then(|| Listing { name, path: e.path() })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::NotFound(path.to_path_buf())),
        Err(e) => Err(Error::system(format!("removing {}", path.display()), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_the_environment_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("1048576"), Some(1 << 20));
        assert_eq!(parse_bytes(" 64M "), Some(64 << 20));
        assert_eq!(parse_bytes("2g"), Some(2 << 30));
        assert_eq!(parse_bytes("99999999999999999999"), None);
        assert_eq!(parse_bytes("G"), None);
        assert_eq!(parse_bytes(""), None);
    }
}
