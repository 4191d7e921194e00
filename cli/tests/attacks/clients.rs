//! Client certificates that the server refuses although its authority has issued them, and the
//! secrets of `shmetrics push`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::metric;
use crate::support::http::Server;
use crate::support::{has, signal, wait, Room};

/// An authority of the test's own.
struct Authority(PathBuf);

impl Authority {
    fn new(room: &Room) -> Self {
        let authority = Authority(room.dir().join("ca"));
        std::fs::create_dir(&authority.0).expect("makes a directory");
        for (name, text) in [("index", ""), ("crlnumber", "01\n")] {
            std::fs::write(authority.0.join(name), text).expect("writes");
        }
        let config = "[ca]\ndefault_ca = a\n[a]\ndatabase = index\ncrlnumber = crlnumber\ndefault_md = sha256\n\
                      default_crl_days = 30\n[req]\ndistinguished_name = d\n[d]\n";
        std::fs::write(authority.0.join("config"), config).expect("writes");
        authority.openssl(&format!(
            "req -config config -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt \
             -days 30 -subj /CN=ca -addext basicConstraints=critical,CA:true -addext {}",
            "keyUsage=critical,keyCertSign,cRLSign"
        ));
        authority
    }

    fn openssl(&self, arguments: &str) {
        let ran = Command::new("openssl").args(arguments.split_whitespace()).current_dir(&self.0).output();
        let ran = ran.expect("openssl runs");
        assert!(ran.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn issue(&self, name: &str, names: &str) {
        std::fs::write(self.0.join("ext"), format!("basicConstraints=CA:false\nsubjectAltName={names}\n"))
            .expect("writes");
        self.openssl(&format!(
            "req -config config -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out {name}.crt"
        ));
    }

    fn ca(&self, arguments: &str) {
        self.openssl(&format!("ca -config config -keyfile ca.key -cert ca.crt {arguments}"));
    }

    /// Writes the list of the revoked certificates, crl.pem.
    fn list_revoked(&self, dates: &str) {
        self.ca(&format!("-gencrl {dates} -out crl.pem"));
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn serve(&self, room: &Room, more: &str) -> Server {
        let config = self.0.join("web.yml");
        let tls = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: ca.crt\n  \
                   client_auth_type: RequireAndVerifyClientCert\n";
        std::fs::write(&config, format!("{tls}{more}")).expect("writes");
        Server::start_with(room, &["shop", "--web.config.file", &config.display().to_string()])
    }

    /// The status that a client with this certificate gets.
    fn get(&self, server: &Server, client: &str) -> String {
        self.ask(server, client).0
    }

    /// The status and the body.
    fn ask(&self, server: &Server, client: &str) -> (String, String) {
        let mut command = Command::new("curl");
        command.args(["-s", "-w", "\n%{http_code}", "--max-time", "20", "--cacert", &self.file("ca.crt")]);
        command.args(["--cert", &self.file(&format!("{client}.crt")), "--key", &self.file(&format!("{client}.key"))]);
        let ran = command.arg(format!("https://{}/metrics", server.address())).output().expect("curl runs");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let (body, status) = said.rsplit_once('\n').expect("there is a status");
        (status.to_owned(), body.to_owned())
    }
}

/// A room with the segment `shop`, and an authority that has issued the server's certificate and
/// these. `None`: a program is not installed.
fn prepare(clients: &[(&str, &str)]) -> Option<(Room, Authority)> {
    if !(has("curl") && has("openssl")) {
        return None;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let authority = Authority::new(&room);
    authority.issue("server", "IP:127.0.0.1");
    for (name, names) in clients {
        authority.issue(name, names);
    }
    Some((room, authority))
}

#[test]
fn names_and_revocation() {
    let Some((room, authority)) = prepare(&[
        ("dns", "DNS:scraper.example,DNS:other.example"),
        ("uri", "URI:spiffe://a/scraper"),
        ("address", "IP:10.1.2.3"),
        ("wrong", "DNS:scraper.example.evil,DNS:*.example,URI:spiffe://a/scraper/x,IP:10.1.2.4"),
    ]) else {
        return;
    };
    let server = authority.serve(&room, "");
    assert_eq!(authority.get(&server, "wrong"), "200", "without names all of the authority are let in");
    let names = "  client_allowed_sans: [Scraper.example, 'spiffe://a/scraper', 10.1.2.3]\n";
    let server = authority.serve(&room, names);
    for client in ["dns", "uri", "address"] {
        assert_eq!(authority.get(&server, client), "200", "{client}");
    }
    assert_eq!(authority.get(&server, "wrong"), "000");

    authority.ca("-revoke dns.crt");
    authority.list_revoked("");
    let server = authority.serve(&room, &format!("{names}  client_crl_file: crl.pem\n"));
    assert_eq!((authority.get(&server, "dns"), authority.get(&server, "uri")), ("000".into(), "200".into()));
    // A new list revokes further certificates. Without the list, every client is refused.
    authority.ca("-revoke uri.crt");
    authority.list_revoked("");
    assert_eq!((authority.get(&server, "uri"), authority.get(&server, "address")), ("000".into(), "200".into()));
    std::fs::remove_file(authority.0.join("crl.pem")).expect("removes");
    assert_eq!(authority.get(&server, "uri"), "000");
    // A list after its time may lack what was revoked since.
    authority.list_revoked("-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z");
    assert_eq!(authority.get(&server, "address"), "000");
    authority.list_revoked("");
    assert_eq!(authority.get(&server, "address"), "200", "a new list is taken");
    let config = std::fs::read_to_string(authority.0.join("web.yml")).expect("reads");
    let fewer: String =
        config.split_inclusive('\n').filter(|line| !line.contains("crl") && !line.contains("sans")).collect();
    std::fs::write(authority.0.join("web.yml"), fewer).expect("writes");
    assert_eq!((authority.get(&server, "wrong"), authority.get(&server, "uri")), ("000".into(), "000".into()));
}

/// Each protection, taken away alone: a file that has lost its end lacks the last ones.
#[test]
fn no_reload_drops_a_part_of_the_protection() {
    let Some((room, authority)) = prepare(&[("client", "DNS:client")]) else { return };
    authority.list_revoked("");
    let limit = "rate_limit:\n  interval: 1ms\n  burst: 9\n";
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let more = "  client_allowed_sans: [client]\n  client_crl_file: crl.pem\n  min_version: TLS13\n  \
                cipher_suites: [TLS_AES_128_GCM_SHA256]\n  curve_preferences: [X25519]\n";
    let server = authority.serve(&room, &format!("{more}{headers}{limit}"));
    let path = authority.0.join("web.yml");
    let whole = std::fs::read_to_string(&path).expect("reads");
    let refused = || {
        let (status, page) = authority.ask(&server, "client");
        assert_eq!(status, "200", "{page}");
        metric(&page, "shmetrics_serve_config_reloads_total{result=\"refused\"}") as usize
    };
    assert_eq!(refused(), 0);
    let parts: Vec<&str> = more.split_inclusive('\n').chain([headers, limit]).collect();
    for (i, part) in parts.iter().enumerate() {
        std::fs::write(&path, whole.replace(part, "")).expect("writes");
        assert_eq!(refused(), i + 1, "a file without {part:?} is taken");
    }
    std::fs::write(&path, whole.replace("burst: 9", "burst: 8")).expect("writes");
    assert_eq!(refused(), parts.len(), "another file with all of it is taken");
}

#[test]
fn a_push_with_a_certificate() {
    let Some((room, authority)) = prepare(&[("client", "DNS:client")]) else { return };
    let server = authority.serve(&room, "");
    let url = format!("https://{}", server.address());
    let ca = authority.file("ca.crt");
    let push = ["push", "shop", "--gateway", &url, "--ca-file", &ca, "--retries", "0"];
    let (cert, key) = (authority.file("client.crt"), authority.file("client.key"));
    // The server is no Pushgateway, but the test only needs an answer.
    room.run(&[&push[..], &["--cert-file", &cert, "--key-file", &key]].concat()).failure(&["answers 404"]);
    let ran = room.run(&push);
    assert!(ran.code == Some(1) && !ran.err.contains("answers"), "{ran:?}");
    let ran = room.run(&[&push[..], &["--cert-file", &cert]].concat());
    assert_eq!(ran.code, Some(2), "{ran:?}");

    // A loop takes a new certificate: some are valid for hours only.
    let other = Room::new();
    let strangers = Authority::new(&other);
    strangers.issue("client", "DNS:client");
    for name in ["client.crt", "client.key"] {
        std::fs::copy(strangers.file(name), authority.0.join(format!("loop.{}", &name[7..]))).expect("copies");
    }
    let (cert, key) = (authority.file("loop.crt"), authority.file("loop.key"));
    let loops = ["--cert-file", &cert, "--key-file", &key, "--interval", "0.1"];
    let mut command = room.command(&[&push[..], &loops].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let line = lines.next().expect("it fails").expect("reads");
    assert!(line.contains("not pushed") && !line.contains("answers"), "{line}");
    for name in ["client.crt", "client.key"] {
        std::fs::copy(authority.file(name), authority.0.join(format!("loop.{}", &name[7..]))).expect("copies");
    }
    // Lines are few, so the last push tells: it is the result of the loop.
    signal("TERM", child.id());
    let last = lines.map_while(Result::ok).last();
    assert!(last.as_ref().is_some_and(|line| line.contains("answers 404")), "{last:?}");
    assert!(!wait(&mut child).success());
}

#[test]
fn no_secret_is_on_a_command_line_or_in_the_documents() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    for header in ["Authorization: Bearer s3cret", "cookie:s3cret", "X-API-Key: s3cret"] {
        let ran = room.run(&["push", "shop", "--gateway", "http://127.0.0.1:9", "--header", header]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("--bearer-token-file"), "{ran:?}");
    }
    let secret = room.write("token", "s3cret\n");
    // No server answers there: the name is reserved.
    let plain =
        ["push", "shop", "--gateway", "http://gateway.invalid", "--retries", "0", "--bearer-token-file", &secret];
    let ran = room.run(&plain);
    assert!(ran.err.contains("without encryption") && !ran.err.contains("s3cret"), "{ran:?}");
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide.md");
    let guide = std::fs::read_to_string(guide).expect("reads");
    assert!(!guide.contains("$2y$") && !guide.contains("$2b$"), "a hash in the guide is one of a known password");
}
