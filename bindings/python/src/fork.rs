//! Counts forks, so that values of one process begin at 0 in a forked child.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static FORKS: AtomicU32 = AtomicU32::new(1);

/// Runs in each child before anything else does, also in those that are forked outside of Python.
extern "C" fn in_child() {
    // Relaxed: the child has one thread.
    FORKS.fetch_add(1, Relaxed);
}

pub(crate) fn watch() {
    #[allow(unsafe_code)]
    // SAFETY: the handler is a plain function of code that is never unloaded: Python does not
    // unload extension modules.
    unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    }
}

/// The number of this process.
#[inline(always)]
pub(crate) fn generation() -> u32 {
    FORKS.load(Relaxed)
}

/// Fails in all but the main interpreter: the classes here are one interpreter's.
pub(crate) fn refuse_others(_: Python<'_>) -> PyResult<()> {
    #[allow(unsafe_code)]
    // SAFETY: the token proves that the thread is attached to an interpreter.
    let number = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if number == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err("shmetrics does not work in sub-interpreters: import it in the main interpreter"))
}
