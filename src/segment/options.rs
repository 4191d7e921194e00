//! How to open a segment, and which segments there are.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::os::environment;
use crate::shm::layout::{GREATEST_MAX_SIZE, LEAST_MAX_SIZE, MAX_PROCESSES};
use crate::shm::mapping;
use crate::shm::mapping::access::{Access, DEFAULT_MODE};
use crate::shm::mapping::account::{Account, Given};
use crate::shm::percpu;
use crate::shm::percpu::Plan;
use crate::Error;

/// How to open a segment: its name, its limits, and whether it may be created.
///
/// The defaults create or attach the segment called `$SHMETRICS_SEGMENT` (or `default`) in
/// `$SHMETRICS_DIR` (or `/dev/shm`). It may grow to `$SHMETRICS_MAX_SIZE` bytes (or 64 MiB). A new
/// one has the file mode `$SHMETRICS_MODE` (or 0600), the owner `$SHMETRICS_OWNER` and the group
/// `$SHMETRICS_GROUP` (or those of this process), and belongs to a trusted user if
/// `$SHMETRICS_TRUST` names its owner: see [`Options::trust_owner`]. What is set here goes before
/// the environment. A setuid or setgid program ignores the environment.
///
/// ```
/// # fn main() -> Result<(), shmetrics::Error> {
/// # let name = format!("doc-options-{}", std::process::id());
/// use shmetrics::Options;
/// let segment = Options::new().name(&name).max_size(8 << 20).mode(0o640).open()?;
/// # shmetrics::Segment::remove(&name)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "options do nothing until `open`"]
#[allow(clippy::struct_excessive_bools)] // Each is a question of its own.
pub struct Options {
    pub(super) name: Option<String>,
    create_new: bool,
    attach: bool,
    anonymous: bool,
    mode: Option<u32>,
    owner: Option<Account>,
    group: Option<Account>,
    trusted: Vec<Account>,
    pub(super) max_size: Option<u64>,
    pub(super) max_series: u64,
    pub(super) max_processes: u32,
    pub(super) allow_disk: bool,
    pub(super) portable: bool,
    pub(super) reset_if_unused: bool,
    pub(super) separate_mapping: bool,
    pub(super) scratch: bool,
    pub(super) labels: Vec<(String, String)>,
    pub(super) plan: Plan,
    pub(super) short_bounds: Option<bool>,
    pub(super) revision: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    OpenOrCreate,
    CreateNew,
    Attach,
    Anonymous,
}

