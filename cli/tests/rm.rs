//! Tests of `shmetrics rm`, of real segments, of missing segments, and of other files.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use shmetrics::GaugeMode;
use support::Room;

#[test]
fn it_removes_and_tells() {
    let room = Room::new();
    room.left_behind("one", 1);
    room.left_behind("two", 1);
    room.left_behind("three", 1);
    let out = room.run(&["rm", "one", "two"]).success();
    assert_eq!(out, "removed one: 1 series\nremoved two: 1 series\n");
    assert_eq!([room.exists("one"), room.exists("two"), room.exists("three")], [false, false, true]);
}

#[test]
fn it_tells_who_keeps_writing_unseen() {
    let room = Room::new();
    let segment = room.segment("shop");
    let busy = segment.gauge("busy", "Busy.", GaugeMode::LiveSum).register().expect("registers");
    busy.inc();
    let out = room.run(&["rm", "--force", "shop"]).success();
    assert!(out.starts_with("removed shop: 1 series; 1 live process keeps writing"), "{out}");
    assert!(!segment.is_current());
    // The removal succeeds, without harm.
    busy.inc();
}

#[test]
fn a_segment_in_use_is_removed_by_force_only() {
    let room = Room::new();
    // With counters only: no process has a slot.
    let segment = room.segment_with_jobs("shop", 3);
    room.left_behind("old", 1);
    let ran = room.run(&["rm", "shop", "old"]);
    ran.failure(&["shop is not removed: 1 process has it open", &std::process::id().to_string(), "--force"]);
    assert_eq!(ran.out, "removed old: 1 series\n", "the others are");
    assert!(room.exists("shop") && segment.is_current());
    let ran = room.run(&["rm", &room.path("shop")]);
    ran.failure(&["is not removed: 1 process has it open"]);
    // Also with a damaged header: the process that has the segment open is alive.
    std::fs::OpenOptions::new()
        .write(true)
        .open(room.path("shop"))
        .and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, b"damaged!", 0))
        .expect("the header is written over");
    room.run(&["rm", "shop"]).failure(&["shop is not removed: processes have it open"]);
    let out = room.run(&["rm", "--force", "shop"]).success();
    assert_eq!(out, "removed shop, which could not be read\n");
}

#[test]
fn a_path_can_be_removed() {
    let room = Room::new();
    room.left_behind("shop", 1);
    room.run(&["rm", &room.path("shop")]).success();
    assert!(!room.exists("shop"));
}

#[test]
fn a_broken_one_is_removed_by_name_but_not_by_path() {
    let room = Room::new();
    room.junk("broken");
    room.run(&["rm", &room.path("broken")]).failure(&["is not a shmetrics segment"]);
    assert!(room.exists("broken"), "a path may lead to anything, and nothing but segments is removed");
    let out = room.run(&["rm", "broken"]).success();
    assert_eq!(out, "removed broken, which could not be read\n");
    assert!(!room.exists("broken"));
}

#[test]
fn a_missing_one_is_a_failure_that_does_not_stop_the_others() {
    let room = Room::new();
    room.left_behind("here", 1);
    let ran = room.run(&["rm", "nowhere", "here"]);
    ran.failure(&["there is no segment at", "shmetrics-nowhere"]);
    assert_eq!(ran.out, "removed here: 1 series\n");
    assert!(!room.exists("here"));
}

#[test]
fn an_output_that_takes_nothing_does_not_stop_the_others() {
    let room = Room::new();
    for output in ["/dev/full", "closed"] {
        room.left_behind("one", 1);
        room.left_behind("two", 1);
        let mut command = room.command(&["rm", "one", "two"]);
        let stdout = if output == "closed" {
            // A pipe without a reader.
            let (reader, writer) = std::io::pipe().expect("makes a pipe");
            drop(reader);
            Stdio::from(writer)
        } else {
            fs::OpenOptions::new().write(true).open(output).expect("opens").into()
        };
        let ran = command.stdout(stdout).output().expect("runs");
        assert_eq!([room.exists("one"), room.exists("two")], [false, false], "{output}");
        // A full disk is a failure. A reader that has left is none.
        assert_eq!(ran.status.success(), output == "closed", "{output}: {ran:?}");
    }
}

#[test]
fn a_segment_of_another_user_stays() {
    let room = Room::new();
    room.segment("private");
    let set_mode = |mode| {
        let changed = fs::set_permissions(room.dir(), fs::Permissions::from_mode(mode));
        changed.expect("our own directory's mode changes");
    };
    // The mode of the directory decides about removal, not the mode of the file.
    set_mode(0o555);
    let ran = room.run_unprivileged("private", &["rm", "private"]);
    set_mode(0o755);
    ran.failure(&["ermission denied"]);
    assert!(room.exists("private"));
}

#[test]
fn a_name_that_no_segment_can_have_is_said_to_be_one() {
    let room = Room::new();
    for name in ["", ".", "*", "a\nb"] {
        for force in [&["rm"][..], &["rm", "--force"]] {
            let ran = room.run(&[force, &[name]].concat());
            ran.failure(&["segment name"]);
            assert!(!ran.err.contains("--force"), "{ran:?}");
        }
    }
    room.run(&["rm", "/"]).failure(&["segment path", "does not end in a file name"]);
}

#[test]
fn it_wants_a_name() {
    let ran = Room::new().run(&["rm"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}
