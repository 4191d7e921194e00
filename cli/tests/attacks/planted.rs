//! Files of other users, and damaged ones, in the directory of the segments.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::support::http::Server;
use crate::support::{note, Room, NOBODY};

#[test]
fn eleven_hundred_files_of_another_user() {
    let room = Room::new();
    room.segment_with_jobs("own", 3);
    // Its name sorts first, and its family has another type.
    room.segment_of_another_type("0evil");
    if !room.give("0evil", NOBODY) {
        return;
    }
    for n in 0..1100 {
        let path = room.path(&format!("0\u{1b}]0;evil{n}"));
        std::fs::hard_link(room.path("0evil"), &path).expect("links");
    }
    let limited = |arguments: &[&str]| room.command_after("ulimit -n 200", arguments);
    let server = Server::run(limited(&["serve", "--listen", "127.0.0.1:0", "--all"]));
    for _ in 0..3 {
        let page = server.get("/metrics");
        page.assert(200, "jobs_total{segment=\"own\"} 3\n");
        page.assert(200, "shmetrics_serve_segments_ignored 1101\n");
        assert!(!page.body.contains("evil"), "{}", page.body);
    }
    server.get("/-/ready").assert(200, "");
    server.signal("TERM");
    let (_, said) = server.end();
    assert!(said.contains("ignoring 1101 segments of other users"), "{said}");
    let listed = limited(&["list"]).output().expect("runs");
    assert!(listed.status.success() && !listed.stdout.contains(&0x1b));
    // With `--owner any`, the server shows as many as there is room for, its own user's first.
    let server = Server::run(limited(&["serve", "--listen", "127.0.0.1:0", "--all", "--owner", "any"]));
    for _ in 0..2 {
        server.get("/metrics").assert(200, "jobs_total{segment=\"own\"} 3\n");
    }
    for n in 0..1100 {
        std::fs::remove_file(room.path(&format!("0\u{1b}]0;evil{n}"))).expect("removes");
    }
    server.get("/metrics").assert(200, "jobs_total{segment=\"own\"} 3\n");
}

/// Other programs of the same user may leave anything in the directory. A name that no segment can
/// have is no series, and no page has its bytes.
#[test]
fn files_that_are_no_segments_take_nothing_off_the_page() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    room.left_behind("copy", 1);
    for name in ["*", "..", "a\n\u{1b}[2J", "\u{202e}evil", "a b", "a\"b"] {
        std::fs::copy(room.path("copy"), room.path(name)).expect("copies");
    }
    room.junk("junk");
    std::fs::create_dir(room.path("directory")).expect("makes a directory");
    std::os::unix::fs::symlink(room.path("shop"), room.path("link")).expect("links");
    std::os::unix::fs::symlink("/nowhere", room.path("dangling")).expect("links");
    drop(std::os::unix::net::UnixListener::bind(room.path("socket")).expect("binds"));
    let fifo = Command::new("mkfifo").arg(room.path("fifo")).status();
    assert!(fifo.is_ok_and(|status| status.success()));
    let server = Server::start_with(&room, &["--all"]);
    for _ in 0..2 {
        let page = server.get("/metrics");
        page.assert(200, "jobs_total{segment=\"shop\"} 3\n");
        page.assert(200, "\nshmetrics_serve_segments_ignored 6\n");
        let up: Vec<_> = page.body.lines().filter(|line| line.starts_with("shmetrics_serve_segment_up{")).collect();
        // Names that a segment can have: the operator may expect one there.
        let not = ["dangling", "directory", "fifo", "junk", "link", "socket"];
        assert_eq!(up.len(), 2 + not.len(), "{up:?}");
        for name in not {
            assert!(up.contains(&&*format!("shmetrics_serve_segment_up{{segment=\"{name}\"}} 0")), "{name}: {up:?}");
        }
        assert!(!page.body.contains('\u{1b}') && !page.body.contains('\u{202e}'), "{}", page.body);
    }
    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success() && said.contains("ignoring 6 files whose names no segment can have"), "{said}");
}

/// Files that come and go at each page do not fill the journal.
#[test]
fn ever_new_files_have_few_lines() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    // Into a file: a pipe that no one reads is full before that.
    let journal = room.write("journal", "");
    let server =
        Server::run(room.command_after(&format!("exec 2> {journal}"), &["serve", "--all", "--listen", "127.0.0.1:0"]));
    for round in 0..5 {
        let paths: Vec<_> = (0..200).map(|n| room.path(&format!("new-{round}-{n}"))).collect();
        for path in &paths {
            std::fs::write(path, "no segment").expect("writes");
        }
        server.get("/metrics").assert(200, "jobs_total{segment=\"shop\"} 3\n");
        for path in &paths {
            std::fs::remove_file(path).expect("removes");
        }
    }
    let lines = std::fs::read_to_string(&journal).expect("reads").lines().count();
    assert!((200..=520).contains(&lines), "{lines} lines");
}

#[test]
fn a_low_soft_limit_of_descriptors_is_raised() {
    let room = Room::new();
    for n in 0..100 {
        room.left_behind(&format!("s{n}"), n);
    }
    let server = Server::run(room.command_after("ulimit -S -n 64", &["serve", "--listen", "127.0.0.1:0", "--all"]));
    let page = server.get("/metrics");
    page.assert(200, "");
    let series = page.body.lines().filter(|line| line.starts_with("jobs_total{segment=")).count();
    assert_eq!(series, 100, "all are on the page");
}

