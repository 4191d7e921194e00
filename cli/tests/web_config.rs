//! Tests of `shmetrics serve --web.config.file`: encryption and passwords, with a client of
//! another project.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::http::Server;
use support::{note, Room};

/// Of `s3cret`, at the least cost.
fn hash() -> String {
    bcrypt::hash("s3cret", 4).expect("hashes")
}

fn certificate(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name).display().to_string()
}

fn write(room: &Room, text: &str) -> PathBuf {
    let path = room.dir().join("web.yml");
    // In one step, as tools that replace secrets do.
    let new = room.dir().join("web.new");
    std::fs::write(&new, text).expect("writes");
    std::fs::rename(&new, &path).expect("renames");
    path
}

fn start(room: &Room, text: &str) -> Server {
    let path = write(room, text);
    Server::start_with(room, &["shop", "--web.config.file", &path.display().to_string()])
}

fn tls(server: &str, more: &str) -> String {
    let (cert, key) = (certificate(&format!("{server}.crt")), certificate(&format!("{server}.key")));
    format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n{more}")
}

/// What curl gets: the status, 0 for no answer, and the body with what it says about the
/// connection.
fn curl(server: &Server, scheme: &str, arguments: &[&str]) -> (u32, String) {
    let url = format!("{scheme}://{}/metrics", server.address());
    let ca = certificate("ca.crt");
    let mut command = Command::new("curl");
    command.args(["-sSv", "--max-time", "60", "--cacert", &ca, "-w", "\n%{http_code}"]).args(arguments).arg(url);
    let ran = command.output().expect("curl runs");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let code = out.lines().last().and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, format!("{out}{err}"))
}

fn has_curl() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    if !there {
        note("skipped: TLS by curl (curl is not installed)");
    }
    there
}

#[test]
fn encryption() {
    if !has_curl() {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = start(&room, &tls("server", "  min_version: TLS12\n"));
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let (code, said) = curl(&server, "https", &[version]);
        assert!(code == 200 && said.contains("\njobs_total 3\n"), "{version}: {said}");
    }
    let (code, said) = curl(&server, "http", &[]);
    assert_eq!(code, 0, "without encryption there is no answer: {said}");
    // A client that never ends its handshake keeps no other client out.
    let _silent = server.connect();
    assert_eq!(curl(&server, "https", &[]).0, 200);
    server.signal("TERM");
    assert!(server.end().0.success());
}

#[test]
fn a_new_certificate_is_taken_and_a_wrong_one_is_not() {
    if !has_curl() {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = start(&room, &tls("server", ""));
    let serial = |server: &Server| {
        let (code, said) = curl(server, "https", &["-o", "/dev/null", "-w", "%{certs}\n%{http_code}"]);
        assert_eq!(code, 200, "{said}");
        said.lines().find_map(|line| line.strip_prefix("Serial Number:").map(str::to_owned)).unwrap_or(said)
    };
    let first = serial(&server);
    write(&room, &tls("server2", ""));
    let second = serial(&server);
    assert_ne!(first, second, "the certificate has changed");
    write(&room, &tls("nothing", ""));
    assert_eq!(serial(&server), second, "a certificate that cannot be read changes nothing");
    write(&room, "what: {is: this}\n");
    server.signal("HUP");
    assert_eq!(serial(&server), second);
    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success());
    assert!(said.contains("has changed and is in force") && said.contains("there is no setting what"), "{said}");
    assert_eq!(said.matches("as it was stays in force").count(), 2, "each change is said once: {said}");
}

#[test]
fn clients_certificates() {
    if !has_curl() {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (ca, cert, key) = (certificate("ca.crt"), certificate("client.crt"), certificate("client.key"));
    let required = format!("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {ca}\n");
    let server = start(&room, &tls("server", &required));
    let (code, said) = curl(&server, "https", &["--cert", &cert, "--key", &key]);
    assert_eq!(code, 200, "{said}");
    assert_eq!(curl(&server, "https", &[]).0, 0, "who has none is not answered");
    let optional = format!("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: {ca}\n");
    let server = start(&room, &tls("server", &optional));
    assert_eq!(curl(&server, "https", &[]).0, 200);
}

fn basic(pair: &str) -> String {
    use base64::prelude::{Engine, BASE64_STANDARD};
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair))
}

