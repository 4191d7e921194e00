//! Floods of requests and connections. A scrape each second must succeed throughout.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::metric;
use crate::support::http::{Response, Server};
use crate::support::web::{basic, tls};
use crate::support::{has, Room, WATCHDOG};

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n";

/// Threads that attack until this is dropped.
struct Flood {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn of(threads: usize, address: &str, attack: impl Fn(&str, usize) + Clone + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let number = Arc::new(AtomicUsize::new(0));
        let start = |_| {
            let (is_over, number, address) = (Arc::clone(&is_over), Arc::clone(&number), address.to_owned());
            let attack = attack.clone();
            thread::spawn(move || {
                while !is_over.load(Relaxed) {
                    attack(&address, number.fetch_add(1, Relaxed));
                }
            })
        };
        let threads = (0..threads).map(start).collect();
        Flood { is_over, threads }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Connects, sends and closes, two hundred times a second at most.
fn hit(address: &str, request: &str) {
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.write_all(request.as_bytes());
    }
    thread::sleep(Duration::from_millis(5));
}

/// A scrape each second, as Prometheus does it; each has to succeed.
#[track_caller]
fn scrape(times: usize, what: &str, get: impl Fn() -> Response) -> Response {
    let mut last = None;
    for _ in 0..times {
        thread::sleep(Duration::from_secs(1));
        let page = get();
        assert_eq!(page.code, 200, "{what}: {}", page.body);
        last = Some(page);
    }
    last.expect("some")
}

fn assert_bounded(server: &Server) {
    let pid = server.pid();
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("is there").count();
    assert!(descriptors < 120, "{descriptors} descriptors");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("has it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 512 << 10, "{kib} KiB of memory");
}

#[test]
fn guesses_and_requests_without_a_password() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let hash = bcrypt::hash("s3cret", 10).expect("hashes");
    let server = Server::with_config(&room, &format!("basic_auth_users:\n  ann: {hash}\n"));
    let known = format!("{}X-Prometheus-Scrape-Timeout-Seconds: 5\r\n", basic("ann:s3cret"));
    let get = || server.get_with("/metrics", &known);
    get().assert(200, "jobs_total 3\n");
    {
        let _flood = Flood::of(2, server.address(), |address, _| hit(address, &format!("{GET}\r\n")));
        scrape(3, "without a password", get);
    }
    {
        // A request that stays open, because its client waits for the answer.
        let _flood = Flood::of(3, server.address(), |address, n| {
            hit(address, &format!("{GET}{}\r\n", basic(&format!("ann:{n}"))));
        });
        let _waiting = Flood::of(40, server.address(), |address, n| {
            let Ok(mut stream) = TcpStream::connect(address) else { return };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.write_all(format!("{GET}{}\r\n", basic(&format!("bob:{n}"))).as_bytes());
            let _ = stream.read(&mut [0; 100]);
            thread::sleep(Duration::from_millis(100));
        });
        scrape(4, "guesses", get);
    }
    {
        // A byte now and then.
        let _flood = Flood::of(80, server.address(), |address, _| {
            let Ok(mut stream) = TcpStream::connect(address) else { return };
            for byte in GET.bytes() {
                if stream.write_all(&[byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        scrape(3, "slow writers", get);
    }
    let deadline = Instant::now() + WATCHDOG;
    let failures = |reason: &str| {
        metric(&get().body, &format!("shmetrics_serve_login_failures_total{{reason=\"{reason}\"}}")) > 0.0
    };
    while !["wrong", "busy", "missing"].into_iter().all(failures) {
        assert!(Instant::now() < deadline, "{}", get().body);
        // On a slow machine no guess may have been hashed to its end so far.
        server.get_with("/metrics", &basic("ann:wrong"));
    }
    assert_bounded(&server);
    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success());
    let lines = said.lines().filter(|line| line.contains("a login of 127.0.0.1 is refused")).count();
    assert!((1..=6).contains(&lines), "a line a minute for each reason: {said}");
}

#[test]
fn pages_that_no_client_waits_for() {
    let room = Room::new();
    room.segment_with_hits("shop", &"x".repeat(60), 30_000);
    let server = Server::start(&room, "shop");
    let get = || server.get_with("/metrics", "Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 40\r\n");
    {
        let _flood = Flood::of(3, server.address(), |address, _| {
            hit(address, &format!("{GET}Accept-Encoding: gzip\r\n\r\n"));
        });
        scrape(4, "aborted requests", get);
    }
    let abandoned = server.get("/metrics?name[]=shmetrics_serve_shed_total").body;
    assert!(metric(&abandoned, "shmetrics_serve_shed_total{what=\"abandoned page\"}") > 0.0);
    assert_bounded(&server);
}

#[test]
fn pages_that_no_client_reads() {
    let room = Room::new();
    // More than the sockets of both sides hold.
    room.segment_with_hits("huge", &"x".repeat(400), 30_000);
    let server = Server::start(&room, "huge");
    let get = || server.get_with("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 40\r\n");
    {
        // More clients than places for pages. Each gets a place in its turn.
        let takers: Vec<TcpStream> = (0..20)
            .filter_map(|_| {
                let mut stream = TcpStream::connect(server.address()).ok()?;
                stream.write_all(format!("{GET}\r\n").as_bytes()).ok()?;
                Some(stream)
            })
            .collect();
        scrape(3, "slow readers", get);
        drop(takers);
    }
    assert_bounded(&server);
}

#[test]
fn encryption_that_is_never_begun() {
    if !has("curl") {
        return;
    }
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::with_config(&room, &tls("server", ""));
    // Nothing, the beginning of a greeting, and no TLS at all.
    let mut open = Vec::new();
    for n in 0..90 {
        let Ok(mut stream) = TcpStream::connect(server.address()) else { continue };
        let _ = stream.write_all([&b""[..], b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n"][n % 3]);
        open.push(stream);
    }
    let _flood =
        Flood::of(2, server.address(), |address, n| hit(address, if n % 2 == 0 { "" } else { "\u{16}\u{3}\u{1}" }));
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        let (code, page) = server.curl(&[]);
        assert_eq!(code, 200, "half-open handshakes: {page}");
        assert!(metric(&page, "shmetrics_serve_tls_errors_total") > 0.0);
    }
    assert_bounded(&server);
    server.signal("TERM");
    let (_, said) = server.end();
    assert_eq!(said.matches("no encryption with 127.0.0.1").count(), 1, "{said}");
}
