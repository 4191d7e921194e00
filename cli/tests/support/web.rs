//! Encryption and passwords: certificates, logins, and curl as a client.

use std::path::Path;
use std::process::Command;

use base64::prelude::{Engine, BASE64_STANDARD};

use super::http::Server;
use super::Room;

impl Server {
    /// Serves the segment `shop` under this web configuration.
    pub fn with_config(room: &Room, text: &str) -> Self {
        Self::start_with(room, &["shop", "--web.config.file", &room.write("web.yml", text)])
    }

    /// What curl gets over TLS: the status, 0 for no answer, and the body with what it says about
    /// the connection.
    pub fn curl(&self, arguments: &[&str]) -> (u32, String) {
        self.curl_by("https", arguments)
    }

    pub fn curl_by(&self, scheme: &str, arguments: &[&str]) -> (u32, String) {
        let mut command = Command::new("curl");
        command.args(["-sSv", "--max-time", "60", "--cacert", &certificate("ca.crt"), "-w", "\n%{http_code}"]);
        let ran = command.args(arguments).arg(format!("{scheme}://{}/metrics", self.address())).output();
        let ran = ran.expect("curl runs");
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        let code = out.lines().last().and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, format!("{out}\n{err}"))
    }

    /// The serial number of the certificate that the server shows.
    #[track_caller]
    pub fn serial(&self) -> String {
        let (code, said) = self.curl(&["-o", "/dev/null", "-w", "%{certs}\n%{http_code}"]);
        assert_eq!(code, 200, "{said}");
        said.lines().find_map(|line| line.strip_prefix("Serial Number:").map(str::to_owned)).unwrap_or(said)
    }
}

pub fn certificate(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name).display().to_string()
}

/// The TLS part of a web configuration, with the certificate `name` and more settings.
pub fn tls(name: &str, more: &str) -> String {
    let (cert, key) = (certificate(&format!("{name}.crt")), certificate(&format!("{name}.key")));
    format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n{more}")
}

/// The users of a web configuration: one of this name, with the password `s3cret`.
pub fn user(name: &str) -> String {
    format!("basic_auth_users:\n  {name}: {}\n", bcrypt::hash("s3cret", 4).expect("hashes"))
}

/// The header of a login.
pub fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(pair))
}
