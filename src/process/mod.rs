//! The process' own slot, how it notices a fork, and whether other processes live.
//!
//! Only gauges with a value for each process need any of it. Counters and histograms are shared
//! cells, so a process that only counts is never registered anywhere.
//!
//! * `slots`: the table of processes; `proof`: what shows that a holder lives, which is a lock of
//!   `locks` or an `attachment`
//! * `fork`: how a child notices that it is one; `atfork`: the C library's handlers; `handover`: a
//!   file description for each child

mod atfork;
#[cfg(target_os = "linux")]
mod attachment;
mod fork;
#[cfg(target_os = "linux")]
mod handover;
#[cfg(target_os = "linux")]
mod locks;
mod proof;
mod slots;
mod turn;

pub(crate) use self::proof::Refusal;
pub(crate) use self::slots::{Slots, Token};
pub(crate) use self::turn::Turn;

use std::cell::LazyCell;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};

use self::fork::ForkPage;
use self::proof::Hold;
use self::slots::Claimant;

#[cfg(target_os = "linux")]
use crate::os::clock::clock;
use crate::os::clock::monotonic_ns;
use crate::os::host::Undisturbed;
use crate::os::identity::{pid, pid_namespace};
use crate::shm::clock;
use crate::shm::layout::{header, Regions};
use crate::shm::mapping::Backing;
use crate::shm::memory::Mapped;

/// A segment as far as processes have to do with it.
#[derive(Clone, Copy)]
pub(crate) struct Attached<'a> {
    pub(crate) memory: &'a Mapped,
    pub(crate) backing: &'a dyn Backing,
    pub(crate) regions: &'a Regions,
}

impl<'a> Attached<'a> {
    fn slots(&self) -> Slots<'a> {
        Slots::of(self.memory, self.regions)
    }
}

/// This process' registration in one segment.
pub(crate) struct Process {
    page: ForkPage,
}

impl Process {
    pub(crate) fn new(backing: &dyn Backing) -> Self {
        atfork::install();
        Process { page: ForkPage::new((backing.id(), backing.descriptor().unwrap_or(-1))) }
    }

    /// Notes that there are per-process gauges, so that children may want slots.
    pub(crate) fn expect_gauges(&self) {
        self.page.kept.set_has_gauges();
    }

    /// As `detach`, and children of this process take no slot either.
    pub(crate) fn discard(&self, at: &Attached<'_>) {
        self.detach(at);
        self.page.kept.forget_gauges();
    }

    /// This process' token in the segment, once it has one.
    #[inline(always)]
    pub(crate) fn token(&self) -> Option<Token> {
        Token::unpack(self.page.token())
    }

    /// What this process knows of the segment's clock.
    #[inline(always)]
    pub(crate) fn clock(&self) -> &clock::Words {
        self.page.clock()
    }

    /// The same, for its children.
    pub(crate) fn clock_copy(&self) -> &clock::Copy {
        &self.page.kept.clock
    }

    pub(crate) fn set_identity(&self, identity: u32) {
        self.page.set_identity(identity);
    }

    /// The number that stands for this process in labels: the chosen one, or its pid.
    pub(crate) fn identity(&self) -> u32 {
        self.page.identity().unwrap_or_else(pid)
    }

    /// Whether no living process with this pid, in this PID namespace, holds a slot.
    pub(crate) fn is_gone(&self, at: &Attached<'_>, pid: u32) -> bool {
        let _undisturbed = Undisturbed::new();
        let (slots, own, namespace) = (at.slots(), self.token(), pid_namespace());
        let all = (0..slots.high()).filter_map(|i| slots.holder(i));
        let holders: Vec<_> = all.filter(|h| h.pid == pid && h.namespace == namespace).collect();
        !holders.iter().any(|h| own == Some(h.token)) && !slots.live(at.backing, &holders).contains(&true)
    }

    /// Whether the slot is still this process'. It is not if its lock was held by a descriptor (see
    /// `Hold`), the host closed that, and another process has taken the slot since; then the token
    /// is given up.
    #[cold]
    #[inline(never)]
    pub(crate) fn still_holds(&self, at: &Attached<'_>, token: Token) -> bool {
        if at.slots().generation(token.slot) == token.generation {
            return true;
        }
        if self.token() == Some(token) {
            self.give_up(at);
        }
        false
    }

    /// Gives up the slot, as a death does.
    pub(crate) fn detach(&self, at: &Attached<'_>) {
        if self.token().is_some() {
            self.give_up(at);
        }
    }

    fn give_up(&self, at: &Attached<'_>) {
        let _undisturbed = Undisturbed::new();
        if let Some(token) = self.token() {
            // While the proof keeps others from the slot. A child may share the proof: for a moment
            // after its birth, or for its life after a raw `clone`.
            at.slots().release(token);
        }
        self.page.set_token(0);
        let kept = self.page.kept;
        Hold::of(kept.lock.swap(0, SeqCst)).release(at.backing, kept, false);
    }

    /// The token for an update, claiming a slot first if need be. `None`: there is none now, which
    /// is counted. A refusal is remembered, so that further updates do not repeat the system calls.
    #[cold]
    #[inline(never)]
    pub(crate) fn register(&self, at: &Attached<'_>) -> Option<Token> {
        let retry = Retry(self.page.retry());
        let refused = if retry.is_over() {
            match self.attach(at) {
                Ok(token) => return Some(token),
                Err(refusal) => refusal,
            }
        } else {
            retry.refusal()
        };
        match refused {
            Refusal::Full => at.memory.count(header::NO_SLOT),
            Refusal::NoProof(_) => at.memory.count(header::NO_PROOF),
            Refusal::Busy => {}
        }
        None
    }

