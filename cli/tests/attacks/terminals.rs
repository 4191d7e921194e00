//! Bytes of a server or of a segment must not drive the terminal, or begin a line of the journal.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::support::{has, Room};

/// Clears the screen, names the window, turns the direction of writing, begins a line.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}\u{2066}\rshmetrics: all is well";

fn assert_clean(said: &str) {
    let found: Vec<char> =
        EVIL.chars().filter(|c| c.is_control() || !c.is_ascii()).filter(|c| said.contains(*c)).collect();
    assert!(found.is_empty(), "{found:?} in {said:?}");
}

#[test]
fn a_hostile_gateway() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    for status in ["400 Bad Request", "503 Service Unavailable\r\nRetry-After: 0"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("has one"));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = vec![0; 65536];
                let _ = stream.read(&mut request);
                let length = EVIL.len();
                let _ =
                    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{EVIL}");
            }
        });
        let ran = room.run(&["push", "shop", "--gateway", &url, "--retries", "1"]);
        ran.failure(&["pwned"]);
        assert_clean(&ran.err);
    }
}

#[test]
fn names_on_the_command_line_and_in_files() {
    let room = Room::new();
    for name in [format!("./{EVIL}"), format!("a\nb{EVIL}")] {
        let ran = room.run(&["inspect", &name]);
        assert_eq!((ran.code, ran.err.lines().count()), (Some(1), 1), "{ran:?}");
        assert_clean(&ran.err);
    }
}

#[test]
fn a_page_on_a_terminal() {
    if !has("script") {
        return;
    }
    let room = Room::new();
    let segment = room.segment("shop");
    let family = segment.counter("hits_total", "").labels(["page"]).register().expect("registers");
    family.with([EVIL]).inc();
    let run = |format: &str| {
        let command = format!("{} render shop --format {format}", env!("CARGO_BIN_EXE_shmetrics"));
        let out = room.program("script").args(["-qec", &command, "/dev/null"]).output().expect("runs").stdout;
        String::from_utf8(out).expect("is text").replace("\r\n", "\n")
    };
    for format in ["text", "openmetrics", "protobuf"] {
        let page = run(format);
        assert!(page.contains("hits") && page.contains("pwned"), "{page}");
        assert_clean(&page);
    }
    // A file gets the bytes unchanged.
    assert!(room.run(&["render", "shop"]).success().contains('\u{1b}'));
}
