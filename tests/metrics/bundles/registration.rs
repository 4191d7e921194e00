//! The registration of bundles, and of families that are in one.

use common::{fork, named, own, page, samples, Name};
use shmetrics::{Counter, Error, Gauge, GaugeMode, Histogram, Segment};

use super::{check, Http};

/// A bundle of counters with these names.
fn counters<'a>(segment: &Segment, names: &[&'a str]) -> shmetrics::BundleBuilder<'a, [&'a str; 1]> {
    let mut builder = segment.bundle(["n"]);
    for name in names {
        builder.add(segment.counter(name, ""));
    }
    builder
}

#[track_caller]
fn conflict<T>(result: Result<T, Error>, why: &str) {
    match result {
        Err(Error::Conflict(text)) => assert!(text.contains(why), "{text}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was registered"),
    }
}

#[test]
fn any_process_registers_the_same_bundle() {
    let name = Name::new("bundle");
    let segment = name.open();
    let http = Http::new(&segment);
    http.serve(["GET", "200"], 1);
    let again = Http::new(&segment);
    assert_eq!(again.bundle, http.bundle);
    fork(|| Http::new(&name.open()).serve(["GET", "200"], 2)).join();
    assert_eq!(samples(&page(&segment))["bytes_total{method=\"GET\",status=\"200\"}"], 3.0);
    assert_eq!(segment.reader().inspect().families.len(), 4);
    let is_member = |family: &shmetrics::FamilyInfo| family.series == 1 && family.bundle.as_deref() == Some("requests");
    assert!(segment.reader().inspect().families.iter().all(is_member));
    check(&segment);
}

#[test]
fn a_bundle_of_one_is_the_family() {
    let segment = named("bundle");
    let mut builder = segment.bundle(["n"]);
    let only = builder.add(segment.counter("a", ""));
    let bundle = builder.register().unwrap();
    let family = segment.counter("a", "").labels(["n"]).register().unwrap();
    bundle.with(["x"]).get(only).inc();
    assert_eq!(family.with(["x"]), bundle.with(["x"]).get(only));
    assert_eq!(family.with(["x"]).get(), 1.0);
    check(&segment);
}

