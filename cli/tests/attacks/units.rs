//! The units for systemd.

use std::path::Path;
use std::process::Command;

use crate::has;

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
