//! What the tests share: segments of their own that are removed whatever happens, child processes,
//! and a page as numbers.

pub mod c;
pub mod file;
#[cfg(target_os = "linux")]
pub mod filter;
pub mod victim;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shmetrics::{Cursor, Format, Options, Reader, Segment};

fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A segment's name, unique to this test, whose file is removed at the end.
pub struct Name(pub String);

impl Name {
    pub fn new(what: &str) -> Self {
        Name(unique(what))
    }

    pub fn open(&self) -> Segment {
        self.options().open().unwrap()
    }

    pub fn options(&self) -> Options {
        Options::new().name(&self.0).max_size(16 << 20)
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.0).unwrap()
    }

    pub fn path(&self) -> PathBuf {
        format!("/dev/shm/shmetrics-{}", self.0).into()
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

/// A segment without a name, for this process and its children.
pub fn anonymous() -> Segment {
    Options::new().anonymous().open().unwrap()
}

/// An open segment with a name of its own, whose file is removed at the end.
pub struct Named(Segment, Name);

/// A segment that only this test uses.
pub fn named(what: &str) -> Named {
    named_with(what, |options| options)
}

/// A segment that only this test uses, with other options.
pub fn named_with(what: &str, change: impl FnOnce(Options) -> Options) -> Named {
    let name = Name::new(what);
    Named(change(name.options()).open().unwrap(), name)
}

impl Named {
    /// The segment as another process opens it for reading.
    pub fn reader(&self) -> Reader {
        self.1.reader()
    }
}

impl Deref for Named {
    type Target = Segment;
    fn deref(&self) -> &Segment {
        &self.0
    }
}

/// A directory on tmpfs that only this test uses, removed with all that is in it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(what: &str) -> Self {
        Self::within(Path::new("/dev/shm"), what)
    }

    pub fn within(parent: &Path, what: &str) -> Self {
        let path = parent.join(unique(what));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    /// The name, for the library, of a file in it.
    pub fn name(&self, file: &str) -> String {
        self.0.join(file).to_str().expect("test paths are UTF-8").to_owned()
    }

    /// What is in it, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A page without the library's own families.
pub fn text(page: &[u8]) -> String {
    let page = std::str::from_utf8(page).expect("a page is UTF-8");
    let end = page.find("# HELP shmetrics_").expect("the library's own families end a page");
    page[..end].to_owned()
}

/// A page that is read with a buffer of this size.
pub fn in_pieces(mut cursor: Cursor<'_>, size: usize) -> Vec<u8> {
    let (mut page, mut buffer) = (Vec::new(), vec![0; size]);
    loop {
        match cursor.read(&mut buffer).expect("a cursor never fails") {
            0 => return page,
            n => page.extend_from_slice(&buffer[..n]),
        }
    }
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

/// Forks a child that runs `f` and exits: 0, or 101 if it panics. A child that hangs is ended by a
/// signal.
pub fn fork(f: impl FnOnce()) -> Child {
    show_panics_of_children();
    // SAFETY: the child runs the closure and leaves by _exit, so it runs none of the parent's
    // destructors. Test binaries have other threads; the child only touches what is safe then
    // (glibc makes malloc safe after fork).
    match unsafe { libc::fork() } {
        0 => {
            alarm(600);
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

/// Forks as many children, each of which runs `f` with its number.
pub fn fork_many(count: usize, f: impl Fn(usize)) -> Vec<Child> {
    (0..count).map(|number| fork(|| f(number))).collect()
}

/// Waits for all of them and asserts that they ended well.
pub fn join_all(children: impl IntoIterator<Item = Child>) {
    children.into_iter().for_each(Child::join);
}

/// The harness keeps messages in memory, which a child's end would take along; and its locks may be
/// held by threads that the child does not have.
fn show_panics_of_children() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let (parent, usual) = (std::process::id(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| match std::process::id() {
            me if me == parent => usual(panic),
            child => note(&format!("child {child} {panic}")),
        }));
    });
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

    /// Whether the child has ended; asserts that it ended well.
    pub fn has_ended(&mut self) -> bool {
        let mut status = 0;
        // SAFETY: our own child, not reaped yet.
        let ended = self.0 == 0 || unsafe { libc::waitpid(self.0, &raw mut status, libc::WNOHANG) } == self.0;
        if ended {
            self.0 = 0;
            assert_eq!(status, 0, "the child failed: status {status:#x}");
        }
        ended
    }

    /// Waits for the child and returns its status.
    pub fn wait(&mut self) -> i32 {
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

    pub fn descriptors(&self) -> [i32; 2] {
        self.0
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

/// Words that a process and its children share beside any segment, for telling what they did.
pub struct Shared(&'static [AtomicU64]);

impl Shared {
    pub fn new(words: usize) -> Self {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping where the system likes it.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), words * 8, protection, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        // SAFETY: zeroed, aligned, as long as asked for, unmapped only when this value is dropped.
        Shared(unsafe { std::slice::from_raw_parts(base.cast(), words) })
    }

    pub fn get(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::SeqCst)
    }

    pub fn set(&self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::SeqCst);
    }

    pub fn add(&self, word: usize, value: u64) {
        self.0[word].fetch_add(value, Ordering::SeqCst);
    }

    pub fn snapshot(&self) -> Vec<u64> {
        (0..self.0.len()).map(|i| self.get(i)).collect()
    }
}

impl Deref for Shared {
    type Target = [AtomicU64];
    fn deref(&self) -> &[AtomicU64] {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length.
        unsafe { libc::munmap(self.0.as_ptr().cast_mut().cast(), self.0.len() * 8) };
    }
}

/// Ends this process by a signal if it takes longer: a watchdog for children that might hang.
pub fn alarm(seconds: u32) {
    // SAFETY: a plain call.
    unsafe { libc::alarm(seconds) };
}

/// Whether the long forms of the tests are asked for.
pub fn long() -> bool {
    std::env::var_os("SHMETRICS_LONG").is_some_and(|v| v != "0")
}

pub fn is_root() -> bool {
    // SAFETY: a plain call.
    unsafe { libc::geteuid() == 0 }
}

/// Prints a line past the test harness, which shows the output of failed tests only.
pub fn note(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: bytes of a local.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

pub fn pause(microseconds: u64) {
    std::thread::sleep(Duration::from_micros(microseconds));
}

/// Waits until this holds, at most two minutes: a loaded machine is no fault.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "still not so after two minutes: {what}");
        pause(5000);
    }
}

/// Waits for a signal that kills. If the test has failed, an alarm ends this.
pub fn linger() {
    alarm(600);
    loop {
        // SAFETY: a plain call.
        unsafe { libc::pause() };
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

/// A System V shared memory segment, as the kernel lists it.
#[derive(Debug)]
pub struct Attachment {
    pub id: i32,
    /// The pid of the process that made it. It may be another process' by now.
    pub creator: libc::pid_t,
    pub attached: u32,
}

/// All System V shared memory segments of this IPC namespace.
pub fn attachments() -> Vec<Attachment> {
    let list = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    // One line of titles, then: key, shmid, perms, size, cpid, lpid, nattch and more.
    let attachment = |line: &str| {
        let columns: Vec<i64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
        Attachment { id: columns[1] as i32, creator: columns[4] as i32, attached: columns[6] as u32 }
    };
    list.lines().skip(1).map(attachment).collect()
}
