//! How many processes have a segment open. The kernel counts them, and forgets them however they
//! end.
//!
//! The first process that opens a segment makes a System V shared memory segment of one page,
//! attaches it, and marks it for removal at once, so that the kernel destroys it with its last
//! attachment. The header names it. Every other process that opens the segment attaches the page
//! too. Forked children inherit the attachment, `execve` ends it, and so does every death.
//! `shm_nattch` is the number of processes, then. No byte of the page is ever touched.
//!
//! An IPC namespace has its own System V segments, a system call filter may forbid them, and a
//! system has a limit of them. A process that cannot attach the page is *uncounted*: it holds a
//! lock that says so, and while any process holds it, the number is unknown. Nothing else depends
//! on the number.
//!
//! Two bytes in the lock space of the file decide which process may replace a lost page: every
//! counted process holds a shared lock on [`COUNTED`], so a process that gets it exclusively knows
//! that no process is counted by the page which the header names.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire};
use std::time::Duration;

use super::linux::locks;
use crate::os::errno::errno;
use crate::os::grow_list::GrowList;
use crate::os::identity::ipc_namespace;
use crate::shm::pair::Pair;

/// The byte on which counted processes hold a shared lock.
pub(crate) const COUNTED: u64 = 1;
/// The byte on which uncounted processes do.
pub(crate) const UNCOUNTED: u64 = 2;

/// Sizes of the page: they tell it from the segments of other programs.
const SIZES: std::ops::Range<usize> = 2049..4096;
/// Set by the kernel in the mode of a segment that is marked for removal.
pub(crate) const SHM_DEST: u32 = 0o1000;
/// As `IPC_STAT`, for users that may not read the segment. Linux 4.17 and later.
const SHM_STAT_ANY: i32 = 15;
/// Rounds are another process' progress.
const ROUNDS: u32 = 64;

/// What the header says of the page: {id + 1: 32 bits, IPC namespace: 32, time of its last change:
/// 64}; zeros without one.
type Word = [u64; 2];

