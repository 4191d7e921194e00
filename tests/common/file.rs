//! A segment's bytes without the library, by its file or mapped: the offsets are those of
//! `docs/format.md`.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// An open file of a segment, or of what should be none.
pub struct Bytes(pub File);

impl Bytes {
    pub fn of(path: impl AsRef<Path>) -> Self {
        Bytes(OpenOptions::new().read(true).write(true).open(path).unwrap())
    }

    /// The 64 bits at `at`.
    pub fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }

    pub fn get32(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, at).unwrap();
        u32::from_ne_bytes(bytes)
    }

    /// The offset that the link at `at` leads to.
    pub fn link(&self, at: u64) -> u64 {
        u64::from(self.get32(at)) * 16
    }

    pub fn put(&self, at: u64, value: u64) {
        self.write(at, &value.to_ne_bytes());
    }

    pub fn put32(&self, at: u64, value: u32) {
        self.write(at, &value.to_ne_bytes());
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, at).unwrap();
    }
}

/// A segment's words, mapped as long as the process.
#[derive(Clone, Copy)]
pub struct Raw(&'static [AtomicU64]);

impl Raw {
    pub fn of(path: impl AsRef<Path>) -> Self {
        let Bytes(file) = Bytes::of(path);
        let (len, access) = (file.metadata().unwrap().len() as usize, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping where the system likes it.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        // SAFETY: aligned to a page, as long as the file, and never unmapped.
        Raw(unsafe { std::slice::from_raw_parts(at.cast(), len / 8) })
    }

    pub fn word(self, at: usize) -> &'static AtomicU64 {
        assert_eq!(at % 8, 0);
        &self.0[at / 8]
    }

    pub fn half(self, at: usize) -> &'static AtomicU32 {
        assert_eq!(at % 4, 0);
        // SAFETY: one of the halves of a word that is there.
        unsafe { &*self.0[at / 8].as_ptr().cast::<AtomicU32>().add(at % 8 / 4) }
    }

    /// The offset that the 32-bit link at `at` leads to.
    pub fn link(self, at: usize) -> usize {
        16 * self.half(at).load(SeqCst) as usize
    }
}
