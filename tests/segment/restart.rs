//! What becomes of the counts when all processes are gone: they are kept, or begin anew if that is
//! asked for.
//!
//! Each process that opens a segment here is a child: what other tests fork has no copy of its
//! descriptors.

use std::os::unix::fs::MetadataExt;

use common::file::Bytes;
use common::{alarm, fork, join_all, linger, page, samples, text, Directory, Gate, Name, Shared};
use shmetrics::{Error, Format, Options, Segment};

fn resetting(name: &Name) -> Options {
    name.options().reset_if_unused(true)
}

/// Counts once and returns the count.
fn count(segment: &Segment) -> f64 {
    segment.counter("c", "").register().unwrap().inc();
    samples(&page(segment))["c_total"]
}

/// Opens and counts in a process of its own, which must then see this count.
#[track_caller]
fn expect(options: &Options, counted: f64) {
    fork(|| assert_eq!(count(&options.open().unwrap()), counted)).join();
}

#[test]
fn counts_are_kept_unless_asked_otherwise() {
    let name = Name::new("restart");
    for n in 1..=3 {
        expect(&name.options(), f64::from(n));
    }
    let reader = name.reader();
    expect(&resetting(&name), 1.0);
    assert!(!reader.is_current(), "a reader is no user");
    assert_eq!(samples(&text(&reader.render(Format::Text)))["c_total"], 3.0, "nothing is wiped under it");
    expect(&name.options(), 2.0);
    expect(&resetting(&name).attach(), 3.0);
    assert!(matches!(resetting(&name).create_new().open(), Err(Error::AlreadyExists(_))));
}

#[test]
fn one_stopped_worker_keeps_the_counts() {
    let name = Name::new("restart");
    let ready = Gate::new();
    let worker = fork(|| {
        let segment = name.open();
        count(&segment);
        assert_eq!(count(&resetting(&name).open().unwrap()), 2.0, "the process itself is a user");
        ready.signal();
        linger();
    });
    ready.wait();
    worker.signal(libc::SIGSTOP);
    expect(&resetting(&name), 3.0);
    expect(&resetting(&name), 4.0);
    worker.kill();
    expect(&resetting(&name), 1.0);
}

#[test]
fn a_silent_child_of_a_dead_master_keeps_the_counts() {
    let name = Name::new("restart");
    let (ready, go) = (Gate::new(), Gate::new());
    let told = Shared::new(1);
    fork(|| {
        count(&name.open());
        let silent = fork(|| {
            alarm(60);
            ready.signal();
            go.wait();
        });
        told.set(0, silent.0 as u64);
        std::mem::forget(silent);
    })
    .join();
    ready.wait();
    expect(&resetting(&name), 2.0);
    go.signal();
}

#[test]
fn a_host_that_closed_its_descriptors_keeps_the_counts() {
    let name = Name::new("restart");
    let ready = Gate::new();
    let worker = fork(|| {
        let segment = name.open();
        count(&segment);
        for descriptor in (3..256).filter(|d| !ready.descriptors().contains(d)) {
            // SAFETY: what a host does that closes all it does not know; in a child, whose
            // descriptors that no other code uses.
            unsafe { libc::close(descriptor) };
        }
        assert!(segment.as_fd().is_none());
        ready.signal();
        linger();
    });
    ready.wait();
    expect(&resetting(&name), 2.0);
    worker.kill();
    expect(&resetting(&name), 1.0);
}

#[test]
fn of_masters_that_start_at_once_one_makes_the_new_segment() {
    const MASTERS: usize = 8;
    let name = Name::new("restart");
    for round in 0..40 {
        expect(&resetting(&name), 1.0);
        let (inodes, arrived) = (Shared::new(MASTERS), Shared::new(1));
        let go = Gate::new();
        let masters: Vec<_> = (0..MASTERS)
            .map(|i| {
                let (inodes, arrived, go, name) = (&inodes, &arrived, &go, &name);
                fork(move || {
                    alarm(30);
                    go.wait();
                    // Some do not ask for a new one, and must not get hold of the old one half-way
                    // either.
                    let options = if i < MASTERS / 2 { resetting(name) } else { name.options() };
                    let segment = options.open().unwrap();
                    count(&segment);
                    inodes.set(i, std::fs::metadata(name.path()).unwrap().ino());
                    assert!(segment.is_current(), "no process counts unseen");
                    arrived.add(0, 1);
                    while arrived.get(0) < MASTERS as u64 {
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        masters.iter().for_each(|_| go.signal());
        join_all(masters);
        let inode = std::fs::metadata(name.path()).unwrap().ino();
        assert_eq!(inodes.snapshot(), [inode; MASTERS], "round {round}: one segment for all");
        let total = samples(&text(&name.reader().render(Format::Text)))["c_total"];
        // The old segment goes on if a master that keeps it was first.
        assert!([MASTERS as f64, MASTERS as f64 + 1.0].contains(&total), "round {round}: {total}");
    }
}

#[test]
fn an_unused_segment_of_another_version_is_replaced_but_no_other_file() {
    let name = Name::new("restart");
    expect(&name.options(), 1.0);
    Bytes::of(name.path()).write(8, &[99, 0]);
    assert!(matches!(name.options().open(), Err(Error::WrongVersion { .. })));
    expect(&resetting(&name), 1.0);
    let directory = Directory::new("restart");
    let other = directory.name("other");
    std::fs::write(&other, [7; 8192]).unwrap();
    assert!(matches!(Options::new().name(&other).reset_if_unused(true).open(), Err(Error::NotASegment { .. })));
    assert_eq!(std::fs::read(&other).unwrap(), [7; 8192]);
}
