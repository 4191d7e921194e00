//! `shmetrics serve`, scraped over real sockets.

mod support;

use support::http::Server;
use support::Room;

#[test]
fn the_page_comes_with_its_length_and_type() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    let page = server.get("/metrics");
    page.assert(200, "\njobs_total 3\n");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(page.header("transfer-encoding"), None, "{page:?}");
    assert_eq!(page.length(), page.body.len());
}

#[test]
fn a_page_follows_the_counts() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 1);
    let server = Server::start(&room, "shop");
    let mut connection = server.connect();
    connection.ask("GET", "/metrics").assert(200, "\njobs_total 1\n");
    segment.counter("jobs_total", "Jobs done.").register().expect("registers again").inc();
    // The same connection, as scrapers keep theirs.
    connection.ask("GET", "/metrics").assert(200, "\njobs_total 2\n");
}

#[test]
fn head_is_get_without_the_body() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        let mut connection = server.connect();
        connection.send(&format!("HEAD {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        let head = connection.answer("HEAD");
        assert_eq!(head.code, 200, "{path}: {head:?}");
        assert!(head.length() > 0, "{path}: {head:?}");
        assert_eq!(head.header("content-type"), server.get(path).header("content-type"), "{path}");
        assert_eq!(connection.rest(), "", "{path}: HEAD has no body");
    }
}

#[test]
fn other_paths_and_methods_are_refused() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    server.get("/metric").assert(404, "/metrics");
    server.get("/metrics/").assert(404, "/metrics");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let refused = server.connect().ask(method, "/metrics");
        refused.assert(405, "only GET and HEAD");
        assert_eq!(refused.header("allow"), Some("GET,HEAD"), "{refused:?}");
    }
    // The exporter's own metrics.
    server
        .get("/metrics?name[]=shmetrics_serve_requests_total")
        .assert(200, "shmetrics_serve_requests_total{code=\"405\"} 6\n");
    let page = server.get("/metrics");
    page.assert(200, "\nshmetrics_serve_segment_up{segment=\"shop\"} 1\n");
    assert!(!page.body.contains("\nscrape_"), "{page:?}");
}

#[test]
fn nonsense_is_a_bad_request_and_the_server_lives_on() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    let mut connection = server.connect();
    connection.send("this is not HTTP\r\n\r\n");
    assert!(connection.rest().starts_with("HTTP/1.1 400 "));
    server.get("/metrics").assert(200, "jobs_total");
}

#[test]
fn it_waits_for_the_segment() {
    let room = Room::new();
    let server = Server::start(&room, "late");
    server.get("/metrics").assert(503, "there is no segment at");
    server.get("/-/ready").assert(503, "there is no segment at");
    server.get("/").assert(200, "there is no segment at");
    server.get("/-/healthy").assert(200, "healthy");
    room.segment_with_jobs("late", 5);
    server.get("/metrics").assert(200, "\njobs_total 5\n");
    server.get("/-/ready").assert(200, "ready");
}

#[test]
fn it_follows_a_replaced_segment() {
    let room = Room::new();
    room.segment_with_jobs("shop", 5);
    let server = Server::start(&room, "shop");
    server.get("/metrics").assert(200, "\njobs_total 5\n");
    room.remove("shop");
    server.get("/metrics").assert(503, "there is no segment at");
    room.segment_with_jobs("shop", 2);
    server.get("/metrics").assert(200, "\njobs_total 2\n");
    // Replaced between two scrapes.
    room.remove("shop");
    room.segment_with_jobs("shop", 9);
    server.get("/metrics").assert(200, "\njobs_total 9\n");

    server.signal("TERM");
    let (status, said) = server.end();
    assert!(status.success(), "{status}");
    let told: Vec<bool> = said.lines().map(|line| line.contains("serving segment shop")).collect();
    assert_eq!(told, [true, false, true, true], "each change is said once:\n{said}");
}

