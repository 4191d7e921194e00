//! Signals that are ignored when the server begins, and sockets in the file system.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::support::http::Server;
use crate::support::{first_line, signal, wait, Room};

#[test]
fn what_nohup_ignores_stays_ignored() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::run(room.command_after("trap '' HUP INT", &["serve", "shop", "--listen", "127.0.0.1:0"]));
    for name in ["HUP", "INT"] {
        server.signal(name);
        server.get("/metrics").assert(200, "jobs_total 3\n");
    }
    server.signal("TERM");
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn a_hangup_without_a_configuration_changes_nothing() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    for _ in 0..3 {
        server.signal("HUP");
        server.get("/metrics").assert(200, "jobs_total 3\n");
    }
}

#[test]
fn a_socket_is_never_open_to_everybody() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let path = room.dir().join("serve.sock");
    let is_over = AtomicBool::new(false);
    for _ in 0..5 {
        let _ = std::fs::remove_file(&path);
        is_over.store(false, Relaxed);
        thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut modes = std::collections::BTreeSet::new();
                while !is_over.load(Relaxed) {
                    if let Ok(meta) = std::fs::symlink_metadata(&path) {
                        assert!(meta.file_type().is_socket());
                        modes.insert(meta.permissions().mode() & 0o777);
                    }
                }
                modes
            });
            let serve = ["serve", "shop", "--listen", &format!("unix:{}", path.display())];
            let mut command = room.command_after("umask 0", &serve);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
            assert!(first_line(&mut child).starts_with("listening on "), "it is announced");
            is_over.store(true, Relaxed);
            let modes: Vec<u32> = watching.join().expect("watches").into_iter().collect();
            signal("TERM", child.id());
            assert!(wait(&mut child).success());
            assert!(modes.iter().all(|mode| *mode == 0o660), "{modes:?}");
        });
    }
}

#[test]
fn a_living_server_with_a_full_queue_is_not_waited_for() {
    let room = Room::new();
    let path = room.dir().join("full.sock");
    let script = "import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(0)
held = []
for _ in range(4):
    c = socket.socket(socket.AF_UNIX); c.setblocking(False)
    try: c.connect(sys.argv[1])
    except BlockingIOError: pass
    held.append(c)
print('full', flush=True)
sys.stdin.read()";
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.spawn().expect("starts");
    assert_eq!(first_line(&mut holder), "full\n");
    let ran = room.run(&["serve", "shop", "--listen", &format!("unix:{}", path.display())]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("cannot listen on"), "{ran:?}");
    drop(holder.stdin.take());
    assert!(wait(&mut holder).success());
}
