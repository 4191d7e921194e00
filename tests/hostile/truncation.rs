//! A file that its owner truncates below a reader: the program goes on, if it has asked for that.

use common::{fork, Directory};
use shmetrics::{Format, Reader, Segment};

/// A segment of some pages, and a reader that has read all of it: what it has read once, it does
/// not ask the system for again.
fn opened(directory: &Directory) -> (String, Reader) {
    let name = directory.name("segment");
    let segment = Segment::open(&name).unwrap();
    let family = segment.counter("sets", "").labels(["n"]).register().unwrap();
    (0..2000).for_each(|n| family.with([&n.to_string()]).inc());
    let reader = Reader::open(&name).unwrap();
    look(&reader);
    (name, reader)
}

fn truncate(name: &str, length: u64) {
    std::fs::OpenOptions::new().write(true).open(name).unwrap().set_len(length).unwrap();
}

/// All that a reader does.
pub fn look(reader: &Reader) {
    for format in [Format::Text, Format::OpenMetrics2, Format::Protobuf] {
        reader.render(format);
    }
    reader.inspect();
    reader.verify();
    reader.processes();
    reader.last_update();
    reader.page(Format::Text).points().count();
}

#[test]
fn a_reader_survives_where_the_program_asks_for_it() {
    let directory = Directory::new("truncation");
    let (name, other) = (directory.name("segment"), directory.name("other"));
    fork(|| {
        Reader::survive_truncation().unwrap();
        Reader::survive_truncation().unwrap();
        Segment::open(&other).unwrap().counter("jobs", "").register().unwrap().inc();
        let whole = Reader::open(&other).unwrap();
        for length in [0, 4096, 70_000] {
            let (name, reader) = opened(&directory);
            truncate(&name, length);
            assert!(!reader.is_truncated(), "nothing was read since");
            look(&reader);
            assert!(reader.is_truncated() && !reader.is_current(), "{length}");
            // A file that is whole again is not what the reader has.
            truncate(&name, 64 << 20);
            assert!(reader.is_truncated() && !reader.is_current(), "{length}");
            drop(reader);
            std::fs::remove_file(&name).unwrap();
        }
        // In place of a reader that has ended, another one is known to the handler.
        let (_, reader) = opened(&directory);
        truncate(&name, 0);
        look(&reader);
        assert!(reader.is_truncated());
        assert!(!whole.is_truncated() && whole.is_current());
        assert!(String::from_utf8(whole.render(Format::Text)).unwrap().contains("jobs_total 1\n"));
    })
    .join();
}

#[test]
fn a_reader_in_threads_survives_too() {
    let directory = Directory::new("truncation-threads");
    fork(|| {
        Reader::survive_truncation().unwrap();
        let (name, reader) = opened(&directory);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..20).for_each(|_| look(&reader)));
            }
            truncate(&name, 4096);
        });
        look(&reader);
        assert!(reader.is_truncated());
    })
    .join();
}

/// What a child that reads a truncated file dies of.
fn dies_of(prepare: impl FnOnce()) -> i32 {
    let directory = Directory::new("truncation-death");
    let mut child = fork(|| {
        prepare();
        let (name, reader) = opened(&directory);
        truncate(&name, 4096);
        look(&reader);
    });
    child.wait()
}

#[test]
fn without_the_request_the_kernel_kills_the_reader() {
    let status = dies_of(|| ());
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGBUS, "{status}");
}

#[test]
fn other_faults_and_signals_are_as_before() {
    // A fault in memory that is no reader's.
    let status = dies_of(|| {
        Reader::survive_truncation().unwrap();
        let file = tempfile();
        // SAFETY: a new mapping of an empty file, and a read behind its end: the death that is
        // wanted.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0);
            assert_ne!(at, libc::MAP_FAILED);
            std::ptr::read_volatile(at.cast::<u8>());
        }
    });
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGBUS, "{status}");
    // A signal that a process sends, where it had its default action.
    let status = dies_of(|| {
        // SAFETY: plain calls.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        Reader::survive_truncation().unwrap();
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGBUS) };
    });
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGBUS, "{status}");
}

/// A descriptor of an empty file in memory.
fn tempfile() -> i32 {
    // SAFETY: a plain call with a NUL-terminated name.
    let file = unsafe { libc::memfd_create(c"empty".as_ptr(), 0) };
    assert!(file >= 0);
    file
}
