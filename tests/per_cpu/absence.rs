//! Places where something is missing: calls that a filter or an emulator answers with ENOSYS,
//! `/sys`, `/proc`, most of the CPUs.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::{has_rseq, heat, in_per_cpu, kind, HOT};
use common::{note, page, samples, Name};
use shmetrics::{Native, Options, Segment};

/// What a process does before it becomes the program: an error says that the kernel refuses.
type Lack = fn() -> std::io::Result<()>;

fn done(result: i32) -> std::io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Calls that per-CPU cells could want are unknown, as in a sandbox that has its own kernel.
fn no_calls() -> std::io::Result<()> {
    let calls = [libc::SYS_rseq, libc::SYS_getcpu, libc::SYS_sched_getaffinity, libc::SYS_membarrier];
    common::filter::try_deny(&calls, libc::ENOSYS)
}

fn empty(directories: &[&std::ffi::CStr]) -> std::io::Result<()> {
    let (none, no_data) = (c"none".as_ptr(), std::ptr::null());
    // SAFETY: strings that end in NUL.
    unsafe {
        done(libc::unshare(libc::CLONE_NEWNS))?;
        done(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, no_data))?;
        directories.iter().try_for_each(|d| done(libc::mount(none, d.as_ptr(), c"tmpfs".as_ptr(), 0, no_data)))
    }
}

/// Nothing in `/sys` nor in `/proc`, and only one CPU to run on, the last: the C library counts one
/// CPU.
fn no_files() -> std::io::Result<()> {
    empty(&[c"/sys", c"/proc"])?;
    // SAFETY: a set of CPUs is plain bits.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        done(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set))?;
        let last = (0..1024).rfind(|cpu| libc::CPU_ISSET(*cpu, &set)).unwrap_or(0);
        set = std::mem::zeroed();
        libc::CPU_SET(last, &mut set);
        done(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set))
    }
}

const LACKS: [(&str, Lack); 4] = [
    ("no calls", no_calls),
    ("no /sys", || empty(&[c"/sys"])),
    ("no files", no_files),
    ("neither", || {
        no_files()?;
        no_calls()
    }),
];

/// Runs one of the parts below where something is missing. False: the kernel refuses.
fn runs(part: &str, (what, lack): (&str, Lack), name: &Name) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", part, "--ignored", "--test-threads=1"]).env("PER_CPU_OF", &name.0).stdout(Stdio::null());
    // SAFETY: system calls alone, and memory of its own, in a child that has one thread; glibc
    // makes malloc safe after fork.
    unsafe { command.pre_exec(lack) };
    match command.status() {
        Err(e) => note(&format!("skipped: a process with {what} ({e})")),
        Ok(status) => {
            assert!(status.success(), "{part} with {what}: {status}");
            return true;
        }
    }
    false
}

#[test]
fn segments_are_made_and_exact_where_much_is_missing() {
    for lack in LACKS {
        let name = Name::new("percpu");
        if runs("absence::makes_a_segment", lack, &name) {
            // A process that lacks nothing goes on counting.
            let segment = name.open();
            assert_eq!(
                kind(&segment),
                "locked",
                "{}: it cannot be told how many CPUs there are, or they cannot be used",
                lack.0
            );
            assert_eq!(count_everything(&segment), 2);
        }
    }
}

#[test]
fn who_lacks_much_counts_beside_those_who_lack_nothing() {
    for lack in LACKS {
        let name = Name::new("percpu");
        let segment = name.open();
        if has_rseq(&segment) {
            assert_eq!(count_everything(&segment), 1);
            if runs("absence::counts_in_a_segment", lack, &name) {
                assert_eq!(count_everything(&segment), 3);
            }
        }
    }
}

#[test]
#[ignore = "a part of another test, in a process of its own"]
fn makes_a_segment() {
    let Ok(name) = std::env::var("PER_CPU_OF") else { return };
    let segment = Options::new().max_size(16 << 20).name(name).open().unwrap();
    assert_eq!(kind(&segment), "locked");
    assert_eq!(count_everything(&segment), 1);
    assert!(in_per_cpu(&segment) > 0, "the series have per-CPU cells");
}

#[test]
#[ignore = "a part of another test, in a process of its own"]
fn counts_in_a_segment() {
    let Ok(name) = std::env::var("PER_CPU_OF") else { return };
    assert_eq!(count_everything(&Options::new().name(name).attach().open().unwrap()), 2);
}

const THREADS: u64 = 4;

/// All kinds of hot series, in several threads, with some that are not hot between them. Returns
/// how often that was done with this segment, as its page has it, when that is the same for all of
/// them.
fn count_everything(segment: &Segment) -> u64 {
    let labelled = segment.counter("labelled", "").labels(["n"]).register().unwrap();
    let plain = segment.counter("plain", "").register().unwrap();
    let times = segment.histogram("times", "").buckets(&[1.0, 2.0]).register().unwrap();
    let native = segment.histogram("native", "").native(Native::default()).register().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                heat(&plain);
                (0..HOT).for_each(|_| times.observe(1.5));
                (0..HOT).for_each(|_| native.observe(1.5));
                let hot = labelled.with([&format!("hot {thread}")]);
                for n in 0..HOT {
                    hot.inc();
                    if n % 500 == 0 {
                        labelled.with([&format!("{thread} {n}")]).inc();
                    }
                }
            });
        }
    });
    assert_eq!(segment.reader().verify(), [] as [String; 0]);
    let shown = samples(&page(segment));
    let often = shown["plain_total"] as u64 / (THREADS * HOT);
    for (sample, value) in shown.iter().filter(|(sample, _)| !sample.starts_with("shmetrics_")) {
        let each = match sample.split(['{', ' ']).next().unwrap() {
            "plain_total" | "times_count" | "native_count" => (THREADS * HOT) as f64,
            "times_sum" | "native_sum" => 1.5 * (THREADS * HOT) as f64,
            "labelled_total" if sample.contains("hot") => HOT as f64,
            "labelled_total" => 1.0,
            _ => continue,
        };
        assert_eq!(*value, each * often as f64, "{sample}");
    }
    often
}
