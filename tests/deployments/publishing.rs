//! Making a segment where the usual way to publish its file is closed; and removing what is a
//! segment, and nothing else.

use std::path::Path;

use crate::harness::*;
use common::{note, page, samples, Directory};
use shmetrics::{Error, GaugeMode, Options, Reader, Segment};

fn options(name: &str) -> Options {
    Options::new().name(name).max_size(512 << 10)
}

fn make(name: &str) -> Result<f64, Error> {
    let segment = options(name).create_new().open()?;
    segment.counter("c", "").register()?.inc();
    segment.gauge("g", "", GaugeMode::Shared).register()?.inc();
    let shown = samples(&page(&segment));
    assert!(segment.is_current());
    Ok(shown["c_total"] + shown["g"])
}

#[cfg(target_arch = "x86_64")]
const LINK: libc::c_long = libc::SYS_link;
#[cfg(not(target_arch = "x86_64"))]
const LINK: libc::c_long = libc::SYS_linkat;

/// Every way to publish: the calls that are denied, so that the next way has to do.
const WAYS: &[(&str, bool, &[libc::c_long])] = &[
    ("as usual", true, &[]),
    ("no /proc", false, &[]),
    ("no /proc, no linkat", false, &[libc::SYS_linkat]),
    ("no linkat", true, &[libc::SYS_linkat]),
    ("no linkat, no renameat2", true, &[libc::SYS_linkat, libc::SYS_renameat2, LINK]),
];

#[test]
fn a_segment_is_published_by_whatever_way_there_is() {
    for (what, proc, denied) in WAYS {
        for privileged in [true, false] {
            let directory = common_ground("publish");
            let name = directory.name("segment");
            let seen = told(|| {
                if !proc && !hide_proc() {
                    return "skipped".to_owned();
                }
                if !privileged && common::is_root() {
                    become_nobody();
                }
                deny(denied, libc::EPERM);
                match make(&name) {
                    Ok(value) => {
                        let exists = matches!(make(&name), Err(Error::AlreadyExists(_)));
                        let found = options(&name).attach().open().is_ok();
                        format!("{value} {exists} {found}")
                    }
                    Err(e) => format!("{e}"),
                }
            });
            if seen == "skipped" {
                note(&format!("skipped: publishing with {what} (needs root or user namespaces)"));
                continue;
            }
            // Without any call that gives a file a name there is no way, and the error says what
            // failed.
            let closed = denied.len() == 3;
            if closed {
                assert!(seen.contains("publishing") && seen.contains(&name), "{what}: {seen}");
            } else {
                assert_eq!(seen, "2 true true", "{what}, privileged: {privileged}");
            }
            let left: &[&str] = if closed { &[] } else { &["segment"] };
            assert_eq!(directory.files(), left, "{what}, privileged: {privileged}");
        }
    }
}

#[test]
fn many_processes_that_start_at_once_without_proc_make_one_segment() {
    let directory = common_ground("race");
    for round in 0..5 {
        let name = directory.name(&format!("segment-{round}"));
        let mut workers: Vec<_> = (0..6)
            .map(|_| {
                Worker::start(|inside| {
                    let hidden = hide_proc();
                    deny(&[libc::SYS_linkat], libc::EPERM);
                    inside.say(hidden);
                    inside.wait();
                    options(&name).open().unwrap().counter("c", "").register().unwrap().inc();
                    inside.say("done");
                    inside.wait();
                })
            })
            .collect();
        workers.iter_mut().for_each(|w| drop(w.hear()));
        workers.iter_mut().for_each(Worker::go);
        workers.iter_mut().for_each(|w| assert_eq!(w.hear(), "done"));
        let reader = Reader::open(&name).unwrap();
        assert_eq!(samples(&common::text(&reader.render(shmetrics::Format::Text)))["c_total"], 6.0);
    }
    assert_eq!(directory.files().len(), 5, "no temporary name stays: {:?}", directory.files());
}

#[test]
fn only_segments_are_removed_by_their_path() {
    let directory = Directory::new("remove");
    let name = directory.name("segment");
    told(|| options(&name).open().is_ok());
    let whole = std::fs::read(&name).unwrap();
    let patched = |file: &str, at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        std::fs::write(directory.name(file), bytes).unwrap();
    };
    patched("version", 8, 9);
    patched("damaged", 16, 1);
    std::fs::write(directory.name("text"), "somebody's data").unwrap();
    std::fs::write(directory.name("empty"), "").unwrap();
    std::os::unix::fs::symlink(&name, directory.name("link")).unwrap();
    std::fs::create_dir(directory.name("directory")).unwrap();
    for file in ["text", "empty", "damaged", "link", "directory"] {
        let error = Segment::remove(&directory.name(file)).unwrap_err();
        assert!(matches!(error, Error::NotASegment { .. }), "{file}: {error:?}");
        assert!(std::fs::symlink_metadata(directory.name(file)).is_ok(), "{file} is as it was");
    }
    assert!(matches!(Segment::remove(&directory.name("missing")), Err(Error::NotFound(_))));
    for file in ["segment", "version"] {
        Segment::remove(&directory.name(file)).unwrap();
        assert!(!Path::new(&directory.name(file)).exists(), "{file}");
    }
    assert_eq!(directory.files(), ["damaged", "directory", "empty", "link", "text"]);
}

#[test]
fn damaged_files_in_the_directory_of_segments_are_removed() {
    let directory = Directory::new("remove");
    std::fs::write(directory.name("shmetrics-a"), "").unwrap();
    std::fs::write(directory.name("shmetrics-b"), "damaged").unwrap();
    std::fs::write(directory.name("other"), "somebody's data").unwrap();
    let done = told(|| {
        let value = std::ffi::CString::new(directory.name("")).unwrap();
        // SAFETY: NUL-terminated strings, in a child with one thread.
        unsafe { libc::setenv(c"SHMETRICS_DIR".as_ptr(), value.as_ptr(), 1) };
        let by = |name: &str| Segment::remove(name).is_ok();
        format!("{} {} {}", by("a"), by(&directory.name("shmetrics-b")), by(&directory.name("other")))
    });
    assert_eq!(done, "true false false", "by the name alone: a path may lead to anything");
    assert_eq!(directory.files(), ["other", "shmetrics-b"]);
}

#[test]
fn a_long_name_is_refused_in_few_words_and_bytes() {
    for name in ["n".repeat(64 << 20), "/".to_owned() + &"n".repeat(64 << 20), "é".repeat(300)] {
        // In a process of its own, where no other test takes memory.
        let seen = told(|| {
            let before = most_resident();
            let error = Options::new().name(&name).open().unwrap_err();
            let told = error.to_string();
            assert!(matches!(error, Error::InvalidName(_)) && told.len() < 300, "{} bytes", told.len());
            assert!(told.contains("longer than 245 bytes") || told.contains("too long"), "{told}");
            most_resident() - before
        });
        // The options have a copy of their own.
        assert!(seen.parse::<u64>().unwrap() < 80 << 10, "{seen} KiB");
    }
}

/// The most memory that this process has had, in KiB.
fn most_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
