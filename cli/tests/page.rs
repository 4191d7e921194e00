//! The page for people of `shmetrics serve`, and the JSON behind it. A browser looks at the page in
//! `tests/interop/live_page.py`.

mod support;

use std::time::{Duration, Instant};

use support::http::{Response, Server};
use support::web::user;
use support::{keys, Room, WATCHDOG};

const FILES: [(&str, &str); 6] = [
    ("/", "text/html; charset=utf-8"),
    ("/-/page.js", "text/javascript; charset=utf-8"),
    ("/-/page.css", "text/css; charset=utf-8"),
    ("/-/page.svg", "image/svg+xml"),
    ("/-/segments.json", "application/json"),
    ("/-/live.json", "application/json"),
];

#[test]
fn its_files_come_from_the_program_under_a_strict_policy() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::start(&room, "shop");
    for (path, content_type) in FILES {
        let file = server.get(path);
        assert_eq!((file.code, file.header("content-type")), (200, Some(content_type)), "{path}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(file.header("cache-control"), Some("no-store"), "{path}");
        let policy = file.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        for elsewhere in ["http://", "https://"] {
            let own = file.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(elsewhere), "{path} leads elsewhere");
        }
    }
    let index = server.get("/");
    index.assert(200, "<a href=\"metrics\">");
    index.assert(200, "<b>shop</b>");
    index.assert(200, env!("CARGO_PKG_VERSION"));
    assert_eq!(server.get("/metrics").header("content-security-policy"), None, "scrapers are not told");
}

#[test]
fn its_json_has_the_documented_keys() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 3);
    let latency = segment.histogram("latency_seconds", "Time.").labels(["route"]).buckets(&[1.0, 2.0]);
    let latency = latency.register().expect("registers");
    latency.with(["<b>"]).observe(1.5);
    latency.with(["/"]).observe(0.5);
    let server = Server::start(&room, "shop");
    let live = server.get("/-/live.json?search=JOB");
    live.assert(200, r#""families_matching":1,"families":[{"name":"jobs","title":"jobs_total","type":"counter""#);
    live.assert(200, r#""series":1,"value":3.0,"states":null,"rate_1s":null"#);
    live.assert(200, r#""family":null}"#);
    let of_family = "/-/live.json?family=latency_seconds";
    // The second answer has rates.
    let opened = wait(|| server.get(of_family), |answer| answer.body.matches(r#""rate_1s":0.0"#).count() > 3);
    opened.assert(200, r#""family":{"name":"latency_seconds","series_matching":2,"series":[{"labels":{"route":"/"}"#);
    opened.assert(200, r#"{"labels":{"route":"<b>"},"count":1,"sum":1.5"#);
    server.get(&format!("{of_family}&filter=%3CB%3E")).assert(200, r#""series_matching":1"#);
    server.get("/-/live.json?family=none").assert(200, r#""family":null"#);

    let segments = server.get("/-/segments.json");
    segments.assert(200, &format!(r#"{{"version":"{}","time":1"#, env!("CARGO_PKG_VERSION")));
    segments.assert(200, r#""segments":[{"name":"shop","path":"#);
    segments.assert(200, r#""warnings":[]}]}"#);
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command.md"));
    let docs = docs.expect("the documentation is there");
    for key in keys(&opened.body).into_iter().chain(keys(&segments.body)).filter(|key| *key != "route") {
        assert!(docs.contains(&format!("`{key}`")), "{key} is not in docs/command.md");
    }
}

#[test]
fn warnings_and_reasons_are_in_the_json() {
    let room = Room::new();
    let server = Server::start_with(&room, &["shop", "other"]);
    for path in ["/-/segments.json", "/-/live.json"] {
        let refused = server.get(path);
        refused.assert(503, r#"{"problem":"there is no segment at "#);
        assert_eq!(refused.header("content-type"), Some("application/json"), "{refused:?}");
    }
    server.get("/").assert(200, "there is no segment at");
    room.left_behind("shop", 5);
    let answer = server.get("/-/segments.json");
    answer.assert(200, r#""warnings":[{"text":"NO PROCESS has "#);
    answer.assert(200, r#""is_loss":false,"metric":"shmetrics_segment_in_use"}]"#);
    answer.assert(200, r#"{"name":"other","problem":"there is no segment at "#);
}

#[test]
fn a_password_protects_all_of_it() {
    let room = Room::new();
    room.segment_with_jobs("shop", 3);
    let server = Server::with_config(&room, &user("ann"));
    for (path, _) in FILES {
        server.get(path).assert(401, "");
    }
}

/// The series of closed families take no memory of the server.
#[test]
fn a_large_family_is_shown_in_part_and_told() {
    let room = Room::new();
    let segment = room.segment("large");
    let family = segment.counter("hits_total", "Hits.").labels(["page"]).register().expect("registers");
    for n in 0..2_000 {
        family.with([&format!("/some/page/{n}")]).add(f64::from(n));
    }
    let server = Server::start(&room, "large");
    server.get("/-/live.json").assert(200, r#""series":2000,"value":1999000.0"#);
    let opened = server.get("/-/live.json?family=hits");
    opened.assert(200, r#""series_matching":2000"#);
    assert_eq!(opened.body.matches(r#"{"labels":{"#).count(), 200, "the highest");
    opened.assert(200, r#"/some/page/1999""#);
    server.get("/-/live.json?family=hits&filter=page/7%22").assert(200, r#""series_matching":1,"#);
}

#[track_caller]
fn wait(ask: impl Fn() -> Response, is_it: impl Fn(&Response) -> bool) -> Response {
    let begin = Instant::now();
    loop {
        let answer = ask();
        if is_it(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < WATCHDOG, "the answer stays {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
