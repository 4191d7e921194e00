//! Infos.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use shmetrics::{DynamicFamily, Error, Kind};

use super::class;
use crate::family::{borrowed, refusal, Arguments};
use crate::labels;
use crate::python::{exception, warn, Text};
use crate::segment::{label_sets, Segment};

const INFO: &str = "info";

/// Labels and their values; empty ones, which scrapers take for absent, are left out.
type Labels = BTreeMap<String, String>;

/// The series that this process has published for an info.
#[derive(Clone)]
struct Published {
    family: DynamicFamily<shmetrics::Info>,
    names: Vec<String>,
    labels: Labels,
}

/// Information in labels, such as a version.
///
/// The family's labels are those of the metric and the keys of the last `info()`.
#[pyclass(frozen, subclass, weakref, module = "shmetrics")]
pub(crate) struct Info {
    body: OnceLock<InfoBody>,
}

struct InfoBody {
    definition: Arc<InfoDefinition>,
    values: Vec<String>,
    /// The same values for Python.
    value_tuple: Py<PyTuple>,
    published: Mutex<Option<Published>>,
    /// The children, as other metrics have them.
    children: Option<Py<PyDict>>,
}

struct InfoDefinition {
    name: String,
    documentation: String,
    labels: Vec<String>,
    label_tuple: Py<PyTuple>,
    segment: Option<shmetrics::Segment>,
    replace: bool,
}

/// How often a definition is tried again if another process changes it at the same time.
const ATTEMPTS: usize = 8;

/// The values of labels in the order of a definition. `None`: the definition lacks a label.
fn values_in_order(labels: &Labels, names: &[String]) -> Option<Vec<String>> {
    let values: Vec<String> = names.iter().map(|name| labels.get(name).cloned().unwrap_or_default()).collect();
    (values.iter().filter(|value| !value.is_empty()).count() == labels.len()).then_some(values)
}

impl InfoDefinition {
    fn register(&self, names: &[String], replace: bool) -> Result<Option<DynamicFamily<shmetrics::Info>>, Error> {
        let Some(segment) = self.segment else { return Ok(None) };
        let names = borrowed(names);
        let builder = segment.info(&self.name, &self.documentation).label_names(&names);
        if replace { builder.replace() } else { builder }.register().map(Some)
    }

    /// The names of the labels of a definition with these keys.
    fn names<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Vec<String> {
        let mut names: Vec<String> = keys.filter(|key| !self.labels.contains(key)).cloned().collect();
        names.sort();
        names.dedup();
        self.labels.iter().cloned().chain(names).collect()
    }

    /// The label names in the family's current definition. `None`: the family is no info, or lacks
    /// a label of this metric.
    fn registered_names(&self) -> Option<Vec<String>> {
        let found = self.segment?.reader().inspect().families.into_iter().find(|family| family.name == self.name)?;
        let fits = found.kind == Kind::Info && self.labels.iter().all(|label| found.labels.contains(label));
        fits.then_some(found.labels)
    }

    /// The series of other processes under this definition. Series without a key are left out:
    /// their infos were not set yet.
    fn labels_of_others(&self, defined: &[String], mine: Option<&Labels>) -> Vec<Labels> {
        let Some(segment) = self.segment else { return Vec::new() };
        let sets = label_sets(segment, &self.name, defined);
        let labels =
            sets.into_iter().map(|set| defined.iter().cloned().zip(set).filter(|(_, v)| !v.is_empty()).collect());
        labels.filter(|set: &Labels| Some(set) != mine && set.keys().any(|key| !self.labels.contains(key))).collect()
    }
}

impl InfoBody {
    fn new(py: Python<'_>, definition: Arc<InfoDefinition>, values: Vec<String>, is_parent: bool) -> PyResult<Self> {
        let value_tuple = PyTuple::new(py, &values)?.unbind();
        let children = is_parent.then(|| PyDict::new(py).unbind());
        let body = InfoBody { definition, values, value_tuple, published: Mutex::new(None), children };
        if !body.is_parent() {
            body.publish_empty();
        }
        Ok(body)
    }

    fn is_parent(&self) -> bool {
        self.values.len() != self.definition.labels.len()
    }

