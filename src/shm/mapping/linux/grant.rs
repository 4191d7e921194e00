//! Memory for the file of a segment: granted by the kernel before it is touched, and looked for
//! where others say it is.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;

use super::file::last;
use crate::shm::grants::Source;
use crate::shm::layout::{PAGE, SPARE_MOST};

pub(super) const TMPFS_MAGIC: i64 = 0x0102_1994;
pub(super) const RAMFS_MAGIC: i64 = 0x8584_58f6;
pub(super) const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;

/// A write past `RLIMIT_FSIZE` is a fatal signal, not an error: it has to be foreseen.
pub(super) fn fits_file_limit(size: u64) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a plain call on a local.
    let ok = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    !ok || limit.rlim_cur == libc::RLIM_INFINITY || limit.rlim_cur >= size
}

/// The most bytes that one call grants. Before Linux 6.11 a signal makes `fallocate` give up and
/// undo all of its work, so a call that takes longer than the time between two signals never
/// succeeds.
pub(super) const PIECE: u64 = 512 * 1024;
/// Calls in a row for a single page that signals may interrupt.
pub(super) const INTERRUPTIONS: u32 = 100;

/// What became of a request for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    Yes,
    /// There is no memory.
    No,
    /// This way of asking does not work here.
    NoWay,
}

/// Grants a range by calls of at most [`PIECE`] bytes. `call` grants one piece, or returns the
/// error's number. A piece that was granted stays granted. A piece that a signal interrupts is
/// tried again in halves, down to a page.
pub(super) fn in_pieces(from: u64, to: u64, mut call: impl FnMut(u64, u64) -> Result<(), i32>) -> Granted {
    let (mut at, mut piece, mut interrupted) = (from, PIECE, 0);
    while at < to {
        let end = at.saturating_add(piece).min(to);
        match call(at, end) {
            Ok(()) => (at, interrupted) = (end, 0),
            Err(libc::EINTR) if piece > PAGE => piece /= 2,
            Err(libc::EINTR) if interrupted < INTERRUPTIONS => interrupted += 1,
            Err(libc::ENOSPC | libc::EDQUOT | libc::ENOMEM | libc::EFBIG) => return Granted::No,
            Err(_) => return Granted::NoWay,
        }
    }
    Granted::Yes
}

/// Grants a range of the segment's file by its descriptor. It allocates nothing and is no
/// cancellation point.
pub(super) fn allocate(fd: RawFd, from: u64, to: u64) -> Granted {
    if !fits_file_limit(to) {
        return Granted::No;
    }
    in_pieces(from, to, |from, to| {
        // SAFETY: a plain call on the segment's own file (the caller has checked the descriptor).
        // All arguments are 64 bits wide, as the kernel takes them on the 64-bit systems that have
        // 16-byte compare-and-swap.
        let r = unsafe {
            libc::syscall(
                libc::SYS_fallocate,
                libc::c_long::from(fd),
                libc::c_long::from(libc::FALLOC_FL_KEEP_SIZE),
                from as libc::c_long,
                (to - from) as libc::c_long,
            )
        };
        if r == 0 {
            Ok(())
        } else {
            Err(last().raw_os_error().unwrap_or(0))
        }
    })
}

/// Whether a touch of a hole in the file takes memory that there may not be. On other file systems
/// a hole reads as zeros.
pub(super) fn on_memory(file: &File) -> bool {
    // SAFETY: an all-zero statfs is a valid value to be filled in.
    let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call on an open descriptor with a local.
    let known = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut fs) } == 0;
    #[allow(clippy::unnecessary_cast)] // its type differs by architecture and C library
    let kind = fs.f_type as i64;
    !known || [TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC].contains(&kind)
}

/// Asks the kernel about the memory of a mapped file.
pub(super) struct Blocks {
    pub(super) base: NonNull<u8>,
    pub(super) descriptor: RawFd,
    pub(super) path: Option<CString>,
    pub(super) device: u64,
    pub(super) inode: u64,
}

// SAFETY: the pointer is used for `madvise` alone, while the mapping is there: `LinuxBacking` keeps
// both.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

/// Bytes that one call looks at, so that other threads that map memory do not wait for long.
pub(super) const LOOK: u64 = 16 << 20;

