//! What clients without a password, other users of the machine, and half-written files may try
//! against `shmetrics serve`, and what may not come of it.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod configuration;
mod floods;
mod planted;
mod signals;
mod terminals;
mod units;

use std::path::Path;
use std::process::Command;

use support::note;

/// The user that owns nothing, by convention.
const NOBODY: u32 = 65534;

fn certificate(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name).display().to_string()
}

fn tls() -> String {
    let (cert, key) = (certificate("server.crt"), certificate("server.key"));
    format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n")
}

fn basic(pair: &str) -> String {
    use base64::prelude::{Engine, BASE64_STANDARD};
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair))
}

/// The status that curl gets over TLS, 0 for none, and the body.
fn curl(address: &str, more: &[&str]) -> (u32, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "--max-time", "20", "--cacert", &certificate("ca.crt"), "-w", "\n%{http_code}"]);
    let ran = command.args(more).arg(format!("https://{address}/metrics")).output().expect("curl runs");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    let code = out.lines().last().and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, out)
}

fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        note(&format!("skipped: {program} is not installed"));
    }
    there
}

/// The sum of a metric's samples on a page.
fn metric(page: &str, series: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("the page has no {series}: {page}"))
}
