//! Files that are no segments, or another library's.

use std::os::unix::fs::symlink;

use common::file::Bytes;
use common::{alarm, fork, Directory};
use shmetrics::{Error, Format, Options, Reader};

/// Offsets in the header: see `docs/format.md`.
const MAJOR: u64 = 8;
const MINOR: u64 = 10;
const ENDIAN: u64 = 12;
const TOTAL_SIZE: u64 = 16;
const HASH: u64 = 24;
const SLOTS_AT: u64 = 80;

/// A segment's file with some of its header's bytes replaced; in a process of its own, it is mapped
/// nowhere else.
fn patched(directory: &Directory, file: &str, at: u64, bytes: &[u8]) -> String {
    let name = directory.name(file);
    fork(|| {
        let segment = Options::new().name(&name).max_size(512 << 10).create_new().open().unwrap();
        segment.counter("c", "").register().unwrap().inc();
    })
    .join();
    Bytes::of(&name).write(at, bytes);
    name
}

/// The error of reading, after checking that writing has the same.
fn refused(name: &str) -> Error {
    let error = Reader::open(name).expect_err("a reader must refuse it");
    for options in [Options::new().name(name), Options::new().name(name).attach()] {
        let writing = options.open().expect_err("a writer must refuse it");
        assert_eq!(writing.to_string(), error.to_string());
    }
    error
}

#[test]
fn another_major_version_is_refused_by_both_numbers() {
    let directory = Directory::new("version");
    for major in [0, 2, 0xff] {
        let name = patched(&directory, &format!("major-{major}"), MAJOR, &[major, 0]);
        let error = refused(&name);
        assert!(
            matches!(error, Error::WrongVersion { found, supported: (1, 0), .. } if found == (u16::from(major), 0)),
            "{error:?}"
        );
        assert!(error
            .to_string()
            .starts_with(&format!("the segment at {name} has layout version {major}.0, this library reads 1.x")));
        for way_out in ["the library that made it", "SHMETRICS_SEGMENT=", "shmetrics rm"] {
            assert!(error.to_string().contains(way_out), "{error}");
        }
    }
}

#[test]
fn a_newer_minor_version_is_read() {
    let directory = Directory::new("version");
    let name = patched(&directory, "minor", MINOR, &[7, 0]);
    let reader = Reader::open(&name).unwrap();
    assert_eq!(reader.inspect().layout, (1, 7));
    assert!(String::from_utf8_lossy(&reader.render(Format::Text)).contains("\nc_total 1\n"));
    Options::new().name(&name).attach().open().unwrap().counter("c", "").register().unwrap().inc();
    assert!(String::from_utf8_lossy(&reader.render(Format::Text)).contains("\nc_total 2\n"));
}

#[test]
fn a_header_that_cannot_be_believed_is_refused_with_the_reason() {
    let directory = Directory::new("header");
    let other_order: Vec<u8> = 0x0102_0304u32.to_ne_bytes().into_iter().rev().collect();
    for (file, at, bytes, reason) in [
        ("order", ENDIAN, &other_order[..], "the other byte order"),
        ("magic", 0, b"x", "does not begin with a segment's magic number"),
        ("size", TOTAL_SIZE, &[1], "its header says"),
        ("regions", SLOTS_AT + 7, &[0x80], "its header is damaged"),
    ] {
        let error = refused(&patched(&directory, file, at, bytes));
        assert!(matches!(&error, Error::NotASegment { .. }), "{file}: {error:?}");
        assert!(error.to_string().contains(reason), "{file}: {error}");
    }
    let error = refused(&patched(&directory, "hash", HASH, &[9]));
    assert!(matches!(&error, Error::Unsupported(why) if why.contains("hash 9")), "{error:?}");
}

#[test]
fn what_is_no_segment_is_refused_and_left_alone() {
    let directory = Directory::new("files");
    let mut random = common::Random(1);
    let noise: Vec<u8> = (0..100_000).map(|_| random.next() as u8).collect();
    for (file, bytes) in [("empty", &[][..]), ("short", b"SHMETRIC"), ("noise", &noise), ("zeros", &[0; 8192])] {
        let name = directory.name(file);
        std::fs::write(&name, bytes).unwrap();
        let error = refused(&name);
        assert!(matches!(&error, Error::NotASegment { .. }), "{file}: {error:?}");
        assert!(error.to_string().starts_with(&format!("{name} is not a shmetrics segment: ")), "{error}");
        assert_eq!(std::fs::read(&name).unwrap(), bytes, "{file} is as it was");
    }
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let directory = Directory::new("files");
    let segment = patched(&directory, "segment", MAJOR, &[1]);
    let link = directory.name("link");
    symlink(&segment, &link).unwrap();
    assert!(refused(&link).to_string().ends_with("it is a symbolic link"));
    let dangling = directory.name("dangling");
    symlink(directory.name("nothing"), &dangling).unwrap();
    assert!(refused(&dangling).to_string().ends_with("it is a symbolic link"));
    let sub = directory.name("directory");
    std::fs::create_dir(&sub).unwrap();
    fork(|| {
        alarm(60);
        assert!(matches!(Options::new().name(&sub).open(), Err(Error::NotASegment { .. })));
        assert!(matches!(Reader::open(&sub), Err(Error::NotASegment { .. })));
    })
    .join();
    let fifo = directory.name("fifo");
    let path = std::ffi::CString::new(fifo.clone()).unwrap();
    // SAFETY: a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    fork(|| {
        alarm(60);
        assert!(refused(&fifo).to_string().ends_with("it is not a regular file"));
    })
    .join();
    assert_eq!(directory.files(), ["dangling", "directory", "fifo", "link", "segment"]);
}
