//! Hosts that turn into daemons close every descriptor that they do not know, and soon open other
//! files under the same numbers.

use std::os::fd::AsRawFd;

use common::{alarm, fork, page, samples, text, Directory};
use shmetrics::{Format, GaugeMode, Options, Reader, Segment};

const SETS: usize = 20_000;

/// Closes all descriptors but the first three, and opens a file of the host's under their numbers.
fn close_all(host_file: &str) -> Vec<std::fs::File> {
    for descriptor in 3..1024 {
        // SAFETY: this is what a host does; in a child, whose other descriptors are not used.
        unsafe { libc::close(descriptor) };
    }
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(host_file).unwrap();
    let files: Vec<_> = (0..64).map(|_| open()).collect();
    assert_eq!(files[0].as_raw_fd(), 3, "the numbers are taken again");
    files
}

/// Whether any process has a lock on the file.
fn is_locked(file: &std::fs::File) -> bool {
    // SAFETY: an all-zero flock is a valid value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    let again = std::fs::OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
    // SAFETY: a plain call with a local; length 0 is the whole file.
    let asked = unsafe { libc::fcntl(again.unwrap().as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    asked != 0 || i32::from(lock.l_type) != libc::F_UNLCK
}

/// A child that opens a segment, loses its descriptors (and, perhaps, the segment's name), and uses
/// all there is.
fn in_a_daemon(removed: bool) {
    let directory = Directory::new("closed");
    let (name, host) = (directory.name("segment"), directory.name("host"));
    std::fs::write(&host, "the host's own data").unwrap();
    fork(|| {
        alarm(120);
        let segment = Options::new().name(&name).max_size(16 << 20).open().unwrap();
        let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
        sets.with(["0"]).inc();
        if removed {
            Segment::remove(&name).unwrap();
        }
        let files = close_all(&host);
        (0..SETS).for_each(|n| sets.with([&n.to_string()]).inc());
        segment.gauge("all", "", GaugeMode::LiveSum).register().unwrap().inc();
        let shown = samples(&page(&segment));
        assert_eq!(shown["sets_total{n=\"0\"}"], 2.0);
        assert_eq!(shown.keys().filter(|k| k.starts_with("sets_total")).count(), SETS, "it has grown");
        assert!(shown.values().sum::<f64>() >= (SETS + 1) as f64);
        if !removed {
            assert_eq!(shown["all"], 1.0, "a gauge finds its way to the file");
            let reader = Reader::open(&name).unwrap();
            assert_eq!(samples(&text(&reader.render(Format::Text))).len(), SETS + 1);
        }
        assert!(segment.as_fd().is_none(), "no descriptor is better than the host's");
        assert!(files.iter().all(|f| !is_locked(f)), "the host's file is not locked");
        assert!(segment.reader().inspect().max_size == 16 << 20);
        // What is open must be open still: nothing of the host's was closed.
        files.iter().for_each(|f| assert!(f.metadata().is_ok()));
    })
    .join();
    assert_eq!(std::fs::read_to_string(&host).unwrap(), "the host's own data");
    assert_eq!(std::fs::metadata(&host).unwrap().len(), 19);
}

#[test]
fn a_daemon_counts_and_grows_without_its_descriptors() {
    in_a_daemon(false);
}

#[test]
fn and_even_without_the_segments_name() {
    in_a_daemon(true);
}