#[test]
fn what_differs_is_told() {
    let name = Name::new("bundle");
    let segment = name.open();
    let bundle = counters(&segment, &["a", "b", "c"]).register().unwrap();
    conflict(
        counters(&segment, &["a", "b"]).register(),
        "in the bundle of [\"a\", \"b\", \"c\"], not of [\"a\", \"b\"]",
    );
    conflict(counters(&segment, &["b", "a", "c"]).register(), "not of [\"b\", \"a\", \"c\"]");
    conflict(
        counters(&segment, &["x", "b"]).register(),
        "the family b is registered otherwise: it is in the bundle of",
    );
    conflict(
        counters(&segment, &["a", "b", "c"]).max_series(0).expire_after(std::time::Duration::from_secs(9)).register(),
        "expire",
    );
    conflict(segment.gauge("b", "", GaugeMode::Shared).register(), "it is a counter");
    let mut labels = segment.bundle(["m"]);
    for name in ["a", "b", "c"] {
        labels.add(segment.counter(name, ""));
    }
    conflict(labels.register(), "labels");
    segment.counter("alone", "").labels(["n"]).register().unwrap();
    conflict(counters(&segment, &["alone", "z"]).register(), "by itself");
    conflict(counters(&segment, &["twice", "twice_total"]).register(), "both expose");
    assert_eq!(own(&segment, "shmetrics_registrations_failed_total"), 8.0);
    assert_eq!(counters(&segment, &["a", "b", "c"]).register().unwrap(), bundle);
    // Nothing of what failed is there.
    assert_eq!(segment.reader().inspect().families.len(), 4);
    let mut limited = segment.bundle(["n"]);
    limited.add(segment.counter("l", "").max_series(3));
    assert!(matches!(limited.register(), Err(Error::InvalidArgument(_))));
    assert!(matches!(segment.bundle(["n"]).register(), Err(Error::InvalidArgument(_))));
    let many: Vec<String> = (0..65).map(|n| format!("m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(counters(&segment, &many).register(), Err(Error::InvalidArgument(_))));
    counters(&segment, &many[..64]).register().unwrap().with(["x"]);
    check(&segment);
}

#[test]
fn a_member_can_be_registered_by_itself() {
    let name = Name::new("bundle");
    let segment = name.open();
    let http = Http::new(&segment);
    http.serve(["GET", "200"], 7);
    let labels = ["method", "status"];
    let requests = segment.counter("requests", "").labels(labels).register().unwrap();
    let bytes = segment.counter("bytes", "").labels(labels).register().unwrap();
    let latency = segment.histogram("latency", "").buckets(&[0.5, 1.0]).labels(labels).register().unwrap();
    let active = segment.gauge("active", "", GaugeMode::LiveSum).labels(labels).register().unwrap();
    let turned = segment.counter("bytes", "").labels(["status", "method"]).register().unwrap();
    requests.with(["GET", "200"]).inc();
    bytes.with(["GET", "200"]).inc();
    latency.with(["GET", "200"]).observe(0.2);
    active.with(["GET", "200"]).set(3.0);
    turned.with(["200", "GET"]).inc();
    // One that is made so, and updates by name.
    turned.with(["404", "PUT"]).inc_by(4);
    segment.count("bytes_total", &[("method", "PUT"), ("status", "404")], 5.0).unwrap();
    segment.count("requests_total", &[("status", "404"), ("method", "PUT")], 2.0).unwrap();
    segment.observe("latency", &[("method", "PUT"), ("status", "404")], 0.1).unwrap();
    let entry = http.bundle.with(["GET", "200"]);
    let of = |counter: shmetrics::Member<Counter>| entry.get(counter).get();
    assert_eq!((of(http.requests), of(http.bytes)), (2.0, 9.0));
    assert_eq!((entry.get(http.latency).count(), entry.get(http.active).get()), (2, 3.0));
    assert_eq!(bytes.with(["GET", "200"]), entry.get(http.bytes));
    let other = http.bundle.peek(["PUT", "404"]).unwrap();
    assert_eq!((other.get(http.bytes).get(), other.get(http.requests).get()), (9.0, 2.0));
    assert_eq!(bytes.peek(["PUT", "404"]), Some(other.get(http.bytes)));
    let mut series = bytes.series();
    series.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(
        series,
        [
            (vec!["GET".into(), "200".into()], entry.get(http.bytes)),
            (vec!["PUT".into(), "404".into()], other.get(http.bytes))
        ]
    );
    // It takes the label set from all members.
    assert!(bytes.remove(["PUT", "404"]) && http.bundle.peek(["PUT", "404"]).is_none());
    assert_eq!(turned.remove_matching(&[("status", "200")]).unwrap(), 1);
    assert_eq!(own(&segment, "shmetrics_series"), 0.0);
    check(&segment);
}

#[test]
fn labels_may_be_named_in_another_order() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    let mut builder = segment.bundle(["status", "method"]);
    builder.add(segment.counter("requests", ""));
    builder.add(segment.histogram("latency", "").buckets(&[0.5, 1.0]));
    let bytes = builder.add(segment.counter("bytes", ""));
    builder.add(segment.gauge("active", "", GaugeMode::LiveSum));
    let turned = builder.register().unwrap();
    turned.with(["200", "GET"]).get(bytes).inc_by(3);
    http.serve(["GET", "200"], 4);
    assert_eq!(turned.with(["200", "GET"]).get(bytes).get(), 7.0);
    assert_eq!(turned.entries()[0].0, ["200", "GET"]);
    assert!(turned.remove(["200", "GET"]));
    assert!(http.bundle.peek(["GET", "200"]).is_none());
}

#[test]
fn a_bundle_replaces_one_of_other_members() {
    let segment = named("bundle");
    let old = counters(&segment, &["a", "b", "c"]).register().unwrap();
    old.with(["x"]);
    let mut builder = segment.bundle(["n", "m"]);
    let d = builder.add(segment.histogram("d", "").buckets(&[1.0]));
    let b = builder.add(segment.counter("b", ""));
    conflict(builder.register(), "in the bundle of [\"a\", \"b\", \"c\"], not of [\"d\", \"b\"]");
    let new = builder.replace().register().unwrap();
    new.with(["x", "y"]).get(b).inc();
    new.with(["x", "y"]).get(d).observe(0.5);
    let shown = page(&segment);
    assert!(!shown.contains("a_total") && shown.contains("b_total{n=\"x\",m=\"y\"} 1\n"), "{shown}");
    assert_eq!(own(&segment, "shmetrics_series"), 2.0);
    check(&segment);
}

#[test]
fn a_bundle_replaces_all_that_have_its_names_and_back() {
    let name = Name::new("bundle");
    let segment = name.open();
    let alone = |name: &'static str| segment.counter(name, "").labels(["n"]).replace().register().unwrap();
    // Families by themselves, and two bundles that each have one of the names.
    let olds = ["a", "b", "c"].map(|name| alone(name).with(["x"]));
    counters(&segment, &["d", "e"]).register().unwrap().with(["x"]);
    counters(&segment, &["other", "f"]).register().unwrap().with(["x"]);
    let names = ["d", "b", "c", "a", "f"];
    conflict(counters(&segment, &names).register(), "it is in the bundle of [\"d\", \"e\"]");
    let bundle = counters(&segment, &names).replace().register().unwrap();
    assert_eq!(segment.reader().inspect().families.len(), 5);
    assert_eq!(own(&segment, "shmetrics_series"), 0.0);
    olds.iter().for_each(Counter::inc);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 3.0);
    assert_eq!(counters(&segment, &names).replace().register().unwrap(), bundle);
    segment.count("a_total", &[("n", "x")], 2.0).unwrap();
    segment.count("f_total", &[("n", "x")], 3.0).unwrap();
    let shown = samples(&page(&segment));
    assert_eq!((shown.len(), shown["a_total{n=\"x\"}"], shown["f_total{n=\"x\"}"]), (5, 2.0, 3.0));
    check(&segment);
    // One with the definition of a member is that member. Another one takes the bundle's place.
    alone("b").with(["x"]).inc();
    assert_eq!(samples(&page(&segment)).len(), 5);
    segment.counter("c", "").labels(["k"]).replace().register().unwrap().with(["y"]).inc();
    for name in ["a", "b", "d", "f"] {
        alone(name).with(["x"]).inc();
    }
    let shown = samples(&page(&segment));
    assert_eq!((shown.len(), shown.values().sum::<f64>(), shown["c_total{k=\"y\"}"]), (5, 5.0, 1.0));
    assert_eq!(segment.reader().inspect().families.len(), 5);
    check(&segment);
}

