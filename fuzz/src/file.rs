//! Files on tmpfs that are mapped here for writing and opened by the library like any other.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A new path for a segment. All of them are removed at the process' end, unless that is a crash.
pub(crate) fn path(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::fs::create_dir_all(directory()).expect("a directory on tmpfs");
        // SAFETY: a function that lives as long as the process.
        unsafe { libc::atexit(remove_all) };
    });
    let name = format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    directory().join(name).to_str().expect("the directory's name is UTF-8").to_owned()
}

fn directory() -> PathBuf {
    let parent = std::env::var_os("SHMETRICS_DIR").unwrap_or_else(|| "/dev/shm".into());
    PathBuf::from(parent).join(format!("fuzz-{}", std::process::id()))
}

extern "C" fn remove_all() {
    let _ = std::fs::remove_dir_all(directory());
}

pub(crate) const PAGE: usize = 4096;

/// A file and its mapping, behind which there is nothing.
pub(crate) struct Mapped {
    pub(crate) path: String,
    pub(crate) file: File,
    base: *mut u8,
    len: usize,
}

impl Mapped {
    /// Maps a file, made if there is none, of this length: whole pages.
    pub(crate) fn new(path: String, len: usize) -> Self {
        assert_eq!(len % PAGE, 0);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).expect(&path);
        file.set_len(len as u64).expect("the file takes its length");
        let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, std::os::fd::AsRawFd::as_raw_fd(&file));
        let (nothing, private) = (std::ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the system's choice, then one over all but its
        // last page, which stays inaccessible.
        let base = unsafe {
            let room = libc::mmap(nothing, len + PAGE, libc::PROT_NONE, private, -1, 0);
            assert_ne!(room, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
            libc::mmap(room, len, protection, libc::MAP_SHARED | libc::MAP_FIXED, fd, 0)
        };
        assert_ne!(base, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Mapped { path, file, base: base.cast(), len }
    }

    /// The bytes. No other process may use the file while the caller holds them.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: mapped with this length until the process ends. Each call that truncates the file
        // restores its length.
        unsafe { std::slice::from_raw_parts_mut(self.base, self.len) }
    }

    /// The address of the bytes, for code that reads them in another way.
    #[cfg(fuzzing)]
    pub(crate) fn base(&self) -> std::ptr::NonNull<u8> {
        std::ptr::NonNull::new(self.base).expect("page 0 is never mapped")
    }
}
