//! `shmetrics render` of real segments.

mod support;

use std::io::Read;
use std::process::Stdio;

use support::{collect, wait, Room};

#[test]
fn the_page_is_printed() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let page = room.run(&["render", "shop"]).success();
    for line in ["# HELP jobs_total Jobs done.", "# TYPE jobs_total counter", "jobs_total 3"] {
        assert!(page.lines().any(|found| found == line), "the page lacks {line:?}:\n{page}");
    }
    assert!(page.ends_with('\n'), "the last line is not complete: {page:?}");
}

#[test]
fn a_path_names_a_segment_too() {
    let room = Room::new();
    room.segment_with_jobs("shop", 7);
    let page = room.run(&["render", &room.path("shop")]).success();
    assert!(page.contains("\njobs_total 7\n"), "{page}");
}

#[test]
fn the_name_comes_from_the_environment_or_is_default() {
    let room = Room::new();
    room.segment_with_jobs("default", 1);
    room.segment_with_jobs("chosen", 2);
    let page = |segment: Option<&str>| {
        let mut command = room.command(&["render"]);
        if let Some(segment) = segment {
            command.env("SHMETRICS_SEGMENT", segment);
        }
        let output = command.output().expect("the command runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("a page is UTF-8")
    };
    assert!(page(None).contains("\njobs_total 1\n"));
    assert!(page(Some("")).contains("\njobs_total 1\n"));
    assert!(page(Some("chosen")).contains("\njobs_total 2\n"));
}

#[test]
fn formats_and_names() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 3);
    segment.counter("other", "").register().expect("registers").inc();
    let render = |arguments: &[&str]| room.run(&[&["render", "shop"], arguments].concat()).success();
    let page = render(&["--format", "openmetrics", "--metric", "jobs_total", "--created"]);
    assert!(page.starts_with("# TYPE jobs counter\n") && page.ends_with("\n# EOF\n"), "{page}");
    assert!(page.contains("\njobs_created ") && !page.contains("other") && !page.contains("shmetrics_"), "{page}");
    assert!(render(&["--format", "openmetrics-2.0.0"]).contains("\njobs_total 3 st@"));
    assert!(render(&["--format", "text-1.0.0"]).contains("\njobs_total 3\n"));
    let page = render(&["--metric", "jobs_total", "--metric", "other_total"]);
    assert!(page.ends_with("other_total 1\n") && page.contains("\njobs_total 3\n"), "{page}");
}

#[test]
fn a_large_page_is_streamed_whole() {
    let room = Room::new();
    room.segment_with_hits("large", "/some/page/of/the/shop/", 20_000);
    let out = room.run(&["render", "large"]).success();
    let prefix = "hits_total{page=\"";
    let found: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix(prefix)?.strip_suffix("\"} 1")).collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((found.len(), sorted.len()), (20_000, 20_000), "series are missing or doubled");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let room = Room::new();
    // More than a pipe holds, so that the command is still writing when its reader leaves.
    room.segment_with_hits("large", "", 20_000);
    let mut command = room.command(&["render", "large"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let mut stdout = child.stdout.take().expect("standard output is a pipe");
    let err = collect(child.stderr.take().expect("standard error is a pipe"));
    stdout.read_exact(&mut [0; 100]).expect("the page begins");
    drop(stdout);
    let status = wait(&mut child);
    assert_eq!((status.code(), err.join().expect("errors were read")), (Some(0), String::new()));
}

#[test]
fn a_full_disk_is_a_failure() {
    let room = Room::new();
    room.segment_with_jobs("shop", 1);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full is there");
    let output = room.command(&["render", "shop"]).stdout(full).output().expect("the command runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("cannot write to standard output"), "{err}");
}

#[test]
fn what_cannot_be_read_is_a_failure_of_each_command() {
    let room = Room::new();
    room.junk("junk");
    std::fs::write(room.path("empty"), "").expect("an empty file is written");
    room.segment_with_jobs("private", 1);
    for command in ["render", "inspect", "check"] {
        room.run(&[command, "nowhere"]).failure(&["there is no segment at", "shmetrics-nowhere"]);
        room.run(&[command, "junk"]).failure(&["shmetrics-junk is not a shmetrics segment"]);
        room.run(&[command, "empty"]).failure(&["shmetrics-empty is not a shmetrics segment"]);
        let ran = room.run_unprivileged("private", &[command, "private"]);
        ran.failure(&["shmetrics-private", "ermission denied"]);
        assert_eq!(ran.out, "", "nothing was printed");
    }
}
