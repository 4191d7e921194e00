//! When the memory file system is full, or a limit forbids to grow: an error at creation, overflow
//! series later, and never a signal.

use std::ffi::CString;
use std::path::Path;

use common::{alarm, fork, linger, note, own, page, samples, text, Directory, Gate};
use shmetrics::{Error, Format, GaugeMode, Options, Reader, Segment};

/// Runs `f` in a child that has a tmpfs of its own, of this size, in `directory`.
fn on_a_small_tmpfs(bytes: u64, directory: &Directory, f: impl FnOnce()) {
    const NOT_PERMITTED: i32 = 77;
    let c = |s: &str| CString::new(s).unwrap();
    let (none, root, tmpfs) = (c("none"), c("/"), c("tmpfs"));
    let (target, size) = (c(directory.0.to_str().unwrap()), c(&format!("size={bytes},mode=0700")));
    let mut child = fork(|| {
        alarm(120);
        // SAFETY: NUL-terminated strings, in a child with one thread; the name space goes with it.
        let mounted = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    none.as_ptr(),
                    root.as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && libc::mount(tmpfs.as_ptr(), target.as_ptr(), tmpfs.as_ptr(), 0, size.as_ptr().cast()) == 0
        };
        if !mounted {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(NOT_PERMITTED) };
        }
        f();
    });
    let status = child.wait();
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == NOT_PERMITTED {
        return note("skipped: mounting a small tmpfs is not permitted here");
    }
    assert_eq!(status, 0, "the child failed: status {status:#x} (7: SIGBUS)");
}

fn fill(path: &Path, mut bytes: usize) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).unwrap();
    while bytes > 0 && file.write_all(&vec![1; bytes.min(4096)]).is_ok() {
        bytes -= bytes.min(4096);
    }
}

#[test]
fn creation_on_a_full_file_system_is_an_error_that_says_what_to_do() {
    let directory = Directory::new("full");
    on_a_small_tmpfs(2 << 20, &directory, || {
        let name = directory.name("segment");
        fill(&directory.0.join("filler"), 2 << 20);
        let error = Options::new().name(&name).open().unwrap_err();
        assert!(matches!(error, Error::NoSpace(_)), "{error:?}");
        for part in [name.as_str(), "full", "--shm-size", "smaller maximum size"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(directory.files(), ["filler"], "nothing half-made is left");
        std::fs::remove_file(directory.0.join("filler")).unwrap();
        Options::new().name(&name).open().expect("64 MiB may be asked for where 2 are: it is a maximum size");
    });
}

#[test]
fn a_read_only_file_system_is_an_error_and_can_be_read() {
    let directory = Directory::new("full");
    on_a_small_tmpfs(2 << 20, &directory, || {
        let name = directory.name("segment");
        fork(|| Options::new().name(&name).open().unwrap().counter("c", "").register().unwrap().inc()).join();
        let target = CString::new(directory.0.to_str().unwrap()).unwrap();
        let flags = libc::MS_REMOUNT | libc::MS_RDONLY;
        // SAFETY: a NUL-terminated string, in a child with one thread and mounts of its own.
        let r = unsafe { libc::mount(std::ptr::null(), target.as_ptr(), std::ptr::null(), flags, std::ptr::null()) };
        assert_eq!(r, 0, "{}", std::io::Error::last_os_error());
        for options in [Options::new().name(&name), Options::new().name(directory.name("another"))] {
            let error = options.open().unwrap_err();
            assert!(matches!(error, Error::Permission(_)), "{error:?}");
            assert!(error.to_string().contains("SHMETRICS_DIR"), "{error}");
        }
        assert_eq!(samples(&text(&Reader::open(&name).unwrap().render(Format::Text)))["c_total"], 1.0);
    });
}

/// Cells of processes that come while the file system is full are in memory that was granted
/// beforehand.
#[test]
fn gauges_of_new_processes_count_on_a_full_file_system() {
    let directory = Directory::new("full");
    on_a_small_tmpfs(2 << 20, &directory, || {
        let name = directory.name("segment");
        let segment = Options::new().name(&name).max_size(64 << 20).open().unwrap();
        let gauges: Vec<_> =
            (0..5).map(|i| segment.gauge(&format!("g{i}"), "", GaugeMode::Sum).register().unwrap()).collect();
        fill(&directory.0.join("filler"), 2 << 20);
        count_sets(&segment, 0, |refused| refused > 0.0);
        // One after the other would take one slot.
        let children: Vec<_> = (0..100)
            .map(|_| {
                let ready = Gate::new();
                let child = fork(|| {
                    gauges.iter().for_each(|g| g.set(1.0));
                    ready.signal();
                    linger();
                });
                ready.wait();
                child
            })
            .collect();
        let shown = samples(&page(&segment));
        assert!((0..5).all(|i| shown[&format!("g{i}")] == 100.0), "{shown:?}");
        assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0);
        drop(children);
    });
}

/// Counts new label sets until `enough`, and asserts that each of them, and of the refused ones, is
/// counted once.
fn count_sets(segment: &Segment, from: usize, enough: impl Fn(f64) -> bool) -> usize {
    let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
    let mut n = from;
    while !enough(own(segment, "shmetrics_overflow_lookups_total")) {
        for _ in 0..500 {
            sets.with([&n.to_string()]).inc();
            n += 1;
        }
        assert!(n - from < 100_000, "the end is never reached");
    }
    n
}

