//! Linux: a tmpfs file that is linked into place when it is complete, or a sealed memfd.

mod create;
mod file;
mod grant;
pub(crate) mod guard;
pub(crate) mod locks;

pub(crate) use self::create::{anonymous, create, Make, Published};
pub(crate) use self::file::{check_owner, is_named, leads_to, open, open_again, Descriptor};
pub(crate) use self::locks::{hold, is_in_use, lock, remove_if_unused, unlock};

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use self::file::{c_path, directory_of, last, open_as};
use self::grant::{allocate, on_memory, Blocks, Granted};
use self::guard::Guarded;
use self::locks::{is_locked, USERS};
use super::attendance::{self, Presence};
use super::{paths, Backing, Owner};
use crate::os::errno::Errno;
use crate::shm::grants::Grants;
use crate::shm::layout::{header, PAGE};
use crate::shm::pair::Pair;
use crate::Error;

/// A shared mapping of a descriptor.
pub(crate) struct LinuxBacking {
    base: NonNull<u8>,
    len: u64,
    file: Descriptor,
    device: u64,
    inode: u64,
    /// A way to the file again should the host close our descriptor: made before it is needed, as
    /// the way may not allocate. From the root: the host may change its directory.
    path: Option<CString>,
    /// The device and inode of the directory that the path led to.
    directory: Option<(u64, u64)>,
    /// Set in a process that may write.
    presence: OnceLock<Presence>,
    /// The process' root when the path was used.
    root: Option<(u64, u64)>,
    grants: Arc<Grants>,
    /// Set for a mapping that is only read, in a program that survives truncation.
    guarded: Option<&'static Guarded>,
}

// SAFETY: the mapping is only handed out as a raw pointer; descriptors may be used from any thread.
unsafe impl Send for LinuxBacking {}
// SAFETY: as above.
unsafe impl Sync for LinuxBacking {}

impl LinuxBacking {
    /// Has this process counted among those that have the segment open. Before the segment is used.
    pub(crate) fn attend(&self) {
        let at = self.base.as_ptr().wrapping_add(header::ATTENDANCE as usize).cast();
        // SAFETY: in the first page of a writable mapping, aligned to 16, and accessed through
        // pairs only.
        let cell = unsafe { Pair::new(at) };
        let path = self.path.as_deref().map(|path| Path::new(OsStr::from_bytes(path.to_bytes())));
        self.presence.get_or_init(|| Presence::new(cell, &self.file, path));
    }

    /// For a segment that no other program can open: it is in use, and its processes are not
    /// counted, so it takes no System V segment.
    pub(crate) fn attend_uncounted(&self) {
        self.presence.get_or_init(Presence::uncounted);
    }

    pub(crate) fn map(file: Descriptor, len: u64, writable: bool, path: Option<PathBuf>) -> Result<Self, Error> {
        let (device, inode) = (file.device, file.inode);
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let bytes =
            usize::try_from(len).map_err(|_| Error::InvalidArgument("the segment is too large to map".into()))?;
        // SAFETY: a new mapping where the system likes it.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Error::system("mapping the segment", last()));
        }
        // Not worth a core dump's space. SAFETY: our own mapping.
        unsafe { libc::madvise(base, bytes, libc::MADV_DONTDUMP) };
        let base = NonNull::new(base.cast()).ok_or_else(|| Error::Unsupported("the system mapped page 0".into()))?;
        let path = path.map(|p| paths::absolute(&p));
        let directory = path.as_deref().and_then(directory_of);
        let path = path.and_then(|p| c_path(&p).ok());
        let (presence, root) = (OnceLock::new(), paths::root());
        let grants = if on_memory(&file) {
            let (descriptor, path) = (file.as_raw_fd(), path.clone());
            Grants::new(Box::new(Blocks { base, descriptor, path, device, inode }))
        } else {
            Grants::plain()
        };
        let grants = Arc::new(grants);
        // A process that counts must not go on with memory that is not the segment's.
        let guarded = if writable { None } else { Guarded::new(base, bytes) };
        Ok(LinuxBacking { base, len, file, device, inode, path, directory, presence, root, grants, guarded })
    }

    /// Asks for the pages of a range through the mapping. The kernel reports what a touch would be
    /// killed for.
    fn populate(&self, from: u64, to: u64) -> Result<(), i32> {
        const MADV_POPULATE_WRITE: i32 = 23;
        let start = from & !(PAGE - 1);
        // SAFETY: a range of our own mapping: `reserve` has checked its end.
        let r = unsafe {
            libc::madvise(self.base.as_ptr().add(start as usize).cast(), (to - start) as usize, MADV_POPULATE_WRITE)
        };
        if r == 0 {
            Ok(())
        } else {
            Err(last().raw_os_error().unwrap_or(0))
        }
    }

    fn with_own_descriptor<R>(&self, f: impl FnOnce(RawFd) -> R) -> Option<R> {
        let own = self.file.as_raw_fd();
        self.is_ours(own).then(|| f(own))
    }

    fn with_descriptor<R>(&self, f: impl FnOnce(RawFd) -> R) -> Option<R> {
        let own = self.file.as_raw_fd();
        if self.is_ours(own) {
            return Some(f(own));
        }
        let fd = self.describe()?;
        let result = f(fd);
        // SAFETY: opened by `describe` for us alone.
        unsafe { libc::close(fd) };
        Some(result)
    }
}

