//! A web configuration that is half written, emptied or taken away never opens what was closed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use crate::metric;
use crate::support::http::Server;
use crate::support::web::{certificate, tls, user};
use crate::support::{has, Room, WATCHDOG};

/// The answer to a client without TLS.
fn plainly(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(WATCHDOG)).expect("sets");
    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn no_reload_opens_the_server() {
    if !has("curl") {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (tls, users) = (tls("server", ""), user("ann"));
    let whole = format!("{tls}{users}");
    let server = Server::with_config(&room, &whole);
    let path = room.dir().join("web.yml");
    let mut files: Vec<String> =
        ["", "\n", "# all of it is a comment\n", "---\n", "{}\n", "null\n", "tls_server_config:\n"]
            .map(str::to_owned)
            .into();
    files.push("http_server_config:\n  headers:\n    X-Frame-Options: deny\n".into());
    files.extend([tls.clone(), users, format!("{tls}basic_auth_users:\n"), "a: [".into()]);
    // An editor may leave the file like this for a moment.
    files.extend(whole.match_indices('\n').map(|(at, _)| whole[..=at].to_owned()));
    files.extend((1..8).map(|n| whole[..whole.len() * n / 8].to_owned()));
    let assert_closed = |what: &str| {
        let plain = plainly(server.address());
        assert!(!plain.contains("HTTP/1.1"), "{what:?} lets clients in without TLS: {plain}");
        assert_eq!(server.curl(&[]).0, 401, "{what:?} lets clients in without a password");
    };
    for text in &files {
        // In place, as `cp` and `>` do it.
        std::fs::write(&path, text).expect("writes");
        assert_closed(text);
    }
    std::fs::remove_file(&path).expect("removes");
    assert_closed("no file");
    std::fs::create_dir(&path).expect("makes a directory");
    assert_closed("a directory");
    std::fs::remove_dir(&path).expect("removes");
    std::fs::write(&path, &whole).expect("writes");
    let (code, page) = server.curl(&["-u", "ann:s3cret"]);
    assert_eq!(code, 200, "{page}");
    let refused = metric(&page, "shmetrics_serve_config_reloads_total{result=\"refused\"}");
    assert!(refused > 15.0 && metric(&page, "shmetrics_serve_config_reloads_total{result=\"applied\"}") >= 1.0);
    server.signal("TERM");
    let (_, said) = server.end();
    assert!(said.lines().count() < 30, "the journal is not filled: {said}");
    assert!(said.contains("it has no encryption (tls_server_config) any more; to turn that off, restart"), "{said}");
}

#[test]
fn certificates_that_vanish_and_come_back() {
    if !has("curl") {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let (cert, key) = (room.dir().join("a.crt"), room.dir().join("a.key"));
    let put = |name: &str| {
        std::fs::copy(certificate(&format!("{name}.crt")), &cert).expect("copies");
        std::fs::copy(certificate(&format!("{name}.key")), &key).expect("copies");
    };
    put("server");
    let ca = certificate("ca.crt");
    let clients = format!("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: {ca}\n");
    let pair = "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n";
    let whole = format!("{pair}{clients}");
    let server = Server::with_config(&room, &whole);
    let first = server.serial();
    std::fs::remove_file(&key).expect("removes");
    assert_eq!(server.serial(), first);
    std::fs::write(&cert, "half of a cert").expect("writes");
    assert_eq!(server.serial(), first);
    std::fs::set_permissions(&cert, std::fs::Permissions::from_mode(0o000)).expect("sets");
    assert_eq!(server.serial(), first);
    // A file that asks less of clients, as one whose end is missing.
    room.write("web.yml", pair);
    put("server2");
    assert_eq!(server.serial(), first, "a file that lost its end is not taken");
    room.write("web.yml", &whole);
    assert_ne!(server.serial(), first, "what is right again is taken, in whatever order it came");
}

#[test]
fn no_server_begins_with_an_empty_file() {
    let room = Room::new();
    for text in ["", "# nothing\n", "---\n", "basic_auth_users:\n", "tls_server_config: {}\n"] {
        let path = room.write("web.yml", text);
        let ran = room.run(&["serve", "shop", "--listen", "127.0.0.1:0", "--web.config.file", &path]);
        ran.failure(&[&path, "leave"]);
    }
    room.run(&["serve", "shop", "--web.config.file", "/dev/zero"]).failure(&["/dev/zero", "regular file"]);
}
