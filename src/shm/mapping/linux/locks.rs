//! Byte locks on the file of a segment: they show the processes that use the file, and the holders
//! of slots that live.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use super::file::is_named;
use crate::os::errno::errno;

/// The byte on which every process that has the file mapped for writing holds a shared lock. No
/// slot's: those come later.
pub(super) const USERS: u64 = 0;

/// The error of a lock that another description has. Linux gives no other; `EACCES`, which POSIX
/// allows for it, is a filter's.
const LOCKED: i32 = libc::EAGAIN;

/// Says that the file is in use, as long as this description of it is open or mapped, here or in
/// forked children: a host that closes its descriptors does not end it. `false`: a process has
/// found the file unused and is about to remove it.
pub(crate) fn hold(file: &File) -> bool {
    // Where there are no locks, nothing is ever found unused.
    set_lock(file.as_raw_fd(), USERS, libc::F_RDLCK) || errno() != LOCKED
}

/// Removes the file's name if it still leads to the file and no process uses it. New users are kept
/// out until `file` is closed or held.
pub(crate) fn remove_if_unused(file: &File, path: &Path) -> bool {
    set_lock(file.as_raw_fd(), USERS, libc::F_WRLCK) && is_named(file, path) && std::fs::remove_file(path).is_ok()
}

/// Sets or clears the lock of the descriptor's description on a byte. `false`: another description
/// has it locked, or there are no locks.
pub(crate) fn set_lock(fd: RawFd, byte: u64, kind: i32) -> bool {
    let lock = byte_lock(byte, kind);
    // SAFETY: a plain call with a local.
    unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) == 0 }
}

/// The kind of lock that another description has on a byte: `F_UNLCK` for none. `None`: cannot
/// tell.
pub(crate) fn lock_on(fd: RawFd, byte: u64) -> Option<i32> {
    let mut lock = byte_lock(byte, libc::F_WRLCK);
    // SAFETY: a plain call with a local.
    let r = unsafe { libc::fcntl(fd, libc::F_OFD_GETLK, &raw mut lock) };
    (r == 0).then_some(i32::from(lock.l_type))
}

/// Whether any process has the file open for counting. `None`: cannot tell.
pub(crate) fn is_in_use(file: &File) -> Option<bool> {
    lock_on(file.as_raw_fd(), USERS).map(|kind| kind != libc::F_UNLCK)
}

/// Locks a byte for the descriptor's open file description. `Ok(false)`: another one has it locked.
pub(crate) fn lock(fd: RawFd, byte: u64) -> Result<bool, i32> {
    if set_lock(fd, byte, libc::F_WRLCK) {
        return Ok(true);
    }
    match errno() {
        LOCKED => Ok(false),
        other => Err(other),
    }
}

/// Gives up a lock that [`lock`] took.
pub(crate) fn unlock(fd: RawFd, byte: u64) {
    set_lock(fd, byte, libc::F_UNLCK);
}

pub(super) fn is_locked(fd: RawFd, byte: u64) -> Option<bool> {
    lock_on(fd, byte).map(|kind| kind != libc::F_UNLCK)
}

fn byte_lock(at: u64, kind: i32) -> libc::flock {
    // SAFETY: an all-zero flock is a valid value; l_pid must be 0 for open file description locks.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at as libc::off_t;
    lock.l_len = 1;
    lock
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_the_unused_file_that_the_name_leads_to_is_removed() {
        let path = PathBuf::from(format!("/dev/shm/test-unused-{}", std::process::id()));
        let make =
            || std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
        let first = make();
        std::fs::remove_file(&path).unwrap();
        let second = make();
        assert!(!remove_if_unused(&first, &path) && path.exists(), "the name leads elsewhere by now");
        let user = make();
        assert!(hold(&user));
        assert!(!remove_if_unused(&second, &path) && path.exists(), "it has a user");
        drop(user);
        assert!(remove_if_unused(&second, &path) && !path.exists());
        let late = open_again(&second);
        assert!(!hold(&late), "no process takes up what is being removed");
    }

    fn open_again(file: &File) -> File {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
    }
}