const DEFAULT_MAX_SIZE: u64 = 64 << 20;

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
            create_new: false,
            attach: false,
            anonymous: false,
            mode: None,
            owner: None,
            group: None,
            trusted: Vec::new(),
            max_size: None,
            max_series: 0,
            max_processes: 512,
            allow_disk: false,
            portable: false,
            reset_if_unused: false,
            separate_mapping: false,
            scratch: false,
            labels: Vec::new(),
            plan: Plan { per_cpu: true, rseq: true },
            short_bounds: None,
            revision: None,
        }
    }

    /// The segment's name: letters, digits and `. _ - : @`, up to 245 bytes; or, with a slash in
    /// it, the path of a file on a tmpfs.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size in bytes to which a new segment may grow, from 512 KiB to 64 GiB. The size is
    /// address space only: the segment takes memory as it grows, and a small application stays
    /// below 1 MiB. A process that attaches the segment takes the size of its creator.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// The file mode of a new segment, whatever the umask: `0o600`, `0o640` for scrapers of the
    /// same group, or `0o660` for processes of the same group that count. By default
    /// `$SHMETRICS_MODE`, in octal, or `0o600`.
    ///
    /// A process that may write to the file may also cut it off, which kills the processes that use
    /// it (`SIGBUS`).
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The group of a new segment's file, by number or name: `$SHMETRICS_GROUP` by default, or this
    /// process' group. The group has the rights that [`Options::mode`] gives it. A process without
    /// root's rights may name the groups that it is in.
    ///
    /// The file gets its group, owner and mode before it gets its name, so no process sees it
    /// without them.
    pub fn group(mut self, group: impl Into<Account>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The owner of a new segment's file, by number or name: `$SHMETRICS_OWNER` by default, or this
    /// process' user. Only root may name another user. This process trusts segments of this user:
    /// see [`Options::trust_owner`].
    ///
    /// A root master that gives its segment to the user of its workers may be started before or
    /// after them: both make the same segment.
    pub fn owner(mut self, owner: impl Into<Account>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Lets this process count in existing segments of this user, by number or name. Each call
    /// adds a user. Without a call these are the users that `$SHMETRICS_TRUST` lists, separated by
    /// commas. Root, this process' own user and the user of [`Options::owner`] are always trusted.
    /// Segments of other users are refused with [`Error::Permission`].
    ///
    /// A segment's owner can cut its file off at any time. The kernel then kills the processes that
    /// touch the missing memory (`SIGBUS`). So trust only users that may stop this process. A
    /// trusted user can do nothing more than that, and change values: processes check all else
    /// that is in a segment.
    pub fn trust_owner(mut self, owner: impl Into<Account>) -> Self {
        self.trusted.push(owner.into());
        self
    }

    /// The most series a new segment takes, over all families; 0 for as many as fit.
    ///
    /// A label set of a bundle takes a series for each member, and is made if all of them fit. Only
    /// label sets that are made at the same moment may exceed the limit.
    pub fn max_series(mut self, series: u64) -> Self {
        self.max_series = series;
        self
    }

    /// The most processes that have values in per-process gauges of a new segment at one time. A
    /// process that attaches the segment takes the number of its creator.
    pub fn max_processes(mut self, processes: u32) -> Self {
        self.max_processes = processes;
        self
    }

    /// A label that every series of a new segment has in front of its own, such as `app`. A process
    /// that attaches the segment with labels must give the same labels in the same order, or it
    /// gets [`Error::Conflict`]. A process that gives none takes the segment as it is.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Fails with [`Error::AlreadyExists`] if the segment exists.
    pub fn create_new(mut self) -> Self {
        self.create_new = true;
        self
    }

    /// Fails with [`Error::NotFound`] unless the segment exists.
    pub fn attach(mut self) -> Self {
        self.attach = true;
        self
    }

    /// A segment without a name, for processes forked from this one. The memory is sealed against
    /// truncation, and is freed when the last process that has it mapped ends. A name, owner,
    /// group or mode beside this option is an error.
    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Accepts a file system that is not tmpfs. Updates may then wait for the disk.
    pub fn allow_disk(mut self, yes: bool) -> Self {
        self.allow_disk = yes;
        self
    }

    /// Replaces an existing segment by a new one if no process has the old segment open for
    /// counting any more, also if the old one has another layout version. By default the old
    /// segment stays and its counts go on.
    ///
    /// This option is for the process that starts a service and stays, such as a master. If all
    /// processes come and go, each of them would begin anew. Stopped processes and silent forked
    /// children have the segment open, also if they closed all descriptors; readers do not. The
    /// option has no effect with [`Options::create_new`], [`Options::attach`] and
    /// [`Options::anonymous`], and in the portable backend.
    pub fn reset_if_unused(mut self, yes: bool) -> Self {
        self.reset_if_unused = yes;
        self
    }

    /// Maps the segment once more, as another process would. Through the new mapping, per-process
    /// gauges have values of their own, with an identity of their own
    /// ([`Segment::set_identity`](crate::Segment::set_identity)), until
    /// [`Segment::detach_process`](crate::Segment::detach_process). This is for tests in which one
    /// process plays several, and for hosts that count for other programs. Each opening makes a
    /// new mapping, for the life of the process. [`Options::anonymous`] and the portable backend
    /// do not have this option.
    pub fn separate_mapping(mut self, yes: bool) -> Self {
        self.separate_mapping = yes;
        self
    }

    /// For a test: known to this process and its children alone, and discarded before the process
    /// ends.
    pub(crate) fn scratch(mut self) -> Self {
        self.scratch = true;
        self.anonymous()
    }

    /// Uses the portable backend (the `shared_memory` crate), the only one outside of Linux. Needs
    /// the feature `portable`.
    pub fn portable(mut self, yes: bool) -> Self {
        self.portable = yes;
        self
    }

    /// Whether hot counters and histograms of a new segment may have cells for each CPU. The
    /// default is true. The cells make updates several times as fast, and take up to an eighth of
    /// the maximum size. The creator of the segment decides.
    pub fn per_cpu(mut self, yes: bool) -> Self {
        self.plan.per_cpu = yes;
        self
    }

    /// Whether this process may use Linux' restartable sequences (`rseq`), through glibc's
    /// registration. The default is true, unless `$SHMETRICS_RSEQ` is `0`. With restartable
    /// sequences an update of a hot series takes a quarter of the time, and less under contention.
    ///
    /// A segment that was created without them never uses them. If a process may not or cannot use
    /// them in a segment that does, the process counts in the cells that all processes share.
    /// Pages are the same in any case. The first choice of a process for a segment stays.
    pub fn rseq(mut self, yes: bool) -> Self {
        self.plan.rseq = yes;
        self
    }

    /// How the text formats show the bounds of buckets and the quantiles of a new segment. True:
    /// `le="1"`, as Go's client and most others do. False: `le="1.0"`, as OpenMetrics and Python's
    /// client do. Use true if your rules name `le="1"`; Prometheus 3 takes both for the same.
    /// OpenMetrics always has `1.0`. The creator of the segment decides. Without this call,
    /// `$SHMETRICS_LE=short` means true.
    ///
    /// ```
    /// # fn main() -> Result<(), shmetrics::Error> {
    /// let segment = shmetrics::Options::new().anonymous().short_bounds(true).open()?;
    /// segment.histogram("seconds", "").buckets(&[0.5, 1.0]).register()?.observe(0.7);
    /// let page = |format| segment.page(format).render_to_string().unwrap();
    /// assert!(page(shmetrics::Format::Text).contains("seconds_bucket{le=\"1\"} 1\n"));
    /// assert!(page(shmetrics::Format::OpenMetrics).contains("seconds_bucket{le=\"1.0\"} 1\n"));
    /// # Ok(()) }
    /// ```
    pub fn short_bounds(mut self, yes: bool) -> Self {
        self.short_bounds = Some(yes);
        self
    }

    /// The number of this process' revision, for hosts that number their reloads. Of two
    /// processes that [replace](crate::Builder::replace) each other's definition of a family, the
    /// one of the later revision prevails.
    ///
    /// By default the revision is the time of the process' last explicit opening of the segment;
    /// forked children have their parent's. So a reload that opens the segment again is a later
    /// revision, and its old workers are of the earlier one. Give numbers in all processes of an
    /// application, or in none: a number below 2^63 is earlier than any time.
    pub fn revision(mut self, number: u64) -> Self {
        self.revision = Some(number);
        self
    }

    /// `$SHMETRICS_LE` unless the application has said it.
    pub(super) fn checked_short_bounds(&self) -> Result<bool, Error> {
        if let Some(yes) = self.short_bounds {
            return Ok(yes);
        }
        match environment::var("SHMETRICS_LE")?.as_deref() {
            Some("short") => Ok(true),
            None | Some("" | "canonical") => Ok(false),
            Some(s) => Err(Error::InvalidArgument(format!(
                "SHMETRICS_LE={s}: give `short` (le=\"1\") or `canonical` (le=\"1.0\")"
            ))),
        }
    }

    /// The revision of a process that opens the segment at this time.
    pub(super) fn revision_at(&self, time_ns: u64) -> u64 {
        self.revision.unwrap_or(time_ns | 1 << 63)
    }

    pub(super) fn per_cpu_plan(&self) -> Plan {
        Plan { rseq: self.plan.rseq && percpu::rseq_allowed(), ..self.plan }
    }

    pub(super) fn resolved_name(&self) -> Result<Cow<'_, str>, Error> {
        match &self.name {
            Some(name) => Ok(name.as_str().into()),
            None => default_name().map(Cow::from),
        }
    }

    pub(super) fn path(&self) -> Result<PathBuf, Error> {
        mapping::path_of(&self.resolved_name()?)
    }

    /// What to open, if that is one thing.
    pub(super) fn how(&self) -> Result<How, Error> {
        let named = self.name.is_some();
        let given = self.mode.is_some() || self.owner.is_some() || self.group.is_some();
        let wrong = match (self.anonymous, self.create_new, self.attach) {
            (_, true, true) => {
                "`create_new` and `attach` exclude each other: one fails if there is a segment, and \
                                one if there is none"
            }
            (true, _, true) => "`anonymous` and `attach` exclude each other: what has no name cannot be found",
            (true, ..) if named => "`anonymous` and `name` exclude each other: leave out one of them",
            (true, ..) if self.separate_mapping => {
                "`anonymous` and `separate_mapping` exclude each other: what has no name cannot be \
                                         opened once more"
            }
            (true, ..) if given => {
                "`anonymous` excludes `mode`, `owner` and `group`: what has no name is for \
                                    forked children alone"
            }
            (true, ..) => return Ok(How::Anonymous),
            (_, true, _) => return Ok(How::CreateNew),
            (.., true) => return Ok(How::Attach),
            _ => return Ok(How::OpenOrCreate),
        };
        Err(Error::InvalidArgument(wrong.into()))
    }

    /// What the portable backend does not do.
    #[cfg(any(feature = "portable", not(target_os = "linux")))]
    pub(super) fn check_portable(&self) -> Result<(), Error> {
        let asked = [
            ("mode", self.mode.is_some_and(|mode| mode != DEFAULT_MODE)),
            ("owner", self.owner.is_some()),
            ("group", self.group.is_some()),
            ("separate_mapping", self.separate_mapping),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((option, _)) => Err(Error::Unsupported(format!(
                "the portable backend has no option `{option}`: its files are for the user of the process alone, and \
                 each opening maps them anew"
            ))),
            None => Ok(()),
        }
    }

    /// Which users may use the segment, by these options and else the environment.
    pub(super) fn access(&self) -> Result<Access, Error> {
        // No name has a use for an anonymous segment: see `how`.
        let given = |option: &Option<Account>, name: &'static str, variable: &'static str| match option {
            Some(account) => Ok(Some(Given::new(account.clone(), name))),
            None => environment::var(variable).map(|v| v.map(|v| Given::new(v.as_str().into(), variable))),
        };
        let mode = match self.mode {
            Some(mode) => checked_mode(mode, &format!("mode {mode:o}"))?,
            None => match environment::var("SHMETRICS_MODE")? {
                Some(text) => parse_mode(&text)?,
                None => DEFAULT_MODE,
            },
        };
        let mut trusted: Vec<_> =
            self.trusted.iter().map(|a| Given::new(a.clone(), "the option trust_owner")).collect();
        if trusted.is_empty() {
            let list = environment::var("SHMETRICS_TRUST")?.unwrap_or_default();
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            trusted.extend(names.map(|name| Given::new(name.into(), "SHMETRICS_TRUST")));
        }
        Ok(Access {
            mode,
            owner: given(&self.owner, "the option owner", "SHMETRICS_OWNER")?,
            group: given(&self.group, "the option group", "SHMETRICS_GROUP")?,
            trusted,
        })
    }

    pub(super) fn checked_max_size(&self) -> Result<u64, Error> {
        let bytes = match self.max_size {
            Some(bytes) => bytes,
            None => match environment::var("SHMETRICS_MAX_SIZE")? {
                Some(s) => parse_bytes(&s).ok_or_else(|| {
                    let s = crate::error::shortened(&s);
                    Error::InvalidArgument(format!("SHMETRICS_MAX_SIZE={s}: give bytes, or a number with K, M or G"))
                })?,
                None => DEFAULT_MAX_SIZE,
            },
        };
        if !(LEAST_MAX_SIZE..=GREATEST_MAX_SIZE).contains(&bytes) {
            return Err(Error::InvalidArgument(format!(
                "a maximum size of {bytes} bytes: it must be 512 KiB to 64 GiB"
            )));
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
pub(crate) fn default_name() -> Result<String, Error> {
    Ok(environment::var("SHMETRICS_SEGMENT")?.filter(|n| !n.is_empty()).unwrap_or_else(|| "default".into()))
}

/// A file mode that a segment may have. `given` says where it comes from.
fn checked_mode(mode: u32, given: &str) -> Result<u32, Error> {
    let refuse = |reason: &str| Err(Error::InvalidArgument(format!("{given}: {reason}")));
    if mode & !0o7777 != 0 {
        return refuse("it is no file mode; give permissions such as 0640, in octal");
    }
    if mode & !0o777 != 0 {
        return refuse("a segment cannot be setuid, setgid or sticky; give its permissions alone, such as 0640");
    }
    if mode & 0o600 != 0o600 {
        return refuse("the owner must be able to read and write");
    }
    Ok(mode)
}

/// A mode in octal, as `chmod` takes it; also with `0o`, as Rust and Python write it.
fn parse_mode(text: &str) -> Result<u32, Error> {
    let given = format!("SHMETRICS_MODE={}", crate::error::shortened(text));
    let digits = text.trim();
    let digits = digits.strip_prefix("0o").unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err(Error::InvalidArgument(format!("{given}: give an octal file mode, such as 0640")));
    }
    // Too many digits are no mode either.
    checked_mode(u32::from_str_radix(digits, 8).unwrap_or(u32::MAX), &given)
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

/// The files in `$SHMETRICS_DIR` (or `/dev/shm`) that are named like segments, by name. What is in
/// them has not been looked at.
///
/// # Errors
/// [`Error::NoDirectory`], [`Error::Permission`], [`Error::System`].
pub fn list() -> Result<Vec<Listing>, Error> {
    let _undisturbed = crate::os::host::Undisturbed::new();
    let directory = mapping::directory();
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoDirectory(directory)),
        Err(e) => return Err(Error::system(format!("listing {}", directory.display()), e)),
    };
    let mut found: Vec<Listing> = entries
        .flatten()
        .filter_map(|e| {
            let name = e.file_name().to_str()?.strip_prefix(mapping::PREFIX)?.to_owned();
            (!name.is_empty()).then(|| Listing { name, path: e.path() })
        })
        .collect();
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
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
