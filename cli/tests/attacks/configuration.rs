//! A web configuration that is half written, emptied or taken away never opens what was closed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use crate::support::http::Server;
use crate::support::{Room, WATCHDOG};
use crate::{certificate, curl, has, metric, tls};

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
    let hash = bcrypt::hash("s3cret", 4).expect("hashes");
    let users = format!("basic_auth_users:\n  ann: {hash}\n");
    let whole = format!("{}{users}", tls());
    let path = room.dir().join("web.yml");
    std::fs::write(&path, &whole).expect("writes");
    let server = Server::start_with(&room, &["shop", "--web.config.file", &path.display().to_string()]);
    let mut files: Vec<String> =
        ["", "\n", "# all of it is a comment\n", "---\n", "{}\n", "null\n", "tls_server_config:\n"]
            .map(str::to_owned)
            .into();
    files.push("http_server_config:\n  headers:\n    X-Frame-Options: deny\n".into());
    files.extend([tls(), users.clone(), format!("{}basic_auth_users:\n", tls()), "a: [".into()]);
    // An editor may leave the file like this for a moment.
    files.extend(whole.match_indices('\n').map(|(at, _)| whole[..=at].to_owned()));
    files.extend((1..8).map(|n| whole[..whole.len() * n / 8].to_owned()));
    let assert_closed = |what: &str| {
        let plain = plainly(server.address());
        assert!(!plain.contains("HTTP/1.1"), "{what:?} lets clients in without TLS: {plain}");
        assert_eq!(curl(server.address(), &[]).0, 401, "{what:?} lets clients in without a password");
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
    let (code, page) = curl(server.address(), &["-u", "ann:s3cret"]);
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
    let path = room.dir().join("web.yml");
    let ca = certificate("ca.crt");
    let clients = format!("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: {ca}\n");
    let pair = "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n";
    std::fs::write(&path, format!("{pair}{clients}")).expect("writes");
    let server = Server::start_with(&room, &["shop", "--web.config.file", &path.display().to_string()]);
    let serial = || {
        let (code, said) = curl(server.address(), &["-o", "/dev/null", "-w", "%{certs}\n%{http_code}"]);
        assert_eq!(code, 200, "{said}");
        said.lines().find_map(|line| line.strip_prefix("Serial Number:").map(str::to_owned)).unwrap_or(said)
    };
    let first = serial();
    std::fs::remove_file(&key).expect("removes");
    assert_eq!(serial(), first);
    std::fs::write(&cert, "half of a cert").expect("writes");
    assert_eq!(serial(), first);
    std::fs::set_permissions(&cert, std::fs::Permissions::from_mode(0o000)).expect("sets");
    assert_eq!(serial(), first);
    // A file that asks less of clients, as one whose end is missing.
    std::fs::write(&path, pair).expect("writes");
    put("server2");
    assert_eq!(serial(), first, "a file that lost its end is not taken");
    std::fs::write(&path, format!("{pair}{clients}")).expect("writes");
    assert_ne!(serial(), first, "what is right again is taken, in whatever order it came");
}

#[test]
fn no_server_begins_with_an_empty_file() {
    let room = Room::new();
    let path = room.dir().join("web.yml");
    let path = path.display().to_string();
    for text in ["", "# nothing\n", "---\n", "basic_auth_users:\n", "tls_server_config: {}\n"] {
        std::fs::write(&path, text).expect("writes");
        let ran = room.run(&["serve", "shop", "--listen", "127.0.0.1:0", "--web.config.file", &path]);
        ran.failure(&[&path, "leave"]);
    }
    room.run(&["serve", "shop", "--web.config.file", "/dev/zero"]).failure(&["/dev/zero", "regular file"]);
}