#[test]
fn a_file_that_is_no_segment_is_said_and_healed() {
    let room = Room::new();
    room.junk("shop");
    let server = Server::start(&room, "shop");
    server.get("/metrics").assert(503, "is not a shmetrics segment");
    server.get("/-/ready").assert(503, "is not a shmetrics segment");
    std::fs::remove_file(room.path("shop")).expect("the junk is removed");
    room.segment_with_jobs("shop", 1);
    server.get("/metrics").assert(200, "\njobs_total 1\n");
}

#[test]
fn it_stops_when_asked() {
    let room = Room::new();
    room.segment_with_jobs("shop", 1);
    for signal in ["TERM", "INT"] {
        // A job in the background of a shell script ignores SIGINT, and so do its children.
        let serve = room.command(&["serve", "--listen", "127.0.0.1:0", "shop"]);
        let mut command = room.program("env");
        command.arg("--default-signal").arg(serve.get_program()).args(serve.get_args());
        let server = Server::run(command);
        let mut idle = server.connect();
        idle.ask("GET", "/metrics").assert(200, "jobs_total");
        let silent = server.connect();
        server.signal(signal);
        let (status, _) = server.end();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
        assert_eq!(idle.rest(), "", "the idle connection is closed in order");
        drop(silent);
    }
}

