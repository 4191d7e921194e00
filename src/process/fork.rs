//! What a process keeps about one segment, and how a forked child notices that it is not the
//! process that registered.
//!
//! The words that a child must not believe stand in a page that the kernel wipes in the child
//! (`MADV_WIPEONFORK`). This works for every way to fork, also for a raw `clone` by a host that
//! does not know the library, and costs a load. A `vfork` or `posix_spawn` child shares its
//! parent's memory and rightly counts as the parent. Where the kernel cannot wipe (before Linux
//! 4.14, and elsewhere) the page holds the pid, and a look at it costs a system call.
//!
//! `pthread_atfork` handlers do the rest, for `fork()` only. The child's handler wipes all pages as
//! well, because emulators have been seen to accept `MADV_WIPEONFORK` without wiping. It also
//! closes the descriptors that a claim of the parent had open at that moment, so that the child
//! does not keep the parent's locks. A counter of forks tells a claim that a child may have
//! inherited what the handler could not see.

use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release, Ordering::SeqCst,
};

use crate::os::grow_list::GrowList;
use crate::os::identity::pid;
use crate::shm::clock;

#[repr(C)]
struct Words {
    token: AtomicU64,
    /// A chosen identity + 1.
    identity: AtomicU64,
    /// The pid of a process that is about to put a lock into `Kept::lock`; 0: the lock there is a
    /// parent's.
    claimed: AtomicU64,
    /// When a claim may be tried again after one that failed, and how often it has failed: see
    /// `super::Retry`.
    retry: AtomicU64,
    /// The thread that claims a slot: see `super::turn`.
    turn: AtomicU64,
    clock: clock::Words,
}

impl Words {
    const fn new() -> Self {
        Words {
            token: AtomicU64::new(0),
            identity: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            retry: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            clock: clock::Words::new(),
        }
    }

    fn all(&self) -> [&AtomicU64; 9] {
        let [a, b, c, d] = self.clock.all();
        [&self.token, &self.identity, &self.claimed, &self.retry, &self.turn, a, b, c, d]
    }
}

/// Descriptors that claims in progress may have open at one time: of as many threads, or of signal
/// handlers that interrupt them.
const NOTES: usize = 4;
const NO_DESCRIPTOR: i32 = -1;

/// What a process keeps in ordinary memory, which a forked child inherits.
pub(super) struct Kept {
    /// NULL once the page is gone.
    words: AtomicPtr<Words>,
    /// {claim, `Hold`} of the proof of life of the current slot. A child finds its parent's here,
    /// and gives it up.
    pub(super) lock: AtomicU64,
    /// Numbers the claims of this process and of those it was forked from. A pid would not do: pids
    /// are used again.
    pub(super) claims: AtomicU64,
    /// What a child keeps of its parent's clock.
    pub(super) clock: clock::Copy,
    /// Descriptors that a child must close.
    notes: [AtomicI32; NOTES],
    /// A description that this process got from its parent, for its own slot: see `handover`.
    /// {its pid: 32 bits, descriptor: 32}; 0: none.
    spare: AtomicU64,
    /// Whether this process, or an ancestor, knows of per-process gauges in the segment.
    has_gauges: AtomicBool,
    /// The device and inode of the segment's file: a number may have become another file's
    /// descriptor.
    file: (u64, u64),
    /// The number of the descriptor that the process has the file open by.
    own: i32,
}

/// What this process keeps about all its segments, for ever.
static ALL: GrowList<Kept> = GrowList::new();

/// Calls of `fork()` in this process and its ancestors.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Counts a call of `fork()` that begins.
#[cfg(unix)]
pub(super) fn count_fork() {
    FORKS.fetch_add(1, SeqCst); // pairs with `forks`
}

/// How many calls of `fork()` have begun. A claim that sees no change of it between two moments
/// knows that no child has inherited what it opened between them, but for children of a raw
/// `clone`.
pub(super) fn forks() -> u64 {
    // SeqCst pairs with the one in `before_fork`: the value is read in program order with the
    // system calls around it.
    FORKS.load(SeqCst)
}

/// What this process keeps about each of its segments.
pub(super) fn all() -> impl Iterator<Item = &'static Kept> {
    ALL.iter()
}