impl Blocks {
    /// Bytes of the file that have memory. `None`: the host has closed the descriptor, and the name
    /// leads elsewhere.
    fn bytes(&self) -> Option<u64> {
        // SAFETY: an all-zero stat is a valid value to be filled in.
        let mut st: libc::stat = unsafe { std::mem::zeroed() };
        let ours = |st: &libc::stat| st.st_dev == self.device && st.st_ino == self.inode;
        // SAFETY: a plain call with a local; a closed descriptor is an error.
        let mut known = unsafe { libc::fstat(self.descriptor, &raw mut st) } == 0 && ours(&st);
        if let (false, Some(path)) = (known, &self.path) {
            // SAFETY: a NUL-terminated path and a local.
            known = unsafe { libc::lstat(path.as_ptr(), &raw mut st) } == 0 && ours(&st);
        }
        known.then_some(st.st_blocks as u64 * 512)
    }

    /// Has the kernel map pages that are there. It reports what a touch would be killed for.
    fn can_be_read(&self, from: u64, to: u64) -> bool {
        const MADV_POPULATE_READ: i32 = 22;
        let (mut at, mut attempts) = (from & !(PAGE - 1), 0);
        while at < to {
            let end = (at + LOOK).min(to);
            // SAFETY: a range of our own mapping: claims are bounded by its length.
            let r = unsafe {
                libc::madvise(self.base.as_ptr().add(at as usize).cast(), (end - at) as usize, MADV_POPULATE_READ)
            };
            match if r == 0 { 0 } else { last().raw_os_error().unwrap_or(0) } {
                0 => at = end,
                libc::EFAULT | libc::EHWPOISON => return false,
                libc::EAGAIN | libc::EINTR | libc::ENOMEM if attempts < INTERRUPTIONS => attempts += 1,
                // Before Linux 5.14 there is no such request: then the number of blocks has to do.
                _ => return true,
            }
        }
        true
    }
}

/// How many of the bytes that a segment says it has may have no memory in a copy of it, as `cp`
/// makes one: pages that were granted and never written are holes there. They are the spare part of
/// the last extent, and of an index that has doubled. Where the file system has no room for them,
/// `can_be_read` says so.
const fn unwritten(sum: u64) -> u64 {
    sum / 2 + SPARE_MOST
}

impl Source for Blocks {
    fn has_memory(&self, from: u64, to: u64, sum: u64) -> bool {
        // The number comes first: of a sparse file, the second question would have the holes
        // filled.
        self.bytes().is_none_or(|bytes| bytes >= sum.saturating_sub(unwritten(sum))) && self.can_be_read(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EINTR: Result<(), i32> = Err(libc::EINTR);

    #[test]
    fn signals_do_not_keep_a_range_from_being_granted() {
        for longest in [4 * PAGE, PAGE] {
            let (mut granted, mut calls) = (0, 0);
            // As with a periodic signal that is shorter than longer calls: these never end.
            let result = in_pieces(0, 8 << 20, |from, to| {
                calls += 1;
                if to - from > longest {
                    return EINTR;
                }
                assert_eq!(from, granted, "what was granted is kept");
                granted = to;
                Ok(())
            });
            assert_eq!((result, granted), (Granted::Yes, 8 << 20));
            assert!(calls <= (8 << 20) / longest + 10, "{calls} calls");
        }
        let mut calls = 0;
        let result = in_pieces(0, 8 << 20, |_, _| {
            calls += 1;
            EINTR
        });
        assert_eq!(result, Granted::NoWay);
        assert!(calls < 200, "{calls} calls");
        // Every second call is interrupted, whatever its size.
        let mut calls = 0;
        let result = in_pieces(0, 1 << 20, |_, _| {
            calls += 1;
            if calls % 2 == 0 {
                Ok(())
            } else {
                EINTR
            }
        });
        assert_eq!(result, Granted::Yes);
        assert_eq!(in_pieces(0, PAGE, |_, _| Err(libc::ENOSPC)), Granted::No);
        assert_eq!(in_pieces(0, PAGE, |_, _| Err(libc::EOPNOTSUPP)), Granted::NoWay);
        assert_eq!(in_pieces(5, 5, |_, _| EINTR), Granted::Yes);
    }
}
