//! Timers, trackers and exception counters: blocks of code under `with`, and decorated functions.

use std::time::Instant;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// Decorates a function, sync or async, with context managers made by `make`.
fn decorated<'py>(make: Bound<'py, PyAny>, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    make.py().import("shmetrics._decorate")?.call_method1("decorate", (make, f))
}

/// Measures how long a block takes.
#[pyclass(module = "shmetrics")]
pub(crate) struct Timer {
    metric: Py<PyAny>,
    observe: bool,
    start: Option<Instant>,
    /// Seconds the last block took.
    #[pyo3(get)]
    duration: Option<f64>,
}

impl Timer {
    pub(crate) fn new(metric: Py<PyAny>, observe: bool) -> Self {
        Timer { metric, observe, start: None, duration: None }
    }
}

#[pymethods]
impl Timer {
    fn __enter__(mut slf: PyRefMut<'_, Self>) -> PyRefMut<'_, Self> {
        slf.start = Some(Instant::now());
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&mut self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let Some(start) = self.start else {
            return Err(PyRuntimeError::new_err("the timer was not started: use it with `with`"));
        };
        let seconds = start.elapsed().as_secs_f64();
        self.duration = Some(seconds);
        let method = if self.observe { intern!(py, "observe") } else { intern!(py, "set") };
        self.metric.bind(py).call_method1(method, (seconds,))?;
        Ok(())
    }

    /// Chooses the labels of what is measured, while it is measured.
    #[pyo3(signature = (*args, **kwargs))]
    fn labels(
        &mut self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        self.metric = self.metric.bind(py).call_method(intern!(py, "labels"), args, kwargs)?.unbind();
        Ok(())
    }

    fn __call__<'py>(&self, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        decorated(self.metric.bind(f.py()).getattr("time")?, f)
    }
}

/// Keeps a gauge one higher.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct InProgress {
    gauge: Option<shmetrics::Gauge>,
}

impl InProgress {
    pub(crate) fn new(gauge: Option<shmetrics::Gauge>) -> Self {
        InProgress { gauge }
    }
}

#[pymethods]
impl InProgress {
    fn __enter__(&self) {
        if let Some(gauge) = &self.gauge {
            gauge.inc();
        }
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {
        if let Some(gauge) = &self.gauge {
            gauge.dec();
        }
    }

    fn __call__<'py>(slf: &Bound<'py, Self>, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let keep = slf.py().import("shmetrics._decorate")?.call_method1("same", (slf,))?;
        decorated(keep, f)
    }
}

/// Counts the exceptions that leave a block.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct ExceptionCounter {
    counter: Py<PyAny>,
    exception: Py<PyAny>,
}

impl ExceptionCounter {
    pub(crate) fn new(counter: Py<PyAny>, exception: Py<PyAny>) -> Self {
        ExceptionCounter { counter, exception }
    }
}

#[pymethods]
impl ExceptionCounter {
    fn __enter__(&self) {}

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        if !value.is_none() && value.is_instance(self.exception.bind(py))? {
            self.counter.bind(py).call_method0(intern!(py, "inc"))?;
        }
        Ok(false)
    }

    fn __call__<'py>(slf: &Bound<'py, Self>, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let keep = slf.py().import("shmetrics._decorate")?.call_method1("same", (slf,))?;
        decorated(keep, f)
    }
}
