//! What all classes of metrics share: construction, and common methods.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::family::{Family, Handle};
use crate::segment::Segment;

/// A class of metrics, for the code that makes objects of it.
pub(crate) trait MetricClass: pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync {
    type Metric: shmetrics::Metric + Send + Sync;

    /// An object of the class itself with this content.
    fn object(py: Python<'_>, body: Body<Self::Metric>) -> PyResult<Bound<'_, PyAny>>;
    /// Whether the series has been removed.
    fn is_removed(&self) -> bool;
}

/// The given segment, or that of the given registry, if it is a registry of this package.
pub(crate) fn segment_argument<'py>(
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
pub(crate) fn register_with(metric: &Bound<'_, PyAny>, registry: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    match registry.filter(|registry| !registry.is_none()) {
        Some(registry) if registry.getattr_opt("segment")?.is_none() => {
            registry.call_method1("register", (metric,))?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The content of a metric object after `__init__`.
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
/// `positional` and `keywords` are the arguments that the class has beside those of all classes,
/// with their defaults; `options` makes the `Options` of the class from them. `$text` is the
/// signature for people.
///
/// Objects are made empty by `__new__` and filled by `__init__`, so that a subclass may have an
/// `__init__` with other arguments.
macro_rules! metric_class {
    ($class:ident, $metric:ty, $kind:ident, $text:literal,
     positional($($positional:ident: $of:ty = $default:tt),*),
     keywords($($keyword:ident: $keyword_of:ty = $keyword_default:tt),*),
     options($name:pat_param, $definition:ident) $options:block
     { $($own:tt)* }) => {
        impl $crate::metrics::class::MetricClass for $class {
            type Metric = $metric;

            fn object(py: Python<'_>, body: Body<$metric>) -> PyResult<Bound<'_, PyAny>> {
                Ok(Bound::new(py, $class { body: OnceLock::from(body) })?.into_any())
            }

            #[inline(always)]
            fn is_removed(&self) -> bool {
                self.body.get().is_some_and(|body| body.handle.is_removed())
            }
        }

        impl $class {
            #[inline(always)]
            fn body(&self) -> PyResult<&Body<$metric>> {
                self.body.get().ok_or_else($crate::metrics::class::not_initialised)
            }

            /// The series; `None` where nothing is counted.
            #[inline(always)]
            fn metric(&self) -> PyResult<Option<&$metric>> {
                self.body()?.handle.get($kind)
            }

            fn initialise(&self, body: Body<$metric>) -> PyResult<()> {
                self.body.set(body).map_err(|_| $crate::metrics::class::initialised_twice())
            }
        }

        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = (*_args, **_kwargs), text_signature = $text)]
            fn make(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
                $class { body: OnceLock::new() }
            }

            #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None,
                                $($positional=$default,)* *, $($keyword=$keyword_default,)* segment=None, max_series=0,
                                replace=false))]
            #[allow(clippy::too_many_arguments)]
            fn __init__(
                slf: &Bound<'_, Self>,
                name: &str,
                documentation: $crate::python::Text,
                labelnames: Option<&Bound<'_, PyAny>>,
                namespace: Option<&str>,
                subsystem: Option<&str>,
                unit: Option<&str>,
                registry: Option<&Bound<'_, PyAny>>,
                $($positional: $of,)*
                $($keyword: $keyword_of,)*
                segment: Option<Bound<'_, PyAny>>,
                max_series: u64,
                replace: bool,
            ) -> PyResult<()> {
                let (py, documentation) = (slf.py(), &documentation.0);
                let arguments = Arguments { name, documentation, labelnames, namespace, subsystem, unit };
                let $definition = arguments.definition(py, $kind)?;
                let $name = name;
                let options = $options?;
                let segment = $crate::metrics::class::segment_argument(segment, registry)?;
                let (family, handle) = Family::new(py, $definition, segment, &options, max_series, replace)?;
                slf.get().initialise(Body::parent(py, family, handle))?;
                $crate::metrics::class::register_with(slf.as_any(), registry)
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
                    child.get().initialise(Body { handle, family, values: Some(values.unbind()), children: None })?;
                    Ok(child.into_any())
                };
                let is_removed = |child: &Bound<'py, PyAny>| child.cast::<$class>().is_ok_and(|c| $crate::metrics::class::MetricClass::is_removed(c.get()));
                let children = this.children.as_ref().map(|c| c.bind(slf.py()));
                labels::child(&this.family, children, labelvalues, labelkwargs, &is_removed, &make)
            }

            /// Removes the child with these label values, for all processes.
            #[pyo3(signature = (*labelvalues))]
            fn remove(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<()> {
                let this = self.body()?;
                labels::remove(&*this.family, this.children.as_ref(), labelvalues)
            }

            /// Removes the children that have these labels, for all processes.
            fn remove_by_labels(&self, labels: &Bound<'_, PyAny>) -> PyResult<()> {
                let this = self.body()?;
                labels::remove_by_labels(&*this.family, &this.family.definition.name, this.children.as_ref(), labels)
            }

            /// Removes all children, for all processes.
            fn clear(&self, py: Python<'_>) -> PyResult<()> {
                let this = self.body()?;
                labels::clear(&*this.family, this.children.as_ref(), py);
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

            /// The segment that the metric counts into; `None` if it counts nowhere.
            #[getter]
            fn _segment<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, $crate::segment::Segment>>> {
                self.body()?.family.segment.map(|inner| $crate::segment::Segment::object(py, inner)).transpose()
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

pub(crate) use metric_class;