    /// The calling thread's turn at what one thread of a process does at a time.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn::take(self.page.turn())
    }

    /// The token, claiming a slot first if need be: tried in any case. Async-signal-safe, and
    /// leaves `errno` as it was.
    pub(crate) fn attach(&self, at: &Attached<'_>) -> Result<Token, Refusal> {
        let _undisturbed = Undisturbed::new();
        let turn = self.turn();
        if turn.has_waited {
            if let Some(token) = self.token() {
                return Ok(token);
            }
            let retry = Retry(self.page.retry());
            if !retry.is_over() {
                return Err(retry.refusal());
            }
        }
        let result = self.claim(at);
        match result {
            Ok(_) => self.page.set_retry(0),
            // The next update tries again.
            Err(Refusal::Busy) => {}
            Err(refusal) => self.page.set_retry(Retry(self.page.retry()).after(refusal).0),
        }
        result
    }

    fn claim(&self, at: &Attached<'_>) -> Result<Token, Refusal> {
        let (slots, kept, me) = (at.slots(), self.page.kept, pid());
        self.expect_gauges();
        for attempt in 0..1000 {
            if let Some(token) = self.token() {
                return Ok(token);
            }
            let held = kept.lock.load(SeqCst);
            if held != 0 && !self.page.claimed() {
                // Inherited over fork. As long as a descriptor is open here, our parent would seem
                // to live.
                if kept.lock.compare_exchange(held, 0, SeqCst, Relaxed).is_ok() {
                    Hold::of(held).release(at.backing, kept, true);
                }
            } else if held != 0 {
                // Another thread of this process is between the two steps below.
                if attempt > 10 {
                    std::thread::yield_now();
                }
            } else {
                let namespace = LazyCell::new(pid_namespace as fn() -> u64);
                let claimant = Claimant { identity: self.identity(), pid: me, kept, namespace };
                let (token, hold) = slots.claim(at.backing, &claimant)?;
                // The number has 27 bits. A child tells its own claim from an inherited one, unless
                // both are of one page and 2^27 claims lie between them.
                let claim = kept.claims.fetch_add(1, Relaxed);
                let mine = claim << Hold::BITS | hold.0;
                self.page.set_claimed();
                if kept.lock.compare_exchange(0, mine, SeqCst, Relaxed).is_ok() {
                    self.page.set_token(token.pack());
                    at.memory.note_update();
                } else {
                    slots.release(token);
                    hold.release(at.backing, kept, false);
                }
            }
        }
        Err(Refusal::Busy)
    }
}

/// When a claim that failed may be tried again: {time by `now`: 48 bits, error number: 8, attempts
/// that failed: 7, whether all slots were taken: 1}; 0 where none has failed.
#[derive(Clone, Copy)]
struct Retry(u64);

impl Retry {
    /// The first wait, in units of `now`: a slot that is freed soon is found soon. Each further
    /// wait is twice as long, up to `LONGEST`, half a minute.
    const FIRST: u64 = 2;
    const LONGEST: u64 = 30_000_000 >> UNIT_SHIFT;
    /// After so many attempts a wait is longer than the ticks of the clock that is cheap to read.
    const SHORT: u64 = 8;

    fn is_over(self) -> bool {
        self.0 == 0 || now(self.failed() <= Self::SHORT) >= self.0 >> 16
    }

    fn failed(self) -> u64 {
        self.0 >> 1 & 0x7f
    }

    fn refusal(self) -> Refusal {
        if self.0 & 1 == 1 {
            Refusal::Full
        } else {
            Refusal::NoProof((self.0 >> 8) as i32 & 0xff)
        }
    }

    fn after(self, refusal: Refusal) -> Self {
        let (full, error) = match refusal {
            Refusal::NoProof(error) => (0, error as u64 & 0xff),
            _ => (1, 0),
        };
        let failed = (self.failed() + 1).min(0x7f);
        let wait = (Self::FIRST << (failed - 1).min(32)).min(Self::LONGEST);
        Retry((now(true) + wait) << 16 | error << 8 | failed << 1 | full)
    }
}

/// Microseconds in a unit of `now`: 2^48 of them last for 570 years.
const UNIT_SHIFT: u32 = 6;

/// A clock that only rises, in units of 64 microseconds. Costs no system call. Unless it has to be
/// `precise` it is some milliseconds late, and cheaper.
fn now(precise: bool) -> u64 {
    #[cfg(target_os = "linux")]
    let ns = if precise { monotonic_ns() } else { clock(libc::CLOCK_MONOTONIC_COARSE) };
    #[cfg(not(target_os = "linux"))]
    let (ns, _) = (monotonic_ns(), precise);
    (ns / 1000) >> UNIT_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_keep_the_reason() {
        let mut retry = Retry(0);
        assert!(retry.is_over(), "the first attempt is made at once");
        let mut last = 0;
        for attempt in 1..=200 {
            let before = now(true);
            retry = retry.after(Refusal::NoProof(libc::EACCES));
            let wait = (retry.0 >> 16) - before;
            assert!(wait >= last.min(Retry::LONGEST), "attempt {attempt}: {wait} after {last}");
            last = wait.min(Retry::LONGEST);
            assert_eq!(retry.refusal(), Refusal::NoProof(libc::EACCES));
        }
        assert!(!retry.is_over());
        assert!((retry.0 >> 16) - now(true) <= Retry::LONGEST);
        assert_eq!(retry.after(Refusal::Full).refusal(), Refusal::Full);
    }
}
