//! Timers, trackers and exception counters: blocks of code under `with`, and decorated functions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::Instant;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::python::{decorated, decorated_with};

/// A time or a duration that is not there.
const NONE: u64 = u64::MAX;

/// Measures how long a block takes.
///
/// Threads may share a timer: its fields are single words, and it holds no borrow while Python code
/// runs.
#[pyclass(frozen, module = "shmetrics")]
pub(crate) struct Timer {
    metric: Py<PyAny>,
    /// The child that was chosen while the block ran.
    child: OnceLock<Py<PyAny>>,
    observe: bool,
    made: Instant,
    /// When the block began, in nanoseconds from `made`.
    start: AtomicU64,
    /// Seconds that the last block took, as bits.
    duration: AtomicU64,
}

impl Timer {
    pub(crate) fn new(metric: Py<PyAny>, observe: bool) -> Self {
        let (start, duration) = (AtomicU64::new(NONE), AtomicU64::new(NONE));
        Timer { metric, child: OnceLock::new(), observe, made: Instant::now(), start, duration }
    }

    fn metric<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.child.get().unwrap_or(&self.metric).bind(py)
    }
}

#[pymethods]
impl Timer {
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        let this = slf.get();
        this.start.store(this.made.elapsed().as_nanos() as u64, Relaxed);
        slf.clone()
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let start = self.start.load(Relaxed);
        if start == NONE {
            return Err(PyRuntimeError::new_err("the timer was not started: use it with `with`"));
        }
        let seconds = (self.made.elapsed().as_nanos() as u64).saturating_sub(start) as f64 / 1e9;
        self.duration.store(seconds.to_bits(), Relaxed);
        let method = if self.observe { intern!(py, "observe") } else { intern!(py, "set") };
        self.metric(py).call_method1(method, (seconds,))?;
        Ok(())
    }

    /// Seconds that the last block took.
    #[getter]
    fn duration(&self) -> Option<f64> {
        let bits = self.duration.load(Relaxed);
        (bits != NONE).then(|| f64::from_bits(bits))
    }

    /// Chooses the labels while the block runs.
    #[pyo3(signature = (*args, **kwargs))]
    fn labels(&self, py: Python<'_>, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        // Labels can be chosen once: a child has no children.
        let child = self.metric(py).call_method(intern!(py, "labels"), args, kwargs)?.unbind();
        let _ = self.child.set(child);
        Ok(())
    }

    fn __call__<'py>(&self, f: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        decorated(self.metric(f.py()).getattr("time")?, f)
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
        decorated_with(slf.as_any(), f)
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
        decorated_with(slf.as_any(), f)
    }
}
