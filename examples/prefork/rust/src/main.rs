//! The worker in Rust: one connection at a time from the socket the master listens on. A program of
//! its own, started by the master with the socket in `LISTEN_FD` and the segment's name in
//! `SHMETRICS_SEGMENT`.

mod http;
mod metrics;
mod routes;

use std::env;
use std::error::Error;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::thread;
use std::time::Duration;

use http::{Connection, Request};
use metrics::Metrics;
use shmetrics::Exposition;

const IDLE: Duration = Duration::from_secs(5);
const REQUESTS_PER_CONNECTION: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let metrics = Metrics::attach(number_from("WORKER_NUMBER")?)?;
    // SAFETY: the master passed this open listening socket to this process, and nothing else here
    // uses it.
    let listener = unsafe { TcpListener::from_raw_fd(number_from("LISTEN_FD")?.try_into()?) };
    loop {
        match listener.accept() {
            // What fails from here on is one client's connection, which is over then.
            Ok((stream, _)) => drop(serve(stream, &metrics)),
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn number_from(variable: &str) -> Result<u32, Box<dyn Error>> {
    let text = env::var(variable).map_err(|e| format!("{variable}: {e}: the master starts this program"))?;
    Ok(text.parse()?)
}

fn serve(stream: TcpStream, metrics: &Metrics) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    for left in (0..REQUESTS_PER_CONNECTION).rev() {
        let Some(mut request) = connection.read()? else { break };
        request.keep_alive &= left > 0; // others wait for a worker, too
        answer(&mut connection, &request, metrics)?;
        if !request.keep_alive {
            break;
        }
    }
    Ok(())
}

fn answer(connection: &mut Connection, request: &Request, metrics: &Metrics) -> io::Result<()> {
    if request.path == "/metrics" {
        let exposition = Exposition::negotiate(&request.accept);
        let mut chunks = connection.stream(exposition.content_type(), request)?;
        metrics.page(exposition, |part| chunks.write(part))?;
        return chunks.end();
    }
    let route = routes::find(&request.method, &request.path);
    let _in_progress = metrics.in_progress();
    // Counted before the answer is written: whatever a client has seen is on the page.
    metrics.measure(route, || thread::sleep(route.work));
    connection.respond(route.status, route.body.map_or(&request.body, str::as_bytes), route.pause, request)
}