#[test]
fn an_answer_under_way_is_finished_first() {
    let room = Room::new();
    // Some 12 MB, more than the sockets of both sides hold.
    room.segment_with_hits("huge", &"x".repeat(400), 30_000);
    let server = Server::start(&room, "huge");
    let mut connection = server.connect();
    connection.send("GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
    connection.wait_for_first_byte();
    server.signal("TERM");
    let page = connection.answer("GET");
    let series = page.body.lines().filter(|line| line.starts_with("hits_total{")).count();
    assert_eq!((page.code, series), (200, 30_000));
    assert_eq!(server.end().0.code(), Some(0));
}

#[test]
fn an_address_in_use_is_a_failure() {
    let room = Room::new();
    let server = Server::start(&room, "shop");
    let ran = room.run(&["serve", "shop", "--listen", server.address()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let last = ran.err.lines().last().unwrap_or_default();
    assert!(last.contains("cannot listen on") && last.contains(server.address()), "{ran:?}");
    assert_eq!(ran.out, "", "an address is only announced when it is ours");
}

#[test]
fn a_name_no_segment_can_have_is_a_failure() {
    let ran = Room::new().run(&["serve", "a\u{1}b", "--listen", "127.0.0.1:0"]);
    ran.failure(&["segment"]);
}

#[test]
fn an_address_that_is_none_is_a_wrong_command_line() {
    let ran = Room::new().run(&["serve", "shop", "--listen", "nowhere"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("--listen"), "{ran:?}");
}

#[test]
fn the_flags_of_other_exporters() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let serve = |arguments: &[&str]| {
        let listen = ["serve", "shop", "gone", "--web.listen-address", "localhost:0"];
        Server::run(room.command(&[&listen, arguments].concat()))
    };
    let server = serve(&["--web.telemetry-path", "/shop/page", "--log.format", "json"]);
    server.get("/shop/page").assert(200, "jobs_total{segment=\"shop\"} 3\n");
    server.get("/metrics").assert(404, "the metrics are at /shop/page\n");
    server.get("/").assert(200, "href=\"shop/page\"");
    let page = server.get("/shop/page").body;
    for own in ["shmetrics_serve_requests_total{code=\"200\"} 1\n", "shmetrics_serve_build_info{version=\""] {
        assert!(page.contains(own), "{own}: {page}");
    }
    for own in ["cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "open_fds"] {
        assert!(page.contains(&format!("\nshmetrics_serve_process_{own} ")), "{own}: {page}");
    }
    server.signal("TERM");
    let said = server.end().1;
    let is_line = |line: &str| line.starts_with("{\"time\":\"") && line.ends_with("\"}");
    assert!(said.lines().count() == 2 && said.lines().all(is_line), "{said}");
    assert!(said.contains("\"level\":\"INFO\",\"msg\":\"serving segment shop\"}"), "{said}");
    assert!(said.contains("\"level\":\"WARN\",\"msg\":\"waiting for a segment: there is no segment at"), "{said}");

    let server = serve(&["--log.format", "logfmt", "--log.level", "debug"]);
    server.get("/metrics").assert(200, "jobs_total");
    server.signal("TERM");
    let said = server.end().1;
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("time=2") && last.contains(" level=DEBUG msg=\"GET /metrics: 200 after "), "{said}");

    let server = serve(&["--log.level", "warn"]);
    server.signal("TERM");
    let said = server.end().1;
    assert!(said.starts_with("shmetrics: waiting") && said.lines().count() == 1, "{said}");
}

const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n";

#[test]
fn a_scraper_gets_the_format_it_asks_for() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    let page = server.get_with("/metrics", OPENMETRICS);
    page.assert(200, "# TYPE jobs counter\n");
    assert_eq!(page.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert_eq!(page.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(page.header("etag"), None);
    assert!(page.body.ends_with("\n# EOF\n") && !page.body.contains("_created"), "{page:?}");
    let proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    // Two headers are as one.
    let page = server.get_with("/metrics", &format!("Accept: text/plain;q=0.2\r\nAccept: {proto};q=0.9\r\n"));
    assert_eq!(page.header("content-type"), Some(proto.replace(';', "; ").as_str()));
    assert!(page.bytes.windows(12).any(|w| w == b"\x0a\x0ajobs_total"), "{page:?}");
    let created = Server::start_with(&room, &["shop", "--created"]);
    created.get_with("/metrics", OPENMETRICS).assert(200, "\njobs_created ");
}

#[test]
fn item_72_gzip_for_who_asks() {
    use std::io::Read;
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    for (header, packed) in [("gzip", true), ("deflate, gzip;q=0.5", true), ("identity", false), ("gzip;q=0", false)] {
        let page = server.get_with("/metrics", &format!("Accept-Encoding: {header}\r\n"));
        assert_eq!(page.header("content-encoding"), packed.then_some("gzip"), "{header}");
        let mut text = String::new();
        if packed {
            flate2::read::GzDecoder::new(&page.bytes[..]).read_to_string(&mut text).expect("gzip");
        } else {
            text.clone_from(&page.body);
        }
        assert!(text.contains("\njobs_total 3\n") && text.contains("\nshmetrics_render_seconds "), "{header}: {text}");
    }
}

#[test]
fn name_filters() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 3);
    segment.counter("other", "").register().expect("registers").inc();
    let server = Server::start(&room, "shop");
    for query in ["name[]=jobs_total", "name%5B%5D=jobs_total", "x=y&name[]=nothing&name[]=jobs"] {
        let page = server.get(&format!("/metrics?{query}"));
        page.assert(200, "\njobs_total 3\n");
        assert!(!page.body.contains("other") && !page.body.contains("shmetrics_"), "{query}: {page:?}");
    }
    server.get("/metrics?name[]=shmetrics_series").assert(200, "shmetrics_series 0\n");
}

#[test]
fn item_75_what_is_not_ready_in_time_is_an_error() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    let page = server.get_with("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.000001\r\n");
    page.assert(503, "raise its scrape_timeout");
    for header in ["10", "0.5", "nonsense", "-1", "1e99"] {
        let page = server.get_with("/metrics", &format!("X-Prometheus-Scrape-Timeout-Seconds: {header}\r\n"));
        page.assert(200, "\njobs_total 3\n");
    }
}

#[test]
fn several_segments_on_one_page() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    room.segment_with_jobs("cron", 4);
    let server = Server::start_with(&room, &["shop", "cron", "later"]);
    let page = server.get("/metrics");
    page.assert(200, "jobs_total{segment=\"shop\"} 3\njobs_total{segment=\"cron\"} 4\n");
    room.segment_with_jobs("later", 5);
    server.get("/metrics").assert(200, "jobs_total{segment=\"later\"} 5\n");
    let plain = Server::start_with(&room, &["shop", "cron", "--no-segment-label"]);
    plain.get("/metrics").assert(200, "\njobs_total 3\n");
}