#[test]
fn a_bundle_replaces_no_family_of_a_later_revision() {
    let name = Name::new("bundle");
    let segment = name.options().revision(5).open().unwrap();
    segment.counter("a", "").labels(["n"]).register().unwrap().with(["x"]).inc();
    segment.counter("b", "").labels(["n"]).register().unwrap().with(["x"]).inc();
    fork(|| {
        let newer = name.options().revision(7).open().unwrap();
        newer.counter("b", "").labels(["n"]).register().unwrap();
    })
    .join();
    conflict(counters(&segment, &["a", "c", "b"]).replace().register(), "of b, a process of a later revision");
    assert_eq!(samples(&page(&segment)).values().sum::<f64>(), 2.0);
    check(&segment);
}

#[test]
fn records_of_a_bundle_serve_the_next_with_the_same_layout() {
    let segment = named("bundle");
    let define = |label: &'static str, replace: bool| {
        let mut builder = segment.bundle([label]);
        let a = builder.add(segment.counter("a", ""));
        let b = builder.add(segment.histogram("b", "").buckets(&[1.0]));
        if replace {
            builder.replace();
        }
        (builder.register().unwrap(), a, b)
    };
    let (old, a, b) = define("n", false);
    let handles: Vec<_> = (0..100).map(|n| old.with([&n.to_string()])).map(|e| (e.get(a), e.get(b))).collect();
    handles.iter().for_each(|(a, b)| (a.inc(), b.observe(0.5)).0);
    let (new, a, b) = define("m", true);
    let used = segment.reader().inspect().used;
    for n in 0..100 {
        let entry = new.with([&n.to_string()]);
        entry.get(a).inc_by(2);
        entry.get(b).observe(0.5);
    }
    assert_eq!(segment.reader().inspect().used, used);
    handles.iter().for_each(|(a, b)| (a.inc(), b.observe(0.5)).0);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 200.0);
    assert_eq!(samples(&page(&segment)).values().sum::<f64>(), 100.0 * (2.0 + 0.5 + 3.0));
    check(&segment);
}

#[test]
fn unregistering_a_member_takes_its_bundle() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    http.serve(["GET", "200"], 1);
    let entry = http.bundle.with(["GET", "200"]);
    assert!(segment.unregister("bytes_total").unwrap());
    assert_eq!(page(&segment), "");
    entry.get(http.requests).inc();
    http.bundle.with(["GET", "200"]).get(http.latency).observe(1.0);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 2.0);
    segment.gauge("bytes_total", "", GaugeMode::Shared).register().unwrap();
    check(&segment);
}

#[test]
fn a_member_of_another_bundle_counts_nowhere() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    let mut builder = segment.bundle(["n"]);
    let gauge = builder.add(segment.gauge("g", "", GaugeMode::Shared));
    let histogram = builder.add(segment.histogram("h", ""));
    let counter = builder.add(segment.counter("k", ""));
    let bundle = builder.register().unwrap();
    let wrong: Gauge = http.bundle.with(["GET", "200"]).get(gauge);
    wrong.set(5.0);
    let wrong: Histogram = bundle.with(["x"]).get(http.latency);
    assert_eq!(wrong, bundle.with(["x"]).get(histogram), "the second of both is a histogram");
    let wrong: Counter = bundle.with(["x"]).get(http.requests);
    wrong.inc();
    assert_eq!(bundle.with(["x"]).get(counter).get(), 0.0);
    let wrong: Histogram = http.bundle.with(["a", "b"]).get(histogram);
    wrong.observe(0.1);
    check(&segment);
}