    fn published(&self) -> Option<Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_published(&self, published: Option<Published>) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = published;
    }

    /// The labels of this info's series with these keys and values.
    fn labels_with(&self, pairs: &[(String, String)]) -> Labels {
        let own = self.definition.labels.iter().cloned().zip(self.values.iter().cloned());
        own.chain(pairs.iter().cloned()).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Removes the series that this process has published.
    fn remove_published(&self) {
        let Some(published) = self.published() else { return };
        self.set_published(None);
        if values_in_order(&published.labels, &published.names)
            .is_some_and(|values| published.family.remove(&borrowed(&values)))
        {
            return;
        }
        // Another process has given the family other labels, or has removed the series.
        let Some(defined) = self.definition.registered_names() else { return };
        if let (Ok(Some(family)), Some(values)) =
            (self.definition.register(&defined, false), values_in_order(&published.labels, &defined))
        {
            family.remove(&borrowed(&values));
        }
    }

    /// Publishes these keys and values, in the place of the earlier ones.
    ///
    /// A family has one set of label names. With other keys, the family is defined again: the
    /// series of other processes are copied, with empty values for keys that they do not have.
    ///
    /// The new series is returned in `published`. The caller stores it while attached to the
    /// interpreter, so that the fork of another thread finds no lock taken.
    fn publish(
        &self,
        pairs: &[(String, String)],
        before: Option<&Published>,
        published: &mut Option<Published>,
    ) -> Result<(), Error> {
        let (of, mine) = (&*self.definition, self.labels_with(pairs));
        let (mut names, mut others, mut replace) = (of.names(pairs.iter().map(|(key, _)| key)), Vec::new(), of.replace);
        let mut last = Ok(());
        for _ in 0..ATTEMPTS {
            match of.register(&names, replace) {
                Ok(None) => return Ok(()),
                Ok(Some(family)) => {
                    for values in others.iter().chain([&mine]).filter_map(|labels| values_in_order(labels, &names)) {
                        let _ = family.with(&borrowed(&values));
                    }
                    *published = Some(Published { family, names: names.clone(), labels: mine.clone() });
                    if let Some(before) = before.filter(|before| before.labels != mine) {
                        if let Some(values) = values_in_order(&before.labels, &names) {
                            family.remove(&borrowed(&values));
                        }
                    }
                    // Another process may have defined the family again meanwhile, without this
                    // series.
                    last = of.register(&names, false).map(drop);
                    if last.is_ok() {
                        return last;
                    }
                }
                Err(Error::Conflict(text)) => last = Err(Error::Conflict(text)),
                Err(error) => return Err(error),
            }
            let Some(defined) = of.registered_names() else { return last };
            others = of.labels_of_others(&defined, before.map(|before| &before.labels));
            names = of.names(others.iter().flat_map(BTreeMap::keys).chain(pairs.iter().map(|(key, _)| key)));
            replace = true;
        }
        last
    }

    /// Publishes an info without keys, if no process has published more.
    fn publish_empty(&self) {
        let of = &*self.definition;
        if let Ok(Some(family)) = of.register(&of.labels, false) {
            let _ = family.with(&borrowed(&self.values));
            self.set_published(Some(Published { family, names: of.labels.clone(), labels: self.labels_with(&[]) }));
        }
    }
}

#[pymethods]
impl Info {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(name, documentation, labelnames=(), namespace='', subsystem='', unit='', registry=None, *, segment=None, replace=False)")]
    fn make(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Info { body: OnceLock::new() }
    }

