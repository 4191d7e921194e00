//! A segment's bytes, seen from outside: what has changed, and copies as a crash would leave them.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use common::Name;

/// Header words (`docs/format.md`), and what follows the header.
pub mod header {
    pub const LOOK_TIME: usize = 2840;
    pub const INDEX_AT: usize = 96;
    pub const ARENA_AT: usize = 112;
    pub const WATERMARK: usize = 256;
    pub const INDEX_BITS: usize = 264;
    pub const INDEX_TARGET: usize = 268;
    pub const INDEX_CURSOR: usize = 272;
    pub const FAMILY_HEAD: usize = 280;
    pub const FAMILY_TAIL: usize = 284;
    /// How many announcements of families there were.
    pub const FAMILY_COUNT: usize = 292;
    pub const PER_CPU_KIND: usize = 144;
    pub const PER_CPU_TAIL: usize = 296;
    pub const ARENA_TAIL: usize = 320;
    pub const ARENA_REACHABLE: usize = 328;
    pub const SERIES: usize = 336;
    pub const STALE_UPDATES: usize = 416;
    pub const REMOVED_SERIES: usize = 424;
    /// The first slot's first word.
    pub const SLOT: usize = 4096;
}

/// Fields of records.
pub mod record {
    /// And, behind it, when the series was made; in a free record, where the next is.
    pub const TAG: usize = 8;
    pub const STATE: usize = 16;
    pub const PER_CPU: usize = 20;
    pub const FREE: usize = 12;
    pub const FAMILY_HEAD: usize = 32;
    pub const FAMILY_PENDING: usize = 40;
    pub const FAMILY_OVERFLOW: usize = 56;
    pub const FAMILY_SERIES: usize = 96;
    pub const FREE_LISTS: usize = 112;
    pub const COUNTER: usize = 32;
    pub const GAUGE_CELLS: usize = 40;
    pub const BUCKETS: usize = 64;
    pub const FIRST_CELL: usize = 16;
    pub const CELL_BASE: usize = 8;
    pub const CELL_VALUE: usize = 24;
    /// In a native histogram without bounds, the link to the usual page, and the parts of blocks.
    pub const NATIVE_PAGE: usize = 64 + 16 + 4 * 8;
    pub const BLOCK: usize = 272;
    pub const BLOCK_HEAD: usize = 16;
    pub const NATIVE_IDENTITY: usize = 0;
}

/// States of a series.
pub const LIVE: u32 = 1;
pub const EXPIRED: u32 = 2;
pub const FREE: u32 = 3;
pub const CLAIMED: u32 = 4;
pub const NEW: u32 = 5;

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

    pub fn set_half(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn link(&self, at: usize) -> usize {
        16 * self.half(at) as usize
    }

    /// The first series of the first family.
    pub fn first_series(&self) -> usize {
        self.link(self.link(header::FAMILY_HEAD) + record::FAMILY_HEAD)
    }

    pub fn state(&self, series: usize) -> u32 {
        self.half(series + record::STATE) & 7
    }

    /// The record on top of a free list of the first family.
    pub fn free_record(&self, class: usize) -> usize {
        self.link(self.link(header::FAMILY_HEAD) + record::FREE_LISTS + 8 * class)
    }

    /// How many words of the index lead to a record.
    pub fn index_words(&self, record: usize) -> usize {
        let [from, len] = [self.word(header::INDEX_AT), 8 << self.half(header::INDEX_TARGET)];
        (from..from + len).step_by(8).filter(|at| self.link(*at) == record).count()
    }

    pub fn set_state_of_first_series(&mut self, state: u32) {
        let at = self.first_series() + record::STATE;
        let new = self.half(at) & !7 | state;
        self.0[at..at + 4].copy_from_slice(&new.to_ne_bytes());
    }

    /// Lets so many seconds pass in which processes looked for series that expire.
    pub fn make_older(&mut self, seconds: u64) {
        let at = header::LOOK_TIME;
        let time = self.word(at) as u64 + seconds * 1_000;
        self.0[at..at + 8].copy_from_slice(&time.to_ne_bytes());
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
    /// The memory as it was at the last look.
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
        // SAFETY: within the mapping; the processes that could change it are stopped.
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
        // SAFETY: our own mapping, into which no other code has a pointer.
        unsafe { libc::munmap(self.mapping.cast_mut().cast(), self.image.0.len()) };
    }
}
