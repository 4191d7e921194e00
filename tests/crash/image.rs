//! A segment's bytes, seen from outside: what has changed, and copies as a crash would leave them.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::common::Name;

/// Header words (`docs/format.md`).
pub mod header {
    pub const INDEX_AT: usize = 96;
    pub const ARENA_AT: usize = 112;
    pub const WATERMARK: usize = 256;
    pub const INDEX_BITS: usize = 264;
    pub const INDEX_TARGET: usize = 268;
    pub const INDEX_CURSOR: usize = 272;
    pub const FAMILY_HEAD: usize = 280;
    pub const FAMILY_TAIL: usize = 284;
    pub const ARENA_TAIL: usize = 320;
    /// The first slot's first word.
    pub const SLOT: usize = 4096;
}

/// A segment's bytes at one instant.
#[derive(Clone)]
pub struct Image(Vec<u8>);

impl Image {
    fn word(&self, at: usize) -> usize {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap()) as usize
    }

    /// The header, slots and index, and the records.
    fn used(&self) -> [Range<usize>; 2] {
        let bits = self.half(header::INDEX_TARGET);
        [0..self.word(header::INDEX_AT) + (8 << bits), self.word(header::ARENA_AT)..self.word(header::ARENA_TAIL)]
    }

    /// The 32 bits at `at`.
    pub fn half(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// A new segment with these bytes, as processes would find it that survived the others.
    pub fn restore(&self) -> Name {
        let name = Name::new("crash");
        let file = OpenOptions::new().write(true).create_new(true).open(name.path()).unwrap();
        file.set_len(self.0.len() as u64).unwrap();
        for range in self.used() {
            file.write_all_at(&self.0[range.clone()], range.start as u64).unwrap();
        }
        name
    }
}

/// A read-only view of a segment that others are changing.
pub struct Live {
    mapping: *const u8,
    /// As it was when we last looked.
    pub image: Image,
}

impl Live {
    pub fn new(name: &Name) -> Live {
        let file = File::open(name.path()).unwrap();
        let len = file.metadata().unwrap().len() as usize;
        // SAFETY: a new mapping where the system likes it.
        let mapping =
            unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(mapping, libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
        let mut live = Live { mapping: mapping.cast(), image: Image(vec![0; len]) };
        live.look(0..4096);
        live.changed();
        live
    }

    /// Looks again. True if anything in use is not as it was.
    pub fn changed(&mut self) -> bool {
        let header = self.look(0..4096);
        let [fixed, records] = self.image.used();
        let fixed = self.look(4096..fixed.end);
        self.look(records) || fixed || header
    }

    fn look(&mut self, range: Range<usize>) -> bool {
        // SAFETY: within the mapping; whoever could change it is stopped while we look.
        let now = unsafe { std::slice::from_raw_parts(self.mapping.add(range.start), range.len()) };
        let before = &mut self.image.0[range];
        let changed = *before != *now;
        if changed {
            before.copy_from_slice(now);
        }
        changed
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody else has a pointer into.
        unsafe { libc::munmap(self.mapping.cast_mut().cast(), self.image.0.len()) };
    }
}
