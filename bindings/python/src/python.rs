//! The border to Python: errors as exceptions, texts, and the functions of the Python half that
//! this half calls.

use pyo3::exceptions::{PyOSError, PyPermissionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use shmetrics::Error;

/// The exception for an error of the library.
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

/// Warns, through Python's warnings.
pub(crate) fn warn(py: Python<'_>, message: &str) -> PyResult<()> {
    py.import("shmetrics._segment")?.call_method1("warn", (message,))?;
    Ok(())
}

/// The segment that this process counts into; `None` if none can be opened.
pub(crate) fn default_segment(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("shmetrics._segment")?.call_method0("default")
}

/// Calls a function of `shmetrics.registry`.
pub(crate) fn registry<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("shmetrics.registry")?.call_method1(function, arguments)
}

/// Sets a gauge to the result of a function whenever a page is rendered.
pub(crate) fn set_function(gauge: &Bound<'_, PyAny>, f: Bound<'_, PyAny>) -> PyResult<()> {
    gauge.py().import("shmetrics._functions")?.call_method1("add", (gauge, f))?;
    Ok(())
}

/// Decorates a function, sync or async: each call runs in a context manager that `make` returns.
pub(crate) fn decorated<'py>(make: Bound<'py, PyAny>, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    make.py().import("shmetrics._decorate")?.call_method1("decorate", (make, f))
}

/// The same, with one context manager for all calls.
pub(crate) fn decorated_with<'py>(context: &Bound<'py, PyAny>, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    decorated(context.py().import("shmetrics._decorate")?.call_method1("constant", (context,))?, f)
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