/// The name that the Python package gives to the segment of a directory.
#[test]
fn the_label_of_a_directory_stays_over_wipes() {
    let room = Room::new();
    let stem = "multiproc::tmp:metrics";
    let name = |number: u64| format!("{stem}:{number:016x}.00000000000000ff");
    room.left_behind(&name(1), 3);
    let server = Server::start_with(&room, &["--all"]);
    let by_stem = Server::start(&room, stem);
    let shows = |value: u64| {
        server.get("/metrics").assert(200, &format!("jobs_total{{segment=\"{stem}\"}} {value}\n"));
        by_stem.get("/metrics").assert(200, &format!("\njobs_total {value}\n"));
    };
    shows(3);
    // A wipe: the old segment stays until a sweep removes it.
    room.segment_with_jobs(&name(2), 5);
    shows(5);
    server.get("/metrics").assert(200, &format!("jobs_total{{segment=\"{}\"}} 3\n", name(1)));
    room.remove(&name(1));
    shows(5);
    let page = server.get("/metrics");
    page.assert(200, &format!("\nshmetrics_serve_segment_up{{segment=\"{stem}\"}} 1\n"));
    assert!(!page.body.contains(&name(1)), "it was replaced, and is not missed");
    // Two containers with one path.
    room.segment_with_jobs(&name(3), 7);
    shows(5);
    server.get("/metrics").assert(200, &format!("jobs_total{{segment=\"{}\"}} 7\n", name(3)));
}

#[test]
fn a_unix_socket() {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let path = room.dir().join("metrics.sock");
    // A socket that a killed server left behind.
    drop(UnixListener::bind(&path).expect("binds"));
    let address = format!("unix:{}", path.display());
    let server = Server::start_with(&room, &["shop", "--listen", &address]);
    let mut stream = (0..500)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            UnixStream::connect(&path).ok()
        })
        .expect("connects");
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o660);
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    assert!(answer.contains("\njobs_total 3\n"), "{answer}");
    server.get("/metrics").assert(200, "\njobs_total 3\n");
    server.signal("TERM");
    server.end();
    assert!(!path.exists(), "the socket goes with the server");
}

#[test]
fn it_is_not_ready_while_no_process_has_the_segment_open() {
    let room = Room::new();
    room.left_behind("job", 4);
    let server = Server::start(&room, "job");
    let page = server.get("/metrics");
    page.assert(200, "\njobs_total 4\n");
    page.assert(200, "\nshmetrics_segment_in_use 0\n");
    page.assert(200, "\nshmetrics_processes{state=\"attached\"} 0\n");
    page.assert(200, "\nshmetrics_segment_current 1\n");
    server.get("/-/ready").assert(503, "no process has segment job open: the page shows the last values");
    server.get("/").assert(200, "no process has segment job open");
    // Opened again by the next run.
    let _segment = room.segment("job");
    server.get("/-/ready").assert(200, "ready");
    server.get("/metrics").assert(200, "\nshmetrics_processes{state=\"attached\"} 1\n");
}

#[test]
fn what_keeps_segments_off_the_page_is_said_once_with_what_to_do() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    room.left_behind("newer", 3);
    room.of_another_layout("newer");
    let server = Server::start_with(&room, &["--all"]);
    for _ in 0..3 {
        let page = server.get("/metrics");
        page.assert(200, "jobs_total{segment=\"shop\"} 3\n");
        page.assert(200, "shmetrics_serve_segment_up{segment=\"newer\"} 0\n");
    }
    server.signal("TERM");
    let said = server.end().1;
    assert_eq!(said.matches("shmetrics-newer has layout version 9.").count(), 1, "{said}");
    assert!(said.contains("shmetrics rm"), "{said}");

    let mut command = room.command(&["serve", "--listen", "127.0.0.1:0", "--all"]);
    command.env("SHMETRICS_DIR", room.dir().join("nowhere"));
    let server = Server::run(command);
    for _ in 0..3 {
        server.get("/metrics").assert(503, "there is no directory");
    }
    server.signal("TERM");
    let said = server.end().1;
    assert_eq!(said.matches("there is no directory").count(), 1, "{said}");
    assert!(said.contains("set SHMETRICS_DIR"), "{said}");
}
