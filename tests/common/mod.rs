//! What the tests share: segments of their own that are removed whatever happens, child processes, and a page as numbers.
#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses some of it

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use shmetrics::{Format, Options, Reader, Segment};

/// A segment's name, unique to this test, whose file is removed at the end.
pub struct Name(pub String);

impl Name {
    pub fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Name(format!("test-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn open(&self) -> Segment {
        self.options().open().unwrap()
    }

    pub fn options(&self) -> Options {
        Options::new().name(&self.0).ceiling(16 << 20)
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.0).unwrap()
    }

    pub fn path(&self) -> std::path::PathBuf {
        format!("/dev/shm/shmetrics-{}", self.0).into()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

/// A page without the library's own families.
pub fn text(page: &[u8]) -> String {
    let page = std::str::from_utf8(page).expect("a page is UTF-8");
    let end = page.find("# HELP shmetrics_").expect("the library's own families end a page");
    page[..end].to_owned()
}

pub fn page(segment: &Segment) -> String {
    text(&segment.render(Format::Text))
}

/// Samples of a page: name and labels, value. Panics on a duplicate.
pub fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    for line in page.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        let old = out.insert(name.to_owned(), value.parse().expect("a value is a number"));
        assert!(old.is_none(), "{name} stands twice on the page");
    }
    out
}

/// The library's own sample of this name.
pub fn own(segment: &Segment, name: &str) -> f64 {
    let page = String::from_utf8(segment.render(Format::Text)).unwrap();
    samples(&page)[name]
}

/// A forked child. It exits by itself, or is killed when dropped.
pub struct Child(pub libc::pid_t);

/// Forks a child that runs `f` and exits: 0, or 101 if it panics.
pub fn fork(f: impl FnOnce()) -> Child {
    // SAFETY: the child runs the closure and leaves by _exit, so it runs none of the parent's destructors. Test binaries
    // have other threads; the child only touches what is safe then (glibc makes malloc safe after fork).
    match unsafe { libc::fork() } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if ok { 0 } else { 101 }) }
        }
        pid => {
            assert!(pid > 0, "fork: {}", std::io::Error::last_os_error());
            Child(pid)
        }
    }
}

impl Child {
    pub fn signal(&self, signal: i32) {
        if self.0 > 0 {
            // SAFETY: our own child, not reaped yet.
            unsafe { libc::kill(self.0, signal) };
        }
    }

    /// Waits for the child and asserts that it ended well.
    pub fn join(mut self) {
        let status = self.wait();
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child failed: status {status:#x}");
    }

    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
        self.wait();
    }

    fn wait(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: our own child, not reaped yet.
        unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        self.0 = 0;
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.0 > 0 {
            self.signal(libc::SIGKILL);
            self.wait();
        }
    }
}

/// A pipe for children to wait on each other: each `signal` lets one `wait` pass.
pub struct Gate([i32; 2]);

impl Gate {
    pub fn new() -> Self {
        let mut fds = [0; 2];
        // SAFETY: a plain call with a local.
        assert_eq!(unsafe { libc::pipe(fds.as_mut_ptr()) }, 0);
        Gate(fds)
    }

    pub fn signal(&self) {
        // SAFETY: one byte of a local.
        assert_eq!(unsafe { libc::write(self.0[1], b"x".as_ptr().cast(), 1) }, 1);
    }

    pub fn wait(&self) {
        let mut byte = 0u8;
        // SAFETY: one byte of a local.
        assert_eq!(unsafe { libc::read(self.0[0], std::ptr::addr_of_mut!(byte).cast(), 1) }, 1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // SAFETY: our own descriptors.
        unsafe {
            libc::close(self.0[0]);
            libc::close(self.0[1]);
        }
    }
}

/// A small deterministic generator.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
