//! Tests of names in UTF-8, in every format and with every escaping.

use crate::golden::{assert_golden, with_fixed_times};
use common::{anonymous, in_pieces, named, named_with, own, Name};
use shmetrics::{Error, Escaping, Exposition, Format, GaugeMode, Options, Reader, Segment};
use Escaping::{AllowUtf8, Dots, Underscores, Values};

const FORMATS: [Format; 5] = [Format::Text, Format::Text1, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf];

/// Of each type a family whose names are not plain, and one whose are.
fn everything() -> Segment {
    let segment = Options::new().anonymous().label("k8s.pod", "shop-0").label("app", "shop").open().unwrap();
    let s = &segment;
    s.set_identity(7);
    let requests = s.counter("http.server.requests", "Served.").labels(["http.method", "path", "größe"]);
    let requests = requests.register().unwrap();
    requests.with(["GET", "/", "a"]).inc_by(3);
    requests.with(["PO\"ST", "a\\b\nc", "\""]).add_with_exemplar(2.5, &[("trace.id", "4bf9"), ("span_id", "00f0")]);
    s.counter("cpu.time_seconds_total", "CPU time.").unit("seconds").register().unwrap().add(0.5);
    s.gauge("größe", "", GaugeMode::Shared).register().unwrap().set(1.5);
    s.gauge("1st {odd} \"name\"\\", "Odd.", GaugeMode::LiveAll)
        .labels(["a b"])
        .register()
        .unwrap()
        .with(["x"])
        .set(2.0);
    let latency = s.histogram("rpc.latency", "Latency.").buckets(&[0.5]).labels(["rpc.service"]).register().unwrap();
    latency.with(["cart"]).observe(0.25);
    latency.with(["cart"]).observe_with_exemplar(1.0, &[("trace.id", "4bf9")]);
    s.summary("rpc.size", "").labels(["plain"]).register().unwrap().with(["x"]).observe(512.0);
    s.gauge_histogram("queue-age", "").buckets(&[1.0]).register().unwrap().observe(0.5);
    s.info("target.build", "").labels(["service.version"]).register().unwrap().with(["1.2"]);
    s.state_set("feature.on", "", &["a", "b"]).labels(["zone.id"]).register().unwrap().with(["z"]).set(1, true);
    s.enumeration("breaker.state", "", &["closed", "open"]).register().unwrap().set(1);
    s.unknown("im.ported", "").register().unwrap().set(1.0);
    let plain = s.counter("plain", "Plain.").labels(["x"]).max_series(1).register().unwrap();
    plain.with(["1"]).inc();
    let full = s.counter("full.up", "").labels(["x.y"]).max_series(1).register().unwrap();
    full.with(["1"]).inc();
    full.with(["2"]).inc();
    segment
}

/// A page's lines but for those of the library itself, with times that are not of this run.
fn page(segment: &Segment, exposition: impl Into<Exposition>) -> String {
    let page = String::from_utf8(segment.render(exposition)).unwrap();
    let ours = |line: &&str| !line.contains("shmetrics_") || line.contains("shmetrics_overflow=");
    with_fixed_times(page.lines().filter(ours))
}

#[test]
fn golden_pages() {
    let segment = everything();
    for (name, format, escaping) in [
        ("text-0.0.4-underscores", Format::Text, Underscores),
        ("text-0.0.4-dots", Format::Text, Dots),
        ("text-0.0.4-values", Format::Text, Values),
        ("text-1.0.0", Format::Text1, AllowUtf8),
        ("openmetrics-1.0.0-underscores", Format::OpenMetrics, Underscores),
        ("openmetrics-1.0.0-values", Format::OpenMetrics, Values),
        ("openmetrics-1.0.0", Format::OpenMetrics, AllowUtf8),
        ("openmetrics-2.0.0", Format::OpenMetrics2, AllowUtf8),
    ] {
        let found = page(&segment, Exposition::new(format).with_escaping(escaping).with_created(true));
        assert_golden(&format!("names/{name}"), &found);
    }
}

