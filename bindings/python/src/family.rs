//! Families: their definition, as Python gives it, and their registration in a segment.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PySet, PyTuple};
use shmetrics::{Builder, DynamicFamily, Error, GaugeMode, Metric};

use crate::python::{exception, warn};
use crate::segment::Segment;

/// The name, help text, unit and labels of a metric.
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) documentation: String,
    pub(crate) unit: String,
    pub(crate) labels: Vec<String>,
    pub(crate) label_tuple: Py<PyTuple>,
}

/// Whether names are checked as before Prometheus 3.
static LEGACY: AtomicBool = AtomicBool::new(false);

/// Allows only plain names of metrics and labels from now on, or all names.
#[pyfunction]
pub(crate) fn set_legacy_validation(legacy: bool) {
    LEGACY.store(legacy, Relaxed);
}

/// The arguments that all constructors have.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) name: &'a str,
    pub(crate) documentation: &'a str,
    pub(crate) labelnames: Option<&'a Bound<'py, PyAny>>,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) subsystem: Option<&'a str>,
    pub(crate) unit: Option<&'a str>,
}

impl Arguments<'_, '_> {
    pub(crate) fn definition(self, py: Python<'_>, kind: &str) -> PyResult<Definition> {
        let labels: Vec<String> = match self.labelnames {
            Some(names) => names.try_iter()?.map(|n| n?.extract::<String>()).collect::<PyResult<_>>()?,
            None => Vec::new(),
        };
        let name = full_name(kind, &self)?;
        if LEGACY.load(Relaxed) {
            let legal = |name: &str, colon: bool| {
                let is = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || (colon && c == b':');
                name.bytes().all(is) && !name.starts_with(|c: char| c.is_ascii_digit())
            };
            if !legal(&name, true) {
                return Err(PyValueError::new_err(format!("invalid metric name {name}")));
            }
            if let Some(label) = labels.iter().find(|label| label.is_empty() || !legal(label, false)) {
                return Err(PyValueError::new_err(format!("Invalid label metric name: {label}")));
            }
        }
        Ok(Definition {
            name,
            documentation: self.documentation.to_owned(),
            unit: self.unit.unwrap_or_default().to_owned(),
            label_tuple: PyTuple::new(py, &labels)?.unbind(),
            labels,
        })
    }
}

/// `namespace_subsystem_name_unit`, as prometheus_client makes it.
fn full_name(kind: &str, of: &Arguments<'_, '_>) -> PyResult<String> {
    if of.name.is_empty() {
        return Err(PyValueError::new_err("Metric name should not be empty"));
    }
    let mut name = String::new();
    for part in [of.namespace, of.subsystem].into_iter().flatten().filter(|part| !part.is_empty()) {
        name.push_str(part);
        name.push('_');
    }
    name.push_str(of.name);
    if kind == "counter" && name.ends_with("_total") {
        name.truncate(name.len() - "_total".len());
    }
    if let Some(unit) = of.unit.filter(|unit| !unit.is_empty()) {
        if matches!(kind, "info" | "stateset") {
            return Err(PyValueError::new_err(format!("Metric name is of a type that cannot have a unit: {name}")));
        }
        if !name.ends_with(&format!("_{unit}")) {
            name.push('_');
            name.push_str(unit);
        }
    }
    Ok(name)
}

/// A family of metrics in this process.
pub(crate) struct Family<M> {
    pub(crate) definition: Definition,
    pub(crate) segment: Option<shmetrics::Segment>,
    /// `None`: the family is refused, and counts nowhere.
    pub(crate) table: Option<DynamicFamily<M>>,
    /// The mode of a gauge.
    pub(crate) mode: GaugeMode,
    /// Of an enum.
    pub(crate) states: Vec<String>,
}

/// The series of a metric object.
#[derive(Clone, Copy)]
pub(crate) enum Handle<M> {
    /// A family with labels, which has no value.
    Parent,
    /// A series.
    Series(M),
    /// A family that is refused: updates do nothing.
    Inert,
}

impl<M: Metric> Handle<M> {
    /// The series; an error for a family with labels.
    #[inline(always)]
    pub(crate) fn get(&self, kind: &str) -> PyResult<Option<&M>> {
        match self {
            Handle::Series(metric) => Ok(Some(metric)),
            Handle::Inert => Ok(None),
            Handle::Parent => Err(PyValueError::new_err(format!("{kind} metric is missing label values"))),
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        matches!(self, Handle::Series(metric) if metric.is_removed())
    }
}

/// What a type of metrics adds to a definition.
pub(crate) trait Options<M> {
    /// The definition for the library. `states` is what `states` returns.
    fn builder<'a>(&'a self, segment: shmetrics::Segment, of: &'a Definition, states: &'a [&'a str]) -> Builder<'a, M>;

    /// Of a gauge.
    fn mode(&self) -> GaugeMode {
        GaugeMode::Shared
    }

    /// Of an enum.
    fn states(&self) -> &[String] {
        &[]
    }
}

/// The texts as the library takes them.
pub(crate) fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

impl<M: Metric> Family<M> {
    /// Registers a family in the given segment, or in the process' default one.
    pub(crate) fn new(
        py: Python<'_>,
        definition: Definition,
        segment: Option<Bound<'_, PyAny>>,
        options: &impl Options<M>,
        max_series: u64,
        replace: bool,
    ) -> PyResult<(Arc<Self>, Handle<M>)> {
        let segment = Segment::of(py, segment)?;
        Self::registered(py, definition, segment, options, max_series, replace)
    }

