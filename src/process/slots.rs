//! The table of processes. A slot belongs to the process that its words name, for as long as the
//! kernel vouches for that process (see `proof`). The kernel ends a proof on any death, so there is
//! nothing to time out, to clean up or to take over by force.
//!
//! A process gets its proof first. Then one 16-byte compare-and-swap of {WORD, PROOF} makes the
//! slot its own, from a pair whose holder it knows to be dead. A reader reads the pair, asks about
//! just that proof, and reads the pair again. So a page never takes a new holder for an old one,
//! however long the new one is stopped on its way in.

use std::cell::LazyCell;
use std::sync::atomic::{fence, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

#[cfg(target_os = "linux")]
use super::attachment;
#[cfg(target_os = "linux")]
use super::attachment::Attachment;
use super::fork::Kept;
#[cfg(target_os = "linux")]
use super::locks::Description;
#[cfg(target_os = "linux")]
use super::proof::ATTEMPTS;
use super::proof::{Hold, Refusal, Standing};
use crate::os::clock::now_ns;
#[cfg(unix)]
use crate::os::errno::errno;
use crate::os::identity::pid;
#[cfg(target_os = "linux")]
use crate::os::proc::read_start;
use crate::shm::layout::{header, process_cell, slot, Regions};
use crate::shm::mapping::Backing;
use crate::shm::memory::{Mapped, Memory};

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

/// The kinds of `slot::PROOF`, in its low bits; see also `attachment`.
const KIND_MASK: u64 = 3;
const KIND_PID: u64 = 0;
const KIND_LOCKS: u64 = 1;

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
    proof: u64,
    pub(crate) identity: u32,
    pub(crate) attached_ns: u64,
    /// The start of the process, in ticks since boot.
    pub(crate) started: u64,
    /// 0: the holder has not written it yet, or could not tell.
    pub(crate) namespace: u64,
}

/// `slot::WORD` of a holder; of a slot that is free, with the pid 0.
fn word(generation: u32, pid: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(pid)
}

/// A process that wants a slot.
pub(super) struct Claimant<'a> {
    pub(super) identity: u32,
    pub(super) pid: u32,
    pub(super) kept: &'a Kept,
    /// The number of its PID namespace, asked for once: it costs as much as a lock.
    pub(super) namespace: LazyCell<u64>,
}

impl<'a> Slots<'a> {
    pub(crate) fn of(memory: &'a Mapped, regions: &Regions) -> Self {
        Slots { memory, at: regions.slots_at, count: regions.slots_count }
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

    /// The byte that a holder by locks has locked in this generation.
    fn generation_byte(&self, token: Token) -> u64 {
        self.slot(token.slot) + 1 + u64::from(token.generation) % (slot::SIZE - 1)
    }

    /// Slots ever used.
    pub(crate) fn high(&self) -> u32 {
        self.memory.load32(header::SLOTS_HIGH, Acquire).min(self.count)
    }

    /// Takes the first slot whose holder is gone. The lower the slots in use, the denser the
    /// gauges' cells. Allocates nothing.
    pub(super) fn claim(&self, backing: &dyn Backing, claimant: &Claimant<'_>) -> Result<(Token, Hold), Refusal> {
        if !backing.has_locks() {
            let token = (0..self.count).find_map(|i| self.take(backing, claimant, i, KIND_PID));
            return token.map(|token| (token, Hold::NOTHING)).ok_or(Refusal::Full);
        }
        #[cfg(target_os = "linux")]
        return match self.claim_by_locks(backing, claimant) {
            Err(Refusal::NoProof(_)) => self.claim_by_attachment(backing, claimant),
            other => other,
        };
        #[cfg(not(target_os = "linux"))]
        Err(Refusal::NoProof(0))
    }

    #[cfg(target_os = "linux")]
    fn claim_by_locks(&self, backing: &dyn Backing, claimant: &Claimant<'_>) -> Result<(Token, Hold), Refusal> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let description = Description::open(backing, claimant.kept)?;
            let mut tokens = (0..self.count).map(|i| self.take_by_locks(backing, claimant, i, &description));
            let token = tokens.find_map(Result::transpose).ok_or(Refusal::Full)?.map_err(Refusal::NoProof)?;
            let (hold, is_own) = description.keep();
            // A child that was forked meanwhile would keep the slot until its handler has run.
            if is_own || attempts == ATTEMPTS {
                return Ok((token, hold));
            }
            self.release(token);
            hold.release(backing, claimant.kept, false);
        }
    }

    #[cfg(target_os = "linux")]
    fn claim_by_attachment(&self, backing: &dyn Backing, claimant: &Claimant<'_>) -> Result<(Token, Hold), Refusal> {
        let attachment = Attachment::new(backing.id())?;
        for i in 0..self.count {
            // A process that claims by locks may be on its way in.
            if backing.is_locked(self.slot(i)) == Some(true) {
                continue;
            }
            if let Some(token) = self.take(backing, claimant, i, attachment.proof()) {
                return Ok((token, attachment.keep()));
            }
        }
        Err(Refusal::Full)
    }