#[test]
fn the_older_segment_takes_precedence_not_the_first_name() {
    let room = Room::new();
    room.segment_with_jobs("zz", 3);
    if std::fs::metadata(room.path("zz")).is_ok_and(|meta| meta.created().is_err()) {
        note("skipped: this file system does not keep when files were made");
        return;
    }
    room.segment_of_another_type("aa");
    let server = Server::start_with(&room, &["--all"]);
    server.get("/metrics").assert(200, "jobs_total{segment=\"zz\"} 3\n");
}

#[test]
fn what_is_damaged_cut_off_or_replaced_takes_nothing_else_off_the_page() {
    let room = Room::new();
    room.segment_with_jobs("own", 3);
    room.left_behind("cut", 5);
    room.left_behind("replaced", 7);
    let server = Server::start_with(&room, &["--all"]);
    server.get("/metrics").assert(200, "jobs_total{segment=\"cut\"} 5\n");
    let file = OpenOptions::new().write(true).open(room.path("cut")).expect("opens");
    for length in [70_000, 5000, 100, 0] {
        file.set_len(length).expect("cuts off");
        server.get("/metrics").assert(200, "jobs_total{segment=\"own\"} 3\n");
    }
    room.junk("cut");
    std::fs::remove_file(room.path("replaced")).expect("removes");
    std::os::unix::fs::symlink("/etc/passwd", room.path("replaced")).expect("links");
    assert!(Command::new("mkfifo").arg(room.path("fifo")).status().is_ok_and(|status| status.success()));
    let page = server.get("/metrics");
    page.assert(200, "jobs_total{segment=\"own\"} 3\n");
    page.assert(200, "shmetrics_serve_segment_up{segment=\"cut\"} 0\n");
}

#[test]
fn a_damaged_chain_of_families_takes_nothing_else_off_the_page() {
    /// The link to the first family, in the header (docs/format.md).
    const FIRST_FAMILY: u64 = 280;
    let room = Room::new();
    room.left_behind("hurt", 5);
    let file = OpenOptions::new().write(true).open(room.path("hurt")).expect("opens");
    file.write_all_at(&0x7fff_fff1_u32.to_ne_bytes(), FIRST_FAMILY).expect("writes");
    room.segment_with_jobs("own", 3);
    // The damaged one is first, by its age and by its name.
    for names in [&["--all"][..], &["hurt", "own"]] {
        let page = Server::start_with(&room, names).get("/metrics");
        page.assert(200, "jobs_total{segment=\"own\"} 3\n");
        page.assert(200, "shmetrics_corrupt_records{segment=\"hurt\"} 1\n");
        page.assert(200, "shmetrics_corrupt_records{segment=\"own\"} 0\n");
    }
}

#[test]
fn a_directory_that_cannot_be_read_takes_nothing_that_is_named() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let file = room.write("no-directory", "");
    let mut command = room.command(&["serve", "--listen", "127.0.0.1:0", &room.path("shop"), "web-*"]);
    command.env("SHMETRICS_DIR", &file);
    let server = Server::run(command);
    server.get("/metrics").assert(200, "jobs_total{segment=");
    server.signal("TERM");
    let (_, said) = server.end();
    assert_eq!(said.matches("segments that come are not seen").count(), 1, "{said}");
}

#[test]
fn a_planted_segment_does_not_stand_for_a_directory() {
    let room = Room::new();
    room.segment_with_jobs("multiproc::srv:app:0000000000000000", 7);
    if !room.give("multiproc::srv:app:0000000000000000", NOBODY) {
        return;
    }
    room.segment_with_jobs("multiproc::srv:app:0123456789abcdef", 3);
    let server = Server::start_with(&room, &["multiproc::srv:app"]);
    // Both are in use, and the planted one is older.
    server.get("/metrics").assert(200, "jobs_total 3\n");
}

/// The owner of a file can truncate it at any time, also while a page reads it.
#[test]
fn a_file_that_is_truncated_again_and_again_ends_nothing() {
    let room = Room::new();
    room.segment_with_jobs("own", 3);
    // A copy, as this process must not have the truncated file mapped.
    let path = room.path("evil.open");
    let evil = shmetrics::Options::new().name(&path).max_size(8 << 20).open().expect("is made");
    let family = evil.counter("sets_total", "").labels(["n"]).register().expect("registers");
    (0..20_000).for_each(|n| family.with([&n.to_string()]).inc());
    let whole = std::fs::read(&path).expect("reads");
    std::fs::rename(&path, room.dir().join("evil.open")).expect("moves it out of sight");
    std::fs::write(room.path("evil"), &whole).expect("writes");
    // Sparse: only what is not zero is written back.
    let pages: Vec<(usize, &[u8])> =
        whole.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)).collect();
    let file = OpenOptions::new().write(true).open(room.path("evil")).expect("opens");
    let is_over = AtomicBool::new(false);
    let server = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                file.set_len(4096).expect("cuts off");
                file.set_len(whole.len() as u64).expect("makes it long");
                for (number, page) in &pages {
                    file.write_all_at(page, *number as u64 * 4096).expect("writes");
                }
            }
        });
        // A segment that was truncated during a page is not read for a while, so each server sees
        // it once.
        let attacked = || {
            let server = Server::start_with(&room, &["--all"]);
            for _ in 0..20 {
                server.get("/metrics").assert(200, "jobs_total{segment=\"own\"} 3\n");
            }
            server
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..3).for_each(|_| drop(attacked()));
            // Commands that read one segment fail, or succeed between two truncations.
            for command in ["render", "inspect", "check", "list"] {
                let ran = room.run(&[command, "evil"][..if command == "list" { 1 } else { 2 }]);
                assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
            }
            attacked()
        }));
        is_over.store(true, Relaxed);
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success(), "{status} {said}");
}
