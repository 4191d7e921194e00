//! What the classes of all metrics share: how one is defined, and how errors of the library become
//! Python's.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyPermissionError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySet, PyString, PyTuple};
use shmetrics::{DynamicFamily, Error, GaugeMode, Metric};

use crate::segment::Segment;

/// An exception that says what the library said.
pub(crate) fn exception(error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::InvalidArgument(_) | Error::InvalidName(_) | Error::Conflict(_) => PyValueError::new_err(text),
        Error::Permission(_) => PyPermissionError::new_err(text),
        _ => PyOSError::new_err(text),
    }
}

/// A text as pages can have it: a lone surrogate is replaced.
pub(crate) struct Text(pub(crate) String);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Text(value.cast::<PyString>()?.to_string_lossy().into_owned()))
    }
}

/// What a metric is called and has for labels.
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
    pub(crate) namespace: &'a str,
    pub(crate) subsystem: &'a str,
    pub(crate) unit: &'a str,
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
            unit: self.unit.to_owned(),
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
    for part in [of.namespace, of.subsystem] {
        if !part.is_empty() {
            name.push_str(part);
            name.push('_');
        }
    }
    name.push_str(of.name);
    if kind == "counter" && name.ends_with("_total") {
        name.truncate(name.len() - "_total".len());
    }
    if !of.unit.is_empty() {
        if matches!(kind, "info" | "stateset") {
            return Err(PyValueError::new_err(format!("Metric name is of a type that cannot have a unit: {name}")));
        }
        if !name.ends_with(&format!("_{}", of.unit)) {
            name.push('_');
            name.push_str(of.unit);
        }
    }
    Ok(name)
}

/// A family of metrics in this process.
pub(crate) struct Family<M> {
    pub(crate) definition: Definition,
    pub(crate) segment: Option<shmetrics::Segment>,
    /// `None`: it is refused, and counts nowhere.
    pub(crate) table: Option<DynamicFamily<M>>,
    /// Of a gauge.
    pub(crate) mode: GaugeMode,
    /// Of an enum.
    pub(crate) states: Vec<String>,
}

/// What a metric object stands for.
#[derive(Clone, Copy)]
pub(crate) enum Handle<M> {
    /// A family with labels: it has no value of its own.
    Parent,
    /// A series.
    At(M),
    /// A family that is refused: updates do nothing.
    Inert,
}

impl<M: Metric> Handle<M> {
    /// The series; an error for a family with labels.
    #[inline(always)]
    pub(crate) fn get(&self, kind: &str) -> PyResult<Option<&M>> {
        match self {
            Handle::At(metric) => Ok(Some(metric)),
            Handle::Inert => Ok(None),
            Handle::Parent => Err(PyValueError::new_err(format!("{kind} metric is missing label values"))),
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        matches!(self, Handle::At(metric) if metric.is_removed())
    }
}

/// How a family is registered in a segment, under a definition with these label names.
pub(crate) trait Register<M>:
    Fn(shmetrics::Segment, &Definition, &[&str]) -> Result<DynamicFamily<M>, Error>
{
}
impl<M, F: Fn(shmetrics::Segment, &Definition, &[&str]) -> Result<DynamicFamily<M>, Error>> Register<M> for F {}

impl<M: Metric> Family<M> {
    pub(crate) fn new(
        py: Python<'_>,
        definition: Definition,
        segment: Option<Bound<'_, PyAny>>,
        register: impl Register<M>,
    ) -> PyResult<(Arc<Self>, Handle<M>)> {
        Self::build(py, definition, (GaugeMode::Shared, Vec::new()), segment, register)
    }

    pub(crate) fn with_mode(
        py: Python<'_>,
        definition: Definition,
        mode: GaugeMode,
        segment: Option<Bound<'_, PyAny>>,
        register: impl Register<M>,
    ) -> PyResult<(Arc<Self>, Handle<M>)> {
        Self::build(py, definition, (mode, Vec::new()), segment, register)
    }

