//! Settings from the environment. A program that has more rights than its caller reads none of
//! them: the caller chooses the environment, and must not choose which file the program writes.

use std::ffi::OsString;

use crate::Error;

/// The value of a variable; `None` if it is not set, or if this is a setuid or setgid program.
pub(crate) fn var_os(name: &str) -> Option<OsString> {
    if is_secure() {
        return None;
    }
    std::env::var_os(name)
}

/// The same as text.
///
/// # Errors
/// [`Error::InvalidArgument`] if it is not UTF-8.
pub(crate) fn var(name: &str) -> Result<Option<String>, Error> {
    let text = |value: OsString| {
        let shown = |value: OsString| format!("{name}={}: it is not UTF-8", value.to_string_lossy());
        value.into_string().map_err(|value| Error::InvalidArgument(shown(value)))
    };
    var_os(name).map(text).transpose()
}

/// Whether the kernel started this program with rights that its caller does not have: setuid,
/// setgid, or file capabilities. It stays so until the next `exec`.
#[cfg(target_os = "linux")]
fn is_secure() -> bool {
    // SAFETY: a plain call, which reads what the kernel gave the process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_secure() -> bool {
    false
}
