//! The units for systemd.

use std::path::Path;
use std::process::Command;

use crate::has;
use crate::support::http::Server;
use crate::support::{note, Room};

fn packaged(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd").join(name).display().to_string()
}

#[test]
fn the_service_is_shut_in() {
    if !has("systemd-analyze") {
        return;
    }
    let mut command = Command::new("systemd-analyze");
    let ran =
        command.args(["security", "--offline=true", "--no-pager", "--threshold=25", &packaged("shmetrics.service")]);
    let ran = ran.output().expect("runs");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("Overall exposure level"), "{said}");
}

/// The service has no network of its own (`PrivateNetwork=`): the socket that systemd passes to it
/// comes from outside.
#[test]
fn a_passed_socket_answers_in_a_network_namespace_of_its_own() {
    if !has("unshare") || !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        note("skipped: a network namespace takes root and unshare");
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let script = "import os, socket, sys
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
os.dup2(s.fileno(), 3); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp('unshare', ['unshare', '-n', sys.argv[1], 'serve', '--all', '--listen', 'systemd', '--process-metrics'])";
    let mut command = Command::new("python3");
    command.args(["-c", script, env!("CARGO_BIN_EXE_shmetrics")]).env("SHMETRICS_DIR", room.dir());
    let server = Server::run(command);
    let page = server.get("/metrics");
    page.assert(200, "jobs_total{segment=\"shop\"} 3\n");
    page.assert(200, "process_threads{segment=\"shop\"}");
}