/// A name in quotes at a line's beginning, or after `{` or `,`, or in a comment.
fn has_quoted_names(page: &str) -> bool {
    let line = |line: &str| {
        line.starts_with("{\"") || ["# TYPE \"", "# HELP \"", "# UNIT \""].iter().any(|head| line.starts_with(head))
    };
    page.lines().any(line) || page.contains("\"http.method\"=") || page.contains("\"trace.id\"=")
}

#[test]
fn item_71_who_does_not_ask_for_quoted_names_never_sees_one() {
    let segment = everything();
    for accept in [
        "",
        "*/*",
        "text/plain;version=0.0.4;q=1,*/*;q=0.1",
        "text/plain;version=1.0.0",
        "text/plain;version=0.0.4;escaping=allow-utf-8",
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text;version=1.0.0;escaping=underscores",
        "application/openmetrics-text;version=1.0.0;escaping=dots",
        "application/openmetrics-text;version=2.0.0;escaping=values",
    ] {
        let page = page(&segment, Exposition::negotiate(accept));
        assert!(!has_quoted_names(&page), "{accept}: {page}");
        assert!(page.contains("requests") && page.contains("trace") == accept.contains("openmetrics"), "{page}");
    }
    let asked =
        Exposition::negotiate("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.2");
    assert!(has_quoted_names(&page(&segment, asked)));
    assert!(
        !has_quoted_names(&page(&segment, Format::OpenMetrics)) && !has_quoted_names(&page(&segment, Format::Text1))
    );
    // In protobuf the same names, without quotes.
    let has = |exposition: Exposition, name: &str| {
        segment.render(exposition).windows(name.len()).any(|w| w == name.as_bytes())
    };
    let protobuf = Exposition::new(Format::Protobuf);
    for raw in
        ["http.server.requests_total", "http.method", "größe", "k8s.pod", "trace.id", "feature.on", "rpc.service"]
    {
        assert!(has(protobuf.with_escaping(AllowUtf8), raw), "{raw}");
        assert!(!has(protobuf, raw), "{raw}");
    }
    for shown in
        ["http_server_requests_total", "http_method", "gr__e", "k8s_pod", "trace_id", "feature_on", "rpc_service"]
    {
        assert!(has(protobuf, shown), "{shown}");
    }
}

/// However it is cut, and though each series' text is made anew.
#[test]
fn pieces_of_any_size_make_the_same_page() {
    let segment = everything();
    let names = ["http.server.requests_total", "http_server_requests_total", "rpc.latency_bucket", "full.up_total"];
    for format in FORMATS {
        for escaping in [Underscores, Dots, Values, AllowUtf8] {
            let exposition = Exposition::new(format).with_escaping(escaping);
            let page = || segment.page(exposition).only(names);
            let whole = page().render();
            assert!(!whole.is_empty());
            for size in [1, 13, 4096] {
                assert_eq!(in_pieces(page().cursor(), size), whole, "{exposition:?} by {size}");
            }
        }
    }
}

#[test]
fn families_can_be_asked_for_by_both_names() {
    let segment = everything();
    let families = |exposition: Exposition, name: &str| {
        segment.page(exposition).only([name]).render_to_string().unwrap().matches("# TYPE").count()
    };
    let text = Exposition::new(Format::Text);
    for name in ["rpc.latency_bucket", "rpc.latency", "rpc_latency_bucket", "rpc_latency"] {
        assert_eq!(families(text, name), 1, "{name}");
    }
    assert_eq!(families(text.with_escaping(Values), "U__rpc_2e_latency_sum"), 1);
    assert_eq!(families(text.with_escaping(Values), "rpc_latency"), 0);
    assert_eq!(families(text.with_escaping(Dots), "http_dot_server_dot_requests__total"), 1);
    assert_eq!(families(Exposition::new(Format::OpenMetrics), "queue_age_gsum"), 1);
}