    /// Takes a slot if no living process has it. An error: the system has no such locks for this
    /// process.
    #[cfg(target_os = "linux")]
    fn take_by_locks(
        &self,
        backing: &dyn Backing,
        claimant: &Claimant<'_>,
        i: u32,
        description: &Description<'_>,
    ) -> Result<Option<Token>, i32> {
        // Processes claim a slot by locks one at a time. A living holder by locks keeps the byte.
        if !description.lock(self.slot(i))? {
            return Ok(None);
        }
        let token = Token { slot: i, generation: self.generation(i) % GENERATIONS + 1 };
        if description.lock(self.generation_byte(token))? {
            if let Some(taken) = self.take(backing, claimant, i, KIND_LOCKS) {
                if taken == token {
                    return Ok(Some(taken));
                }
                // Another process had the slot meanwhile, and is dead.
                self.release(taken);
            }
            description.unlock(self.generation_byte(token));
        }
        description.unlock(self.slot(i));
        Ok(None)
    }

    /// Makes a slot the claimant's, if its holder is gone. The claimant has the proof already.
    fn take(&self, backing: &dyn Backing, claimant: &Claimant<'_>, i: u32, proof: u64) -> Option<Token> {
        let pair = self.memory.pair(self.slot(i))?;
        let seen = pair.load();
        if let Some(holder) = self.holder(i) {
            // The byte that the claimant has locked itself is of the next generation, so what it
            // asks about is another's.
            if self.standing(backing, &holder, *claimant.namespace) != Standing::Dead {
                return None;
            }
        }
        let token = Token { slot: i, generation: (seen[0] >> 32) as u32 % GENERATIONS + 1 };
        // It fails if another process has taken the slot since. Release pairs with the Acquire in
        // `holder`.
        pair.cas(seen, [word(token.generation, claimant.pid), proof]).ok()?;
        self.describe(token, claimant);
        if let Some(high) = self.memory.u32_at(header::SLOTS_HIGH) {
            high.fetch_max(i + 1, Release); // pairs with `high`
        }
        Some(token)
    }

    /// Writes what the other fields of a slot say about its new holder.
    fn describe(&self, token: Token, claimant: &Claimant<'_>) {
        let at = self.slot(token.slot);
        self.memory.put32(at + slot::DESCRIBED, 0);
        // Pairs with the fence in `holder`: a reader that sees any of the fields below sees the 0
        // above, or what replaces it.
        fence(Release);
        self.memory.put64(at + slot::START_TIME, start_time());
        self.memory.put64(at + slot::PID_NAMESPACE, *claimant.namespace);
        self.memory.put64(at + slot::ATTACHED_NS, now_ns());
        self.memory.put32(at + slot::IDENTITY, claimant.identity);
        // Release pairs with the Acquire in `holder`: the fields are this generation's.
        self.memory.store32(at + slot::DESCRIBED, token.generation, Release);
    }

    /// The generation of a slot's last holder.
    pub(crate) fn generation(&self, i: u32) -> u32 {
        (self.memory.load64(self.slot(i) + slot::WORD, Acquire) >> 32) as u32
    }

    /// Gives up a slot, unless another process has it by now. A child that shares its parent's
    /// claim takes nothing from it: the slot names the parent.
    pub(super) fn release(&self, token: Token) {
        let Some(pair) = self.memory.pair(self.slot(token.slot)) else { return };
        let seen = pair.load();
        if seen[0] == word(token.generation, pid()) {
            // It fails if another process has taken the slot since.
            let _ = pair.cas(seen, [word(token.generation, 0), seen[1]]);
        }
    }

    /// The last holder of a slot, if it ever had one.
    pub(crate) fn holder(&self, i: u32) -> Option<Holder> {
        let at = self.slot(i);
        let [word, proof] = self.memory.pair(at)?.load();
        if word as u32 == 0 {
            return None;
        }
        let token = Token { slot: i, generation: (word >> 32) as u32 };
        let mut holder =
            Holder { token, pid: word as u32, proof, identity: 0, attached_ns: 0, started: 0, namespace: 0 };
        // Acquire pairs with the Release in `describe`.
        if self.memory.load32(at + slot::DESCRIBED, Acquire) == token.generation {
            let fields = Holder {
                identity: self.memory.get32(at + slot::IDENTITY),
                attached_ns: self.memory.get64(at + slot::ATTACHED_NS),
                started: self.memory.get64(at + slot::START_TIME),
                namespace: self.memory.get64(at + slot::PID_NAMESPACE),
                ..holder
            };
            fence(Acquire); // the fields were read before this second look
            if self.memory.load32(at + slot::DESCRIBED, Relaxed) == token.generation {
                holder = fields;
            }
        }
        Some(holder)
    }

