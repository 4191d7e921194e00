//! The table of processes. A slot belongs to whoever holds the kernel's lock on its byte, and to nobody else: the lock is
//! dropped by the kernel on any death, so there is nothing to time out, to clean up or to take over by force.

use std::cell::LazyCell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::segment::layout::{header, process_cell, slot};
use crate::segment::mapping::{Backing, Hold};
use crate::segment::memory::{Mapped, Memory};
use crate::segment::{now_ns, Inner};

/// A process' claim on a slot. Generations tell successive holders apart: 24 bits, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Token {
    #[inline(always)]
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.generation)
    }

    #[inline(always)]
    pub(crate) fn unpack(packed: u64) -> Option<Self> {
        (packed != 0).then_some(Token { slot: (packed >> 32) as u32, generation: packed as u32 })
    }
}

/// The largest generation.
const GENERATIONS: u32 = (1 << 24) - 1;
const _: () = assert!(process_cell::SIZE == 32);

pub(crate) struct Slots<'a> {
    memory: &'a Mapped,
    at: u64,
    count: u32,
}

/// What a slot says of its holder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) token: Token,
    pub(crate) pid: u32,
    pub(crate) identity: u32,
    pub(crate) attached_ns: u64,
    /// In ticks since boot.
    pub(crate) started: u64,
    pub(crate) namespace: u64,
}

impl<'a> Slots<'a> {
    pub(crate) fn of(inner: &'a Inner) -> Self {
        Slots { memory: &inner.memory, at: inner.regions.slots_at, count: inner.regions.slots_count }
    }

    pub(crate) fn in_memory(memory: &'a Mapped) -> Self {
        let (at, count) = (memory.get64(header::SLOTS_AT), memory.get32(header::SLOTS_COUNT));
        // The header was sound when it was checked, which says nothing about now.
        let end = at.checked_add(u64::from(count) * slot::SIZE);
        let fits = end.is_some_and(|end| end <= memory.fixed_end());
        Slots { memory, at, count: if fits { count } else { 0 } }
    }

    fn slot(&self, i: u32) -> u64 {
        self.at + u64::from(i) * slot::SIZE
    }

    /// Slots ever used.
    pub(crate) fn high(&self) -> u32 {
        self.memory.load32(header::SLOTS_HIGH, Acquire).min(self.count)
    }

    /// Takes the first slot whose holder is gone. The lower the slots in use, the denser the gauges' cells.
    pub(super) fn claim(&self, backing: &dyn Backing, identity: u32, pid: u32) -> Option<(Token, Hold)> {
        let (i, hold) = if backing.has_locks() {
            let (byte, hold) = backing.lock_first(&mut (0..self.count).map(|i| self.slot(i)))?;
            (((byte - self.at) / slot::SIZE) as u32, hold)
        } else {
            (self.claim_by_pid(pid)?, Hold::NOTHING)
        };
        let at = self.slot(i);
        let generation = self.memory.get64(at + slot::WORD) >> 32;
        let token = Token { slot: i, generation: generation as u32 % GENERATIONS + 1 };
        self.memory.put64(at + slot::START_TIME, start_time());
        self.memory.put64(at + slot::PID_NAMESPACE, super::pid_namespace());
        self.memory.put64(at + slot::ATTACHED_NS, now_ns());
        self.memory.put32(at + slot::IDENTITY, identity);
        if let Some(high) = self.memory.u32_at(header::SLOTS_HIGH) {
            high.fetch_max(i + 1, Release); // pairs with `high`
        }
        if let Some(word) = self.memory.u64_at(at + slot::WORD) {
            // Release pairs with the Acquire in `holder`.
            word.store(u64::from(token.generation) << 32 | u64::from(pid), Release);
        }
        Some((token, hold))
    }