#[test]
fn item_70_what_would_become_one_is_refused_and_both_are_named() {
    let segment = named_with("utf8-collisions", |options| options.label("k8s.pod", "x"));
    let s = &segment;
    s.counter("http.requests", "").labels(["a.b"]).register().unwrap();
    s.gauge("disk-free", "", GaugeMode::Shared).register().unwrap();
    let mut refused = 0;
    let mut refuse = |result: Result<(), Error>, words: &[&str]| {
        let message = result.unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        refused += 1;
        assert_eq!(segment.reader().inspect().failed_registrations, refused);
    };
    refuse(
        s.counter("http_requests", "").register().map(drop),
        &["http_requests and", "http.requests would both expose http_requests", "underscores"],
    );
    refuse(s.counter("http-requests", "").register().map(drop), &["http-requests", "http.requests", "underscores"]);
    refuse(s.gauge("http.requests.total", "", GaugeMode::Shared).register().map(drop), &["both expose"]);
    refuse(s.gauge("disk__free", "", GaugeMode::Shared).register().map(drop), &["disk-free", "disk__free", "dots"]);
    refuse(s.gauge("U__disk_2d_free", "", GaugeMode::Shared).register().map(drop), &["disk-free", "values"]);
    refuse(s.counter("a", "").labels(["x.y", "x_y"]).register().map(drop), &["x.y", "x_y", "underscores"]);
    refuse(s.counter("a", "").labels(["x.y", "x-y"]).register().map(drop), &["x.y", "x-y"]);
    refuse(s.counter("a", "").labels(["k8s_pod"]).register().map(drop), &["k8s_pod", "k8s.pod", "whole segment"]);
    refuse(s.enumeration("a.b", "", &["x"]).labels(["a_b"]).register().map(drop), &["a.b", "a_b"]);
    refuse(s.counter("http.requests", "").labels(["a_b"]).register().map(drop), &["[\"a.b\"]", "[\"a_b\"]"]);
    // The same again is found, and what only looks alike is fine.
    s.counter("http.requests_total", "").labels(["a.b"]).register().unwrap();
    s.counter("http.request", "").labels(["a.b", "a.c"]).register().unwrap();
    for labels in [[("a.b", "1"), ("a_b", "2")], [("a", "1"), ("a", "2")]] {
        let open = labels.iter().fold(Options::new().anonymous(), |options, (n, v)| options.label(*n, *v)).open();
        assert!(matches!(open, Err(Error::InvalidName(_))));
    }
}

/// Look-up, removal and overflow by values that look like names and quotes.
#[test]
fn label_sets_of_quoted_names_are_told_apart() {
    let segment = named("utf8-sets");
    let family = segment.counter("c.c", "").labels(["a\"=\"", "b,", "\\"]).register().unwrap();
    let values = ["", "\"", "\",\"b,\"=\"", "=\"", "x", "\\\"", "\n", "a\"=\""];
    let mut n = 0;
    for a in values {
        for b in values {
            for c in values {
                n += 1;
                family.with([a, b, c]).inc_by(n);
            }
        }
    }
    let mut again = 0;
    for a in values {
        for b in values {
            for c in values {
                again += 1;
                assert_eq!(family.with([a, b, c]).get(), f64::from(again));
            }
        }
    }
    assert_eq!(segment.reader().inspect().families[0].labels, ["a\"=\"", "b,", "\\"]);
    assert_eq!(segment.reader().verify(), Vec::<String>::new());
    assert!(family.remove(["x", "\"", "\n"]) && !family.remove(["x", "\"", "\n"]));
    assert_eq!(own(&segment, "shmetrics_series"), f64::from(again - 1));
}