    #[pyo3(signature = (name, documentation, labelnames=None, namespace="", subsystem="", unit="", registry=None, *, segment=None,
                        replace=false))]
    #[allow(clippy::too_many_arguments)]
    fn __init__(
        slf: &Bound<'_, Self>,
        name: &str,
        documentation: Text,
        labelnames: Option<&Bound<'_, PyAny>>,
        namespace: Option<&str>,
        subsystem: Option<&str>,
        unit: Option<&str>,
        registry: Option<&Bound<'_, PyAny>>,
        segment: Option<Bound<'_, PyAny>>,
        replace: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let arguments = Arguments { name, documentation: &documentation.0, labelnames, namespace, subsystem, unit };
        let definition = arguments.definition(py, INFO)?;
        let segment = Segment::of(py, class::segment_argument(segment, registry)?)?;
        let definition = InfoDefinition {
            name: definition.name,
            documentation: definition.documentation,
            labels: definition.labels,
            label_tuple: definition.label_tuple,
            segment,
            replace,
        };
        let body = InfoBody::new(py, Arc::new(definition), Vec::new(), true)?;
        slf.get().body.set(body).map_err(|_| class::initialised_twice())?;
        class::register_with(slf.as_any(), registry)
    }

    /// Sets the labels. They replace those that this process set before.
    fn info(&self, py: Python<'_>, val: &Bound<'_, PyDict>) -> PyResult<()> {
        let this = self.body()?;
        if this.is_parent() {
            return Err(PyValueError::new_err("info metric is missing label values"));
        }
        let (of, mut pairs) = (&*this.definition, Vec::new());
        for (key, value) in val.iter() {
            let key: String = key.cast::<PyString>()?.to_string_lossy().into_owned();
            if of.labels.contains(&key) {
                let (names, child) = (of.label_tuple.bind(py).repr()?, val.repr()?);
                let message = format!("Overlapping labels for Info metric, metric: {names} child: {child}");
                return Err(PyValueError::new_err(message));
            }
            if value.is_none() {
                return Err(PyValueError::new_err("Label value cannot be None"));
            }
            pairs.push((key, value.str()?.to_string_lossy().into_owned()));
        }
        let (before, mut published) = (this.published(), None);
        let outcome = py.detach(|| this.publish(&pairs, before.as_ref(), &mut published));
        if published.is_some() {
            this.set_published(published);
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(error @ (Error::InvalidName(_) | Error::InvalidArgument(_))) => Err(exception(&error)),
            Err(error) => match of.segment {
                Some(segment) => warn(py, &refusal("the info", &of.name, "is not shown", segment, &error)),
                None => Ok(()),
            },
        }
    }

    /// Returns the child with these label values, given in the order of the label names or by name.
    #[pyo3(signature = (*labelvalues, **labelkwargs))]
    fn labels<'py>(
        slf: &Bound<'py, Self>,
        labelvalues: &Bound<'py, PyTuple>,
        labelkwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (this, py) = (slf.get().body()?, slf.py());
        let of = &this.definition;
        let Some(children) = this.children.as_ref().filter(|_| this.is_parent()) else {
            return Err(labels::chained(&of.name, of.labels.is_empty()));
        };
        let key = labels::values_of(&of.name, &of.label_tuple, labelvalues, labelkwargs)?;
        let children = children.bind(py);
        if let Some(child) = children.get_item(&key)? {
            return Ok(child);
        }
        let values = labels::with_texts(&key, |texts| texts.iter().map(|t| (*t).to_owned()).collect())?;
        let child = labels::empty_like(slf)?;
        let body = InfoBody::new(py, Arc::clone(of), values, false)?;
        child.get().body.set(body).map_err(|_| class::initialised_twice())?;
        children.set_item(key, &child)?;
        Ok(child.into_any())
    }

    /// Removes what this process has published with these label values.
    #[pyo3(signature = (*labelvalues))]
    fn remove(&self, labelvalues: &Bound<'_, PyTuple>) -> PyResult<()> {
        let this = self.body()?;
        let key = labels::values_of(&this.definition.name, &this.definition.label_tuple, labelvalues, None)?;
        let Some(children) = this.children.as_ref().map(|c| c.bind(labelvalues.py())) else { return Ok(()) };
        if let Some(child) = children.get_item(&key)? {
            children.del_item(key)?;
            child.cast::<Info>()?.get().body()?.remove_published();
        }
        Ok(())
    }

    /// Removes what this process has published with these labels.
    fn remove_by_labels(&self, labels: &Bound<'_, PyAny>) -> PyResult<()> {
        let (this, py) = (self.body()?, labels.py());
        let of = &*this.definition;
        let Some(wanted) = labels::label_filter(&of.name, &of.labels, &of.label_tuple, labels)? else { return Ok(()) };
        let Some(children) = this.children.as_ref().map(|c| c.bind(py)) else { return Ok(()) };
        for (key, child) in children.iter().collect::<Vec<_>>() {
            let body = child.cast::<Info>()?.get().body()?;
            if wanted.iter().all(|(at, value)| body.values.get(*at) == Some(value)) {
                children.del_item(key)?;
                body.remove_published();
            }
        }
        Ok(())
    }

    /// Removes all that this process has published.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let Some(children) = self.body()?.children.as_ref().map(|c| c.bind(py)) else { return Ok(()) };
        let before = children.values();
        children.clear();
        for child in before {
            child.cast::<Info>()?.get().body()?.remove_published();
        }
        Ok(())
    }

    /// The family with its samples over all processes.
    fn collect<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        labels::collected(slf.as_any(), slf.get().body()?.definition.segment)
    }

    /// The family without samples.
    fn describe<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        labels::described(slf.as_any())
    }

    /// The metric itself: a copy counts into the same series.
    fn __copy__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    /// The segment of the info.
    #[getter]
    fn _segment<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, Segment>>> {
        self.body()?.definition.segment.map(|inner| Segment::object(py, inner)).transpose()
    }

    #[getter]
    fn _name(&self) -> PyResult<&str> {
        Ok(&self.body()?.definition.name)
    }

    #[getter]
    fn _type(&self) -> &'static str {
        INFO
    }

    #[getter]
    fn _documentation(&self) -> PyResult<&str> {
        Ok(&self.body()?.definition.documentation)
    }

    #[getter]
    fn _unit(&self) -> &'static str {
        ""
    }

    #[getter]
    fn _labelnames(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        Ok(self.body()?.definition.label_tuple.clone_ref(py))
    }

    #[getter]
    fn _labelvalues(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        Ok(self.body()?.value_tuple.clone_ref(py))
    }

    fn __str__(&self) -> PyResult<String> {
        Ok(format!("{INFO}:{}", self.body()?.definition.name))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        labels::representation(slf.as_any(), slf.get().body.get().map(|body| &*body.definition.name))
    }
}

impl Info {
    fn body(&self) -> PyResult<&InfoBody> {
        self.body.get().ok_or_else(class::not_initialised)
    }
}
