//! Tests of `shmetrics serve` with damaged segments, and with clients that are silent or slow.

mod support;

use std::fs::OpenOptions;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;

use support::http::Server;
use support::Room;

#[test]
fn a_segment_that_is_damaged_or_cut_off_meanwhile_is_an_error() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    server.get("/metrics").assert(200, "\njobs_total 3\n");
    let file = OpenOptions::new().read(true).write(true).open(room.path("shop")).expect("opens");
    let mut header = vec![0; 64];
    file.read_exact_at(&mut header, 0).expect("reads");
    file.write_all_at(&[0; 8], 0).expect("writes");
    server.get("/metrics").assert(503, "does not begin with a segment's magic number");
    server.get("/-/ready").assert(503, "is not a shmetrics segment");
    file.write_all_at(&header, 0).expect("writes");
    server.get("/metrics").assert(200, "\njobs_total 3\n");
    file.set_len(100).expect("cuts off");
    server.get("/metrics").assert(503, "shorter than a segment's header");
    std::fs::remove_file(room.path("shop")).expect("removes");
    room.segment_with_jobs("shop", 4);
    server.get("/metrics").assert(200, "\njobs_total 4\n");
}

#[test]
fn silent_connections_make_room() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(server.address()).expect("connects"));
    }
    server.get("/metrics").assert(200, "\njobs_total 3\n");
    // The client that asked last does not lose its place.
    let mut kept = server.connect();
    kept.ask("GET", "/metrics").assert(200, "jobs_total");
    for _ in 0..60 {
        idle.push(TcpStream::connect(server.address()).expect("connects"));
    }
    server.get("/metrics").assert(200, "jobs_total");
    kept.ask("GET", "/metrics").assert(200, "jobs_total");
}

/// A unit or a container may give the server few descriptors. Segments and clients that take all of
/// them keep no scraper out.
#[test]
fn few_descriptors_are_enough() {
    let room = Room::new();
    for i in 0..40 {
        room.segment_with_jobs(&format!("s{i}"), 3);
    }
    let server = Server::run(room.command_after("ulimit -n 48", &["serve", "--all", "--listen", "127.0.0.1:0"]));
    server.get("/metrics").assert(200, "jobs_total");
    let idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address()).expect("connects")).collect();
    for _ in 0..3 {
        server.get("/metrics").assert(200, "\nshmetrics_serve_segments_ignored 16\n");
    }
    drop(idle);
    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success() && said.contains("ignoring 16 segments beyond the first 24"), "{said}");
}

/// Named segments have no limit of their own. They may take what accepted connections need.
#[test]
fn connections_make_room_for_others_without_descriptors() {
    let room = Room::new();
    let names: Vec<String> = (0..24).map(|i| format!("s{i}")).collect();
    for name in &names {
        room.segment_with_jobs(name, 3);
    }
    let mut command = room.command_after("ulimit -n 48", &["serve", "--listen", "127.0.0.1:0"]);
    command.args(&names);
    let server = Server::run(command);
    let idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(server.address()).expect("connects")).collect();
    for _ in 0..3 {
        server.get("/-/healthy").assert(200, "healthy");
    }
    drop(idle);
}

/// Clients that never read their pages do not keep pages from other clients, and their cost is
/// bounded by their number.
#[test]
fn pages_that_no_client_reads_are_limited() {
    let room = Room::new();
    room.segment_with_hits("huge", &"x".repeat(400), 30_000);
    let server = Server::start_with(&room, &["huge", "--max-pages", "1"]);
    let hang = || {
        let mut connection = server.connect();
        connection.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
        connection.wait_for_first_byte();
        connection
    };
    let stuck = hang();
    // A client keeps its place for at least ten seconds. Further clients get an error.
    let refused = server.get_with("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n");
    refused.assert(503, "too many pages are on their way");
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    server.get("/-/healthy").assert(200, "healthy");
    drop(stuck);
    let patient = "X-Prometheus-Scrape-Timeout-Seconds: 60\r\n";
    assert_eq!(server.get_with("/metrics", patient).code, 200, "who leaves makes room");
    let stuck = hang();
    assert_eq!(server.get_with("/metrics", patient).code, 200, "who stays has to");
    server.signal("TERM");
    assert!(server.end().0.success());
    drop(stuck);
}

#[test]
fn what_is_left_out_is_said_by_name() {
    let room = Room::new();
    room.segment("shop").gauge("depth", "", shmetrics::GaugeMode::Shared).register().expect("registers").set(1.0);
    room.segment("cron").counter("depth", "").register().expect("registers").inc();
    let server = Server::start_with(&room, &["shop", "cron"]);
    for _ in 0..3 {
        let page = server.get("/metrics");
        page.assert(200, "\nshmetrics_conflicts{segment=\"cron\"} 1\nshmetrics_conflicts 0\n");
        assert!(!page.body.contains("depth_total"), "{page:?}");
    }
    server.signal("TERM");
    let (_, said) = server.end();
    let told = "the family depth of segment cron is left out: it is of the type counter, and of the type gauge in shop";
    assert_eq!(said.matches(told).count(), 1, "{said}");
}

#[test]
fn patterns_follow_what_comes_and_goes() {
    let room = Room::new();
    room.segment_with_jobs("web-1", 1);
    room.segment_with_jobs("cron", 9);
    let server = Server::start_with(&room, &["web-*"]);
    let page = server.get("/metrics");
    page.assert(200, "jobs_total{segment=\"web-1\"} 1\n");
    assert!(!page.body.contains("cron"), "{page:?}");
    room.segment_with_jobs("web-2", 2);
    server.get("/metrics").assert(200, "jobs_total{segment=\"web-1\"} 1\njobs_total{segment=\"web-2\"} 2\n");
    room.remove("web-1");
    let page = server.get("/metrics");
    page.assert(200, "jobs_total{segment=\"web-2\"} 2\n");
    // The page shows for some time that the segment is gone.
    page.assert(200, "\nshmetrics_serve_segment_up{segment=\"web-1\"} 0\n");
    assert!(!page.body.contains("jobs_total{segment=\"web-1\"}"), "{page:?}");
    room.remove("web-2");
    server.get("/metrics").assert(503, "there is no segment at");
    let all = Server::start_with(&room, &["--all"]);
    all.get("/metrics").assert(200, "jobs_total{segment=\"cron\"} 9\n");
}
