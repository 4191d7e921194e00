//! A page that the kernel wipes in a forked child: how a process notices that it is not the one that registered.
//!
//! It works for every way to fork (also a raw `clone`, from a host that does not know us) and costs a load. A `vfork` or
//! `posix_spawn` child shares its parent's memory and rightly counts as the parent. Where the kernel cannot wipe
//! (before Linux 4.14, and elsewhere) the page holds the pid, and a look at it costs a system call.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use super::pid;

#[repr(C)]
struct Words {
    token: AtomicU64,
    /// A chosen identity + 1.
    identity: AtomicU64,
}

pub(super) struct ForkPage {
    words: &'static Words,
    /// The pid for which the words are valid, if the kernel does not wipe them.
    unwiped: Option<AtomicU32>,
}

impl ForkPage {
    pub(super) fn new() -> Self {
        match wiped_page() {
            Some(words) => ForkPage { words, unwiped: None },
            None => ForkPage {
                words: Box::leak(Box::new(Words { token: AtomicU64::new(0), identity: AtomicU64::new(0) })),
                unwiped: Some(AtomicU32::new(pid())),
            },
        }
    }

    /// Wipes by hand where the kernel did not.
    #[inline(always)]
    fn fresh(&self) -> &Words {
        if let Some(owner) = &self.unwiped {
            let me = pid();
            if owner.load(Acquire) != me {
                self.words.token.store(0, Relaxed);
                self.words.identity.store(0, Relaxed);
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

    pub(super) fn identity(&self) -> Option<u32> {
        self.fresh().identity.load(Relaxed).checked_sub(1).map(|i| i as u32)
    }

    pub(super) fn set_identity(&self, identity: u32) {
        self.fresh().identity.store(u64::from(identity) + 1, Relaxed);
    }
}

#[cfg(target_os = "linux")]
fn wiped_page() -> Option<&'static Words> {
    const LEN: usize = 4096;
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
