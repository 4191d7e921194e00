//! What the file system, and `/proc` in it, tells by a path. Nothing here allocates: an update in a
//! signal handler may come here.

use std::ffi::CStr;

/// The inode number of the file at a path.
pub(crate) fn inode(path: &CStr) -> Option<u64> {
    #[cfg(unix)]
    {
        // SAFETY: an all-zero stat is a valid value to be filled in.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a NUL-terminated path and a local.
        (unsafe { libc::stat(path.as_ptr(), &raw mut stat) } == 0).then_some(stat.st_ino)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Reads the beginning of a file into a buffer.
#[cfg(target_os = "linux")]
pub(crate) fn read_start<'b>(path: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    // SAFETY: a NUL-terminated path.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    // SAFETY: our own descriptor, and a buffer of that length.
    let len = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
    // SAFETY: our own descriptor.
    unsafe { libc::close(file) };
    buffer.get(..usize::try_from(len).ok()?)
}
