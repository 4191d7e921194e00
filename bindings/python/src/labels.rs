//! `labels()`, and the methods that remove children.
//!
//! A family keeps the children that this process has used, so that a child is found by one look-up
//! in a dictionary. If another process has removed the series of a child, the child is created
//! again.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pyo3::PyClass;
use shmetrics::Metric;

use crate::family::{borrowed, Family, Handle, LabelSets};
use crate::python::registry;
use crate::segment::{label_sets, Segment};

/// From this number of children on, removed ones are looked for.
const SWEEP: usize = 1024;

/// Makes a child of a class.
pub(crate) type Make<'a, 'py, M> = &'a dyn Fn(Handle<M>, Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>>;
/// Whether the series of a child has been removed.
pub(crate) type IsRemoved<'a, 'py> = &'a dyn Fn(&Bound<'py, PyAny>) -> bool;

/// The label values as a tuple of exact strings, in the family's order.
#[inline(always)]
pub(crate) fn values_of<'py>(
    of: &str,
    names: &Py<PyTuple>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let names = names.bind(args.py());
    if names.is_empty() {
        return Err(chained(of, true));
    }
    let kwargs = kwargs.filter(|k| !k.is_empty());
    match kwargs {
        Some(_) if !args.is_empty() => Err(PyValueError::new_err("Can't pass both *args and **kwargs")),
        Some(kwargs) => by_name(names, kwargs)?.ok_or_else(|| PyValueError::new_err("Incorrect label names")),
        None if args.len() != names.len() => Err(PyValueError::new_err("Incorrect label count")),
        None => texts(args),
    }
}

/// The values as exact strings.
#[inline(always)]
pub(crate) fn texts<'py>(values: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    if values.iter_borrowed().all(|v| v.is_exact_instance_of::<PyString>()) {
        return Ok(values.clone());
    }
    PyTuple::new(values.py(), values.iter().map(text).collect::<PyResult<Vec<_>>>()?)
}

/// The values of these names, in their order. `None`: the names are others.
#[inline(always)]
pub(crate) fn by_name<'py>(
    names: &Bound<'py, PyTuple>,
    kwargs: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    if kwargs.len() != names.len() {
        return Ok(None);
    }
    let mut found = Vec::with_capacity(names.len());
    for name in names.iter_borrowed() {
        match kwargs.get_item(name)? {
            Some(value) => found.push(text(value)?),
            None => return Ok(None),
        }
    }
    PyTuple::new(names.py(), found).map(Some)
}

/// The error for `labels()` of a metric without labels, or of a child.
#[cold]
pub(crate) fn chained(name: &str, without: bool) -> PyErr {
    PyValueError::new_err(if without {
        format!("No label names were set when constructing {name}")
    } else {
        format!("{name} already has labels set; can not chain calls to .labels()")
    })
}

fn text(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if value.is_exact_instance_of::<PyString>() {
        Ok(value)
    } else {
        // `str()` of an instance of a subclass is a plain string.
        Ok(value.str()?.into_any())
    }
}

/// Gives the values as texts to `f`. A lone surrogate, which no page can have, is replaced.
pub(crate) fn with_texts<R>(values: &Bound<'_, PyTuple>, f: impl FnOnce(&[&str]) -> R) -> PyResult<R> {
    let strings: Vec<Bound<'_, PyString>> = values.iter().map(|v| Ok(v.cast_into()?)).collect::<PyResult<_>>()?;
    let texts: Vec<Cow<'_, str>> = strings.iter().map(|s| s.to_string_lossy()).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    Ok(f(&texts))
}

/// An object of the same class, which is not initialised. `__init__` of a subclass is not called: a
/// child has the parent's definition.
pub(crate) fn empty_like<'py, T: PyClass>(of: &Bound<'py, T>) -> PyResult<Bound<'py, T>> {
    let base = of.py().get_type::<T>();
    let class = of.as_any().get_type();
    // Not the subclass' own `__new__`, which may want arguments.
    Ok(base.getattr(intern!(of.py(), "__new__"))?.call1((class,))?.cast_into::<T>()?)
}

/// The family of a metric, as a registry's collectors return it.
#[cold]
pub(crate) fn collected<'py>(
    of: &Bound<'py, PyAny>,
    segment: Option<shmetrics::Segment>,
) -> PyResult<Bound<'py, PyAny>> {
    let segment = segment.map(|inner| Segment::object(of.py(), inner)).transpose()?;
    registry(of.py(), "collect_metric", (of, segment))
}

/// The same without samples.
#[cold]
pub(crate) fn described<'py>(of: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    registry(of.py(), "describe_metric", (of,))
}

