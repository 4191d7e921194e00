//! Victims that do an operation the wrong way, on the raw bytes: what the checks must not let through.

use std::fs::OpenOptions;
use std::io::Error;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::common::Name;
use super::image::{header, Live};
use super::operation::{GAUGE_TAKE_OVER, LOOK_UP, OBSERVED};

/// Fields of records (`docs/format.md`).
mod record {
    pub const OVERFLOW: usize = 48;
    pub const FAMILY_HEAD: usize = 40;
    pub const COUNTER: usize = 40;
    pub const CELLS: usize = 40;
    pub const BUCKETS: usize = 48;
    pub const FIRST_CELL: usize = 16;
    pub const CELL_BASE: usize = 8;
    pub const CELL_VALUE: usize = 24;
}

/// A segment's words, without the library. Mapped as long as the process, which is a victim.
#[derive(Clone, Copy)]
struct Raw(*mut u8);

impl Raw {
    fn open(name: &Name) -> Raw {
        let file = OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
        let len = file.metadata().unwrap().len() as usize;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the system likes it.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
        Raw(at.cast())
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert_eq!(at % 8, 0);
        // SAFETY: aligned (checked) and within the segment, if the offsets are those of the format.
        unsafe { &*self.0.add(at).cast() }
    }

    /// The record that a 32-bit link leads to.
    fn link(&self, at: usize) -> usize {
        // SAFETY: as above.
        16 * unsafe { self.0.add(at).cast::<u32>().read_volatile() } as usize
    }

    /// The first family.
    fn family(&self) -> usize {
        self.link(header::FAMILY_HEAD)
    }

    /// The only series of the first family.
    fn series(&self) -> usize {
        self.link(self.family() + record::OVERFLOW)
    }
}

/// A counter that is read and then written.
pub fn reads_then_writes(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::open(name);
    Box::new(move || {
        let cell = raw.word(raw.series() + record::COUNTER);
        let value = cell.load(SeqCst);
        cell.store(value + 1, SeqCst);
    })
}

/// A histogram that adds to its count and then to its sum.
pub fn counts_then_sums(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::open(name);
    Box::new(move || {
        let second_bucket = raw.series() + record::BUCKETS + 16;
        raw.word(second_bucket).fetch_add(1, SeqCst);
        let add = |bits| Some((f64::from_bits(bits) + OBSERVED).to_bits());
        raw.word(second_bucket + 8).fetch_update(SeqCst, SeqCst, add).unwrap();
    })
}

/// A series that is linked and then filled in. All the rest is right: the index and the tail are left to whoever comes.
pub fn links_then_fills(name: &Name) -> Box<dyn Fn()> {
    // The record as it has to be comes from the library's doing the operation on a copy.
    let copy = Live::new(name).image.restore();
    (LOOK_UP.ready)(&copy)();
    let model = Raw::open(&copy);
    let made = model.link(model.family() + record::FAMILY_HEAD);
    let words: Vec<u64> = (0..LOOK_UP.record as usize / 8).map(|i| model.word(made + 8 * i).load(SeqCst)).collect();
    let raw = Raw::open(name);
    Box::new(move || {
        let head = raw.family() + record::FAMILY_HEAD;
        if raw.link(head) == 0 {
            let at = raw.word(header::ARENA_TAIL).fetch_add(8 * words.len() as u64, SeqCst);
            // The other half of the word is the chain's tail, which is 0 as well.
            if raw.word(head).compare_exchange(0, at / 16, SeqCst, SeqCst).is_ok() {
                for (i, word) in words.iter().enumerate() {
                    raw.word(at as usize + 8 * i).store(*word, SeqCst);
                }
                return;
            }
        }
        raw.word(raw.link(head) + record::COUNTER).fetch_add(1, SeqCst);
    })
}

/// A dead process' value that is added to the base and then cleared, before the cell is taken over.
pub fn adds_then_clears(name: &Name) -> Box<dyn Fn()> {
    let raw = Raw::open(name);
    let add = (GAUGE_TAKE_OVER.ready)(name);
    Box::new(move || {
        let cell = raw.link(raw.series() + record::CELLS) + record::FIRST_CELL;
        let (base, value) = (raw.word(cell + record::CELL_BASE), raw.word(cell + record::CELL_VALUE));
        let sum = f64::from_bits(base.load(SeqCst)) + f64::from_bits(value.load(SeqCst));
        base.store(sum.to_bits(), SeqCst);
        value.store(0, SeqCst);
        add();
    })
}
