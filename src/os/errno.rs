//! `errno`: of the last system call, and as the caller left it. Updates make system calls now and
//! then, and a signal handler or a C program must not see that.

/// The error of the calling thread's last system call.
#[cfg(unix)]
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The calling thread's `errno`, put back when it is dropped.
pub(crate) struct Errno(i32);

impl Errno {
    #[cfg(target_os = "linux")]
    fn place() -> *mut i32 {
        // SAFETY: a call without arguments; the place is the calling thread's.
        unsafe { libc::__errno_location() }
    }

    /// Notes it.
    pub(crate) fn keep() -> Self {
        #[cfg(target_os = "linux")]
        // SAFETY: the calling thread's own.
        return Errno(unsafe { *Self::place() });
        #[cfg(not(target_os = "linux"))]
        Errno(0)
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        // SAFETY: as above.
        unsafe {
            *Self::place() = self.0;
        }
    }
}