#[test]
fn a_file_system_that_fills_costs_new_label_sets_only_and_only_as_long_as_it_is_full() {
    let directory = Directory::new("full");
    on_a_small_tmpfs(2 << 20, &directory, || {
        let name = directory.name("segment");
        fill(&directory.0.join("filler"), 1 << 20);
        let segment = Options::new().name(&name).max_size(64 << 20).open().unwrap();
        let first = segment.counter("sets", "").labels(["n"]).register().unwrap().with(["first"]);
        let reader = Reader::open(&name).unwrap();
        let n = count_sets(&segment, 0, |refused| refused > 0.0);
        first.inc();
        let refused = own(&segment, "shmetrics_overflow_lookups_total");
        let overflow = "sets_total{shmetrics_overflow=\"true\"}";
        for page in [page(&segment), text(&reader.render(Format::Text))] {
            let shown = samples(&page);
            assert_eq!(shown[overflow], refused);
            assert_eq!(shown.values().sum::<f64>(), (n + 1) as f64, "every update is counted somewhere");
        }
        let full = segment.counter("late", "").labels(["n"]).register();
        assert!(matches!(&full, Err(Error::Full(why)) if why.contains("memory file system is full")), "{full:?}");
        // Others can still attach, read and count what is there.
        fork(|| {
            let name = format!("{}/./segment", directory.0.display());
            let segment = Options::new().name(name).attach().open().unwrap();
            segment.counter("sets", "").labels(["n"]).register().unwrap().with(["first"]).inc();
        })
        .join();
        assert_eq!(samples(&page(&segment))["sets_total{n=\"first\"}"], 2.0);

        std::fs::remove_file(directory.0.join("filler")).unwrap();
        let refused = own(&segment, "shmetrics_overflow_lookups_total");
        let late = segment.counter("late", "").labels(["n"]).register().expect("room for families again");
        late.with(["1"]).inc();
        let series = own(&segment, "shmetrics_series");
        let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
        (0..1000).for_each(|i| sets.with([&(n + i).to_string()]).inc());
        assert_eq!(own(&segment, "shmetrics_series"), series + 1000.0, "and for label sets");
        assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), refused);
        assert_eq!(samples(&page(&segment)).values().sum::<f64>(), (n + 1000 + 3) as f64);
    });
}

#[test]
fn an_anonymous_segment_is_refused_by_the_limit_on_file_sizes_too() {
    for options in [Options::new().anonymous(), Options::new().name("test-limit-refused")] {
        fork(|| {
            limit_file_size(1 << 20);
            let error = options.open().unwrap_err();
            assert!(matches!(error, Error::NoSpace(_)), "{error:?}");
            assert!(error.to_string().contains("ulimit -f"), "{error}");
        })
        .join();
    }
    assert!(!Path::new("/dev/shm/shmetrics-test-limit-refused").exists());
}

/// Files of this process may not grow beyond `bytes`; the signal for trying to is deadly.
fn limit_file_size(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: a plain call with a local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
}

#[test]
fn a_process_with_a_limit_below_the_segments_size_counts_without_growing_it() {
    let directory = Directory::new("limit");
    let name = directory.name("segment");
    let options = Options::new().name(&name).max_size(16 << 20);
    let segment = options.open().unwrap();
    fork(|| {
        alarm(120);
        limit_file_size(1 << 20);
        let n = count_sets(&segment, 0, |refused| refused > 0.0);
        assert_eq!(samples(&page(&segment)).values().sum::<f64>(), n as f64);
    })
    .join();
    let series = own(&segment, "shmetrics_series");
    let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
    (0..10_000).for_each(|i| sets.with([&format!("unlimited {i}")]).inc());
    assert_eq!(own(&segment, "shmetrics_series"), series + 10_000.0, "others are not bound by it");
}

/// A memory cgroup of this test's own, with this limit, removed at the end.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    fn new(bytes: u64) -> Option<Self> {
        for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
            let group = Cgroup(Path::new(root).join(format!("shmetrics-test-{}", std::process::id())));
            if std::fs::create_dir(&group.0).is_ok() && std::fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn beyond_a_memory_cgroups_limit_a_process_is_killed_and_the_segment_is_whole() {
    let Some(group) = Cgroup::new(8 << 20) else { return note("skipped: memory cgroups are not permitted here") };
    let directory = Directory::new("cgroup");
    let name = directory.name("segment");
    let mut child = fork(|| {
        alarm(120);
        std::fs::write(group.0.join("cgroup.procs"), "0").unwrap();
        let segment = Options::new().name(&name).max_size(64 << 20).open().unwrap();
        let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
        (0..1_000_000).for_each(|n| sets.with([&n.to_string()]).inc());
    });
    let status = child.wait();
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL, "status {status:#x}");
    let shown = samples(&text(&Reader::open(&name).unwrap().render(Format::Text)));
    assert!(shown.len() > 1000 && shown.values().all(|v| *v <= 1.0), "what was made is there, once");
    let segment = Options::new().name(&name).attach().open().unwrap();
    let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
    sets.with(["0"]).inc();
    sets.with(["new"]).inc();
    let now = samples(&page(&segment));
    assert_eq!((now["sets_total{n=\"0\"}"], now["sets_total{n=\"new\"}"]), (2.0, 1.0), "others go on");
    assert_eq!(own(&segment, "shmetrics_corrupt_records"), 0.0);
}
