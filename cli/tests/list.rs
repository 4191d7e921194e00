//! `shmetrics list` on real directories.

mod support;

use shmetrics::GaugeMode;
use support::Room;

#[test]
fn an_empty_directory_is_no_failure() {
    let ran = Room::new().run(&["list"]);
    assert!(ran.err.contains("no segments"), "{ran:?}");
    assert_eq!(ran.success(), "");
}

#[test]
fn segments_are_listed_by_name_with_their_series_and_processes() {
    let room = Room::new();
    let shop = room.segment("shop");
    let family = shop.counter("hits_total", "Hits.").labels(["page"]).register().expect("hits_total registers");
    for page in 0..1500 {
        family.with([&page.to_string()]).inc();
    }
    let gauge = shop.gauge("busy", "Busy.", GaugeMode::LiveSum).register().expect("busy registers");
    gauge.inc();
    room.segment("bar");

    let out = room.run(&["list"]).success();
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    let title = ["NAME", "SIZE", "SERIES", "PROCESSES", "OWNER", "MODE", "UPDATED"];
    assert_eq!(lines[0], title, "{out}");
    // SIZE is two words: a number and its unit. A process that only counts is one, too.
    assert_eq!([lines[1][0], lines[1][3], lines[1][4]], ["bar", "0", "1"], "{out}");
    assert_eq!([lines[2][0], lines[2][3], lines[2][4]], ["shop", "1,501", "1"], "{out}");
    assert_eq!(lines.len(), 3, "{out}");
    assert_eq!(lines[2][6], "0600", "{out}");
}

#[test]
fn a_broken_segment_is_listed_with_its_reason() {
    let room = Room::new();
    room.segment("good");
    room.junk("broken");
    let out = room.run(&["list"]).success();
    let line = |name: &str| out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{out}"));
    assert!(line("broken").contains("is not a shmetrics segment"), "{out}");
    assert!(!line("good").contains("not a"), "{out}");
}

#[test]
fn a_segment_that_may_not_be_read_is_listed_with_its_reason() {
    let room = Room::new();
    room.segment("private");
    let out = room.run_unprivileged("private", &["list"]).success();
    let line = out.lines().find(|line| line.starts_with("private")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.to_lowercase().contains("permission denied"), "{out}");
}

#[test]
fn it_tells_who_lives_and_when_a_value_last_changed() {
    let room = Room::new();
    room.left_behind("dead", 7);
    let segment = room.segment_with_jobs("live", 1);
    let counter = segment.counter("jobs_total", "Jobs done.").register().expect("it is there");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                counter.inc();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let out = room.run(&["list"]).success();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        out
    });
    let row = |name: &str| -> Vec<&str> {
        out.lines().find(|row| row.starts_with(name)).unwrap_or_else(|| panic!("{out}")).split_whitespace().collect()
    };
    // No process of the application has rendered a page of the dead segment, so only the time of
    // the registration is known.
    assert_eq!((row("dead")[4], &row("dead")[7..10]), ("0", &["in", "the", "last"][..]), "{out}");
    assert_eq!((row("live")[4], row("live").last()), ("1", Some(&"ago")), "{out}");
    let json = room.run(&["list", "--json"]).success();
    let (dead, live) = json.split_once("\"name\":\"live\"").unwrap_or_else(|| panic!("{json}"));
    assert!(dead.contains("\"in_use\":false,\"processes_attached\":0"), "{json}");
    assert!(live.contains("\"in_use\":true,\"processes_attached\":1"), "{json}");
    assert!(json.starts_with("[{\"name\":\"dead\",") && json.ends_with("}]\n"), "{json}");
}

#[test]
fn a_directory_that_is_not_there_is_said_with_what_to_do() {
    let room = Room::new();
    let mut command = room.command(&["list"]);
    let ran = command.env("SHMETRICS_DIR", room.dir().join("nowhere")).output().expect("runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("there is no directory") && said.contains("nowhere"), "{said}");
    assert!(said.contains("set SHMETRICS_DIR"), "{said}");
}

#[test]
fn a_segment_of_another_layout_is_named_with_what_to_do() {
    let room = Room::new();
    room.left_behind("newer", 3);
    room.of_another_layout("newer");
    for command in ["check", "inspect", "render"] {
        room.run(&[command, "newer"]).failure(&["shmetrics-newer has layout version 9.", "shmetrics rm"]);
    }
    let out = room.run(&["list"]).success();
    let line = out.lines().find(|line| line.starts_with("newer")).unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains("has layout version 9.") && line.contains("shmetrics rm"), "{out}");
}
