//! Infos and enums.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use shmetrics::DynamicFamily;

use crate::common::{exception, tell, Arguments, Family, Handle};
use crate::labels;

const ENUM: &str = "stateset";
const INFO: &str = "info";

/// One of several states, the same for all processes: the one that was set last.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Enum {
    handle: Handle<shmetrics::Enum>,
    family: Arc<Family<shmetrics::Enum>>,
    values: Option<Py<PyTuple>>,
    /// The children by label values: the parent's alone, so that nothing refers to itself.
    children: Option<Py<PyDict>>,
}

crate::metric_class!(Enum, shmetrics::Enum, ENUM, {
    #[new]
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, states=None,
                        segment=None, max_series=0, replace=false))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        name: &str,
        documentation: &str,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: &str,
        subsystem: &str,
        unit: &str,
        registry: Option<&Bound<'_, PyAny>>,
        states: Option<Vec<String>>,
        segment: Option<Bound<'_, PyAny>>,
        max_series: u64,
        replace: bool,
    ) -> PyResult<Self> {
        let arguments = Arguments { name, documentation, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, ENUM)?;
        if definition.labels.iter().any(|l| l == name) {
            return Err(PyValueError::new_err(format!("Overlapping labels for Enum metric: {name}")));
        }
        let Some(states) = states.filter(|s| !s.is_empty()) else {
            return Err(PyValueError::new_err(format!("No states provided for Enum metric: {name}")));
        };
        let segment = crate::common::chosen(segment, registry)?;
        let (family, handle) = Family::with_states(py, definition, states.clone(), segment, |segment, d, names| {
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            let builder = segment.enumeration(&d.name, &d.documentation, &states).max_series(max_series);
            let builder = builder.label_names(names);
            if replace { builder.replace() } else { builder }.register()
        })?;
        Ok(Enum { handle, family, values: None, children: Some(PyDict::new(py).unbind()) })
    }

    /// Sets the state.
    fn state(&self, state: &str) -> PyResult<()> {
        let handle = self.handle.get(ENUM)?;
        let Some(at) = self.family.states.iter().position(|s| s == state) else {
            return Err(PyValueError::new_err(format!("{state:?} is not one of the states {:?}", self.family.states)));
        };
        if let Some(states) = handle {
            states.set(at);
        }
        Ok(())
    }
});

/// What this process has said in an info.
type Said = Mutex<Option<(DynamicFamily<shmetrics::Info>, Vec<String>)>>;

/// Information in labels, such as a version.
///
/// The label names are those of the metric and those of the first `info()`: the family is registered then.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Info {
    definition: Arc<InfoDefinition>,
    values: Vec<String>,
    said: Said,
    /// As of the other metrics.
    children: Option<Py<PyDict>>,
}

pub(crate) struct InfoDefinition {
    name: String,
    documentation: String,
    labels: Vec<String>,
    label_tuple: Py<PyTuple>,
    segment: Option<shmetrics::Segment>,
    replace: bool,
}

impl InfoDefinition {
    fn register(&self, names: &[&str]) -> Result<Option<DynamicFamily<shmetrics::Info>>, shmetrics::Error> {
        let Some(segment) = self.segment else { return Ok(None) };
        let builder = segment.info(&self.name, &self.documentation).label_names(names);
        if self.replace { builder.replace() } else { builder }.register().map(Some)
    }
}

impl Info {
    fn is_parent(&self) -> bool {
        self.values.len() != self.definition.labels.len()
    }