    pub(crate) fn with_states(
        py: Python<'_>,
        definition: Definition,
        states: Vec<String>,
        segment: Option<Bound<'_, PyAny>>,
        register: impl Register<M>,
    ) -> PyResult<(Arc<Self>, Handle<M>)> {
        Self::build(py, definition, (GaugeMode::Shared, states), segment, register)
    }

    /// Registers a family. What the caller has done wrong is an exception; what the segment refuses
    /// is a warning, and the metric counts nowhere.
    fn build(
        py: Python<'_>,
        definition: Definition,
        (mode, states): (GaugeMode, Vec<String>),
        segment: Option<Bound<'_, PyAny>>,
        register: impl Register<M>,
    ) -> PyResult<(Arc<Self>, Handle<M>)> {
        let segment = Segment::of(py, segment)?;
        let names: Vec<&str> = definition.labels.iter().map(String::as_str).collect();
        let family = match segment {
            None => None,
            Some(segment) => match register(segment, &definition, &names) {
                Ok(family) => {
                    registered(py)?.add(registered_as(segment, &definition.name))?;
                    Some(family)
                }
                Err(error @ (Error::InvalidName(_) | Error::InvalidArgument(_))) => return Err(exception(&error)),
                Err(error) => {
                    tell(py, &refused("the metric", &definition.name, "counts nowhere", segment, &error))?;
                    None
                }
            },
        };
        let handle = match family {
            _ if !names.is_empty() => Handle::Parent,
            Some(family) => family.with(&[]).map_or(Handle::Inert, Handle::At),
            None => Handle::Inert,
        };
        Ok((Arc::new(Family { definition, segment, table: family, mode, states }), handle))
    }

    /// The series with these label values.
    pub(crate) fn series(&self, values: &[&str]) -> Handle<M> {
        self.table.and_then(|f| f.with(values)).map_or(Handle::Inert, Handle::At)
    }
}

/// The families that metrics of the native API have registered in this process, by their segments:
/// a set of Python, which no thread can hold while another one forks.
static REGISTERED: PyOnceLock<Py<PySet>> = PyOnceLock::new();

fn registered(py: Python<'_>) -> PyResult<&Bound<'_, PySet>> {
    Ok(REGISTERED.get_or_try_init(py, || PySet::empty(py).map(Bound::unbind))?.bind(py))
}

/// A counter's family has its name without `_total`.
fn registered_as(segment: shmetrics::Segment, name: &str) -> (Option<PathBuf>, String) {
    (segment.path().map(Path::to_path_buf), name.strip_suffix("_total").unwrap_or(name).to_owned())
}

/// Whether a metric of the native API has registered this family in this process: then the drop-in
/// must not replace the family.
#[pyfunction]
pub(crate) fn is_registered(py: Python<'_>, segment: &Segment, name: &str) -> PyResult<bool> {
    registered(py)?.contains(registered_as(segment.inner, name))
}

/// The segment that is given, or that of the registry that is given, if it is one of this package.
pub(crate) fn chosen<'py>(
    segment: Option<Bound<'py, PyAny>>,
    registry: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match (segment, registry) {
        (Some(segment), _) => Ok(Some(segment)),
        (None, Some(registry)) if !registry.is_none() => {
            Ok(registry.getattr_opt("segment")?.filter(pyo3::types::PyAnyMethods::is_instance_of::<Segment>))
        }
        _ => Ok(None),
    }
}

/// Registers a metric with a registry that is not of this package, such as prometheus_client's.
pub(crate) fn enter(metric: &Bound<'_, PyAny>, registry: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    match registry.filter(|registry| !registry.is_none()) {
        Some(registry) if registry.getattr_opt("segment")?.is_none() => {
            registry.call_method1("register", (metric,))?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a metric object is once it has been initialised.
pub(crate) struct Body<M> {
    pub(crate) handle: Handle<M>,
    pub(crate) family: Arc<Family<M>>,
    /// The values of a child's labels.
    pub(crate) values: Option<Py<PyTuple>>,
    /// The children by label values. Only the parent has them, so that no object refers to itself.
    pub(crate) children: Option<Py<PyDict>>,
}

impl<M> Body<M> {
    pub(crate) fn parent(py: Python<'_>, family: Arc<Family<M>>, handle: Handle<M>) -> Self {
        Body { handle, family, values: None, children: Some(PyDict::new(py).unbind()) }
    }
}

/// The error for an object whose class has an `__init__` that does not call the metric's.
#[cold]
pub(crate) fn not_initialised() -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(
        "the metric is not initialised: call super().__init__(name, documentation, ...)",
    )
}

/// The error for a metric that is initialised a second time.
#[cold]
pub(crate) fn initialised_twice() -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err("the metric is initialised already")
}

/// The part that all classes of metrics share, and the methods of the class itself.
///
/// Objects are made empty by `__new__` and filled by `__init__`, so that a subclass may have an
/// `__init__` with other arguments.
#[macro_export]
macro_rules! metric_class {
    ($class:ident, $metric:ty, $kind:ident, $text:literal, #[$meta:meta] init($this:ident, $py:ident, $registry:ident; $($arg:ident: $of:ty),* $(,)?) $init:block
     { $($own:tt)* }) => {
        impl $class {
            #[inline(always)]
            fn body(&self) -> PyResult<&Body<$metric>> {
                self.body.get().ok_or_else($crate::common::not_initialised)
            }

            /// The series; `None` where nothing is counted.
            #[inline(always)]
            fn metric(&self) -> PyResult<Option<&$metric>> {
                self.body()?.handle.get($kind)
            }

            fn begin(&self, body: Body<$metric>) -> PyResult<()> {
                self.body.set(body).map_err(|_| $crate::common::initialised_twice())
            }

            pub(crate) fn is_removed(&self) -> bool {
                self.body.get().is_some_and(|body| body.handle.is_removed())
            }
        }

        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (*_args, **_kwargs), text_signature = $text)]
            fn make(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
                $class { body: OnceLock::new() }
            }