/// This process' part in the number, for as long as it has the segment mapped.
#[derive(Debug)]
pub(crate) struct Presence(Option<&'static Attached>);

/// A page that this process has attached, or had. Mappings of one segment share it: they are one
/// process.
#[derive(Debug)]
struct Attached {
    word: Word,
    page: usize,
    users: AtomicU32,
}

static ALL: GrowList<Attached> = GrowList::new();

impl Presence {
    /// Has the process counted among those that have `file` open. `cell` is the header's word of
    /// it.
    pub(crate) fn new(cell: Pair<'_>, file: &File, path: Option<&Path>) -> Self {
        let size = file.metadata().map_or(0, |meta| size_for(meta.ino()));
        for _ in 0..ROUNDS {
            let seen = cell.load();
            if let Some(attached) = Attached::to(seen, size) {
                if set(file, COUNTED, libc::F_RDLCK) && cell.load() == seen {
                    return Presence(Some(attached));
                }
                // It is being replaced, or was.
                attached.leave();
                set(file, COUNTED, libc::F_UNLCK);
                pause();
            } else if set(file, COUNTED, libc::F_WRLCK) {
                // No process is counted by what the header names.
                let made = Attached::make(file, path);
                match made.filter(|made| cell.cas(seen, made.word).is_ok()) {
                    Some(made) if set(file, COUNTED, libc::F_RDLCK) => return Presence(Some(made)),
                    Some(made) => made.leave(),
                    None => made.into_iter().for_each(Attached::leave),
                }
                set(file, COUNTED, libc::F_UNLCK);
                if made.is_none() {
                    break;
                }
            } else if locks::lock_on(file.as_raw_fd(), COUNTED) == Some(libc::F_WRLCK) {
                // A few system calls of another process, unless it is stopped.
                pause();
            } else if cell.load() == seen {
                break;
            }
        }
        set(file, UNCOUNTED, libc::F_RDLCK);
        Presence(None)
    }

    pub(crate) fn uncounted() -> Self {
        Presence(None)
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(attached) = self.0 {
            attached.leave();
        }
    }
}

/// How many processes have attached the page that this word names. `None`: it is out of sight, as
/// in another IPC namespace.
pub(crate) fn number(word: Word, inode: u64) -> Option<u32> {
    stat(word, size_for(inode)).map(|state| state.shm_nattch as u32)
}

fn pause() {
    std::thread::sleep(Duration::from_micros(200));
}

fn set(file: &File, byte: u64, kind: i32) -> bool {
    locks::set_lock(file.as_raw_fd(), byte, kind)
}

impl Attached {
    /// Attaches the page that the header names, unless this process has it.
    fn to(word: Word, size: usize) -> Option<&'static Self> {
        stat(word, size)?;
        let known = ALL.iter().find(|attached| attached.join(word));
        known.or_else(|| attach(id_of(word)?).map(|page| Self::know(word, page)))
    }

    /// Makes a new page.
    fn make(file: &File, path: Option<&Path>) -> Option<&'static Self> {
        let meta = file.metadata().ok()?;
        // Every process that may open the file may be counted.
        let mode = meta.mode() & 0o444;
        let (id, page) = make_page(key(path, meta.ino()), size_for(meta.ino()), mode)?;
        let mut state = state_of(id, libc::IPC_STAT);
        if let Some(state) = state.as_mut().filter(|s| (s.shm_perm.uid, s.shm_perm.gid) != (meta.uid(), meta.gid())) {
            (state.shm_perm.uid, state.shm_perm.gid) = (meta.uid(), meta.gid());
            // SAFETY: a plain call with a local. Where the system refuses, users of the file may
            // remain uncounted.
            unsafe { libc::shmctl(id, libc::IPC_SET, std::ptr::from_mut(state)) };
        }
        let Some(state) = state_of(id, libc::IPC_STAT) else {
            detach(page);
            return None;
        };
        Some(Self::know([u64::from(id as u32 + 1) | namespace() << 32, state.shm_ctime as u64], page))
    }

    /// Becomes a user of this page, if it is the one of the word, and attached.
    fn join(&self, word: Word) -> bool {
        let joins = |users: u32| (users > 0).then_some(users + 1);
        // Acquire and Release pair with each other and with `leave`: a thread that finds users
        // finds the page attached.
        self.word == word && self.users.fetch_update(Acquire, Acquire, joins).is_ok()
    }

    /// Whether this process has attached the page.
    fn is_known(word: Word) -> bool {
        // Acquire pairs with `leave` and `join`, as there.
        ALL.iter().any(|attached| attached.word == word && attached.users.load(Acquire) > 0)
    }

    /// Adds one that has just been attached. Of threads that attach at once, the first in the list
    /// is it for all.
    fn know(word: Word, page: usize) -> &'static Self {
        let new = Attached { word, page, users: AtomicU32::new(1) };
        ALL.add_unless(new, |attached| attached.join(word)).unwrap_or_else(|(known, new)| {
            detach(new.page);
            known
        })
    }

    fn leave(&self) {
        // Release pairs with the Acquire in `join`; Acquire: the last one comes after all others.
        if self.users.fetch_sub(1, AcqRel) == 1 {
            detach(self.page);
        }
    }
}

fn attach(id: i32) -> Option<usize> {
    // SAFETY: a new mapping where the system likes it, of a page that is never touched.
    let page = unsafe { libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY) };
    (page.addr() != usize::MAX).then(|| page.addr())
}

fn detach(page: usize) {
    // SAFETY: attached by this module in this process, never touched, and known to no other code.
    unsafe { libc::shmdt(page as *const libc::c_void) };
}

