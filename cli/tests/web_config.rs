//! Tests of `shmetrics serve --web.config.file`: encryption and passwords, with curl as a client.

mod support;

use support::http::Server;
use support::web::{basic, certificate, tls, user};
use support::{has, value, Room};

/// Replaces the configuration in one step, as tools that replace secrets do.
fn replace(room: &Room, text: &str) {
    let new = room.write("web.new", text);
    std::fs::rename(new, room.dir().join("web.yml")).expect("renames");
}

#[test]
fn encryption() {
    if !has("curl") {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::with_config(&room, &tls("server", "  min_version: TLS12\n"));
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let (code, said) = server.curl(&[version]);
        assert!(code == 200 && said.contains("\njobs_total 3\n"), "{version}: {said}");
    }
    let (code, said) = server.curl_by("http", &[]);
    assert_eq!(code, 0, "without encryption there is no answer: {said}");
    // A client that never ends its handshake keeps no other client out.
    let _silent = server.connect();
    assert_eq!(server.curl(&[]).0, 200);
    server.signal("TERM");
    assert!(server.end().0.success());
}

#[test]
fn a_new_certificate_is_taken_and_a_wrong_one_is_not() {
    if !has("curl") {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::with_config(&room, &tls("server", ""));
    let first = server.serial();
    replace(&room, &tls("server2", ""));
    let second = server.serial();
    assert_ne!(first, second, "the certificate has changed");
    replace(&room, &tls("nothing", ""));
    assert_eq!(server.serial(), second, "a certificate that cannot be read changes nothing");
    replace(&room, "what: {is: this}\n");
    server.signal("HUP");
    assert_eq!(server.serial(), second);
    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success());
    assert!(said.contains("has changed and is in force") && said.contains("there is no setting what"), "{said}");
    assert_eq!(said.matches("as it was stays in force").count(), 2, "each change is said once: {said}");
}

#[test]
fn clients_certificates() {
    if !has("curl") {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (ca, cert, key) = (certificate("ca.crt"), certificate("client.crt"), certificate("client.key"));
    let required = format!("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {ca}\n");
    let server = Server::with_config(&room, &tls("server", &required));
    let (code, said) = server.curl(&["--cert", &cert, "--key", &key]);
    assert_eq!(code, 200, "{said}");
    assert_eq!(server.curl(&[]).0, 0, "a client without a certificate is not answered");
    let optional = format!("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: {ca}\n");
    let server = Server::with_config(&room, &tls("server", &optional));
    assert_eq!(server.curl(&[]).0, 200);
}

#[test]
fn names_and_passwords() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let server = Server::with_config(&room, &(user("ann") + headers));
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
    replace(&room, &(user("bob") + headers));
    server.get_with("/metrics", &basic("ann:s3cret")).assert(401, "");
    server.get_with("/metrics", &basic("bob:s3cret")).assert(200, "jobs_total");
}

#[test]
fn a_wrong_configuration_is_a_failure_that_says_what_to_do() {
    let room = Room::new();
    let mixed = tls("server", "").replace("server.key", "server2.key");
    for (text, part) in [
        ("basic_auth_users:\n  ann: s3cret\n", "is not a bcrypt hash"),
        ("tls_config:\n", "there is no setting tls_config"),
        ("tls_server_config:\n  cert_file: nothing\n  key_file: nothing\n", "nothing"),
        (&mixed, "do not go together"),
        (&tls("server", "  cipher_suites: [NONE]\n"), "there is no NONE; there are TLS_AES_256_GCM_SHA384"),
        (&tls("server", "  curve_preferences: [P1]\n"), "there is no P1; there are X25519, CurveP256, CurveP384"),
        (&tls("server", "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12\n"), "cipher_suites"),
    ] {
        let path = room.write("web.yml", text);
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
    let server = Server::with_config(&room, &(user("ann") + limit));
    for _ in 0..5 {
        server.get("/metrics").assert(401, "");
    }
    let login = &basic("ann:s3cret");
    let page = server.get_with("/metrics", login);
    page.assert(200, "jobs_total 3\n");
    page.assert(200, "shmetrics_serve_config_last_reload_successful 1\n");
    server.get_with("/metrics", login).assert(200, "jobs_total 3\n");
    let refused = server.get_with("/metrics", login);
    refused.assert(429, "rate_limit");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // A change begins anew.
    replace(&room, &(user("ann") + "rate_limit:\n  interval: 0\n"));
    let page = server.get_with("/metrics", login);
    page.assert(200, "shmetrics_serve_shed_total{what=\"request\"} 1\n");
    let success = |page| value(page, "shmetrics_serve_config_last_reload_success_timestamp_seconds").expect("has it");
    let then = success(&page.body);
    replace(&room, "basic_auth_users:\n  ann: secret\n");
    let page = server.get_with("/metrics", login);
    page.assert(200, "shmetrics_serve_config_last_reload_successful 0\n");
    assert!((success(&page.body) - then).abs() < 1e-6);
}