            #[$meta]
            #[allow(clippy::too_many_arguments)]
            fn __init__(slf: &Bound<'_, Self>, $($arg: $of),*) -> PyResult<()> {
                let ($this, $py) = (slf.get(), slf.py());
                let registry = $registry.cloned();
                $init?;
                $crate::common::enter(slf.as_any(), registry.as_ref())
            }

            $($own)*

            /// Returns the child with these label values, given in the order of the label names or
            /// by name.
            #[pyo3(signature = (*labelvalues, **labelkwargs))]
            fn labels<'py>(
                slf: &Bound<'py, Self>,
                labelvalues: &Bound<'py, PyTuple>,
                labelkwargs: Option<&Bound<'py, PyDict>>,
            ) -> PyResult<Bound<'py, PyAny>> {
                let this = slf.get().body()?;
                if this.values.is_some() {
                    return Err(labels::chained(&this.family.definition.name, false));
                }
                let make = |handle, values: Bound<'py, PyTuple>| {
                    let family = Arc::clone(&this.family);
                    let child = labels::empty_like(slf)?;
                    child.get().begin(Body { handle, family, values: Some(values.unbind()), children: None })?;
                    Ok(child.into_any())
                };
                let is_removed = |child: &Bound<'py, PyAny>| child.cast::<$class>().is_ok_and(|c| c.get().is_removed());
                let children = this.children.as_ref().map(|c| c.bind(slf.py()));
                labels::child(&this.family, children, labelvalues, labelkwargs, &is_removed, &make)
            }

            /// Removes the child with these label values, for all processes.
            #[pyo3(signature = (*labelvalues))]
            fn remove(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<()> {
                let this = self.body()?;
                labels::remove(&this.family, this.children.as_ref(), labelvalues)
            }

            /// Removes the children that have these labels, for all processes.
            fn remove_by_labels(&self, labels: &Bound<'_, PyAny>) -> PyResult<()> {
                let this = self.body()?;
                labels::remove_by_labels(&this.family, this.children.as_ref(), labels)
            }

            /// Removes all children, for all processes.
            fn clear(&self, py: Python<'_>) -> PyResult<()> {
                let this = self.body()?;
                labels::clear(&this.family, this.children.as_ref(), py);
                Ok(())
            }

            /// The family with its samples over all processes.
            fn collect<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                let this = slf.get().body()?;
                labels::collected(slf.as_any(), this.family.segment)
            }

            /// The family without samples.
            fn describe<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                labels::described(slf.as_any())
            }

            /// The metric itself: a copy counts into the same series.
            fn __copy__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
                slf.clone()
            }

            /// The segment that it counts into; `None` if it counts nowhere.
            #[getter]
            fn _segment(&self) -> PyResult<Option<$crate::segment::Segment>> {
                Ok(self.body()?.family.segment.map(|inner| $crate::segment::Segment { inner }))
            }

            #[getter]
            fn _name(&self) -> PyResult<&str> {
                Ok(&self.body()?.family.definition.name)
            }

            #[getter]
            fn _type(&self) -> &'static str {
                $kind
            }

            #[getter]
            fn _documentation(&self) -> PyResult<&str> {
                Ok(&self.body()?.family.definition.documentation)
            }

            #[getter]
            fn _unit(&self) -> PyResult<&str> {
                Ok(&self.body()?.family.definition.unit)
            }

            #[getter]
            fn _labelnames(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
                Ok(self.body()?.family.definition.label_tuple.clone_ref(py))
            }

            #[getter]
            fn _labelvalues(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
                let values = self.body()?.values.as_ref();
                Ok(values.map_or_else(|| PyTuple::empty(py).unbind(), |v| v.clone_ref(py)))
            }

            fn __str__(&self) -> PyResult<String> {
                Ok(format!("{}:{}", $kind, self.body()?.family.definition.name))
            }

            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                labels::representation(slf.as_any(), slf.get().body.get().map(|body| &*body.family.definition.name))
            }
        }
    };
}