    /// Registers a family. A wrong argument is an exception. If the segment refuses the metric,
    /// there is a warning, and the metric counts nowhere. It does so too without a segment.
    pub(crate) fn registered(
        py: Python<'_>,
        definition: Definition,
        segment: Option<shmetrics::Segment>,
        options: &impl Options<M>,
        max_series: u64,
        replace: bool,
    ) -> PyResult<(Arc<Self>, Handle<M>)> {
        let (names, states) = (borrowed(&definition.labels), borrowed(options.states()));
        let family = match segment {
            None => None,
            Some(segment) => {
                let builder = options.builder(segment, &definition, &states).max_series(max_series).label_names(&names);
                match if replace { builder.replace() } else { builder }.register() {
                    Ok(family) => {
                        registered(py)?.add(registered_as(segment, &definition.name))?;
                        Some(family)
                    }
                    Err(error @ (Error::InvalidName(_) | Error::InvalidArgument(_))) => return Err(exception(&error)),
                    Err(error) => {
                        warn(py, &refusal("the metric", &definition.name, "counts nowhere", segment, &error))?;
                        None
                    }
                }
            }
        };
        let handle = match family {
            _ if !names.is_empty() => Handle::Parent,
            Some(family) => family.with(&[]).map_or(Handle::Inert, Handle::Series),
            None => Handle::Inert,
        };
        let (mode, states) = (options.mode(), options.states().to_vec());
        Ok((Arc::new(Family { definition, segment, table: family, mode, states }), handle))
    }

    /// The series with these label values.
    pub(crate) fn series(&self, values: &[&str]) -> Handle<M> {
        self.table.and_then(|f| f.with(values)).map_or(Handle::Inert, Handle::Series)
    }
}

/// What has label sets: a family, or a bundle. `labels` removes them.
pub(crate) trait LabelSets {
    /// A name for messages.
    fn name(&self) -> &str;
    fn labels(&self) -> (&[String], &Py<PyTuple>);
    /// `None`: it counts nowhere.
    fn segment(&self) -> Option<shmetrics::Segment>;
    fn remove(&self, values: &[&str]) -> bool;
    fn clear(&self);
}

impl<M: Metric> LabelSets for Family<M> {
    fn name(&self) -> &str {
        &self.definition.name
    }

    fn labels(&self) -> (&[String], &Py<PyTuple>) {
        (&self.definition.labels, &self.definition.label_tuple)
    }

    fn segment(&self) -> Option<shmetrics::Segment> {
        self.segment.filter(|_| self.table.is_some())
    }

    fn remove(&self, values: &[&str]) -> bool {
        self.table.is_some_and(|family| family.remove(values))
    }

    fn clear(&self) {
        if let Some(family) = self.table {
            family.clear();
        }
    }
}

/// The families that metrics of the native API have registered in this process, by their segments:
/// a set of Python, which no thread can hold while another one forks.
static REGISTERED: PyOnceLock<Py<PySet>> = PyOnceLock::new();

fn registered(py: Python<'_>) -> PyResult<&Bound<'_, PySet>> {
    Ok(REGISTERED.get_or_try_init(py, || PySet::empty(py).map(Bound::unbind))?.bind(py))
}

/// The name of a counter's family has no `_total`.
fn registered_as(segment: shmetrics::Segment, name: &str) -> (Option<PathBuf>, String) {
    (segment.path().map(Path::to_path_buf), name.strip_suffix("_total").unwrap_or(name).to_owned())
}

/// Whether a metric of the native API has registered this family in this process: then the drop-in
/// must not replace the family.
#[pyfunction]
pub(crate) fn is_registered(py: Python<'_>, segment: &Segment, name: &str) -> PyResult<bool> {
    registered(py)?.contains(registered_as(segment.inner, name))
}

/// The warning about a metric that a segment refuses.
pub(crate) fn refusal(what: &str, name: &str, fate: &str, segment: shmetrics::Segment, error: &Error) -> String {
    let file = segment.path().and_then(|path| path.file_name()).map(|file| file.to_string_lossy().into_owned());
    let place = file.as_deref().map_or("(without a name)", |file| file.strip_prefix("shmetrics-").unwrap_or(file));
    let remedy = match error {
        Error::Conflict(_) => "define it alike in all processes, give it another name, or say replace=True",
        Error::Full(_) | Error::NoSpace(_) => "raise SHMETRICS_MAX_SIZE and start with a new segment",
        _ => "see \"What goes wrong\" in the package's documentation",
    };
    format!("{what} {name} {fate}, and is not on pages of the segment {place}: {error}: {remedy}")
}
