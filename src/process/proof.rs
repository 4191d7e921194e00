//! Proofs of life: something that the kernel ends with the process, that no child inherits, and
//! that other processes can ask about.
//!
//! * **File locks**, through an open file description of the process' own. A page mapped through
//!   the description holds it: hosts that close all descriptors leave mappings, and `MADV_DONTFORK`
//!   keeps children from inheriting this one. Every process that can open the file sees the locks,
//!   in every namespace. To get the description, the process has to open the file once more.
//! * **An attachment**, where the file cannot be opened again: after `setuid` or `chroot`, without
//!   /proc, without a free descriptor, or under a filter that denies `open` or `mmap`. The process
//!   makes a System V shared memory segment of one page, attaches it and marks it for removal. No
//!   page of it is ever touched. The kernel destroys the segment with its only attachment, whatever
//!   ends the process. Other processes in the same IPC namespace ask whether the segment exists.
//!   They cannot attach to it, remove it or change it, unless they are of the same user.

use super::fork::Kept;
#[cfg(target_os = "linux")]
use crate::shm::layout::PAGE;
use crate::shm::mapping::Backing;

/// What the kernel says of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Alive,
    Dead,
    /// This process cannot ask about it.
    Unknown,
}

/// Why a process got no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Every slot has a living holder.
    Full,
    /// The system gives this process no proof of life: the error number of the last way tried.
    NoProof(i32),
    /// Other threads, or forks, came between each time.
    Busy,
}

/// Attempts that forks of other threads may make void.
#[cfg(target_os = "linux")]
pub(super) const ATTEMPTS: u32 = 64;

/// What keeps a proof: a mapped page, or a descriptor where pages cannot be mapped. In 37 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold(pub(super) u64);

impl Hold {
    pub(super) const BITS: u32 = 37;
    pub(super) const NOTHING: Hold = Hold(0);

    /// What the word of a lock has in its low bits.
    pub(super) fn of(lock: u64) -> Self {
        Hold(lock & ((1 << Self::BITS) - 1))
    }

    #[cfg(target_os = "linux")]
    pub(super) fn page(address: usize) -> Self {
        Hold((address as u64 / PAGE) << 1 | 1)
    }

    #[cfg(target_os = "linux")]
    pub(super) fn descriptor(fd: i32) -> Self {
        Hold((fd as u64 + 1) << 1)
    }

    #[cfg(target_os = "linux")]
    fn as_page(self) -> Option<usize> {
        (self.0 & 1 == 1).then_some((self.0 >> 1) as usize * PAGE as usize)
    }

    pub(super) fn as_descriptor(self) -> Option<i32> {
        (self.0 & 1 == 0 && self.0 != 0).then_some((self.0 >> 1) as i32 - 1)
    }

    /// Ends the proof in this process; `inherited`: it is that of the process that this one was
    /// forked from.
    pub(super) fn release(self, backing: &dyn Backing, kept: &Kept, inherited: bool) {
        #[cfg(not(target_os = "linux"))]
        let _ = (backing, kept, inherited);
        #[cfg(target_os = "linux")]
        self.release_on_linux(backing, kept, inherited);
    }

    #[cfg(target_os = "linux")]
    fn release_on_linux(self, backing: &dyn Backing, kept: &Kept, inherited: bool) {
        if let Some(page) = self.as_page().filter(|_| !inherited) {
            unmap(page);
        }
        if let Some(descriptor) = self.as_descriptor() {
            kept.forget_descriptor(descriptor);
            if backing.is_ours(descriptor) {
                // SAFETY: it leads to the segment's file, so it is (a copy of) the one that
                // `Description::keep` kept.
                unsafe { libc::close(descriptor) };
            }
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) fn unmap(page: usize) {
    // SAFETY: mapped or attached by this module in this process, never touched, and known to no
    // other code.
    unsafe { libc::munmap(page as *mut libc::c_void, PAGE as usize) };
}

/// Keeps children from inheriting the page.
#[cfg(target_os = "linux")]
pub(super) fn keep_from_children(page: *mut libc::c_void) -> bool {
    // SAFETY: our own page.
    unsafe { libc::madvise(page, PAGE as usize, libc::MADV_DONTFORK) == 0 }
}
