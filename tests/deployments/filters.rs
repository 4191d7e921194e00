//! Each system call that the library makes, denied by a filter, as containers and services have
//! them. An opening fails with an error, or the segment works. What was opened before goes on.

use std::fmt::Write;

use common::{is_root, page, samples, Name};
use shmetrics::{Error, Format, GaugeMode, Native, Segment};

use crate::harness::{change_root, common_ground, deny, runs_as_root, told, unshare};

/// Without `mmap` and `brk`, which every allocation needs.
fn calls() -> Vec<(&'static str, libc::c_long)> {
    macro_rules! named {
        ($($call:ident)*) => { vec![$((stringify!($call), libc::$call)),*] };
    }
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
    let mut calls = named![SYS_openat SYS_close SYS_read SYS_fcntl SYS_fstat SYS_newfstatat SYS_statx SYS_statfs
        SYS_fstatfs SYS_lseek SYS_munmap SYS_madvise SYS_ftruncate SYS_fallocate SYS_fchmod SYS_fchown SYS_linkat
        SYS_renameat2 SYS_unlinkat SYS_memfd_create SYS_prlimit64 SYS_sched_yield SYS_clock_gettime SYS_getrandom
        SYS_shmget SYS_shmat SYS_shmctl SYS_shmdt SYS_geteuid SYS_getpid SYS_kill SYS_readlinkat SYS_getcwd
        SYS_nanosleep SYS_clock_nanosleep SYS_sched_getaffinity];
    #[cfg(target_arch = "x86_64")]
    calls.extend(named![SYS_open SYS_stat SYS_lstat SYS_readlink SYS_unlink SYS_getrlimit]);
    calls
}

fn open(name: &Name) -> Result<Segment, Error> {
    name.options().max_size(1 << 20).open()
}

/// Updates of every kind, which need slots, memory and exemplars; what is not as it should be.
fn wrong(segment: &Segment, name: &Name) -> Result<String, Error> {
    const UPDATES: usize = 500;
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register()?;
    let counters = segment.counter("requests", "").labels(["n"]).register()?;
    let seconds = segment.histogram("seconds", "").native(Native::schema(8)).register()?;
    // SAFETY: the calling thread's own.
    unsafe { *libc::__errno_location() = 77 };
    live.inc();
    for i in 0..UPDATES {
        counters.with([["a", "b", "c", "d"][i % 4]]).inc();
        seconds.observe(1.1f64.powi(i as i32));
    }
    // SAFETY: as above.
    let errno = unsafe { *libc::__errno_location() };
    let (page, mut wrong) = (samples(&page(segment)), String::new());
    let requests: f64 = page.iter().filter(|(name, _)| name.starts_with("requests_total{")).map(|(_, v)| v).sum();
    let expected =
        [("live", page["live"], 1.0), ("requests", requests, 500.0), ("seconds", page["seconds_count"], 500.0)];
    for (what, is, should) in expected.into_iter().filter(|(_, is, should)| is != should) {
        let _ = write!(wrong, "; {what}: {is}, not {should} ({:?})", segment.next_warning());
    }
    if errno != 77 {
        let _ = write!(wrong, "; errno {errno}");
    }
    if !segment.is_current() {
        wrong.push_str("; it is said to be removed");
    }
    if segment.reader().render(Format::Text).is_empty() || Segment::open(&name.0).is_err() {
        wrong.push_str("; it cannot be read, or found by its name");
    }
    Ok(wrong)
}

#[test]
fn any_system_call_may_be_denied_before_or_after_the_segment_is_opened() {
    let mut faults = String::new();
    for errno in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
        for (call, number) in calls() {
            for when in ["created", "attached", "opened before"] {
                let name = Name::new("denied");
                let found = told(|| {
                    // Without `shmctl`, what is made there would outlive the test.
                    let _private = is_root() && unshare(libc::CLONE_NEWIPC);
                    let before = (when == "opened before").then(|| open(&name).unwrap());
                    if when == "attached" {
                        told(|| open(&name).map_or_else(|e| e.to_string(), |_| String::new()));
                    }
                    deny(&[number], errno);
                    // In a thread of its own: what std has asked for is asked for again.
                    let result = std::thread::scope(|scope| {
                        let test = || before.map_or_else(|| open(&name), Ok).and_then(|segment| wrong(&segment, &name));
                        scope.spawn(test).join()
                    });
                    match result {
                        Err(_) => "; it panicked".to_owned(),
                        Ok(Ok(wrong)) => wrong,
                        // An error of the call that was denied.
                        Ok(Err(e))
                            if when != "opened before" && e.to_string().contains(&format!("os error {errno}")) =>
                        {
                            String::new()
                        }
                        Ok(Err(e)) => format!("; {e}"),
                    }
                });
                if !found.is_empty() {
                    let _ = writeln!(faults, "{call} with {errno}, {when}{found}");
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn without_random_numbers_of_the_system_a_segment_works() {
    if !runs_as_root("without random numbers") {
        return;
    }
    let ground = common_ground("random");
    let page = told(|| {
        change_root(&ground);
        deny(&[libc::SYS_getrandom], libc::EPERM);
        let render = || {
            let segment = shmetrics::Options::new().anonymous().max_size(1 << 20).open().unwrap();
            segment.counter("requests", "").register().unwrap().inc();
            page(&segment)
        };
        std::thread::scope(|scope| scope.spawn(render).join().expect("no panic"))
    });
    assert_eq!(samples(&page)["requests_total"], 1.0);
}