#[test]
fn names_and_passwords() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let server = start(&room, &format!("basic_auth_users:\n  ann: {}\n{headers}", hash()));
    for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/nothing"] {
        for wrong in ["", &basic("ann:wrong"), &basic("bob:s3cret"), "Authorization: Bearer x\r\n"] {
            let refused = server.get_with(path, wrong);
            refused.assert(401, "a name and its password are needed");
            assert_eq!(refused.header("www-authenticate"), Some("Basic"), "{refused:?}");
            assert!(!refused.body.contains("jobs"), "{refused:?}");
        }
    }
    for _ in 0..2 {
        let page = server.get_with("/metrics", &basic("ann:s3cret"));
        page.assert(200, "\njobs_total 3\n");
        assert_eq!(page.header("x-frame-options"), Some("deny"));
    }
    server.get_with("/metrics", &basic("ann:s3cret")).assert(200, "shmetrics_serve_requests_total{code=\"401\"} 4\n");
    // A user that is removed is refused at once, although earlier requests of this user succeeded.
    write(&room, &format!("basic_auth_users:\n  bob: {}\n{headers}", hash()));
    server.get_with("/metrics", &basic("ann:s3cret")).assert(401, "");
    server.get_with("/metrics", &basic("bob:s3cret")).assert(200, "jobs_total");
}

#[test]
fn a_wrong_configuration_is_a_failure_that_says_what_to_do() {
    let room = Room::new();
    let mixed = format!(
        "tls_server_config:\n  cert_file: {}\n  key_file: {}\n",
        certificate("server.crt"),
        certificate("server2.key")
    );
    for (text, part) in [
        ("basic_auth_users:\n  ann: s3cret\n", "is not a bcrypt hash"),
        ("tls_config:\n", "there is no setting tls_config"),
        ("tls_server_config:\n  cert_file: nothing\n  key_file: nothing\n", "nothing"),
        (&mixed, "do not go together"),
        (&tls("server", "  cipher_suites: [NONE]\n"), "there is no NONE; there are TLS_AES_256_GCM_SHA384"),
        (&tls("server", "  curve_preferences: [P1]\n"), "there is no P1; there are X25519, CurveP256, CurveP384"),
        (&tls("server", "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12\n"), "cipher_suites"),
    ] {
        let path = write(&room, text);
        let path = path.display().to_string();
        let ran = room.run(&["serve", "shop", "--listen", "127.0.0.1:0", "--web.config.file", &path]);
        ran.failure(&[&path, part]);
    }
    room.run(&["serve", "shop", "--web.config.file", "/nowhere/web.yml"]).failure(&["/nowhere/web.yml"]);
}

#[test]
fn a_limit_of_requests_counts_those_that_are_let_in() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let limit = "rate_limit:\n  interval: 1h\n  burst: 2\n";
    let server = start(&room, &format!("basic_auth_users:\n  ann: {}\n{limit}", hash()));
    for _ in 0..5 {
        server.get("/metrics").assert(401, "");
    }
    let login = "Authorization: Basic YW5uOnMzY3JldA==\r\n";
    let page = server.get_with("/metrics", login);
    page.assert(200, "jobs_total 3\n");
    page.assert(200, "shmetrics_serve_config_last_reload_successful 1\n");
    server.get_with("/metrics", login).assert(200, "jobs_total 3\n");
    let refused = server.get_with("/metrics", login);
    refused.assert(429, "rate_limit");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // A change begins anew.
    write(&room, &format!("basic_auth_users:\n  ann: {}\nrate_limit:\n  interval: 0\n", hash()));
    let page = server.get_with("/metrics", login);
    page.assert(200, "shmetrics_serve_shed_total{what=\"request\"} 1\n");
    let success = |page: &str| {
        let name = "shmetrics_serve_config_last_reload_success_timestamp_seconds ";
        page.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok()).expect("the page has the time")
    };
    let then = success(&page.body);
    write(&room, "basic_auth_users:\n  ann: secret\n");
    let page = server.get_with("/metrics", login);
    page.assert(200, "shmetrics_serve_config_last_reload_successful 0\n");
    assert!((success(&page.body) - then).abs() < 1e-6);
}
