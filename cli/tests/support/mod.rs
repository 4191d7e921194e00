//! A directory of segments for one test, and the real command run in it.

// Every test binary has its own copy of this and none uses all of it.
#![allow(dead_code, unreachable_pub)]

pub mod http;
pub mod web;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use shmetrics::{GaugeMode, Segment};

/// The time after which a hanging command is killed. No sound run comes near it.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// The user that owns nothing, by convention.
pub const NOBODY: u32 = 65534;

/// A directory on tmpfs that is `SHMETRICS_DIR` for the commands run in it, and gone at the end.
pub struct Room {
    dir: PathBuf,
}

impl Room {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(format!("/dev/shm/.shmetrics-cli-test-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap_or_else(|e| panic!("cannot create {}: {e}", dir.display()));
        Room { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the segment `name` lives; as it has slashes, the library takes it as a path.
    pub fn path(&self, name: &str) -> String {
        format!("{}/shmetrics-{name}", self.dir.display())
    }

    pub fn exists(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    pub fn segment(&self, name: &str) -> Segment {
        Segment::open(&self.path(name)).unwrap_or_else(|e| panic!("cannot create segment {name}: {e}"))
    }

    /// A segment with `jobs_total` at `jobs`.
    pub fn segment_with_jobs(&self, name: &str, jobs: u64) -> Segment {
        let segment = self.segment(name);
        let counter = segment.counter("jobs_total", "Jobs done.").register().expect("jobs_total registers");
        for _ in 0..jobs {
            counter.inc();
        }
        segment
    }

    /// A segment with `hits_total` at 1 for each of `pages` label values: `label` and a number.
    pub fn segment_with_hits(&self, name: &str, label: &str, pages: u32) -> Segment {
        let segment = self.segment(name);
        let family = segment.counter("hits_total", "Hits.").labels(["page"]).register().expect("hits_total registers");
        for n in 0..pages {
            family.with([&format!("{label}{n}")]).inc();
        }
        segment
    }

    /// A segment with `jobs_total` as a gauge.
    pub fn segment_of_another_type(&self, name: &str) {
        let gauge = self.segment(name).gauge("jobs_total", "", GaugeMode::Shared).register();
        gauge.expect("jobs_total registers").set(1.0);
    }

    /// Gives the segment's file to another user. False: this process is not root.
    pub fn give(&self, name: &str, user: u32) -> bool {
        let is_given = chown(self.path(name), Some(user), None).is_ok();
        if !is_given {
            note("skipped: to give a file away takes root");
        }
        is_given
    }

    /// A segment that no process has open any more, with `jobs_total` at `jobs`: a copy of one that
    /// this process has open.
    pub fn left_behind(&self, name: &str, jobs: u64) {
        let path = self.path(&format!("{name}.open"));
        let options = shmetrics::Options::new().name(&path).max_size(512 << 10);
        let segment = options.open().unwrap_or_else(|e| panic!("cannot create segment {path}: {e}"));
        segment.counter("jobs_total", "Jobs done.").register().expect("jobs_total registers").add(jobs as f64);
        fs::copy(&path, self.path(name)).expect("the segment is copied");
        fs::remove_file(&path).expect("the copied one is removed");
    }

    /// Gives the segment a layout version that no library has yet (docs/format.md).
    pub fn of_another_layout(&self, name: &str) {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().write(true).open(self.path(name)).expect("the segment opens");
        file.write_all_at(&9_u16.to_ne_bytes(), 8).expect("the version is written");
    }

    pub fn remove(&self, name: &str) {
        Segment::remove(&self.path(name)).unwrap_or_else(|e| panic!("cannot remove segment {name}: {e}"));
    }

    /// A file with a segment's name that is no segment.
    pub fn junk(&self, name: &str) {
        fs::write(self.path(name), "this was never a segment\n".repeat(1000)).expect("junk is written");
    }

    /// A file beside the segments, and its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path.display().to_string()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_shmetrics"));
        command.args(args);
        command
    }

    /// The command, started by a shell that runs `before` first.
    pub fn command_after(&self, before: &str, args: &[&str]) -> Command {
        let mut command = self.program("sh");
        command.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_shmetrics")]).args(args);
        command
    }

    /// A program in the place of systemd: it becomes a command that the caller adds, with the
    /// socket `s` of the Python code `open` as descriptor 3.
    pub fn with_socket(&self, open: &str) -> Command {
        let pass = "os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[1], sys.argv[1:])";
        let mut command = self.program("python3");
        command.args(["-c", &format!("import os, socket, sys\n{open}\n{pass}")]);
        command
    }

    /// Any program, with the segments of this room.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("SHMETRICS_DIR", &self.dir).env_remove("SHMETRICS_SEGMENT");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args))
    }

    /// Runs as a user that may not read the segment `name`.
    pub fn run_unprivileged(&self, name: &str, args: &[&str]) -> Ran {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};

        let path = self.path(name);
        let owner = fs::metadata(&path).expect("the segment is there").uid();
        if owner != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("our own file's mode changes");
            return self.run(args);
        }
        // Modes do not stop root, so the command runs as another user, which can reach the program.
        let program = self.dir.join("program");
        // By a program: a copy of ours could be open for writing in a child that another test forks
        // just then, and would not start ("text file busy").
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_shmetrics")).arg(&program).status();
        assert!(copied.is_ok_and(|status| status.success()), "the program is copied");
        // By `setpriv`: a change of user in `Command` forks, and a fork has this process' segments
        // open until the command starts, which tests that count processes would see.
        let mut command = Command::new("setpriv");
        let user = NOBODY.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&program);
        command.args(args).env("SHMETRICS_DIR", &self.dir).current_dir("/");
        let ran = finish(command);
        fs::remove_file(program).expect("the copy is removed");
        ran
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Its output, if it succeeded.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "the command failed: {self:#?}");
        self.out
    }

    /// Asserts that it failed with a single line on standard error that contains each of `parts`.
    #[track_caller]
    pub fn failure(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "the exit status is not that of a failure: {self:#?}");
        assert_eq!(self.err.lines().count(), 1, "a failure is one sentence: {self:#?}");
        assert!(self.err.starts_with("shmetrics: "), "the sentence does not say who says it: {self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "the sentence lacks {part:?}: {self:#?}");
        }
    }
}

