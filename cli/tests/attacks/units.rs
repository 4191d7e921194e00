//! The units in packaging/systemd.

use std::path::Path;
use std::process::Command;

use crate::support::http::Server;
use crate::support::{has, note, Room};

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
    let mut command = room.with_socket("s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()");
    command.args(["unshare", "-n", env!("CARGO_BIN_EXE_shmetrics"), "serve", "--all", "--listen", "systemd"]);
    command.arg("--process-metrics");
    let server = Server::run(command);
    let page = server.get("/metrics");
    page.assert(200, "jobs_total{segment=\"shop\"} 3\n");
    page.assert(200, "process_threads{segment=\"shop\"}");
}
