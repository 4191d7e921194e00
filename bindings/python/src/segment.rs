//! The segment: opening it, and everything that only a process that counts can do.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use shmetrics::{Error, Format, Options};

use crate::python::{default_segment, exception, warn};
use crate::reader::Reader;

/// The metrics of an application, shared by all its processes.
#[pyclass(frozen, extends = Reader, module = "shmetrics")]
pub(crate) struct Segment {
    pub(crate) inner: shmetrics::Segment,
}

impl Segment {
    fn initializer(inner: shmetrics::Segment) -> PyClassInitializer<Self> {
        PyClassInitializer::from(Reader::of(inner)).add_subclass(Segment { inner })
    }

    /// The object for a segment.
    pub(crate) fn object(py: Python<'_>, inner: shmetrics::Segment) -> PyResult<Bound<'_, Self>> {
        Bound::new(py, Segment::initializer(inner))
    }

    /// The given segment, or the process' default one. `None`: no segment can be opened, and the
    /// application was warned.
    pub(crate) fn of(py: Python<'_>, given: Option<Bound<'_, PyAny>>) -> PyResult<Option<shmetrics::Segment>> {
        let segment = match given.filter(|s| !s.is_none()) {
            Some(segment) => segment,
            None => default_segment(py)?,
        };
        if segment.is_none() {
            return Ok(None);
        }
        Ok(Some(segment.cast::<Segment>()?.get().inner))
    }
}

/// The label sets of a family that are on a page, in the order of these labels, which another
/// process may have in another.
pub(crate) fn label_sets(segment: shmetrics::Segment, name: &str, labels: &[String]) -> Vec<Vec<String>> {
    let mut sets: Vec<Vec<String>> = Vec::new();
    // Families that have samples of this name are on the page as well.
    for point in segment.page(Format::OpenMetrics).only([name]).points().filter(|point| point.family.name == name) {
        let value = |label: &String| point.labels.iter().find(|(name, _)| name == label).map(|(_, v)| v.clone());
        if let Some(set) = labels.iter().map(value).collect::<Option<Vec<_>>>() {
            if sets.last() != Some(&set) {
                sets.push(set);
            }
        }
    }
    sets
}

/// Opens a segment. If an environment variable has a wrong value, or asks for something that this
/// process may not do, its default is used, with a warning: the application must not end because of
/// it.
fn opened(
    py: Python<'_>,
    mut options: Options,
    anonymous: bool,
    has_mode: bool,
    mut has_max_size: bool,
) -> Result<shmetrics::Segment, Error> {
    // Each round takes one variable out.
    for _ in 0..8 {
        let error = match py.detach(|| options.open()) {
            Err(error @ (Error::InvalidArgument(_) | Error::Permission(_))) => error,
            done => return done,
        };
        let text = error.to_string();
        let about = |variable: &str| text.contains(&format!("{variable}=")) && std::env::var_os(variable).is_some();
        let too_small_or_large =
            !has_max_size && text.contains("maximum size") && std::env::var_os("SHMETRICS_MAX_SIZE").is_some();
        options = if !has_max_size && (about("SHMETRICS_MAX_SIZE") || too_small_or_large) {
            has_max_size = true;
            options.max_size(DEFAULT_MAX_SIZE)
        } else if !anonymous && !has_mode && about("SHMETRICS_MODE") {
            options.mode(0o600)
        } else if !anonymous && about("SHMETRICS_OWNER") {
            options.owner(own_user())
        } else if !anonymous && about("SHMETRICS_GROUP") {
            options.group(own_group())
        } else if about("SHMETRICS_TRUST") && !text.contains("belongs to user") {
            options.trust_owner(own_user())
        } else if about("SHMETRICS_LE") {
            options.short_bounds(false)
        } else {
            return Err(error);
        };
        // An empty one is as good as none, and not worth a word.
        if text.contains("=: ") {
            continue;
        }
        let _ = warn(py, &format!("a setting is left out, and its default taken: {text}"));
    }
    py.detach(|| options.open())
}

/// The library's.
const DEFAULT_MAX_SIZE: u64 = 64 << 20;

fn own_user() -> u32 {
    #[allow(unsafe_code)]
    // SAFETY: a plain call that cannot fail.
    unsafe {
        libc::geteuid()
    }
}

fn own_group() -> u32 {
    #[allow(unsafe_code)]
    // SAFETY: a plain call that cannot fail.
    unsafe {
        libc::getegid()
    }
}

/// A user or a group, by number or by name.
struct Account(shmetrics::Account);

impl<'py> FromPyObject<'_, 'py> for Account {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = value.extract::<String>() {
            return Ok(Account(name.into()));
        }
        Ok(Account(value.extract::<u32>()?.into()))
    }
}

