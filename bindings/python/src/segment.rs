//! The segment itself: opening it, rendering it, looking into it.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use shmetrics::{Cursor, Error, Escaping, Format, Options, Reader};

use crate::common::exception;
use crate::{compat, page};

/// One application's metrics, shared by all its processes.
#[pyclass(frozen, weakref, module = "shmetrics")]
pub(crate) struct Segment {
    pub(crate) inner: shmetrics::Segment,
}

/// A family: name, type, documentation, unit, a gauge's mode, and samples.
pub(crate) type FamilyOf<'py> = (String, &'static str, String, String, Option<&'static str>, Bound<'py, PyList>);

/// How a page is written.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct Exposition {
    pub(crate) inner: shmetrics::Exposition,
}

impl Segment {
    /// The segment that is meant, or the process' default one; `None`: there is none to be had, and
    /// that has been told.
    pub(crate) fn of(py: Python<'_>, given: Option<Bound<'_, PyAny>>) -> PyResult<Option<shmetrics::Segment>> {
        let segment = match given.filter(|s| !s.is_none()) {
            Some(segment) => segment,
            None => py.import("shmetrics._segment")?.call_method0("default")?,
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
    // Families that have samples of this name pass the cursor as well.
    for point in segment.cursor(as_named()).only([name]).points().filter(|point| point.family.name == name) {
        let value = |label: &String| point.labels.iter().find(|(name, _)| name == label).map(|(_, v)| v.clone());
        if let Some(set) = labels.iter().map(value).collect::<Option<Vec<_>>>() {
            if sets.last() != Some(&set) {
                sets.push(set);
            }
        }
    }
    sets
}

/// Text with all names as they were given.
fn as_named() -> shmetrics::Exposition {
    shmetrics::Exposition::new(Format::Text1).with_escaping(Escaping::AllowUtf8)
}

pub(crate) fn filled(mut cursor: Cursor<'_>) -> Vec<u8> {
    let mut page = Vec::with_capacity(64 * 1024);
    while cursor.fill(&mut page) {}
    page
}

/// Opens a segment. A variable of the environment whose value is wrong, or asks for what this
/// process may not do, is told and stands for its default: nobody's application ends because of it.
fn opened(
    py: Python<'_>,
    mut options: Options,
    anonymous: bool,
    has_mode: bool,
    mut has_ceiling: bool,
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
            !has_ceiling && text.contains("ceiling") && std::env::var_os("SHMETRICS_CEILING").is_some();
        options = if !has_ceiling && (about("SHMETRICS_CEILING") || too_small_or_large) {
            has_ceiling = true;
            options.ceiling(DEFAULT_CEILING)
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
        let _ = crate::common::tell(py, &format!("a setting is left out, and its default taken: {text}"));
    }
    py.detach(|| options.open())
}

/// The library's.
const DEFAULT_CEILING: u64 = 64 << 20;

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
    /// `generation` is this process' number, for hosts that number their reloads.
    #[new]
    #[pyo3(signature = (name=None, *, anonymous=false, attach=false, reset_if_unused=false, apart=false, ceiling=None, mode=None,
                        owner=None, group=None, trust=None, max_series=None, max_processes=None, allow_disk=false, labels=None, generation=None,
                        short_bounds=None))]
    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
    fn new(
        py: Python<'_>,
        name: Option<String>,
        anonymous: bool,
        attach: bool,
        reset_if_unused: bool,
        apart: bool,
        ceiling: Option<u64>,
        mode: Option<u32>,
        owner: Option<Account>,
        group: Option<Account>,
        trust: Option<Vec<Account>>,
        max_series: Option<u64>,
        max_processes: Option<u32>,
        allow_disk: bool,
        labels: Option<Vec<(String, String)>>,
        generation: Option<u64>,
        short_bounds: Option<bool>,
    ) -> PyResult<Self> {
        let mut options = Options::new().reset_if_unused(reset_if_unused).apart(apart).allow_disk(allow_disk);
        if let Some(name) = name {
            options = options.name(name);
        }
        if anonymous {
            options = options.anonymous();
        }
        if attach {
            options = options.attach();
        }
        if let Some(ceiling) = ceiling {
            options = options.ceiling(ceiling);
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
        if let Some(generation) = generation {
            options = options.generation(generation);
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
        let inner = opened(py, options, anonymous, mode.is_some(), ceiling.is_some()).map_err(|e| exception(&e))?;
        Ok(Segment { inner })
    }

    /// Removes a segment's name.
    #[staticmethod]
    fn remove(py: Python<'_>, name: &str) -> PyResult<()> {
        py.detach(|| shmetrics::Segment::remove(name)).map_err(|e| exception(&e))
    }

    /// Takes a family off all pages. Says whether there was one.
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

    /// The file; `None` for an anonymous segment.
    #[getter]
    fn path(&self) -> Option<String> {
        self.inner.path().map(|p| p.to_string_lossy().into_owned())
    }

    /// Whether the name still leads to it.
    #[getter]
    fn is_current(&self) -> bool {
        self.inner.is_current()
    }

    /// How many processes have it open for counting, this one included: forked children and
    /// stopped processes too, readers not. `None` where the system does not tell.
    fn attached(&self, py: Python<'_>) -> Option<u32> {
        let segment = self.inner;
        py.detach(|| segment.reader().attached())
    }

    /// When a value was last updated, in seconds since 1970 and as far as looks at the values
    /// tell; and whether the values have not changed between then and now. `None`: the segment is
    /// damaged.
    fn last_update(&self, py: Python<'_>) -> Option<(f64, bool)> {
        let segment = self.inner;
        py.detach(|| segment.reader().last_update()).map(|last| (last.at, last.is_last))
    }

    /// Gives this process a number of its own for the label `pid`.
    fn set_identity(&self, identity: u32) {
        self.inner.set_identity(identity);
    }

    /// Takes part in the gauges that have a value for each process now, instead of at the first
    /// update of one.
    fn attach_process(&self) -> PyResult<()> {
        self.inner.attach_process().map_err(|e| exception(&e))
    }

    /// Takes this process out of the gauges that have a value for each process.
    fn leave(&self) {
        self.inner.leave();
    }

    /// For hooks that tell of a child's death. Whether no living process with this pid has gauges
    /// of its own.
    fn mark_dead(&self, pid: u32) -> bool {
        self.inner.mark_dead(pid)
    }

    /// What the segment could not take, in a sentence, once.
    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    /// The page, in the library's own way to write it.
    #[pyo3(signature = (exposition=None, names=None))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        exposition: Option<&Bound<'py, Exposition>>,
        names: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let exposition = exposition.map_or_else(shmetrics::Exposition::default, |e| e.get().inner);
        let segment = self.inner;
        let page = py.detach(|| {
            let cursor = segment.cursor(exposition);
            filled(match names {
                Some(names) => cursor.only(names),
                None => cursor,
            })
        });
        Ok(PyBytes::new(py, &page))
    }

    /// The page as prometheus_client writes it: labels sorted, values with a point. `names`: the
    /// only samples wanted.
    #[pyo3(signature = (openmetrics=false, names=None, escaping=None, created=false, own=true))]
    fn render_compat<'py>(
        &self,
        py: Python<'py>,
        openmetrics: bool,
        names: Option<Vec<String>>,
        escaping: Option<&str>,
        created: bool,
        own: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let format = if openmetrics { Format::OpenMetrics } else { Format::Text1 };
        let exposition = shmetrics::Exposition::new(format).with_escaping(escaping_of(escaping)).with_created(created);
        let segment = self.inner;
        let page = py.detach(|| compat::render(&segment.reader(), exposition, names, own));
        Ok(PyBytes::new(py, &page))
    }

    /// The families with their samples: (name, type, documentation, unit, mode, [(sample name,
    /// labels, value)]).
    #[pyo3(signature = (names=None, own=false))]
    fn families<'py>(&self, py: Python<'py>, names: Option<Vec<String>>, own: bool) -> PyResult<Vec<FamilyOf<'py>>> {
        families(py, &self.inner.reader(), names, own)
    }

    /// The processes that have, or had, gauges of their own: (pid, identity, alive, attached).
    fn processes(&self, py: Python<'_>) -> Vec<(u32, u32, bool, f64)> {
        let segment = self.inner;
        let inspection = py.detach(|| segment.reader().inspect());
        inspection.processes.iter().map(|p| (p.pid, p.identity, p.alive, p.attached)).collect()
    }

    fn __repr__(&self) -> String {
        match self.inner.path() {
            Some(path) => format!("<shmetrics.Segment {}>", path.display()),
            None => "<shmetrics.Segment, anonymous>".to_owned(),
        }
    }
}