    /// Takes back what this process has said.
    fn withdraw(&self, except: Option<&[String]>) {
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((family, values)) = said.take_if(|(_, values)| except != Some(values.as_slice())) {
            family.remove(&values.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

#[pymethods]
impl Info {
    #[new]
    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, segment=None,
                        replace=false))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        name: &str,
        documentation: &str,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: &str,
        subsystem: &str,
        unit: &str,
        registry: Option<&Bound<'_, PyAny>>,
        segment: Option<Bound<'_, PyAny>>,
        replace: bool,
    ) -> PyResult<Self> {
        let arguments = Arguments { name, documentation, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, INFO)?;
        let segment = crate::segment::Segment::of(py, crate::common::chosen(segment, registry)?)?;
        let definition = InfoDefinition {
            name: definition.name,
            documentation: definition.documentation,
            labels: definition.labels,
            label_tuple: definition.label_tuple,
            segment,
            replace,
        };
        let children = Some(PyDict::new(py).unbind());
        Ok(Info { definition: Arc::new(definition), values: Vec::new(), said: Mutex::new(None), children })
    }

    /// Says what is so. It replaces what this process has said before.
    fn info(&self, py: Python<'_>, val: &Bound<'_, PyDict>) -> PyResult<()> {
        if self.is_parent() {
            return Err(PyValueError::new_err("info metric is missing label values"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (key, value) in val.iter() {
            if value.is_none() {
                return Err(PyValueError::new_err("Label value cannot be None"));
            }
            pairs.push((key.extract()?, value.str()?.to_string_lossy().into_owned()));
        }
        pairs.sort();
        let of = &*self.definition;
        if pairs.iter().any(|(key, _)| of.labels.contains(key)) {
            return Err(PyValueError::new_err(format!(
                "Overlapping labels for Info metric, metric: {} child: {}",
                of.label_tuple.bind(py).repr()?,
                val.repr()?
            )));
        }
        let names: Vec<&str> = of.labels.iter().map(String::as_str).chain(pairs.iter().map(|(k, _)| &**k)).collect();
        let values: Vec<String> = self.values.iter().cloned().chain(pairs.iter().map(|(_, v)| v.clone())).collect();
        match of.register(&names) {
            Ok(Some(family)) => {
                self.withdraw(Some(&values));
                let _ = family.with(&values.iter().map(String::as_str).collect::<Vec<_>>());
                *self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((family, values));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error @ (shmetrics::Error::InvalidName(_) | shmetrics::Error::InvalidArgument(_))) => {
                Err(exception(&error))
            }
            Err(error) => tell(py, &format!("the info {} is not on the page: {error}", of.name)),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn labels<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (this, py) = (slf.get(), slf.py());
        if let (true, Some(children)) = (this.is_parent(), &this.children) {
            let key = labels::values_of(&this.definition.name, &this.definition.label_tuple, args, kwargs)?;
            let children = children.bind(py);
            if let Some(child) = children.get_item(&key)? {
                return Ok(child);
            }
            let values = labels::with_texts(&key, |texts| texts.iter().map(|t| (*t).to_owned()).collect())?;
            let child =
                Info { definition: Arc::clone(&this.definition), values, said: Mutex::new(None), children: None };
            let child = Bound::new(py, child)?.into_any();
            children.set_item(key, &child)?;
            return Ok(child);
        }
        Err(labels::chained(&this.definition.name, this.definition.labels.is_empty()))
    }

    /// Takes back what this process has said with these label values.
    #[pyo3(signature = (*args))]
    fn remove(&self, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        let key = labels::values_of(&self.definition.name, &self.definition.label_tuple, args, None)?;
        let Some(children) = self.children.as_ref().map(|c| c.bind(args.py())) else { return Ok(()) };
        if let Some(child) = children.get_item(&key)? {
            child.cast::<Info>()?.get().withdraw(None);
            children.del_item(key)?;
        }
        Ok(())
    }

    /// Takes back all that this process has said.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let Some(children) = self.children.as_ref().map(|c| c.bind(py)) else { return Ok(()) };
        for child in children.values() {
            child.cast::<Info>()?.get().withdraw(None);
        }
        children.clear();
        Ok(())
    }

    #[getter]
    fn _name(&self) -> &str {
        &self.definition.name
    }

    #[getter]
    fn _type(&self) -> &'static str {
        INFO
    }

    #[getter]
    fn _documentation(&self) -> &str {
        &self.definition.documentation
    }

    #[getter]
    fn _labelnames(&self, py: Python<'_>) -> Py<PyTuple> {
        self.definition.label_tuple.clone_ref(py)
    }

    fn __repr__(&self) -> String {
        format!("shmetrics.Info({})", self.definition.name)
    }
}
