//! Every type in every format. `tests/golden` holds readable copies of the pages, and
//! `UPDATE_GOLDEN=1 cargo test --test pages formats` writes them anew.

use crate::golden::{assert_golden, with_fixed_times};
use common::{anonymous, in_pieces};
use shmetrics::{Escaping, Exposition, Format, GaugeMode, Native, Options, Segment};

/// A segment with every type, with labels and without, and with values that are hard to write.
fn everything() -> Segment {
    let segment = Options::new().anonymous().label("app", "shop").open().unwrap();
    let s = &segment;
    let requests = s.counter("http_requests", "Requests \"served\", by C:\\ and\nall.").labels(["method", "path"]);
    let requests = requests.register().unwrap();
    requests.with(["GET", "/"]).inc_by(9_007_199_254_740_993);
    requests.with(["PO\"ST", "a\\b\nc"]).add_with_exemplar(2.5, &[("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]);
    s.counter("cpu_seconds_total", "CPU time.").unit("seconds").register().unwrap().add(0.1);
    s.gauge("temperature", "", GaugeMode::Shared).register().unwrap().set(-40.0);
    s.gauge("load", "", GaugeMode::Shared).labels(["of"]).register().unwrap().with(["1m"]).set(f64::NAN);
    s.set_identity(7);
    s.gauge("in_progress", "", GaugeMode::LiveAll).register().unwrap().set(3.0);
    let latency = s.histogram("latency_seconds", "Latency.").unit("seconds").buckets(&[0.005, 0.5, 1e6]);
    let latency = latency.labels(["path"]).register().unwrap();
    [0.005, 0.25, 2.0].iter().for_each(|v| latency.with(["/"]).observe(*v));
    latency.with(["/"]).observe_with_exemplar(1e7, &[("trace_id", "00f067aa0ba902b7"), ("user", "O\"N")]);
    let error = s.histogram("error", "Below and above.").buckets(&[-1.0, 0.0, 1.0]).register().unwrap();
    [-2.0, 0.5].iter().for_each(|v| error.observe(*v));
    s.summary("size_bytes", "Sizes.").unit("bytes").register().unwrap().observe(512.0);
    let age = s.gauge_histogram("queue_age", "Ages of the waiting.").buckets(&[1.0, 10.0]).register().unwrap();
    [0.5, 5.0, 5.0].iter().for_each(|v| age.observe(*v));
    age.unobserve(5.0);
    let spread = s.histogram("spread", "Native.").native(Native::schema(1).zero_threshold(0.001)).labels(["of"]);
    let spread = spread.register().unwrap();
    [0.0, 0.9, 1.0, 1.1, -64.0, 1e9].iter().for_each(|v| spread.with(["a"]).observe(*v));
    spread.with(["a"]).observe_with_exemplar(1.2, &[("trace_id", "00f067aa0ba902b7")]);
    spread.with(["none"]);
    let both = s.histogram("both", "Native and classic.").native(Native::factor(2.0)).buckets(&[0.5, 3.0]);
    let both = both.register().unwrap();
    [0.25, 2.5, 3.5, 3.5].iter().for_each(|v| both.observe(*v));
    let delay = s.summary("delay_seconds", "Quantiles.").unit("seconds").quantiles(&[0.5, 1.0]).register().unwrap();
    [1.0, 2.0, 3.0].iter().for_each(|v| delay.observe(*v));
    s.info("build", "The build.").labels(["version"]).register().unwrap().with(["1.2"]);
    let features = s.state_set("features", "What is on.", &["a", "b\"c"]).labels(["zone"]).register().unwrap();
    features.with(["x"]).set(1, true);
    s.enumeration("breaker", "", &["closed", "open"]).register().unwrap().set(1);
    s.unknown("imported", "From elsewhere.").register().unwrap().set(1e100);
    s.counter("unused", "No series yet.").labels(["a"]).register().unwrap();
    segment
}

fn names() -> [&'static str; 17] {
    [
        "http_requests_total",
        "cpu_seconds_total",
        "temperature",
        "load",
        "in_progress",
        "latency_seconds",
        "error",
        "size_bytes",
        "queue_age",
        "spread",
        "both",
        "delay_seconds",
        "build_info",
        "features",
        "breaker",
        "imported",
        "unused",
    ]
}

/// The page without the library's own families, with times that are not of this run.
fn page(segment: &Segment, exposition: impl Into<Exposition>) -> String {
    with_fixed_times(segment.page(exposition).only(names()).render_to_string().unwrap().lines())
}

#[test]
fn golden_pages() {
    let segment = everything();
    let om = Exposition::new(Format::OpenMetrics);
    for (name, exposition) in [
        ("text-0.0.4", Exposition::new(Format::Text)),
        ("text-1.0.0", Exposition::new(Format::Text1)),
        ("openmetrics-1.0.0", om),
        ("openmetrics-1.0.0-created", om.with_created(true)),
        ("openmetrics-2.0.0", Exposition::new(Format::OpenMetrics2)),
    ] {
        assert_golden(name, &page(&segment, exposition));
    }
}

#[test]
fn the_own_families_are_on_every_page() {
    let segment = anonymous();
    for format in [Format::Text, Format::Text1, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf] {
        let page = segment.render(format);
        let text = String::from_utf8_lossy(&page);
        for name in ["shmetrics_series", "shmetrics_updates_rejected", "shmetrics_render_seconds"] {
            assert!(text.contains(name), "{format:?}: {text}");
        }
        let openmetrics = matches!(format, Format::OpenMetrics | Format::OpenMetrics2);
        assert_eq!(text.ends_with("\n# EOF\n"), openmetrics, "item 3, {format:?}");
    }
}

#[test]
fn a_bound_of_minus_zero_is_zero() {
    let s = anonymous();
    s.histogram("a", "").buckets(&[-0.0, 1.0]).register().unwrap().observe(0.0);
    s.histogram("a", "").buckets(&[0.0, 1.0]).register().unwrap().observe(0.0);
    let page = String::from_utf8(s.render(Format::Text)).unwrap();
    assert!(page.contains("a_bucket{le=\"0.0\"} 2\n") && !page.contains("-0"), "{page}");
}

/// However it is cut, the page is the same.
#[test]
fn pieces_of_any_size_make_the_same_page() {
    let segment = everything();
    for exposition in [
        Exposition::new(Format::OpenMetrics).with_created(true),
        Exposition::new(Format::OpenMetrics2).with_escaping(Escaping::AllowUtf8),
        Exposition::new(Format::Protobuf),
    ] {
        let page = || segment.page(exposition).only(names());
        let whole = page().render();
        for size in [1, 7, 100, 4096] {
            assert_eq!(in_pieces(page().cursor(), size), whole, "{exposition:?} by {size}");
        }
    }
}

/// A large family in protobuf is put together in bounded steps.
#[test]
fn a_large_family_in_protobuf_yields() {
    let segment = anonymous();
    let family = segment.counter("many", "").labels(["n"]).register().unwrap();
    (0..20_000).for_each(|n| family.with([&n.to_string()]).inc());
    let (mut cursor, mut out, mut calls) = (segment.page(Format::Protobuf).cursor(), Vec::new(), 0);
    while cursor.fill(&mut out) {
        calls += 1;
    }
    assert!(calls > 10, "{calls} calls for {} bytes", out.len());
}

/// What a peer of another kind counted is refused, with the reason.
#[test]
fn types_do_not_mix() {
    let s = anonymous();
    s.summary("a", "").register().unwrap();
    s.info("b", "").register().unwrap();
    s.enumeration("c", "", &["x", "y"]).register().unwrap();
    let conflict = |result: Result<(), shmetrics::Error>, words: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    conflict(s.histogram("a", "").register().map(drop), "it is a summary, not a histogram");
    conflict(s.gauge("b_info", "", GaugeMode::Shared).register().map(drop), "b_info");
    conflict(s.gauge("a_count", "", GaugeMode::Shared).register().map(drop), "a_count");
    conflict(s.enumeration("c", "", &["x", "z"]).register().map(drop), "its states are");
    conflict(s.state_set("c", "", &["x", "y"]).register().map(drop), "it is an enum, not a state set");
    conflict(s.summary("d", "").labels(["quantile"]).register().map(drop), "quantile");
    conflict(s.enumeration("e", "", &["x"]).labels(["e"]).register().map(drop), "label name");
    conflict(s.info("f_seconds", "").unit("seconds").register().map(drop), "unit");
    s.enumeration("c", "", &["x", "y"]).register().unwrap();
}

#[test]
fn labels_of_the_segment() {
    let name = common::Name::new("labels");
    let open = |app: &str| name.options().label("app", app).open();
    let segment = open("shop").unwrap();
    segment.counter("a", "").register().unwrap().inc();
    let page = String::from_utf8(segment.render(Format::Text)).unwrap();
    assert!(page.contains("a_total{app=\"shop\"} 1\n"), "{page}");
    assert!(page.contains("shmetrics_series{app=\"shop\"} 1\n"), "{page}");
    let refused = segment.counter("b", "").labels(["app"]).register().unwrap_err();
    assert!(refused.to_string().contains("a label of the whole segment"), "{refused}");
    name.open();
    let other = open("crm").unwrap_err();
    assert!(matches!(other, shmetrics::Error::Conflict(_)), "{other}");
}

/// A state set or enum in a label set that is removed and made again begins anew, and old handles
/// count nowhere.
#[test]
fn states_have_lives() {
    let s = anonymous();
    let sets = s.state_set("a", "", &["x", "y"]).labels(["n"]).register().unwrap();
    let enums = s.enumeration("b", "", &["x", "y"]).labels(["n"]).register().unwrap();
    let (old_set, old_enum) = (sets.with(["1"]), enums.with(["1"]));
    old_set.set(0, true);
    old_set.set(1, true);
    old_set.set(0, false);
    old_enum.set(1);
    assert!(!old_set.get(0) && old_set.get(1) && old_enum.get() == 1);
    assert!(sets.remove(["1"]) && enums.remove(["1"]));
    let (new_set, new_enum) = (sets.with(["2"]), enums.with(["2"]));
    old_set.set(0, true);
    old_enum.set(1);
    assert!(!new_set.get(0) && !new_set.get(1) && new_enum.get() == 0);
    new_set.set(2, true);
    new_enum.set(2);
    let page = String::from_utf8(s.render(Format::Text)).unwrap();
    assert!(page.contains("shmetrics_stale_updates_total 2\n"), "{page}");
    assert!(page.contains("shmetrics_updates_rejected_total 2\n"), "{page}");
    assert!(page.contains("a{n=\"2\",a=\"x\"} 0\na{n=\"2\",a=\"y\"} 0\n"), "{page}");
    assert!(page.contains("b{n=\"2\",b=\"x\"} 1\nb{n=\"2\",b=\"y\"} 0\n"), "{page}");
}

/// Nothing can be taken from an empty bucket.
#[test]
fn a_gauge_histogram_never_falls_below_zero() {
    let s = anonymous();
    for h in [
        s.gauge_histogram("a", "").buckets(&[1.0]).register().unwrap(),
        s.gauge_histogram("b", "").buckets(&[1.0]).labels(["x"]).register().unwrap().with(["1"]),
    ] {
        h.observe(0.5);
        h.unobserve(0.5);
        h.unobserve(0.5);
        h.unobserve(f64::NAN);
    }
    let page = String::from_utf8(s.render(Format::Text)).unwrap();
    assert!(page.contains("a_count 0\n") && page.contains("b_count{x=\"1\"} 0\n"), "{page}");
    assert!(page.contains("shmetrics_updates_rejected_total 4\n"), "{page}");
}
