//! As little HTTP/1.1 as the demo needs: keep-alive, bodies with a Content-Length, chunked answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

const REQUEST_MAX: u64 = 8192;

pub struct Connection {
    stream: BufReader<TcpStream>,
}

pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What the client wants to read.
    pub accept: String,
    pub body: Vec<u8>,
    pub keep_alive: bool,
    /// The client understands chunks (HTTP/1.1).
    chunked_answer: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Connection { stream: BufReader::new(stream) }
    }

    /// Waits for the next request; `None` when the client has left.
    pub fn read(&mut self) -> io::Result<Option<Request>> {
        let mut input = self.stream.by_ref().take(REQUEST_MAX);
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut request = parse_request_line(&line).ok_or_else(|| invalid("request line"))?;
        let mut body_len = 0;
        loop {
            line.clear();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", n) => body_len = n.parse().map_err(|_| invalid("Content-Length"))?,
                ("connection", how) => request.keep_alive &= !how.eq_ignore_ascii_case("close"),
                ("accept", what) => request.accept = what.to_owned(),
                ("transfer-encoding", _) => return Err(invalid("Transfer-Encoding")),
                _ => {}
            }
        }
        if line != "\r\n" || body_len > input.limit() {
            return Err(invalid("head"));
        }
        input.take(body_len).read_to_end(&mut request.body)?;
        Ok((request.body.len() as u64 == body_len).then_some(request))
    }

    /// Sends a whole response; with a pause, the body comes in two halves, that far apart.
    pub fn respond(&mut self, status: &str, body: &[u8], pause: Duration, request: &Request) -> io::Result<()> {
        let close = if request.keep_alive { "" } else { "Connection: close\r\n" };
        let head = format!(
            "HTTP/1.1 {status}\r\nServer: prefork/rust\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n{close}\r\n",
            body.len()
        );
        let (first, second) = body.split_at(if pause.is_zero() { body.len() } else { body.len() / 2 });
        let socket = self.stream.get_mut();
        socket.write_all(&[head.as_bytes(), first].concat())?;
        thread::sleep(pause);
        socket.write_all(second)
    }

    /// Begins a response of unknown length. A client that does not know chunks gets the bare bytes:
    /// it also knows no keep-alive, and reads to the connection's end.
    pub fn stream(&mut self, content_type: &str, request: &Request) -> io::Result<Chunks<'_>> {
        let chunked = request.chunked_answer;
        let encoding = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        let close = if request.keep_alive { "" } else { "Connection: close\r\n" };
        let head =
            format!("HTTP/1.1 200 OK\r\nServer: prefork/rust\r\nContent-Type: {content_type}\r\n{encoding}{close}\r\n");
        let socket = self.stream.get_mut();
        socket.write_all(head.as_bytes())?;
        Ok(Chunks { socket, chunked })
    }
}

/// A response being sent in chunks.
pub struct Chunks<'c> {
    socket: &'c mut TcpStream,
    chunked: bool,
}

impl Chunks<'_> {
    pub fn write(&mut self, part: &[u8]) -> io::Result<()> {
        match (self.chunked, part) {
            (_, []) => Ok(()), // an empty chunk would be the end
            (false, part) => self.socket.write_all(part),
            (true, part) => {
                let size = format!("{:x}\r\n", part.len());
                self.socket.write_all(&[size.as_bytes(), part, b"\r\n"].concat())
            }
        }
    }

    pub fn end(self) -> io::Result<()> {
        if self.chunked {
            self.socket.write_all(b"0\r\n\r\n")
        } else {
            Ok(())
        }
    }
}

fn parse_request_line(line: &str) -> Option<Request> {
    let mut words = line.trim_end().split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !target.starts_with('/') || !version.starts_with("HTTP/1.") {
        return None;
    }
    let path = target.split('?').next()?;
    let modern = version != "HTTP/1.0";
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        accept: String::new(),
        body: Vec::new(),
        keep_alive: modern,
        chunked_answer: modern,
    })
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP request this server understands: {what}"))
}
