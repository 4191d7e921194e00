//! `shmetrics serve` as a child process, and a client that sends exactly the bytes of a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use super::{first_line, signal, wait, Room, WATCHDOG};

pub struct Server {
    child: Child,
    address: String,
    stderr: Option<ChildStderr>,
}

impl Server {
    pub fn start(room: &Room, name: &str) -> Self {
        Self::start_with(room, &[name])
    }

    /// With these arguments, and on a port that is free.
    pub fn start_with(room: &Room, arguments: &[&str]) -> Self {
        Self::run(room.command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()))
    }

    pub fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stderr = child.stderr.take();
        let line = first_line(&mut child);
        let address = line
            .strip_prefix("listening on http")
            .and_then(|rest| rest.trim_start_matches('s').strip_prefix("://"))
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_else(|| panic!("the server announced {line:?}"))
            .to_owned();
        assert!(!address.ends_with(":0"), "the announced port is the real one, not {address}");
        Server { child, address, stderr }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).expect("the server accepts");
        stream.set_read_timeout(Some(WATCHDOG)).expect("a timeout can be set");
        Connection(BufReader::new(stream))
    }

    pub fn get(&self, path: &str) -> Response {
        self.connect().ask("GET", path)
    }

    /// With these headers, each ended by a line break.
    pub fn get_with(&self, path: &str, headers: &str) -> Response {
        let mut connection = self.connect();
        connection.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"));
        connection.answer("GET")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// The end of the server, and what it said on standard error.
    #[track_caller]
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        let mut said = String::new();
        self.stderr.take().expect("it is taken once").read_to_string(&mut said).expect("the server writes UTF-8");
        (status, said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).expect("the server reads");
    }

    /// One request; the connection stays open.
    pub fn ask(&mut self, method: &str, path: &str) -> Response {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.answer(method)
    }

    /// Reads one response, exactly as long as it says it is.
    pub fn answer(&mut self, method: &str) -> Response {
        let status = self.line();
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code = code.unwrap_or_else(|| panic!("{status:?} is no status line"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut response = Response { code, headers, bytes: Vec::new(), body: String::new() };
        if method != "HEAD" {
            let mut body = vec![0; response.length()];
            self.0.read_exact(&mut body).expect("the body is as long as announced");
            response.body = String::from_utf8_lossy(&body).into_owned();
            response.bytes = body;
        }
        response
    }

    pub fn wait_for_first_byte(&mut self) {
        let available = self.0.fill_buf().expect("the server answers");
        assert!(!available.is_empty(), "the server closed the connection instead of answering");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the server answers");
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("the answer breaks off after {line:?}")).to_owned()
    }

    /// All bytes until the server closes the connection.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("the connection ends in order");
        rest
    }
}

#[derive(Debug)]
pub struct Response {
    pub code: u16,
    headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
    /// The same bytes as text.
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn length(&self) -> usize {
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        length.unwrap_or_else(|| panic!("the answer does not say its length: {self:?}"))
    }

    #[track_caller]
    pub fn assert(&self, code: u16, part: &str) {
        assert_eq!(self.code, code, "another status was expected: {self:?}");
        assert!(self.body.contains(part), "the body lacks {part:?}: {self:?}");
    }
}