#[test]
fn a_second_process_finds_the_family_by_its_name() {
    let name = Name::new("utf8-peers");
    let segment = name.open();
    segment.counter("a.b", "").labels(["k.v"]).register().unwrap().with(["1"]).inc();
    let child = common::fork(|| {
        name.open().counter("a.b", "").labels(["k.v"]).register().unwrap().with(["1"]).inc();
    });
    child.join();
    let reader = name.reader();
    let text =
        |escaping| String::from_utf8(reader.render(Exposition::new(Format::Text1).with_escaping(escaping))).unwrap();
    assert!(text(AllowUtf8).contains("\n{\"a.b_total\",\"k.v\"=\"1\"} 2\n"), "{}", text(AllowUtf8));
    assert!(text(Dots).contains("\na_dot_b__total{k_dot_v=\"1\"} 2\n"), "{}", text(Dots));
}

/// Of two segments on one page, what would be called alike is shown once, and said.
#[test]
fn joined_pages() {
    let segments = [(), ()].map(|()| anonymous());
    segments[0].counter("a.b", "").labels(["k.v"]).register().unwrap().with(["1"]).inc_by(1);
    segments[1].counter("a_b", "").labels(["k_v"]).register().unwrap().with(["1"]).inc_by(2);
    for (segment, label) in segments.iter().zip(["x.y", "x-y"]) {
        segment.gauge("both.have", "", GaugeMode::Shared).labels([label]).register().unwrap().with(["1"]).set(1.0);
    }
    let [a, b] = segments.each_ref().map(Segment::reader);
    let page = |labelled, escaping| {
        let exposition = Exposition::new(Format::Text1).with_escaping(escaping);
        Reader::join(&[(&a, "a"), (&b, "b")], labelled, exposition).render_to_string().unwrap()
    };
    let users = |page: &str| page.lines().filter(|l| !l.contains("shmetrics_")).collect::<Vec<_>>().join("\n");
    let by_underscores = page(true, Underscores);
    assert_eq!(
        users(&by_underscores),
        "# TYPE a_b_total counter\na_b_total{segment=\"a\",k_v=\"1\"} 1\n# TYPE both_have gauge\n\
         both_have{segment=\"a\",x_y=\"1\"} 1\nboth_have{segment=\"b\",x_y=\"1\"} 1"
    );
    assert!(by_underscores.contains("\nshmetrics_conflicts{segment=\"b\"} 1\n"));
    let as_they_are = page(true, AllowUtf8);
    assert!(as_they_are.contains("{\"a.b_total\",segment=\"a\",\"k.v\"=\"1\"} 1\n"), "{as_they_are}");
    assert!(as_they_are.contains("a_b_total{segment=\"b\",k_v=\"1\"} 2\n"), "{as_they_are}");
    assert!(as_they_are.contains("\nshmetrics_conflicts{segment=\"b\"} 0\n"));
    let unlabelled = page(false, Underscores);
    assert!(users(&unlabelled).ends_with("# TYPE both_have gauge\nboth_have{x_y=\"1\"} 1"), "{unlabelled}");
    assert!(unlabelled.contains("\nshmetrics_conflicts{segment=\"b\"} 2\n"));
}

/// Escaped, an exemplar's labels may be too long for OpenMetrics 1.0.0: then the page has none, and
/// is right.
#[test]
fn item_65_an_exemplar_that_grows_too_long_is_left_out() {
    let segment = anonymous();
    let counter = segment.counter("a", "").register().unwrap();
    let name = "é".repeat(40);
    counter.add_with_exemplar(1.0, &[(&name, "x")]);
    let page = |escaping| page(&segment, Exposition::new(Format::OpenMetrics).with_escaping(escaping));
    assert!(page(AllowUtf8).contains(&format!("a_total 1 # {{\"{name}\"=\"x\"}} 1.0 ")));
    assert!(page(Underscores).contains(&format!("a_total 1 # {{{}=\"x\"}} 1.0 ", "_".repeat(40))));
    assert!(page(Values).contains("\na_total 1\n"), "{}", page(Values));
}
