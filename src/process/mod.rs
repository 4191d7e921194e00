//! Who is attached: the process' own slot, fork detection, and whether others live.
//!
//! Only gauges with a value per process need any of it. Counters and histograms are shared cells, so a process that only
//! counts is never registered anywhere.

mod fork;
mod slots;

pub(crate) use slots::{Slots, Token};

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use fork::ForkPage;

use crate::host::Undisturbed;
use crate::segment::mapping::Hold;
use crate::segment::Inner;

/// This process' registration in one segment.
pub(crate) struct Process {
    page: ForkPage,
    /// {claim, `Hold`} of the lock that proves the holder of the current slot alive, in ordinary memory: a forked child
    /// finds its parent's here, and gives it up.
    lock: AtomicU64,
    /// Numbers the claims of this process and of those it was forked from. A pid would not do: it comes back.
    claims: AtomicU32,
}

impl Process {
    pub(crate) fn new() -> Self {
        Process { page: ForkPage::new(), lock: AtomicU64::new(0), claims: AtomicU32::new(1) }
    }

    /// This process' token in the segment, once it has one.
    #[inline(always)]
    pub(crate) fn token(&self) -> Option<Token> {
        Token::unpack(self.page.token())
    }

    pub(crate) fn set_identity(&self, identity: u32) {
        self.page.set_identity(identity);
    }

    /// The number that stands for this process in labels: the chosen one, or its pid.
    pub(crate) fn identity(&self) -> u32 {
        self.page.identity().unwrap_or_else(pid)
    }

    /// Whether nobody with this pid, in this PID namespace, holds a slot and lives.
    pub(crate) fn is_gone(&self, inner: &Inner, pid: u32) -> bool {
        let _undisturbed = Undisturbed::new();
        let (slots, own, namespace) = (Slots::of(inner), self.token(), pid_namespace());
        let all = (0..slots.high()).filter_map(|i| slots.holder(i));
        let holders: Vec<_> = all.filter(|h| h.pid == pid && h.namespace == namespace).collect();
        !holders.iter().any(|h| own == Some(h.token)) && !slots.live(&*inner.backing, &holders).contains(&true)
    }

    /// Whether the slot is still this process'. It is not if its lock was held by a descriptor (see `Hold`), the host closed that,
    /// and somebody else has taken the slot since; then the token is given up.
    #[cold]
    #[inline(never)]
    pub(crate) fn still_holds(&self, inner: &Inner, token: Token) -> bool {
        if Slots::of(inner).generation(token.slot) == token.generation {
            return true;
        }
        if self.token() == Some(token) {
            let _undisturbed = Undisturbed::new();
            self.page.set_token(0);
            inner.backing.unlock(held_by(self.lock.swap(0, SeqCst)), false);
        }
        false
    }

    /// Gives up the slot, as a death does.
    pub(crate) fn leave(&self, inner: &Inner) {
        if self.token().is_some() {
            let _undisturbed = Undisturbed::new();
            self.page.set_token(0);
            inner.backing.unlock(held_by(self.lock.swap(0, SeqCst)), false);
        }
    }

    /// The token, claiming a slot first if need be. `None`: all slots are taken, or a signal handler has interrupted this
    /// very call.
    #[cold]
    #[inline(never)]
    pub(crate) fn register(&self, inner: &Inner) -> Option<Token> {
        let _undisturbed = Undisturbed::new();
        let slots = Slots::of(inner);
        let me = pid();
        for attempt in 0..1000 {
            if let Some(token) = self.token() {
                return Some(token);
            }
            let held = self.lock.load(SeqCst);
            if held != 0 && !self.page.claimed() {
                // Inherited over fork. As long as a descriptor is open here, our parent would seem to live.
                if self.lock.compare_exchange(held, 0, SeqCst, Relaxed).is_ok() {
                    inner.backing.unlock(held_by(held), true);
                }
            } else if held != 0 {
                // Another thread of this process is between the two steps below.
                if attempt > 10 {
                    std::thread::yield_now();
                }
            } else {
                let (token, hold) = slots.claim(&*inner.backing, self.identity(), me)?;
                let claim = self.claims.fetch_add(1, Relaxed).max(1);
                let mine = u64::from(claim) << Hold::BITS | hold.0;
                self.page.set_claimed();
                if self.lock.compare_exchange(0, mine, SeqCst, Relaxed).is_ok() {
                    self.page.set_token(token.pack());
                } else {
                    slots.release(token);
                    inner.backing.unlock(hold, false);
                }
            }
        }
        None
    }
}

fn held_by(lock: u64) -> Hold {
    Hold(lock & ((1 << Hold::BITS) - 1))
}

pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// The kernel's name for this boot; zeros where there is none.
pub(crate) fn boot_id() -> [u8; 16] {
    let mut id = [0; 16];
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u8> = text.bytes().filter_map(|b| (b as char).to_digit(16).map(|d| d as u8)).collect();
    if digits.len() == 32 {
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
    }
    id
}

/// A number for this process' PID namespace; 0 where there is none.
pub(crate) fn pid_namespace() -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino())
    }
    #[cfg(not(unix))]
    0
}
