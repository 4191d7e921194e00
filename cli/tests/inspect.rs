//! `shmetrics inspect` of real segments.

mod support;

use shmetrics::GaugeMode;
use support::Room;

#[test]
fn header_families_and_processes_are_shown() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 1);
    let hits = segment.counter("hits_total", "Hits.").labels(["method", "page"]).register().expect("registers");
    for page in ["/", "/cart", "/pay"] {
        hits.with(["GET", page]).inc();
    }
    let busy = segment.gauge("busy", "Busy.", GaugeMode::LiveSum).register().expect("registers");
    busy.inc();

    let out = room.run(&["inspect", "shop"]).success();
    let words = |first: &str| -> Vec<&str> {
        let line = out.lines().find(|line| line.split_whitespace().next() == Some(first));
        line.unwrap_or_else(|| panic!("there is no line {first:?}:\n{out}")).split_whitespace().collect()
    };
    assert_eq!(words("file")[1], room.path("shop"));
    assert_eq!(words("owner")[2..], ["mode", "0600"], "{out}");
    assert_eq!(words("in")[..], ["in", "use", "by", "1", "process"], "{out}");
    assert!(out.contains("\nupdated    "), "{out}");
    let json = room.run(&["inspect", "--json", "shop"]).success();
    for field in ["\"processes_attached\":1", "\"mode\":\"0600\"", "\"labels\":[\"method\",\"page\"]", "\"alive\":true"]
    {
        assert!(json.contains(field), "{field}: {json}");
    }
    assert!(words("memory").contains(&"64.0"), "the maximum size is not shown:\n{out}");
    assert!(words("memory")[1].starts_with("[#"), "the bar is empty:\n{out}");
    assert_eq!(words("series")[1], "5");
    assert_eq!(words("hits")[1..], ["counter", "-", "method,page", "3", "0"]);
    assert_eq!(words("jobs")[1..], ["counter", "-", "-", "1", "0"]);
    assert_eq!(words("busy")[1..], ["gauge", "livesum", "-", "1", "0"]);
    let pid = std::process::id().to_string();
    let mine = out.lines().find(|line| line.split_whitespace().nth(1) == Some(&pid));
    assert!(mine.is_some_and(|line| line.contains("alive")), "this process is not shown alive:\n{out}");
}

#[test]
fn an_empty_segment_says_so() {
    let room = Room::new();
    room.segment("fresh");
    let out = room.run(&["inspect", "fresh"]).success();
    assert!(out.contains("no families") && out.contains("no processes with gauges of their own"), "{out}");
}

#[test]
fn refusals_of_a_full_segment_are_shown() {
    let room = Room::new();
    let path = room.path("small");
    let segment = shmetrics::Options::new().name(&path).max_series(10).open().expect("the segment is created");
    let hits = segment.counter("hits_total", "Hits.").labels(["page"]).register().expect("registers");
    for page in 0..50 {
        hits.with([&page.to_string()]).inc();
    }
    let out = room.run(&["inspect", "small"]).success();
    let line = out.lines().find(|line| line.starts_with("hits ")).unwrap_or_else(|| panic!("{out}"));
    let refused = line.split_whitespace().last().and_then(|n| n.parse::<u64>().ok());
    assert!(refused.is_some_and(|n| n > 0), "no refusal is shown:\n{out}");
}

#[test]
fn a_check_finds_what_is_wrong() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 1);
    let hits = segment.counter("hits_total", "Hits.").labels(["page"]).register().expect("registers");
    hits.with(["/"]).inc();
    hits.with(["/cart"]).inc();
    hits.remove(["/"]);
    assert_eq!(room.run(&["check", "shop"]).success(), "sound\n");

    let path = room.path("shop");
    let mut bytes = std::fs::read(&path).expect("the segment is read");
    let at = bytes.windows(5).position(|w| w == b"/cart").expect("the label text is there");
    bytes[at] = b'"';
    std::fs::write(room.path("damaged"), &bytes).expect("a damaged copy");
    let ran = room.run(&["check", "--json", "damaged"]);
    ran.failure(&["is damaged"]);
    assert!(ran.out.starts_with("{\"name\":\"damaged\",\"sound\":false,\"faults\":[\"family hits"), "{ran:?}");
    let ran = room.run(&["check", "damaged"]);
    ran.failure(&["is damaged", "remove it"]);
    assert!(ran.out.contains("family hits") && ran.out.contains("is not a text of its labels"), "{ran:?}");
}