/// `shmetrics.Counter(name)`.
#[cold]
pub(crate) fn representation(of: &Bound<'_, PyAny>, name: Option<&str>) -> PyResult<String> {
    let class = of.get_type();
    let module = class.module()?;
    Ok(format!("{module}.{}({})", class.name()?, name.unwrap_or("not initialised")))
}

/// The child with these label values.
pub(crate) fn child<'py, M: Metric>(
    family: &Family<M>,
    children: Option<&Bound<'py, PyDict>>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
    is_removed: IsRemoved<'_, 'py>,
    make: Make<'_, 'py, M>,
) -> PyResult<Bound<'py, PyAny>> {
    let definition = &family.definition;
    let key = values_of(&definition.name, &definition.label_tuple, args, kwargs)?;
    let Some(children) = children else { return Err(chained(&family.definition.name, false)) };
    if let Some(child) = children.get_item(&key)? {
        if !is_removed(&child) {
            return Ok(child);
        }
    }
    let handle = with_texts(&key, |texts| family.series(texts))?;
    let child = make(handle, key.clone())?;
    sweep(children, is_removed)?;
    children.set_item(key, &child)?;
    Ok(child)
}

/// Forgets children that other processes have removed, when their number has doubled.
pub(crate) fn sweep<'py>(children: &Bound<'py, PyDict>, is_removed: IsRemoved<'_, 'py>) -> PyResult<()> {
    if children.len() < SWEEP || !children.len().is_power_of_two() {
        return Ok(());
    }
    for (key, old) in children.iter().collect::<Vec<_>>() {
        if is_removed(&old) && children.contains(&key)? {
            children.del_item(key)?;
        }
    }
    Ok(())
}

/// This process knows the child no more.
fn drop_child(children: Option<&Py<PyDict>>, py: Python<'_>, key: &Bound<'_, PyTuple>) -> PyResult<()> {
    match children.map(|children| children.bind(py)) {
        Some(children) if children.contains(key)? => children.del_item(key),
        _ => Ok(()),
    }
}

/// Removes the child with these values, for all processes.
pub(crate) fn remove(of: &dyn LabelSets, children: Option<&Py<PyDict>>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
    let ((labels, tuple), py) = (of.labels(), args.py());
    let expected = labels.len();
    if expected > 0 && args.len() != expected {
        let message = format!("Incorrect label count (expected {expected}, got {})", args.repr()?);
        return Err(PyValueError::new_err(message));
    }
    let key = values_of(of.name(), tuple, args, None)?;
    drop_child(children, py, &key)?;
    with_texts(&key, |texts| of.remove(texts))?;
    Ok(())
}

/// The labels that series must have to be removed, by their places. `None`: there are none.
pub(crate) fn label_filter(
    of: &str,
    names: &[String],
    tuple: &Py<PyTuple>,
    labels: &Bound<'_, PyAny>,
) -> PyResult<Option<Vec<(usize, String)>>> {
    if names.is_empty() {
        return Err(chained(of, true));
    }
    let Ok(labels) = labels.cast::<PyDict>() else {
        return Err(pyo3::exceptions::PyTypeError::new_err("labels must be a dict of {label_name: label_value}"));
    };
    let mut wanted: Vec<(usize, String)> = Vec::new();
    for (name, value) in labels.iter() {
        let name: String = name.str()?.to_string_lossy().into_owned();
        let Some(at) = names.iter().position(|l| *l == name) else {
            let message = format!("Unknown label names: ['{name}']; expected {}", tuple.bind(labels.py()).repr()?);
            return Err(PyValueError::new_err(message));
        };
        wanted.push((at, value.str()?.to_string_lossy().into_owned()));
    }
    Ok(Some(wanted).filter(|wanted| !wanted.is_empty()))
}

/// Removes all that have these labels, for all processes: also those that only others have made.
/// `family` is the name of a family whose label sets are those of `of`.
pub(crate) fn remove_by_labels(
    of: &dyn LabelSets,
    family: &str,
    children: Option<&Py<PyDict>>,
    labels: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let ((names, tuple), py) = (of.labels(), labels.py());
    let Some(wanted) = label_filter(of.name(), names, tuple, labels)? else { return Ok(()) };
    let Some(segment) = of.segment() else { return Ok(()) };
    let (family, names) = (family.to_owned(), names.to_vec());
    let mut sets = py.detach(|| label_sets(segment, &family, &names));
    sets.retain(|set| wanted.iter().all(|(at, value)| set.get(*at) == Some(value)));
    for set in &sets {
        drop_child(children, py, &PyTuple::new(py, set)?)?;
        of.remove(&borrowed(set));
    }
    Ok(())
}

/// Removes all children, for all processes.
pub(crate) fn clear(of: &dyn LabelSets, children: Option<&Py<PyDict>>, py: Python<'_>) {
    if let Some(children) = children {
        children.bind(py).clear();
    }
    if !of.labels().0.is_empty() {
        of.clear();
    }
}
