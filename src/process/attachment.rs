//! The second proof of life: a System V shared memory segment that only this process has attached.

use super::fork::forks;
use super::handover::{forks_at_rest, Patience};
use super::proof::{keep_from_children, unmap, Hold, Refusal, Standing, ATTEMPTS};
use crate::os::clock::now_ns;
use crate::os::errno::errno;
use crate::shm::layout::PAGE;
use crate::shm::mapping::attendance::{state_of, SHM_DEST};

/// A System V shared memory segment that this process alone has attached.
pub(super) struct Attachment {
    id: i32,
    size: usize,
    page: usize,
}

/// `PROOF` of a slot: {kind: 2 bits, id: 31, size - 1: 12, IPC namespace: 19}.
const ID_SHIFT: u32 = 2;
const SIZE_SHIFT: u32 = 33;
const SIZE_MASK: u64 = 0xfff;
const NAMESPACE_SHIFT: u32 = 45;
pub(super) const KIND: u64 = 2;

impl Attachment {
    /// `file` is the device and inode of the segment's file.
    pub(super) fn new(file: (u64, u64)) -> Result<Self, Refusal> {
        // SAFETY: a plain call.
        let user = unsafe { libc::geteuid() };
        // A process that is killed between making the segment and marking it for removal would
        // leave it behind. So it is made under a key of the file and the user, and the next process
        // with this key removes what was left.
        let key =
            (file.0.rotate_left(32) ^ file.1 ^ u64::from(user).rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = ((key >> 33) as libc::key_t).max(1);
        let mut private = false;
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let before = forks_at_rest(&mut patience);
            let size = 1 + (now_ns() as usize >> 6) % PAGE as usize;
            let (with, exclusive) = if private { (libc::IPC_PRIVATE, 0) } else { (key, libc::IPC_EXCL) };
            // SAFETY: a plain call.
            let id = unsafe { libc::shmget(with, size, libc::IPC_CREAT | exclusive | 0o444) };
            if id < 0 {
                match errno() {
                    libc::EEXIST => private = !remove_leftover(key, user),
                    other => return Err(Refusal::NoProof(other)),
                }
                continue;
            }
            // SAFETY: a new mapping where the system likes it, of a page that is never touched.
            let page = unsafe { libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY) };
            if page.addr() == usize::MAX {
                let failed = errno();
                mark_for_removal(id);
                // Another process with this key took it for a leftover.
                if matches!(failed, libc::EINVAL | libc::EIDRM) {
                    continue;
                }
                return Err(Refusal::NoProof(failed));
            }
            let alone = keep_from_children(page);
            let failed = errno();
            mark_for_removal(id);
            let attachment = Attachment { id, size, page: page.addr() };
            if !alone {
                return Err(Refusal::NoProof(failed));
            }
            // A child forked before the page was kept from it has the page.
            if forks() == before {
                return Ok(attachment);
            }
        }
        Err(Refusal::Busy)
    }

    /// The proof, as the slot's word has it.
    pub(super) fn proof(&self) -> u64 {
        let size = self.size as u64 - 1;
        KIND | (self.id as u64) << ID_SHIFT | size << SIZE_SHIFT | ipc_namespace() << NAMESPACE_SHIFT
    }

    pub(super) fn keep(self) -> Hold {
        let hold = Hold::page(self.page);
        std::mem::forget(self);
        hold
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        unmap(self.page);
    }
}

fn mark_for_removal(id: i32) {
    // SAFETY: a plain call; the command needs no buffer.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
}

/// Removes a segment under this key that no process has attached, if it is this user's. True if the
/// key is free then.
fn remove_leftover(key: libc::key_t, user: libc::uid_t) -> bool {
    // SAFETY: a plain call.
    let id = unsafe { libc::shmget(key, 0, 0) };
    match state_of(id, libc::IPC_STAT) {
        Some(state) if state.shm_perm.cuid == user && state.shm_nattch == 0 => {
            mark_for_removal(id);
            true
        }
        Some(_) => false,
        None => true,
    }
}

/// Whether the process with an attachment lives. `pid` is that process' own, if it means something
/// here.
pub(super) fn standing(proof: u64, pid: Option<u32>) -> Standing {
    let (namespace, own) = (proof >> NAMESPACE_SHIFT, ipc_namespace());
    if namespace != own && namespace != 0 && own != 0 {
        return Standing::Unknown;
    }
    let id = (proof >> ID_SHIFT) as u32 & 0x7fff_ffff;
    let Some(state) = state_of(id as i32, libc::IPC_STAT) else {
        return match errno() {
            libc::EINVAL | libc::EIDRM => Standing::Dead,
            // A filter, or a kernel without System V.
            _ => Standing::Unknown,
        };
    };
    // Ids come round. One that serves another process by now has another size, is not marked, or
    // has another creator.
    let size = (proof >> SIZE_SHIFT) & SIZE_MASK;
    let is_same = state.shm_segsz as u64 == size + 1
        && u32::from(state.shm_perm.mode) & SHM_DEST != 0
        && state.shm_nattch > 0
        && pid.is_none_or(|pid| pid == state.shm_cpid as u32);
    if is_same {
        Standing::Alive
    } else {
        Standing::Dead
    }
}

/// The low bits of this IPC namespace's inode number; 0 where /proc does not tell.
fn ipc_namespace() -> u64 {
    crate::os::identity::ipc_namespace() & ((1 << (64 - NAMESPACE_SHIFT)) - 1)
}
