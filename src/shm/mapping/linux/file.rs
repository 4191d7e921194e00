//! The file of a segment: opened, told from others, and checked.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::os::random::random;
use crate::shm::mapping::access::Access;
use crate::Error;

/// A descriptor that the library has opened. Hosts that turn into daemons close descriptors they do
/// not know, and open files of their own under the same numbers. So this one is closed only if it
/// is still the one that was opened.
pub(crate) struct Descriptor {
    file: ManuallyDrop<File>,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The file position, which the library does not use. It tells this open file description from
    /// any other, also from others of the same file.
    mark: libc::off_t,
}

impl Descriptor {
    pub(super) fn new(file: File, path: &Path) -> Result<Self, Error> {
        let meta = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?;
        // Every file system has files of 2 TiB.
        let mark = (random() % (1 << 41)) as libc::off_t;
        // SAFETY: an own descriptor.
        let mark = unsafe { libc::lseek(file.as_raw_fd(), mark, libc::SEEK_SET) };
        // Where the file system has smaller files, the position stays at the beginning.
        let mark = mark.max(0);
        Ok(Descriptor { file: ManuallyDrop::new(file), device: meta.dev(), inode: meta.ino(), mark })
    }

    /// Whether the number still stands for the description that was opened here.
    fn is_own(&self) -> bool {
        let fd = self.file.as_raw_fd();
        // SAFETY: a plain call; of a closed descriptor, or of what has no position, it is an error.
        let position = || unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
        leads_to(fd, self.device, self.inode) && position() == self.mark
    }
}

impl Descriptor {
    /// Closes it before its owner ends. The number means nothing from then on.
    pub(super) fn close(&self) {
        if self.is_own() {
            // SAFETY: our own descriptor; `drop` finds that it is not its own any more.
            unsafe { libc::close(self.file.as_raw_fd()) };
        }
    }
}

impl Deref for Descriptor {
    type Target = File;
    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.is_own() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// Opens the file of a descriptor once more, if it is the file with this device and inode.
/// Allocates nothing.
pub(crate) fn open_again(descriptor: RawFd, file: (u64, u64)) -> Option<RawFd> {
    if !leads_to(descriptor, file.0, file.1) {
        return None;
    }
    open_as(ProcFd::new(descriptor).path(), file)
}

/// Opens the file at a path, if it is the one with this device and inode. Allocates nothing.
pub(super) fn open_as(path: &CStr, file: (u64, u64)) -> Option<RawFd> {
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    if fd >= 0 && !leads_to(fd, file.0, file.1) {
        // SAFETY: a descriptor just opened here.
        unsafe { libc::close(fd) };
        return None;
    }
    (fd >= 0).then_some(fd)
}

/// Whether a descriptor is open and leads to this file. Async-signal-safe.
pub(crate) fn leads_to(fd: RawFd, device: u64, inode: u64) -> bool {
    // SAFETY: an all-zero stat is a valid value to be filled in.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call; a closed descriptor is an error.
    unsafe { libc::fstat(fd, &raw mut st) == 0 && st.st_dev == device && st.st_ino == inode }
}

pub(super) fn last() -> io::Error {
    io::Error::last_os_error()
}

pub(super) fn c_path(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::InvalidName("the path holds a NUL byte".into()))
}

/// The path that leads to a descriptor's file, without an allocation.
pub(super) struct ProcFd {
    bytes: [u8; 32],
}

impl ProcFd {
    pub(super) fn new(fd: RawFd) -> Self {
        let mut bytes = [0; 32];
        let prefix = b"/proc/self/fd/";
        bytes[..prefix.len()].copy_from_slice(prefix);
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(fd).as_bytes();
        bytes[prefix.len()..prefix.len() + digits.len()].copy_from_slice(digits);
        ProcFd { bytes }
    }

    pub(super) fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

/// Opens an existing segment's file. `Ok(None)`: there is none.
pub(crate) fn open(path: &Path, writable: bool) -> Result<Option<Descriptor>, Error> {
    let c = c_path(path)?;
    let access = if writable { libc::O_RDWR } else { libc::O_RDONLY };
    let flags = access | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(c.as_ptr(), flags) };
    if fd < 0 {
        let e = last();
        return match e.raw_os_error() {
            Some(libc::ENOENT) => Ok(None),
            Some(libc::ELOOP) => Err(not_a_segment(path, "it is a symbolic link")),
            Some(libc::EISDIR) => Err(not_a_segment(path, "it is a directory")),
            _ => Err(Error::system(format!("opening {}", path.display()), e)),
        };
    }
    // SAFETY: a descriptor just opened, owned by nothing else.
    let file = unsafe { File::from_raw_fd(fd) };
    let meta = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?;
    if !meta.is_file() {
        return Err(not_a_segment(path, "it is not a regular file"));
    }
    Descriptor::new(file, path).map(Some)
}

/// Refuses the file of a user who could kill this process by cutting it off, unless the user is
/// trusted.
pub(crate) fn check_owner(file: &File, path: &Path, access: &Access) -> Result<(), Error> {
    let owner = file.metadata().map_err(|e| Error::system(format!("looking at {}", path.display()), e))?.uid();
    // SAFETY: a plain call.
    let me = unsafe { libc::geteuid() };
    if owner == me || owner == 0 || access.is_trusted(owner)? {
        return Ok(());
    }
    Err(Error::Permission(format!(
        "{} belongs to user {owner}, and could be cut off while it is in use, which would kill this process; run as \
         that user, remove the file, or trust the user (SHMETRICS_TRUST={owner}, or the option `trust_owner`)",
        path.display()
    )))
}

pub(crate) fn not_a_segment(path: &Path, reason: &str) -> Error {
    Error::NotASegment { path: path.to_path_buf(), reason: reason.into() }
}

/// Whether `path` leads to the file.
pub(crate) fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(named)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}

/// The directory in which a path is, as its device and inode.
pub(super) fn directory_of(path: &Path) -> Option<(u64, u64)> {
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::metadata(directory).ok().map(|m| (m.dev(), m.ino()))
}