/// The families that a reader sees, with their samples.
pub(crate) fn families<'py>(
    py: Python<'py>,
    reader: &Reader,
    names: Option<Vec<String>>,
    own: bool,
) -> PyResult<Vec<FamilyOf<'py>>> {
    let (text, infos) = py.detach(|| {
        let cursor = reader.cursor(as_named());
        let text = filled(match names {
            Some(names) => cursor.only(names),
            None => cursor,
        });
        (text, reader.inspect().families)
    });
    let text = String::from_utf8_lossy(&text);
    let mut found = Vec::new();
    let mut current: Option<Bound<'py, PyList>> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.rsplit_once(' ').unwrap_or((rest, ""));
            let name = &*page::plain(name);
            current = None;
            let samples = PyList::empty(py);
            if name.starts_with("shmetrics_") {
                if own {
                    let name = if kind == "counter" { name.trim_end_matches("_total") } else { name };
                    let kind = if kind == "counter" { "counter" } else { "gauge" };
                    found.push((name.to_owned(), kind, String::new(), String::new(), None, samples.clone()));
                    current = Some(samples);
                }
                continue;
            }
            let info = infos.iter().find(|i| match i.kind {
                // Without `_total`: under its exact name. No other family can have that.
                "counter" => name.strip_suffix("_total") == Some(&i.name) || name == i.name,
                "info" => name.strip_suffix("_info") == Some(&i.name),
                _ => name == i.name,
            });
            if let Some(info) = info {
                let kind = type_of(info.kind);
                let (name, help, unit) = (info.name.clone(), info.help.clone(), info.unit.clone());
                found.push((name, kind, help, unit, info.mode, samples.clone()));
                current = Some(samples);
            }
        } else if let (Some(samples), Some(sample)) = (&current, page::sample(line)) {
            let labels = PyDict::new(py);
            for (name, value) in &sample.labels {
                labels.set_item(&**name, &**value)?;
            }
            samples.append((&*sample.name, labels, compat::number(sample.value)))?;
        }
    }
    Ok(found)
}

