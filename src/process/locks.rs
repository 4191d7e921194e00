//! The first proof of life: file locks through an open file description of the process' own.

use super::fork::{forks, Kept};
use super::handover::{forks_at_rest, Patience};
use super::proof::{keep_from_children, unmap, Hold, Refusal, ATTEMPTS};
use crate::os::errno::errno;
use crate::shm::layout::PAGE;
use crate::shm::mapping::{linux, Backing};

/// An open file description of this process' own, for locks.
pub(super) struct Description<'a> {
    kept: &'a Kept,
    descriptor: i32,
    note: usize,
    /// The forks before it was opened.
    before: u64,
    /// 0 where pages cannot be mapped.
    page: usize,
}

impl<'a> Description<'a> {
    pub(super) fn open(backing: &dyn Backing, kept: &'a Kept) -> Result<Self, Refusal> {
        let mut patience = Patience::default();
        for _ in 0..ATTEMPTS {
            let before = forks_at_rest(&mut patience);
            let own = kept.take_spare().filter(|spare| backing.is_ours(*spare)).or_else(|| backing.describe());
            let descriptor = own.ok_or_else(|| Refusal::NoProof(errno()))?;
            let Some(note) = kept.note(descriptor) else {
                // SAFETY: opened for us alone, by `describe` or by our parent.
                unsafe { libc::close(descriptor) };
                return Err(Refusal::Busy);
            };
            let mut description = Description { kept, descriptor, note, before, page: 0 };
            // A child forked before the note has a copy of the descriptor that it does not know of,
            // and would keep our locks. From the note on, its handler closes the copy.
            if forks() != before {
                continue;
            }
            description.map();
            // A child forked before the page was kept from it has the page.
            if forks() == before {
                return Ok(description);
            }
        }
        Err(Refusal::Busy)
    }

    fn map(&mut self) {
        let (none, shared) = (libc::PROT_NONE, libc::MAP_SHARED);
        // SAFETY: a new mapping where the system likes it, of a page that is never touched.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE as usize, none, shared, self.descriptor, 0) };
        if page == libc::MAP_FAILED {
            return;
        }
        if keep_from_children(page) {
            self.page = page.addr();
        } else {
            unmap(page.addr());
        }
    }

    /// `Ok(false)`: another process has it locked.
    pub(super) fn lock(&self, byte: u64) -> Result<bool, i32> {
        linux::lock(self.descriptor, byte)
    }

    pub(super) fn unlock(&self, byte: u64) {
        linux::unlock(self.descriptor, byte);
    }

    /// Keeps the locks for the life of the process. Also tells whether they are this process'
    /// alone: a child that was forked before the descriptor was closed has a copy of it, until the
    /// child's handler runs.
    pub(super) fn keep(self) -> (Hold, bool) {
        let hold = if self.page == 0 { Hold::descriptor(self.descriptor) } else { Hold::page(self.page) };
        let is_own = self.page == 0 || self.close();
        std::mem::forget(self);
        (hold, is_own)
    }

    /// Returns whether no child can have a copy.
    fn close(&self) -> bool {
        // SAFETY: opened for us alone, by `describe` or by our parent.
        unsafe { libc::close(self.descriptor) };
        let is_own = forks() == self.before;
        if !is_own {
            // The note stays for forks that have copied the descriptor, but not yet the memory.
            forks_at_rest(&mut Patience::default());
        }
        self.kept.forget(self.note);
        is_own
    }
}

impl Drop for Description<'_> {
    fn drop(&mut self) {
        if self.page != 0 {
            unmap(self.page);
        }
        self.close();
    }
}
