//! Tests of the text page: its form, its completeness, and rendering in pieces of any size.

use std::io::Read;

use common::{named, page, samples, text};
use shmetrics::{Format, GaugeMode};

#[test]
fn a_page_as_people_see_it() {
    let segment = named("golden");
    let requests =
        segment.counter("http_requests_total", "Requests \\ served.\nBy status.").labels(["method", "status"]);
    let requests = requests.register().unwrap();
    requests.with(["GET", "200"]).inc_by(3);
    requests.with(["GET", "500"]).add(1.5);
    requests.with(["P\"O\\S\nT", "é"]).inc();
    segment.gauge("temperature_celsius", "Now.", GaugeMode::Shared).unit("celsius").register().unwrap().set(-1.25);
    segment.gauge("workers", "", GaugeMode::LiveSum).register().unwrap().inc();
    let latency = segment.histogram("latency_seconds", "How long.").buckets(&[0.1, 1.0, 2.5]).labels(["path"]);
    let latency = latency.register().unwrap().with(["/"]);
    for v in [0.05, 0.1, 0.5, 9.0] {
        latency.observe(v);
    }
    segment.counter("jobs", "Done.").register().unwrap();
    let expected = r#"# HELP http_requests_total Requests \\ served.\nBy status.
# TYPE http_requests_total counter
http_requests_total{method="GET",status="200"} 3
http_requests_total{method="GET",status="500"} 1.5
http_requests_total{method="P\"O\\S\nT",status="é"} 1
# HELP temperature_celsius Now.
# TYPE temperature_celsius gauge
temperature_celsius -1.25
# TYPE workers gauge
workers 1
# HELP latency_seconds How long.
# TYPE latency_seconds histogram
latency_seconds_bucket{path="/",le="0.1"} 2
latency_seconds_bucket{path="/",le="1.0"} 3
latency_seconds_bucket{path="/",le="2.5"} 3
latency_seconds_bucket{path="/",le="+Inf"} 4
latency_seconds_sum{path="/"} 9.65
latency_seconds_count{path="/"} 4
# HELP jobs_total Done.
# TYPE jobs_total counter
jobs_total 0
"#;
    assert_eq!(page(&segment), expected);
    assert_eq!(text(&segment.reader().render(Format::Text)), expected, "a reader sees the same");
}

#[test]
fn any_pieces_make_the_same_page() {
    let segment = named("pieces");
    let family = segment.counter("c", "Some counter.").labels(["n"]).register().unwrap();
    let histogram = segment.histogram("h", "Some histogram.").labels(["n"]).register().unwrap();
    for i in 0..3000 {
        family.with([&format!("{i:05}")]).inc_by(i);
        if i % 10 == 0 {
            histogram.with([&i.to_string()]).observe(i as f64);
        }
    }
    let whole = page(&segment);
    assert_eq!(samples(&whole).len(), 3000 + 300 * 17);
    let reader = segment.reader();
    for size in [1, 7, 100, 4096, 40_000, 10_000_000] {
        let mut cursor = reader.page(Format::Text).cursor();
        let (mut pieces, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            let n = cursor.read(&mut buffer).unwrap();
            pieces.extend_from_slice(&buffer[..n]);
            if n == 0 {
                break;
            }
        }
        assert_eq!(cursor.read(&mut buffer).unwrap(), 0, "and stays complete");
        assert_eq!(text(&pieces), whole, "pieces of {size}");
    }
    let mut cursor = reader.page(Format::Text).cursor();
    let (mut filled, mut pieces) = (Vec::new(), 0);
    while cursor.fill(&mut filled) {
        pieces += 1;
    }
    assert_eq!(text(&filled), whole);
    assert!(pieces > 5, "a large page comes in pieces, not at once: {pieces}");
    let mut written = Vec::new();
    reader.page(Format::Text).render_to(&mut written).unwrap();
    assert_eq!(text(&written), whole);
    assert_eq!(text(reader.page(Format::Text).render_to_string().unwrap().as_bytes()), whole);
    assert_eq!(text(&reader.page(Format::Text).render()), whole);
    let mut read = b"before ".to_vec();
    let len = reader.page(Format::Text).cursor().read_to_end(&mut read).unwrap();
    assert_eq!((read.len(), &read[..7]), (len + 7, &b"before "[..]));
    assert_eq!(text(&read[7..]), whole);
}

#[test]
fn item_41_order_is_stable_while_series_come() {
    let segment = named("order");
    let a = segment.counter("a", "").labels(["x"]).register().unwrap();
    let b = segment.counter("b", "").labels(["x"]).register().unwrap();
    a.with(["1"]).inc();
    b.with(["1"]).inc();
    let before: Vec<String> = page(&segment).lines().map(String::from).collect();
    a.with(["0"]).inc();
    b.with(["0"]).inc();
    let after: Vec<String> = page(&segment).lines().map(String::from).filter(|l| !l.contains("x=\"0\"")).collect();
    assert_eq!(before, after, "what was there keeps its order");
    let names: Vec<&str> = after.iter().filter(|l| !l.starts_with('#')).map(|l| &l[..1]).collect();
    assert_eq!(names, ["a", "b"], "families stay together (item 40)");
}

#[test]
fn item_16_whole_numbers_beyond_2_to_53_are_exact() {
    let segment = named("exact");
    let c = segment.counter("c", "").register().unwrap();
    c.inc_by((1 << 53) + 1);
    c.inc();
    assert!(page(&segment).contains("\nc_total 9007199254740994\n"));
    c.inc_by(1 << 62);
    c.inc_by(u64::MAX);
    assert!(samples(&page(&segment))["c_total"] > 2.0f64.powi(63), "and never wraps around");

    let labelled = segment.counter("l", "").labels(["x"]).register().unwrap().with(["a"]);
    labelled.inc_by((1 << 44) - 1);
    labelled.inc_by(u64::MAX);
    assert_eq!(labelled.get(), 2.0f64.powi(64) + 2.0f64.powi(44), "what carries over may be 2^64 by itself");
}

#[test]
fn item_6_7_8_heads_are_there_without_series() {
    let segment = named("heads");
    segment.counter("empty", "Nothing yet.").labels(["x"]).register().unwrap();
    assert_eq!(page(&segment), "# HELP empty_total Nothing yet.\n# TYPE empty_total counter\n");
}