/// prometheus_client's names of types.
fn type_of(kind: &str) -> &'static str {
    match kind {
        "counter" => "counter",
        "gauge" => "gauge",
        "histogram" => "histogram",
        "summary" => "summary",
        "info" => "info",
        "state set" | "enum" => "stateset",
        "gauge histogram" => "gaugehistogram",
        _ => "unknown",
    }
}

pub(crate) fn escaping_of(name: Option<&str>) -> Escaping {
    match name {
        Some("allow-utf-8") => Escaping::AllowUtf8,
        Some("dots") => Escaping::Dots,
        Some("values") => Escaping::Values,
        _ => Escaping::Underscores,
    }
}

#[pymethods]
impl Exposition {
    /// What to answer to a scraper that sends this `Accept` header.
    #[new]
    #[pyo3(signature = (accept=None, *, created=false))]
    fn new(accept: Option<&str>, created: bool) -> Self {
        Exposition { inner: shmetrics::Exposition::negotiate(accept.unwrap_or_default()).with_created(created) }
    }

    /// The `Content-Type` to answer with.
    #[getter]
    fn content_type(&self) -> &'static str {
        self.inner.content_type()
    }

    /// Whether pages are in one of Prometheus' text formats, or else `openmetrics` or `protobuf`.
    #[getter]
    fn format(&self) -> &'static str {
        match self.inner.format() {
            Format::OpenMetrics | Format::OpenMetrics2 => "openmetrics",
            Format::Protobuf => "protobuf",
            _ => "text",
        }
    }

    /// The version of the text format, or nothing.
    #[getter]
    fn version(&self) -> &'static str {
        match self.inner.format() {
            Format::Text => "0.0.4",
            Format::Text1 | Format::OpenMetrics => "1.0.0",
            Format::OpenMetrics2 => "2.0.0",
            _ => "",
        }
    }

    /// What becomes of names that are not plain.
    #[getter]
    fn escaping(&self) -> &'static str {
        match self.inner.escaping() {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
            _ => "underscores",
        }
    }

    /// Whether to compress the answer to a request with this `Accept-Encoding` header.
    #[staticmethod]
    fn accepts_gzip(accept_encoding: &str) -> bool {
        shmetrics::accepts_gzip(accept_encoding)
    }
}
