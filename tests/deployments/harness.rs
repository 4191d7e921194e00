//! What deployments do to a process, one function for each deed, and workers that report through
//! pipes.
//!
//! The functions that change the calling process are for forked children only: see
//! [`Worker::start`] and [`told`]. A child has one thread, so it may enter user namespaces and
//! change its ids.
#![allow(dead_code)] // Each area of the tests uses some of it.

use std::ffi::CString;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub use common::filter::{deny, opening_calls};
use common::{alarm, fork, is_root, note, Child, Directory};

/// The user and group `nobody`, to whom servers drop their privileges.
pub const NOBODY: u32 = 65534;

/// Whether the test runs as root. Otherwise it prints that the test is skipped, and the test
/// returns.
#[must_use]
pub fn runs_as_root(test: &str) -> bool {
    if !is_root() {
        note(&format!("skipped: {test} (needs root)"));
    }
    is_root()
}

/// A directory on tmpfs in which every user may create files.
pub fn common_ground(what: &str) -> Directory {
    let directory = Directory::new(what);
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    directory
}

fn pipe() -> (File, File) {
    let mut fds = [0; 2];
    // SAFETY: a plain call with a local.
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0, "pipe: {}", last());
    // SAFETY: two descriptors just opened here.
    unsafe { (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1])) }
}

fn last() -> std::io::Error {
    std::io::Error::last_os_error()
}

/// Panics with the name of the call unless it succeeded.
#[track_caller]
pub fn done(call: &str, result: impl Into<i64>) {
    assert_ne!(result.into(), -1, "{call}: {}", last());
}

// ---- Workers ----

/// A forked child that says lines and waits to be told to go on. It is killed when dropped.
pub struct Worker {
    child: Child,
    lines: BufReader<File>,
    go: File,
}

/// The child's end of a [`Worker`].
pub struct Inside {
    say: File,
    wait: File,
}

impl Worker {
    /// Forks a worker that runs `f` and exits. It fails if `f` panics.
    pub fn start(f: impl FnOnce(&Inside)) -> Worker {
        let ((lines, say), (wait, go)) = (pipe(), pipe());
        let mut ends = Some((Inside { say, wait }, lines, go));
        let child = fork(|| {
            alarm(60);
            if let Some((inside, lines, go)) = ends.take() {
                // The parent's end must not stay open here, or the worker would never see the
                // parent's death.
                drop((lines, go));
                f(&inside);
            }
        });
        let (inside, lines, go) = ends.take().expect("the child's `take` is not ours");
        drop(inside);
        Worker { child, lines: BufReader::new(lines), go }
    }

    /// The worker's next line. Panics if the worker has ended without one.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the worker ended instead of saying a line (it said {line:?})");
        line.pop();
        line
    }

    /// Lets one [`Inside::wait`] pass.
    pub fn go(&mut self) {
        self.go.write_all(b"x").unwrap();
    }

    pub fn pid(&self) -> i32 {
        self.child.0
    }

    /// Waits for the worker's end and asserts that it ended well.
    #[track_caller]
    pub fn join(self) {
        self.child.join();
    }

    /// Kills the worker and reaps it.
    pub fn kill(self) {
        self.child.kill();
    }
}

impl Inside {
    /// Says a line to the parent. Works at any privilege and without free descriptors.
    pub fn say(&self, line: impl Display) {
        let line = format!("{line}\n");
        (&self.say).write_all(line.as_bytes()).unwrap();
    }

    /// Waits for [`Worker::go`]. The worker ends if the parent has.
    pub fn wait(&self) {
        if (&self.wait).read_exact(&mut [0]).is_err() {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
    }
}

/// Runs `f` in a forked child and returns what it returned, as text. Fails if the child fails.
#[track_caller]
pub fn told<T: Display>(f: impl FnOnce() -> T) -> String {
    let (mut answer, mut say) = pipe();
    let child = fork(|| {
        alarm(60);
        say.write_all(f().to_string().as_bytes()).unwrap();
    });
    drop(say);
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    child.join();
    text
}

// ---- Privileges and roots ----

/// Changes user and group for good, with no supplementary groups but these.
pub fn become_user(user: u32, group: u32, groups: &[u32]) {
    // SAFETY: plain calls; the list is as long as it says.
    unsafe {
        done("setgroups", libc::setgroups(groups.len(), groups.as_ptr()));
        done("setgid", libc::setgid(group));
        done("setuid", libc::setuid(user));
    }
}

/// Becomes `nobody`, as the workers of a root master do.
pub fn become_nobody() {
    become_user(NOBODY, NOBODY, &[]);
}

/// Makes an empty directory the root. Everything that was open stays open.
pub fn change_root(directory: &Directory) {
    let root = directory.0.join("empty-root");
    std::fs::create_dir_all(&root).unwrap();
    let path = c_string(&root);
    // SAFETY: NUL-terminated paths.
    unsafe {
        done("chroot", libc::chroot(path.as_ptr()));
        done("chdir", libc::chdir(c"/".as_ptr()));
    }
}

// ---- Namespaces ----

/// Moves this process into new namespaces (`libc::CLONE_NEW...`). Without root it enters a new user
/// namespace first. False where the kernel does not permit it.
#[must_use]
pub fn unshare(flags: i32) -> bool {
    let user = if is_root() { 0 } else { libc::CLONE_NEWUSER };
    // SAFETY: a plain call, in a child with one thread.
    unsafe { libc::unshare(flags | user) == 0 }
}

/// Mounts of this process are its own from now on. False where the kernel does not permit it.
#[must_use]
pub fn unshare_mounts() -> bool {
    unshare(libc::CLONE_NEWNS) && mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")
}

/// Mounts a file system. False where that fails.
#[must_use]
pub fn mount(source: &str, target: &Path, kind: &str, flags: u64, data: &str) -> bool {
    let (source, target) = (CString::new(source).unwrap(), c_string(target));
    let (kind, data) = (CString::new(kind).unwrap(), CString::new(data).unwrap());
    // SAFETY: NUL-terminated strings.
    unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) == 0 }
}

/// Hides /proc under an empty file system, for this process and its children. False where that is
/// not permitted.
#[must_use]
pub fn hide_proc() -> bool {
    unshare_mounts() && mount("none", Path::new("/proc"), "tmpfs", 0, "size=64k")
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

// ---- Limits ----

/// From now on no call that opens a descriptor succeeds: EMFILE.
pub fn leave_no_descriptor() {
    limit(libc::RLIMIT_NOFILE, 0);
}

/// Sets both the soft and the hard limit.
pub fn limit(resource: libc::__rlimit_resource_t, to: u64) {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: a plain call with a local.
    done("setrlimit", unsafe { libc::setrlimit(resource, &raw const limit) });
}

/// Closes every descriptor but the first three and those of the worker, as hosts that turn into
/// daemons do.
pub fn close_descriptors(inside: &Inside) {
    use std::os::fd::AsRawFd;
    let keep = [inside.say.as_raw_fd(), inside.wait.as_raw_fd()];
    for fd in (3..1024).filter(|fd| !keep.contains(fd)) {
        // SAFETY: this is what a host does; in a child, whose other descriptors have no users.
        unsafe { libc::close(fd) };
    }
}
