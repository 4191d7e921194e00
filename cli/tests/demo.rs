//! Tests of `shmetrics demo`, in a private directory.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use support::{collect, signal, wait, Room};

/// The number behind a word of the summary.
#[track_caller]
fn figure(out: &str, word: &str) -> u64 {
    let line = out.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("no {word:?} in:\n{out}"));
    let digits = line[word.len()..].split_whitespace().next().expect("a figure follows").replace(',', "");
    digits.parse().unwrap_or_else(|e| panic!("{line:?}: {e}"))
}

#[test]
fn workers_are_killed_and_nothing_is_lost() {
    let room = Room::new();
    let out = room.run(&["demo", "--seconds", "3", "--workers", "3"]).success();
    assert!(out.contains("the metrics agree"), "{out}");
    // Three at the start, and one for each of the kills at 0.6 and 2.1 seconds.
    assert!(figure(&out, "workers") >= 4, "nobody was replaced:\n{out}");
    let finished = figure(&out, "ledgers");
    assert!(finished > 0, "nothing was done:\n{out}");
    assert!(figure(&out, "counter") >= finished, "{out}");
    let left = std::fs::read_dir(room.dir()).expect("the directory can be read").count();
    assert_eq!(left, 0, "the segment was left behind");
}

#[test]
fn it_ends_and_cleans_up_when_asked() {
    let room = Room::new();
    for name in ["INT", "TERM", "HUP"] {
        let mut command = room.command(&["demo", "--workers", "2"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the demo starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let err = collect(child.stderr.take().expect("standard error is a pipe"));
        stdout.read_line(&mut String::new()).expect("the demo shows something");
        signal(name, child.id());
        let out = collect(stdout);
        let status = wait(&mut child);
        let (out, err) = (out.join().expect("output was read"), err.join().expect("errors were read"));
        assert_eq!(status.code(), Some(0), "SIG{name}: {status}\n{out}{err}");
        assert!(out.contains("the metrics agree"), "SIG{name}:\n{out}");
        assert!(!out.contains("not ending when asked"), "SIG{name}: a worker ignored its dismissal:\n{out}");
        assert_eq!(std::fs::read_dir(room.dir()).expect("it can be read").count(), 0, "SIG{name}: left behind");
    }
}

#[test]
fn workers_do_not_outlive_a_killed_demo() {
    let room = Room::new();
    let mut command = room.command(&["demo", "--workers", "2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the demo starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    // The workers share it, and so its end is the end of the last of them.
    let err = collect(child.stderr.take().expect("standard error is a pipe"));
    stdout.read_line(&mut String::new()).expect("the demo shows something");
    child.kill().expect("our child can be killed");
    child.wait().expect("our child can be waited for");
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(err.join()));
    ended.recv_timeout(support::WATCHDOG).expect("the workers end").expect("errors were read");
}

#[test]
fn a_directory_it_cannot_write_is_a_failure() {
    let room = Room::new();
    let mut command = room.command(&["demo", "--seconds", "1"]);
    let output = command.env("SHMETRICS_DIR", room.dir().join("nowhere")).output().expect("the command runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), err.lines().count()), (Some(1), 1), "{err}");
}

#[test]
fn numbers_out_of_range_are_a_wrong_command_line() {
    let room = Room::new();
    for args in [["demo", "--workers", "0"], ["demo", "--workers", "33"], ["demo", "--seconds", "0"]] {
        let ran = room.run(&args);
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
    }
}