/// What is said about a metric that a segment refuses.
pub(crate) fn refused(what: &str, name: &str, fate: &str, segment: shmetrics::Segment, error: &Error) -> String {
    let file = segment.path().and_then(|path| path.file_name()).map(|file| file.to_string_lossy().into_owned());
    let place = file.as_deref().map_or("(without a name)", |file| file.strip_prefix("shmetrics-").unwrap_or(file));
    let remedy = match error {
        Error::Conflict(_) => "define it alike in all processes, give it another name, or say replace=True",
        Error::Full(_) | Error::NoSpace(_) => "raise SHMETRICS_CEILING and start with a new segment",
        _ => "see \"What goes wrong\" in the package's documentation",
    };
    format!("{what} {name} {fate}, and is not on pages of the segment {place}: {error}: {remedy}")
}

/// Warns, through Python's warnings.
pub(crate) fn tell(py: Python<'_>, message: &str) -> PyResult<()> {
    py.import("shmetrics._segment")?.call_method1("tell", (message,))?;
    Ok(())
}

/// The labels of an exemplar: `{"trace_id": "..."}`.
pub(crate) fn exemplar(labels: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let pairs: Vec<(String, String)> =
        labels.cast::<PyDict>()?.iter().map(|(k, v)| Ok((k.extract()?, v.extract()?))).collect::<PyResult<_>>()?;
    let runes: usize = pairs.iter().map(|(k, v)| k.chars().count() + v.chars().count()).sum();
    if runes > 128 {
        return Err(PyValueError::new_err(format!(
            "Exemplar labels have {runes} UTF-8 characters, exceeding the limit of 128"
        )));
    }
    Ok(pairs)
}

pub(crate) fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}