fn finish(mut command: Command) -> Ran {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let out = collect(child.stdout.take().expect("standard output is a pipe"));
    let err = collect(child.stderr.take().expect("standard error is a pipe"));
    let status = wait(&mut child);
    Ran { code: status.code(), out: out.join().expect("output was read"), err: err.join().expect("errors were read") }
}

/// The first line that the child prints.
pub fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let out = child.stdout.take().expect("standard output is a pipe");
    BufReader::new(out).read_line(&mut line).expect("the first line can be read");
    line
}

pub fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).expect("a pipe can be read");
        String::from_utf8(text).expect("the command writes UTF-8")
    })
}

/// Waits for the end of `child`, and kills it if that does not come.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + WATCHDOG;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("our child can be waited for") {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("the command did not end");
}

/// The value of a series on a page.
pub fn value(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Whether the program is installed.
pub fn has(program: &str) -> bool {
    let is_there = Command::new("sh").args(["-c", "command -v \"$0\" > /dev/null", program]).status();
    let is_there = is_there.is_ok_and(|status| status.success());
    if !is_there {
        note(&format!("skipped: {program} is not installed"));
    }
    is_there
}

/// The keys of a JSON text, as often as they are there.
pub fn keys(json: &str) -> Vec<&str> {
    let parts: Vec<&str> = json.split('"').collect();
    let is_key = |at: &usize| parts[at + 1].starts_with(':');
    (1..parts.len() - 1).step_by(2).filter(is_key).map(|at| parts[at]).collect()
}

/// Writes a line that is seen although the test passes: the test program only captures what the
/// macros print.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Sends a signal as people do.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    assert!(sent.expect("there is a shell").success(), "SIG{name} could not be sent to {pid}");
}