    fn is_still_there(&self, holder: &Holder) -> bool {
        let now = self.memory.load64(self.slot(holder.token.slot) + slot::WORD, Acquire);
        now == word(holder.token.generation, holder.pid)
    }

    /// The generation of each slot whose holder lives, 0 for the others. `own`: the asking process'
    /// token, whose lock it cannot see itself.
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
        // A lock byte serves each 63rd generation. So a slot that gets a new holder during the
        // question is asked about again. If that happens time and again, the slot is left out: its
        // holders die as fast.
        for _ in 0..8 {
            let alive = self.live(backing, &others);
            let mut changed = Vec::new();
            for (holder, lives) in others.iter().zip(alive).filter(|(_, lives)| *lives) {
                debug_assert!(lives);
                if self.is_still_there(holder) {
                    living[holder.token.slot as usize] = holder.token.generation;
                } else {
                    changed.extend(self.holder(holder.token.slot).filter(|now| own != Some(now.token)));
                }
            }
            if changed.is_empty() {
                break;
            }
            others = changed;
        }
        living
    }

    /// Whether each of these holders lives. None of them is the asking process: it does not see its
    /// own lock. A holder that cannot be asked about from here counts as alive.
    pub(crate) fn live(&self, backing: &dyn Backing, holders: &[Holder]) -> Vec<bool> {
        // A question to the kernel, put when the first answer is needed.
        let namespace = LazyCell::new(crate::os::identity::pid_namespace);
        let by_locks = |holder: &&Holder| holder.proof & KIND_MASK == KIND_LOCKS;
        let bytes: Vec<u64> = holders.iter().filter(by_locks).map(|h| self.generation_byte(h.token)).collect();
        let mut locked = backing.are_locked(&bytes).map(Vec::into_iter);
        let lives = |holder: &Holder| {
            let locked = if by_locks(&holder) { locked.as_mut().and_then(Iterator::next) } else { None };
            self.judge(holder, locked, *namespace) != Standing::Dead
        };
        holders.iter().map(lives).collect()
    }

    /// What the kernel says of one holder to a process of this PID namespace. Allocates nothing.
    fn standing(&self, backing: &dyn Backing, holder: &Holder, namespace: u64) -> Standing {
        let is_by_locks = holder.proof & KIND_MASK == KIND_LOCKS;
        let locked = if is_by_locks { backing.is_locked(self.generation_byte(holder.token)) } else { None };
        self.judge(holder, locked, namespace)
    }

    /// `locked`: of a holder by locks, whether its lock is there, if that can be told.
    #[allow(clippy::unused_self)]
    fn judge(&self, holder: &Holder, locked: Option<bool>, namespace: u64) -> Standing {
        // Without /proc, or without namespaces, the number is 0. Where pids are all there is, they
        // have to do.
        let is_told = namespace != 0 || holder.proof & KIND_MASK == KIND_PID;
        let in_own = is_told && holder.namespace == namespace;
        let by_proof = match (holder.proof & KIND_MASK, locked) {
            (KIND_LOCKS, Some(false)) => Standing::Dead,
            (KIND_LOCKS, Some(true)) => Standing::Alive,
            #[cfg(target_os = "linux")]
            (attachment::KIND, _) => attachment::standing(holder.proof, in_own.then_some(holder.pid)),
            _ => Standing::Unknown,
        };
        // A child of a raw `clone` may keep its dead parent's proof. The pid says otherwise.
        if by_proof != Standing::Dead && in_own && !pid_exists(holder.pid) {
            return Standing::Dead;
        }
        by_proof
    }
}

fn pid_exists(pid: u32) -> bool {
    #[cfg(unix)]
    {
        if pid == 0 {
            return false;
        }
        // SAFETY: signal 0 only asks.
        let gone = unsafe { libc::kill(pid as libc::pid_t, 0) } != 0 && errno() == libc::ESRCH;
        !gone
    }
    #[cfg(not(unix))]
    {
        pid != 0
    }
}

/// When this process started, in the kernel's ticks since boot: with the pid it names a process for
/// people. 0 where /proc does not tell. Allocates nothing.
fn start_time() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let mut buffer = [0; 1024];
        let Some(stat) = read_start(c"/proc/self/stat", &mut buffer) else { return 0 };
        // The second field is the program's name in parentheses, which may hold anything.
        let Some(end) = stat.iter().rposition(|b| *b == b')') else { return 0 };
        let started = stat[end..].split(|b| *b == b' ').nth(20);
        started.and_then(|t| std::str::from_utf8(t).ok()?.parse().ok()).unwrap_or(0)
    }
    #[cfg(not(target_os = "linux"))]
    0
}