#[pymethods]
impl Segment {
    /// Opens a segment.
    ///
    /// `mode`, `owner` and `group` are those of a new segment's file; `trust` names the users in
    /// whose existing segments this process may count. Users and groups are names or numbers.
    /// `short_bounds`: whether a new segment's text pages have `le="1"` instead of `le="1.0"`.
    /// `revision` is this process' number, for hosts that number their reloads.
    #[new]
    #[pyo3(signature = (name=None, *, anonymous=false, attach=false, reset_if_unused=false, separate_mapping=false, max_size=None, mode=None,
                        owner=None, group=None, trust=None, max_series=None, max_processes=None, allow_disk=false, labels=None, revision=None,
                        short_bounds=None))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
    fn new(
        py: Python<'_>,
        name: Option<String>,
        anonymous: bool,
        attach: bool,
        reset_if_unused: bool,
        separate_mapping: bool,
        max_size: Option<u64>,
        mode: Option<u32>,
        owner: Option<Account>,
        group: Option<Account>,
        trust: Option<Vec<Account>>,
        max_series: Option<u64>,
        max_processes: Option<u32>,
        allow_disk: bool,
        labels: Option<Vec<(String, String)>>,
        revision: Option<u64>,
        short_bounds: Option<bool>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let mut options =
            Options::new().reset_if_unused(reset_if_unused).separate_mapping(separate_mapping).allow_disk(allow_disk);
        if let Some(name) = name {
            options = options.name(name);
        }
        if anonymous {
            options = options.anonymous();
        }
        if attach {
            options = options.attach();
        }
        if let Some(max_size) = max_size {
            options = options.max_size(max_size);
        }
        if let Some(mode) = mode {
            options = options.mode(mode);
        }
        if let Some(Account(owner)) = owner {
            options = options.owner(owner);
        }
        if let Some(Account(group)) = group {
            options = options.group(group);
        }
        for Account(user) in trust.unwrap_or_default() {
            options = options.trust_owner(user);
        }
        if let Some(revision) = revision {
            options = options.revision(revision);
        }
        if let Some(short) = short_bounds {
            options = options.short_bounds(short);
        }
        if let Some(series) = max_series {
            options = options.max_series(series);
        }
        if let Some(processes) = max_processes {
            options = options.max_processes(processes);
        }
        for (name, value) in labels.unwrap_or_default() {
            options = options.label(name, value);
        }
        let inner = opened(py, options, anonymous, mode.is_some(), max_size.is_some()).map_err(|e| exception(&e))?;
        Ok(Segment::initializer(inner))
    }

    /// Removes a segment's name.
    #[staticmethod]
    fn remove(py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| shmetrics::Segment::remove(name)).map_err(|e| exception(&e))
    }

    /// Removes a family from all pages. Returns whether there was one.
    fn unregister(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| self.inner.unregister(name)).map_err(|e| exception(&e))
    }

    /// Removes a segment's name if no process has it open for counting.
    #[staticmethod]
    fn remove_if_unused(py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| shmetrics::Segment::remove_if_unused(name)).map_err(|e| exception(&e))
    }

    /// Whether any process has the segment of this name open for counting, this one included;
    /// readers do not count.
    #[staticmethod]
    fn is_in_use(py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| shmetrics::Segment::is_in_use(name)).map_err(|e| exception(&e))
    }

    /// The names of the segments there are.
    #[staticmethod]
    fn list() -> PyResult<Vec<String>> {
        let found = shmetrics::list().map_err(|e| exception(&e))?;
        Ok(found.into_iter().map(|l| l.name).collect())
    }

    /// The number of processes that have the segment open for counting, this one included. Forked
    /// children and stopped processes count, readers do not. `None` if the system cannot tell.
    fn attached(&self, py: Python<'_>) -> Option<u32> {
        let segment = self.inner;
        py.detach(|| segment.reader().attached())
    }

    /// When the last known update was seen, in seconds since 1970, and whether the values have not
    /// changed since then. `None`: the segment is damaged.
    fn last_update(&self, py: Python<'_>) -> Option<(f64, bool)> {
        let segment = self.inner;
        py.detach(|| segment.reader().last_update()).map(|last| (unix(last.at), last.is_last))
    }

    /// Sets the label `pid` of this process' gauges.
    fn set_identity(&self, identity: u32) {
        self.inner.set_identity(identity);
    }

    /// Takes part in per-process gauges now, and not from the first update of one.
    fn attach_process(&self) -> PyResult<()> {
        self.inner.attach_process().map_err(|e| exception(&e))
    }

    /// Takes this process out of the gauges that have a value for each process.
    fn detach_process(&self) {
        self.inner.detach_process();
    }

    /// For hooks that learn of a child's death. Returns whether no living process with this pid has
    /// gauges.
    fn mark_dead(&self, pid: u32) -> bool {
        self.inner.mark_dead(pid)
    }

    /// A sentence about updates or families that the segment refused, once for each reason.
    fn next_warning(&self) -> Option<String> {
        self.inner.next_warning()
    }

    /// The living and dead processes with gauges: (pid, identity, alive, attached).
    fn processes(&self, py: Python<'_>) -> Vec<(u32, u32, bool, f64)> {
        let segment = self.inner;
        let inspection = py.detach(|| segment.reader().inspect());
        inspection.processes.iter().map(|p| (p.pid, p.identity, p.alive, unix(p.attached))).collect()
    }
}

/// A time in seconds since 1970, as Python's are.
fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
