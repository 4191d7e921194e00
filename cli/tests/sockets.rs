//! Tests of `shmetrics serve --listen systemd`: sockets that another process has opened.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;

use support::http::Server;
use support::{first_line, Room};

const SERVE: [&str; 5] = [env!("CARGO_BIN_EXE_shmetrics"), "serve", "shop", "--listen", "systemd"];

/// The answer of the server that listens at a Unix socket.
fn get(socket: &Path, target: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("connects");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    answer
}

#[test]
fn a_tcp_socket_that_was_passed() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let mut command = room.with_socket("s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()");
    command.args(SERVE);
    let server = Server::run(command);
    server.get("/metrics").assert(200, "\njobs_total 3\n");
    server.signal("TERM");
    assert!(server.end().0.success());
}

#[test]
fn a_unix_socket_that_was_passed_is_left_there() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let path = room.dir().join("passed.sock");
    let listener = UnixListener::bind(&path).expect("binds");
    let mut command = room.with_socket("s = socket.socket(fileno=0)");
    command.args(SERVE).stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))).stdout(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    assert_eq!(first_line(&mut child), format!("listening on {}, path /metrics\n", path.display()));
    let answer = get(&path, "/metrics");
    assert!(answer.contains("\njobs_total 3\n"), "{answer}");
    support::signal("TERM", child.id());
    assert!(support::wait(&mut child).success());
    assert!(path.exists(), "it is not ours to remove");
}

#[test]
fn without_any_it_says_so() {
    let room = Room::new();
    let ran = room.run(&["serve", "shop", "--listen", "systemd"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let last = ran.err.lines().last().unwrap_or_default();
    assert!(last.contains("there are none") && last.contains("socket unit"), "{ran:?}");
    let mut command = room.command(&["serve", "shop", "--listen", "systemd"]);
    // They are meant for another process.
    let ran = command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").output().expect("runs");
    assert_eq!(ran.status.code(), Some(1));
}

/// A restart that overlaps: the old server ends after the new one has taken the path.
#[test]
fn the_end_of_a_server_leaves_the_socket_of_its_successor() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let path = room.dir().join("serve.sock");
    let start = || {
        let listen = format!("unix:{}", path.display());
        let mut command = room.command(&["serve", "shop", "--listen", &listen]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        first_line(&mut child);
        child
    };
    let mut old = start();
    std::fs::remove_file(&path).expect("removes");
    let mut new = start();
    support::signal("TERM", old.id());
    assert!(support::wait(&mut old).success());
    let answer = get(&path, "/-/healthy");
    assert!(answer.contains("healthy"), "{answer}");
    support::signal("TERM", new.id());
    assert!(support::wait(&mut new).success());
    assert!(!path.exists(), "its own socket is removed");
}