/// Closes a child's copy of a descriptor of the segment's file. The parent may have closed its own,
/// and opened another file under the number.
#[cfg(unix)]
fn close_copy(descriptor: i32, file: (u64, u64)) {
    #[cfg(target_os = "linux")]
    if descriptor >= 0 && crate::shm::mapping::linux::leads_to(descriptor, file.0, file.1) {
        // SAFETY: it leads to the segment's file, so it is a copy of the parent's.
        unsafe { libc::close(descriptor) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (descriptor, file);
}

impl Kept {
    /// Adds what is kept about one more segment, for the life of the process.
    fn new(words: &'static Words, (file, own): ((u64, u64), i32)) -> &'static Self {
        ALL.add(Kept {
            words: AtomicPtr::new(std::ptr::from_ref(words).cast_mut()),
            lock: AtomicU64::new(0),
            claims: AtomicU64::new(1),
            clock: clock::Copy::new(),
            notes: [const { AtomicI32::new(NO_DESCRIPTOR) }; NOTES],
            spare: AtomicU64::new(0),
            has_gauges: AtomicBool::new(false),
            file,
            own,
        })
    }

    /// In a child: closes its copy of its parent's spare description.
    pub(super) fn close_spare(&self) {
        let spare = self.spare.swap(0, Relaxed);
        if spare != 0 {
            close_copy(spare as u32 as i32, self.file);
        }
    }

    /// In a child, which has no other thread: wipes the words, and puts the clock forward.
    /// `descriptor_of` tells which descriptor holds a lock, if one does.
    pub(super) fn renew(&self, jump: i64, descriptor_of: fn(u64) -> Option<i32>) {
        let mut kept = None;
        // SAFETY: the page is there until it is no longer known (`ForkPage::drop`).
        if let Some(words) = unsafe { self.words.load(Acquire).as_ref() } {
            // A handler of the host may have run before this one, and made an update: then this
            // process has a slot already.
            if words.claimed.load(Relaxed) == u64::from(pid()) {
                kept = descriptor_of(self.lock.load(SeqCst));
            } else {
                words.all().iter().for_each(|word| word.store(0, Relaxed));
                self.clock.restore(&words.clock, jump);
            }
        }
        for note in self.notes.iter().filter(|note| kept != Some(note.load(Relaxed))) {
            close_copy(note.swap(NO_DESCRIPTOR, Relaxed), self.file);
        }
    }

    /// The segment's file: its device and inode, and the descriptor that it was opened by.
    pub(super) fn file(&self) -> ((u64, u64), i32) {
        (self.file, self.own)
    }

    /// Whether children may need a slot. Relaxed, here and below: a hint of its own.
    pub(super) fn has_gauges(&self) -> bool {
        self.has_gauges.load(Relaxed) && !self.words.load(Acquire).is_null()
    }

    pub(super) fn set_has_gauges(&self) {
        self.has_gauges.store(true, Relaxed);
    }

    /// Children need no slot any more.
    pub(super) fn forget_gauges(&self) {
        self.has_gauges.store(false, Relaxed);
    }

    pub(super) fn set_spare(&self, descriptor: i32) {
        self.spare.store(u64::from(pid()) << 32 | u64::from(descriptor as u32), Release);
    }

    /// The description that this process got from its parent, once.
    pub(super) fn take_spare(&self) -> Option<i32> {
        let spare = self.spare.load(Acquire);
        // A child may come here before its handler has closed its copy of its parent's, or without
        // a handler. It must not lock by what it shares.
        let is_own = spare != 0 && (spare >> 32) as u32 == pid();
        (is_own && self.spare.compare_exchange(spare, 0, AcqRel, Relaxed).is_ok()).then_some(spare as u32 as i32)
    }

    /// Notes a descriptor that children of `fork()` close. `None`: there is no room for a note.
    pub(super) fn note(&self, descriptor: i32) -> Option<usize> {
        self.notes.iter().position(|n| n.compare_exchange(NO_DESCRIPTOR, descriptor, AcqRel, Relaxed).is_ok())
    }

    /// Removes a note, after the descriptor was closed.
    pub(super) fn forget(&self, note: usize) {
        if let Some(note) = self.notes.get(note) {
            note.store(NO_DESCRIPTOR, Release);
        }
    }

    /// Removes the note of a descriptor.
    pub(super) fn forget_descriptor(&self, descriptor: i32) {
        self.notes.iter().for_each(|n| _ = n.compare_exchange(descriptor, NO_DESCRIPTOR, AcqRel, Relaxed));
    }
}

pub(super) struct ForkPage {
    words: &'static Words,
    pub(super) kept: &'static Kept,
    /// The pid for which the words are valid, if the kernel does not wipe them.
    unwiped: Option<std::sync::atomic::AtomicU32>,
}

impl ForkPage {
    /// `file`: the device and inode of the segment's file, and a descriptor of it.
    pub(super) fn new(file: ((u64, u64), i32)) -> Self {
        let (words, unwiped) = match wiped_page() {
            Some(words) => (words, None),
            None => (&*Box::leak(Box::new(Words::new())), Some(pid().into())),
        };
        ForkPage { words, kept: Kept::new(words, file), unwiped }
    }

    /// Wipes by hand where the kernel did not.
    #[inline(always)]
    fn fresh(&self) -> &Words {
        if let Some(owner) = &self.unwiped {
            // Only what was there before the look at the owner is wiped, never what another thread
            // of the child has set since.
            let words = self.words.all();
            let old = words.map(|w| w.load(Acquire));
            let me = pid();
            if owner.load(Acquire) != me {
                for (word, old) in words.iter().zip(old) {
                    let _ = word.compare_exchange(old, 0, Relaxed, Relaxed);
                }
                owner.store(me, Release);
            }
        }
        self.words
    }

    #[inline(always)]
    pub(super) fn token(&self) -> u64 {
        // Acquire pairs with the Release in `set_token`: the slot is filled in.
        self.fresh().token.load(Acquire)
    }

    #[inline(always)]
    pub(super) fn clock(&self) -> &clock::Words {
        &self.fresh().clock
    }

    pub(super) fn set_token(&self, token: u64) {
        self.fresh().token.store(token, Release);
    }

    pub(super) fn claimed(&self) -> bool {
        self.fresh().claimed.load(Acquire) != 0
    }

    pub(super) fn set_claimed(&self) {
        self.fresh().claimed.store(u64::from(pid()), Release);
    }

    pub(super) fn identity(&self) -> Option<u32> {
        self.fresh().identity.load(Relaxed).checked_sub(1).map(|i| i as u32)
    }

    pub(super) fn set_identity(&self, identity: u32) {
        self.fresh().identity.store(u64::from(identity) + 1, Relaxed);
    }

    /// Relaxed, here and below: a hint of its own.
    pub(super) fn retry(&self) -> u64 {
        self.fresh().retry.load(Relaxed)
    }

    pub(super) fn set_retry(&self, retry: u64) {
        self.fresh().retry.store(retry, Relaxed);
    }

    pub(super) fn turn(&self) -> &AtomicU64 {
        &self.fresh().turn
    }
}

/// A page is dropped with a mapping that was never used, because another thread has mapped the same
/// segment.
impl Drop for ForkPage {
    fn drop(&mut self) {
        self.kept.words.store(std::ptr::null_mut(), Release);
        #[cfg(target_os = "linux")]
        if self.unwiped.is_none() {
            // SAFETY: our own page, which the handler does not know any more.
            unsafe { libc::munmap(std::ptr::from_ref(self.words).cast_mut().cast(), LEN) };
        }
    }
}

#[cfg(target_os = "linux")]
const LEN: usize = 4096;

#[cfg(target_os = "linux")]
fn wiped_page() -> Option<&'static Words> {
    // SAFETY: a new private mapping where the system likes it.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            LEN,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: our own page.
    if unsafe { libc::madvise(page, LEN, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: our own page, not yet used.
        unsafe { libc::munmap(page, LEN) };
        return None;
    }
    // SAFETY: zeroed, aligned, large enough, and never unmapped. Wiping stores zeros, which are
    // valid words.
    Some(unsafe { &*page.cast::<Words>() })
}

#[cfg(not(target_os = "linux"))]
fn wiped_page() -> Option<&'static Words> {
    None
}