fn mark_for_removal(id: i32) {
    // SAFETY: a plain call; the command needs no buffer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// A page that is attached and marked for removal.
///
/// A process that is killed after the first of these three system calls and before the last leaves
/// the page behind: some 4 KiB of address space, no memory. So the page is made under a key of the
/// segment's path and the user, and the next process that makes one for that path removes what was
/// left.
fn make_page(key: libc::key_t, size: usize, mode: u32) -> Option<(i32, usize)> {
    let mut with = key;
    for _ in 0..8 {
        let exclusive = if with == libc::IPC_PRIVATE { 0 } else { libc::IPC_EXCL };
        // SAFETY: a plain call.
        let id = unsafe { libc::shmget(with, size, libc::IPC_CREAT | exclusive | mode as i32) };
        if id >= 0 {
            let page = attach(id);
            mark_for_removal(id);
            if let Some(page) = page {
                return Some((id, page));
            }
            // Another process with this key has taken it for one that was left behind.
            with = libc::IPC_PRIVATE;
        } else if errno() == libc::EEXIST {
            remove_leftover(with);
            with = libc::IPC_PRIVATE;
        } else {
            return None;
        }
    }
    None
}

/// Removes a page under this key that was left behind. Not one that belongs to another program or
/// user, or is in use.
fn remove_leftover(key: libc::key_t) {
    // SAFETY: plain calls.
    let (id, user) = unsafe { (libc::shmget(key, 0, 0), libc::geteuid()) };
    if state_of(id, libc::IPC_STAT)
        .is_some_and(|state| state.shm_perm.cuid == user && SIZES.contains(&state.shm_segsz) && state.shm_nattch == 0)
    {
        mark_for_removal(id);
    }
}

fn key(path: Option<&Path>, inode: u64) -> libc::key_t {
    use std::os::unix::ffi::OsStrExt;
    // SAFETY: a plain call.
    let user = unsafe { libc::geteuid() };
    let mix = |hash: u64, byte: u64| (hash ^ byte).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = match path {
        Some(path) => path.as_os_str().as_bytes().iter().fold(u64::from(user), |hash, b| mix(hash, u64::from(*b))),
        None => mix(u64::from(user), inode),
    };
    ((hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as libc::key_t).max(1)
}

/// The size of the page for a file. A copy of the file has the header's word too, and another
/// inode: its processes are not those of the original, so they must not attach the same page.
fn size_for(inode: u64) -> usize {
    let hash = inode.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53;
    SIZES.start + hash as usize % SIZES.len()
}

fn id_of(word: Word) -> Option<i32> {
    i32::try_from(word[0] as u32).ok()?.checked_sub(1).filter(|id| *id >= 0)
}

/// The state of the page that the word names.
fn stat(word: Word, size: usize) -> Option<libc::shmid_ds> {
    let id = id_of(word)?;
    // A page that this process has attached is in its namespace, which is costly to ask for.
    if !Attached::is_known(word) {
        let (its, own) = (word[0] >> 32, namespace());
        if its != own && its != 0 && own != 0 {
            return None;
        }
    }
    let state = state_of(id, SHM_STAT_ANY).or_else(|| state_of(id, libc::IPC_STAT))?;
    // Ids come round: one that serves another program by now has another size, another time, or is
    // not marked.
    let is_same =
        state.shm_segsz == size && u32::from(state.shm_perm.mode) & SHM_DEST != 0 && state.shm_ctime as u64 == word[1];
    is_same.then_some(state)
}

/// `SHM_STAT_ANY` looks at the index in the id alone, and returns the id of what is there.
pub(crate) fn state_of(id: i32, command: i32) -> Option<libc::shmid_ds> {
    // SAFETY: an all-zero value is a valid one to be filled in.
    let mut state: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: a plain call with a local.
    let found = unsafe { libc::shmctl(id, command, &raw mut state) };
    (found == if command == SHM_STAT_ANY { id } else { 0 }).then_some(state)
}

/// The low bits of this process' IPC namespace; 0 where /proc does not tell.
fn namespace() -> u64 {
    ipc_namespace() & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file without a name, and a word as the header has it.
    fn file() -> File {
        let path = format!("/dev/shm/test-attendance-{}-{:x}", std::process::id(), crate::os::random::random());
        let file = std::fs::OpenOptions::new().create_new(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    fn again(file: &File) -> File {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    #[repr(align(16))]
    struct Cell(std::cell::UnsafeCell<Word>);

    impl Cell {
        fn pair(&self) -> Pair<'_> {
            // SAFETY: aligned, as long as `self`, and accessed through pairs only.
            unsafe { Pair::new(self.0.get()) }
        }
    }

    fn cell() -> Cell {
        Cell(std::cell::UnsafeCell::new([0, 0]))
    }

    #[test]
    fn the_mappings_of_a_process_are_one() {
        let (cell, first) = (cell(), file());
        let inode = first.metadata().unwrap().ino();
        let one = Presence::new(cell.pair(), &first, None);
        let word = cell.pair().load();
        assert!(one.is_counted() && word != [0, 0]);
        let second = again(&first);
        let two = Presence::new(cell.pair(), &second, None);
        assert!(two.is_counted() && cell.pair().load() == word);
        assert_eq!(number(word, inode), Some(1));
        drop(one);
        assert_eq!(number(word, inode), Some(1));
        drop(two);
        assert_eq!(number(word, inode), None, "the kernel destroys it with its last attachment");
    }

    #[test]
    fn a_page_that_is_gone_is_replaced_only_if_no_process_is_counted_by_it() {
        let (cell, first) = (cell(), file());
        let old = Presence::new(cell.pair(), &first, None);
        let word = cell.pair().load();
        // The same happens in another IPC namespace: the page that the header names is out of
        // sight, and a counted process lives.
        let foreign = [word[0] ^ 1 << 32, word[1]];
        cell.pair().cas(word, foreign).unwrap();
        let second = again(&first);
        let late = Presence::new(cell.pair(), &second, None);
        assert!(!late.is_counted() && cell.pair().load() == foreign);
        assert_eq!(locks::lock_on(first.as_raw_fd(), UNCOUNTED), Some(libc::F_RDLCK), "it says so");
        drop((late, second, old));
        set(&first, COUNTED, libc::F_UNLCK);
        let third = again(&first);
        let inode = third.metadata().unwrap().ino();
        let new = Presence::new(cell.pair(), &third, None);
        assert!(new.is_counted() && cell.pair().load() != foreign);
        assert_eq!(number(cell.pair().load(), inode), Some(1));
    }

    #[test]
    fn threads_that_open_at_once_are_one_process() {
        for _ in 0..50 {
            let (cell, first) = (cell(), file());
            let inode = first.metadata().unwrap().ino();
            let (at, first) = (cell.0.get().addr(), &first);
            let all: Vec<(Presence, File)> = std::thread::scope(|scope| {
                let open = move || {
                    let file = again(first);
                    // SAFETY: the cell outlives the scope.
                    let pair = unsafe { Pair::new(at as *mut Word) };
                    (Presence::new(pair, &file, None), file)
                };
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(all.iter().all(|(presence, _)| presence.is_counted()));
            assert_eq!(number(cell.pair().load(), inode), Some(1));
        }
    }

    #[test]
    fn what_a_killed_process_left_behind_is_removed_by_the_next() {
        let key = key(Some(Path::new("/dev/shm/test-leftover")), u64::from(std::process::id()));
        // SAFETY: a plain call.
        let left = unsafe { libc::shmget(key, SIZES.start, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
        assert!(left >= 0);
        let (_, page) = make_page(key, SIZES.start, 0o600).unwrap();
        assert!(state_of(left, libc::IPC_STAT).is_none());
        let (_, next) = make_page(key, SIZES.start, 0o600).unwrap();
        detach(page);
        detach(next);
    }
}