impl Drop for LinuxBacking {
    fn drop(&mut self) {
        self.guarded.into_iter().for_each(Guarded::release);
        // SAFETY: mapped by `map` with this length; a holder of views of it owns this value
        // and is gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len as usize) };
    }
}

impl Backing for LinuxBacking {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn reserve(&self, from: u64, to: u64) -> bool {
        if to <= from {
            return true;
        }
        if to > self.len {
            return false;
        }
        // An update may be the caller, and a signal handler the caller of that.
        let _errno = Errno::keep();
        let own = self.file.as_raw_fd();
        let by_own = if self.is_ours(own) { allocate(own, from, to) } else { Granted::NoWay };
        if by_own != Granted::NoWay {
            return by_own == Granted::Yes;
        }
        // Without a descriptor, or without fallocate, the kernel can be asked through the mapping.
        match self.populate(from, to) {
            Ok(()) => true,
            // Before Linux 5.14 there is no such request.
            Err(libc::EINVAL) => self.with_descriptor(|fd| allocate(fd, from, to)) == Some(Granted::Yes),
            Err(_) => false,
        }
    }

    fn grants(&self) -> &Grants {
        &self.grants
    }

    fn are_locked(&self, bytes: &[u64]) -> Option<Vec<bool>> {
        if bytes.is_empty() {
            return Some(Vec::new());
        }
        self.with_descriptor(|fd| bytes.iter().map(|at| is_locked(fd, *at)).collect()).flatten()
    }

    fn is_locked(&self, byte: u64) -> Option<bool> {
        self.with_descriptor(|fd| is_locked(fd, byte)).flatten()
    }

    fn describe(&self) -> Option<RawFd> {
        let own = self.file.as_raw_fd();
        open_again(own, self.id()).or_else(|| open_as(self.path.as_deref()?, self.id()))
    }

    /// Hosts that turn into daemons close descriptors they do not know; the number may be another
    /// file's by now.
    fn is_ours(&self, fd: RawFd) -> bool {
        leads_to(fd, self.device, self.inode)
    }

    fn has_locks(&self) -> bool {
        true
    }

    fn resident(&self) -> u64 {
        let blocks = |fd| {
            // SAFETY: an all-zero stat is a valid value to be filled in.
            let mut st: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: a plain call with a local.
            if unsafe { libc::fstat(fd, &raw mut st) } == 0 {
                st.st_blocks as u64
            } else {
                0
            }
        };
        self.with_descriptor(blocks).map_or(0, |blocks| blocks * 512)
    }

    fn is_named(&self, path: &Path) -> bool {
        match std::fs::symlink_metadata(path) {
            Ok(m) => m.dev() == self.device && m.ino() == self.inode && m.len() == self.len(),
            // In another root the path means something else. Where it may not be followed, nothing
            // is known.
            Err(e) => {
                let gone = matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
                let removed = self.is_removed() || (gone && paths::root() == self.root);
                !removed
            }
        }
    }

    fn is_in_use(&self) -> Option<bool> {
        if self.presence.get().is_some() {
            return Some(true);
        }
        self.are_locked(&[USERS]).map(|locked| locked[0])
    }

    fn attached(&self, word: [u64; 2]) -> Option<u32> {
        if !self.is_in_use()? {
            return Some(0);
        }
        let own = self.presence.get();
        if own.is_some_and(|presence| !presence.is_counted()) || self.are_locked(&[attendance::UNCOUNTED])?[0] {
            return None;
        }
        attendance::number(word, self.inode)
    }

    fn is_led_to(&self, path: &Path) -> Option<bool> {
        match std::fs::symlink_metadata(path) {
            Ok(m) if (m.dev(), m.ino()) == (self.device, self.inode) => return Some(true),
            Err(e) if e.kind() != io::ErrorKind::NotFound => {}
            // By the directory that it was opened in: after chroot, chdir or in another mount
            // namespace the path means something else.
            _ if self.directory.is_some() && directory_of(path) == self.directory => return Some(false),
            _ => {}
        }
        // Without a name it cannot be led to by any path.
        let links = self.with_own_descriptor(|_| self.file.metadata().map(|m| m.nlink()));
        matches!(links, Some(Ok(0))).then_some(false)
    }

    fn owner(&self) -> Option<Owner> {
        let meta = self.with_own_descriptor(|_| self.file.metadata())?.ok()?;
        Some(Owner { user: meta.uid(), group: meta.gid(), mode: meta.mode() & 0o777 })
    }

    fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    fn is_removed(&self) -> bool {
        let own = self.file.as_raw_fd();
        self.is_ours(own) && self.file.metadata().is_ok_and(|m| m.nlink() == 0)
    }

    fn is_lost(&self) -> bool {
        self.guarded.is_some_and(Guarded::is_lost)
    }

    fn discard(&self) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: in place of our own mapping, in one step: no address of it is ever unmapped.
        unsafe {
            libc::mmap(self.base.as_ptr().cast(), self.len as usize, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        self.file.close();
    }

    fn descriptor(&self) -> Option<i32> {
        let fd = self.file.as_raw_fd();
        self.is_ours(fd).then_some(fd)
    }
}