    /// Without locks a slot is free if its pid is nobody's.
    fn claim_by_pid(&self, pid: u32) -> Option<u32> {
        (0..self.count).find(|&i| {
            let at = self.slot(i) + slot::WORD;
            let word = self.memory.load64(at, Acquire);
            let claimed = (word >> 32 << 32) | u64::from(pid);
            !pid_exists(word as u32) && self.memory.cas64(at, word, claimed, Release, Relaxed).is_ok()
        })
    }

    /// The generation of a slot's last holder.
    pub(crate) fn generation(&self, i: u32) -> u32 {
        (self.memory.load64(self.slot(i) + slot::WORD, Acquire) >> 32) as u32
    }

    /// Gives up a slot that was never used.
    pub(super) fn release(&self, token: Token) {
        self.memory.put64(self.slot(token.slot) + slot::WORD, u64::from(token.generation) << 32);
    }

    /// The last holder of a slot, if it ever had one.
    pub(crate) fn holder(&self, i: u32) -> Option<Holder> {
        let at = self.slot(i);
        for _ in 0..8 {
            let word = self.memory.load64(at + slot::WORD, Acquire);
            if word as u32 == 0 {
                return None;
            }
            let holder = Holder {
                token: Token { slot: i, generation: (word >> 32) as u32 },
                pid: word as u32,
                identity: self.memory.load32(at + slot::IDENTITY, Acquire),
                attached_ns: self.memory.load64(at + slot::ATTACHED_NS, Acquire),
                started: self.memory.load64(at + slot::START_TIME, Acquire),
                namespace: self.memory.load64(at + slot::PID_NAMESPACE, Acquire),
            };
            if self.memory.load64(at + slot::WORD, Relaxed) == word {
                return Some(holder);
            }
        }
        None
    }

    /// The generation of each slot whose holder lives, 0 for the others. `own`: the asking process' token, whose lock
    /// it cannot see itself.
    pub(crate) fn living(&self, backing: &dyn Backing, own: Option<Token>) -> Vec<u32> {
        let mut living = vec![0; self.high() as usize];
        let mut others = Vec::new();
        for holder in (0..self.high()).filter_map(|i| self.holder(i)) {
            if own == Some(holder.token) {
                living[holder.token.slot as usize] = holder.token.generation;
            } else {
                others.push(holder);
            }
        }
        for (holder, lives) in others.iter().zip(self.live(backing, &others)) {
            if lives {
                living[holder.token.slot as usize] = holder.token.generation;
            }
        }
        living
    }

    /// Whether each of these holders lives, none of whom is the asking process: it does not see its own lock.
    pub(crate) fn live(&self, backing: &dyn Backing, holders: &[Holder]) -> Vec<bool> {
        // A question to the kernel, put when the first answer is needed.
        let namespace = LazyCell::new(super::pid_namespace);
        let bytes: Vec<u64> = holders.iter().map(|holder| self.slot(holder.token.slot)).collect();
        let locked = backing.are_locked(&bytes);
        let lives = |(i, holder): (usize, &Holder)| {
            let in_another = || holder.namespace != *namespace;
            match locked.as_ref().map(|locked| locked[i]) {
                Some(false) => false,
                // Where the lock is held by a descriptor, a child that its dead holder forked may keep it. The pid says otherwise.
                Some(true) => holder.namespace == 0 || in_another() || pid_exists(holder.pid),
                None => in_another() || pid_exists(holder.pid),
            }
        };
        holders.iter().enumerate().map(lives).collect()
    }
}

fn pid_exists(pid: u32) -> bool {
    #[cfg(unix)]
    {
        if pid == 0 {
            return false;
        }
        // SAFETY: signal 0 only asks.
        let gone = unsafe { libc::kill(pid as libc::pid_t, 0) } != 0
            && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        !gone
    }
    #[cfg(not(unix))]
    {
        pid != 0
    }
}

/// When this process started, in the kernel's ticks since boot: with the pid it names a process for people.
fn start_time() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may hold anything.
    stat.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19))
        .and_then(|t| t.parse().ok())
        .unwrap_or(0)
}
