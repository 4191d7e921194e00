//! A page that the kernel wipes in a forked child: how a process notices that it is not the one that registered.
//!
//! It works for every way to fork (also a raw `clone`, from a host that does not know us) and costs a load. A `vfork` or
//! `posix_spawn` child shares its parent's memory and rightly counts as the parent. Where the kernel does not know how
//! (before Linux 4.14, and elsewhere) the page holds the pid, and a look at it costs a system call.
//!
//! Emulators have been seen to say that they wipe, and not to do it. So a handler wipes all pages in each child of
//! `fork()` as well, which sees no raw `clone` but needs nothing of the kernel.

use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::pid;

#[repr(C)]
struct Words {
    token: AtomicU64,
    /// A chosen identity + 1.
    identity: AtomicU64,
    /// The pid of a process that is about to put a lock into `Process::lock`; 0: what is there is a parent's.
    claimed: AtomicU64,
}

impl Words {
    const fn new() -> Self {
        Words { token: AtomicU64::new(0), identity: AtomicU64::new(0), claimed: AtomicU64::new(0) }
    }

    fn wipe(&self) {
        self.token.store(0, Relaxed);
        self.identity.store(0, Relaxed);
        self.claimed.store(0, Relaxed);
    }
}

pub(super) struct ForkPage {
    words: &'static Words,
    known: &'static Known,
    /// The pid for which the words are valid, if the kernel does not wipe them.
    unwiped: Option<AtomicU32>,
}

/// A page that the handler knows. It does not stand in the page, which is wiped.
struct Known {
    /// NULL once the page is gone.
    words: AtomicPtr<Words>,
    next: *const Known,
}

// SAFETY: entries are added complete; `next` never changes, and the rest is atomic.
unsafe impl Send for Known {}
// SAFETY: as above.
unsafe impl Sync for Known {}

/// All pages of this process, for ever: the newest.
static KNOWN: AtomicPtr<Known> = AtomicPtr::new(std::ptr::null_mut());

/// Runs in the child, before anything else does. Plain stores: nobody knows what the fork has interrupted.
#[cfg(unix)]
unsafe extern "C" fn wipe_all() {
    let mut at = KNOWN.load(Acquire).cast_const();
    // SAFETY: pages are added complete and never freed.
    while let Some(known) = unsafe { at.as_ref() } {
        // SAFETY: the page is there until it is no longer known (`ForkPage::drop`). No other thread runs in the child.
        if let Some(words) = unsafe { known.words.load(Acquire).as_ref() } {
            words.wipe();
        }
        at = known.next;
    }
}

/// Has the handler know a page.
fn know(words: &'static Words) -> &'static Known {
    #[cfg(unix)]
    {
        static HANDLED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        // Two threads may both come here. A handler that runs twice does no harm; one that a thread waits for while
        // another forks might.
        if !HANDLED.load(Acquire) {
            // SAFETY: the handler stays as long as the code (the C library is never unloaded; of a plug-in that is,
            // libc drops the handlers with it).
            let failed = unsafe { libc::pthread_atfork(None, None, Some(wipe_all)) };
            HANDLED.store(failed == 0, Release);
        }
    }
    let words = AtomicPtr::new(std::ptr::from_ref(words).cast_mut());
    let known = Box::into_raw(Box::new(Known { words, next: std::ptr::null() }));
    let mut newest = KNOWN.load(Acquire);
    loop {
        // SAFETY: not published yet.
        unsafe { (*known).next = newest };
        match KNOWN.compare_exchange_weak(newest, known, Release, Acquire) {
            // SAFETY: never freed, and not changed any more but for the atomic.
            Ok(_) => return unsafe { &*known },
            Err(now) => newest = now,
        }
    }
}

impl ForkPage {
    pub(super) fn new() -> Self {
        let (words, unwiped) = match wiped_page() {
            Some(words) => (words, None),
            None => (&*Box::leak(Box::new(Words::new())), Some(AtomicU32::new(pid()))),
        };
        ForkPage { words, known: know(words), unwiped }
    }

    /// Wipes by hand where nobody did.
    #[inline(always)]
    fn fresh(&self) -> &Words {
        if let Some(owner) = &self.unwiped {
            // Only what was there before the look at the owner is wiped, never what another thread of the child has set since.
            let words = [&self.words.token, &self.words.identity, &self.words.claimed];
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
}

/// Of a mapping that another thread has made needless before any process used it.
impl Drop for ForkPage {
    fn drop(&mut self) {
        self.known.words.store(std::ptr::null_mut(), Release);
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
    // SAFETY: zeroed, aligned, large enough, and never unmapped. Wiping stores zeros, which are valid words.
    Some(unsafe { &*page.cast::<Words>() })
}

#[cfg(not(target_os = "linux"))]
fn wiped_page() -> Option<&'static Words> {
    None
}
