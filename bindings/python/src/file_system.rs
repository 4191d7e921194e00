//! The kind of a directory's file system, which decides whether numbers of files can be relied on.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The number of the kind of file system that a path leads to, as `statfs` has it.
#[pyfunction]
pub(crate) fn file_system(path: PathBuf) -> PyResult<i64> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| PyValueError::new_err("embedded null byte"))?;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    #[allow(unsafe_code)]
    // SAFETY: a NUL-terminated path, and memory for the answer.
    let result = unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error().into());
    }
    #[allow(unsafe_code)]
    // SAFETY: the call has succeeded, so it has filled the structure.
    let found = unsafe { found.assume_init() };
    #[allow(clippy::unnecessary_cast)] // its type differs by architecture and C library
    Ok(found.f_type as i64)
}
