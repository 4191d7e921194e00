//! Label sets of a bundle come and go as a whole.

use std::time::Duration;

use common::{fork, fork_many, join_all, named, own, page, samples, until, Name};
use shmetrics::{GaugeMode, Metric};

use super::{check, Http};

#[test]
fn a_removal_takes_all_members_and_ends_all_handles() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    http.serve(["GET", "200"], 7);
    http.serve(["GET", "500"], 1);
    let entry = http.bundle.with(["GET", "500"]);
    let (requests, latency, active) = (entry.get(http.requests), entry.get(http.latency), entry.get(http.active));
    assert!(!entry.is_removed() && !latency.is_removed());
    assert!(http.bundle.remove(["GET", "500"]));
    assert!(!http.bundle.remove(["GET", "500"]), "there is none any more");
    assert!(entry.is_removed() && requests.is_removed() && latency.is_removed() && active.is_removed());
    assert!(!page(&segment).contains("500"), "{}", page(&segment));
    assert_eq!(own(&segment, "shmetrics_series"), 4.0);
    assert_eq!(own(&segment, "shmetrics_series_removed_total"), 4.0);

    // Its record serves another label set.
    let used = segment.reader().inspect().used;
    http.serve(["PUT", "404"], 9);
    assert_eq!(segment.reader().inspect().used, used);
    requests.inc();
    latency.observe(0.1);
    active.set(5.0);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 3.0);
    let now = samples(&page(&segment));
    for (sample, value) in [("requests_total", 1.0), ("bytes_total", 9.0), ("latency_count", 1.0), ("active", 0.0)] {
        assert_eq!(now[&format!("{sample}{{method=\"PUT\",status=\"404\"}}")], value);
    }
    assert!(http.bundle.peek(["GET", "500"]).is_none() && http.bundle.peek(["PUT", "404"]).is_some());
    assert_eq!(http.bundle.remove_matching(&[("method", "PUT")]).unwrap(), 1);
    assert_eq!(http.bundle.entries().len(), 1);
    assert_eq!(http.bundle.entries()[0].0, ["GET", "200"]);
    assert_eq!(http.bundle.clear(), 1);
    assert_eq!(own(&segment, "shmetrics_series"), 0.0);
    check(&segment);
}

#[test]
fn generations_of_a_record_keep_nothing_of_each_other() {
    let segment = named("bundle");
    let http = Http::new(&segment);
    let mut old = Vec::new();
    for round in 0..200_u64 {
        let value = (round % 7).to_string();
        let entry = http.bundle.with([&value, ""]);
        http.serve([&value, ""], round);
        old.push((entry.get(http.bytes), entry.get(http.latency)));
        let now = samples(&page(&segment));
        assert_eq!(now[&format!("bytes_total{{method=\"{value}\",status=\"\"}}")], round as f64);
        assert_eq!(now[&format!("latency_count{{method=\"{value}\",status=\"\"}}")], 1.0);
        assert!(http.bundle.remove([&value, ""]));
        for (bytes, latency) in &old {
            bytes.inc();
            latency.observe(1.0);
        }
    }
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), (1..=200).map(|n| 2.0 * f64::from(n)).sum::<f64>());
    check(&segment);
}

#[test]
fn label_sets_beyond_the_limit_share_series_of_overflow() {
    let segment = named("bundle");
    let mut builder = segment.bundle(["n"]);
    let a = builder.add(segment.counter("a", ""));
    let b = builder.add(segment.histogram("b", "").buckets(&[1.0]));
    let c = builder.add(segment.counter("c", ""));
    let bundle = builder.max_series(2).register().unwrap();
    for n in 0..5 {
        let entry = bundle.with([&n.to_string()]);
        entry.get(a).inc();
        entry.get(b).observe(0.5);
        entry.get(c).inc_by(2);
    }
    let now = samples(&page(&segment));
    assert_eq!(now["a_total{shmetrics_overflow=\"true\"}"], 3.0);
    assert_eq!(now["b_count{shmetrics_overflow=\"true\"}"], 3.0);
    assert_eq!(now["c_total{shmetrics_overflow=\"true\"}"], 6.0);
    assert_eq!(now["c_total{n=\"1\"}"], 2.0);
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 3.0);
    check(&segment);
}

#[test]
fn a_label_set_is_made_if_the_series_of_all_members_fit() {
    let name = Name::new("bundle");
    let segment = name.options().max_series(10).open().unwrap();
    let mut builder = segment.bundle(["n"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| builder.add(segment.counter(name, "")));
    let bundle = builder.register().unwrap();
    let serve = |n: &str| [a, b, c].map(|member| bundle.with([n]).get(member).inc());
    (0..5).for_each(|n| _ = serve(&n.to_string()));
    assert_eq!(own(&segment, "shmetrics_series"), 9.0);
    let told = segment.next_warning().unwrap();
    assert!(told.contains("the segment's limit of 10 series is reached"), "{told}");
    // One series by itself has room.
    let single = segment.counter("single", "").labels(["n"]).register().unwrap();
    single.with(["first"]).inc();
    single.with(["second"]).inc();
    let now = samples(&page(&segment));
    assert_eq!([now["single_total{n=\"first\"}"], now["single_total{shmetrics_overflow=\"true\"}"]], [1.0; 2]);
    assert_eq!(now["c_total{shmetrics_overflow=\"true\"}"], 2.0);
    assert_eq!(own(&segment, "shmetrics_series"), 10.0);
    // What a removal gives back is enough for another.
    assert!(bundle.remove(["0"]));
    serve("later");
    assert_eq!(samples(&page(&segment))["c_total{n=\"later\"}"], 1.0);
    check(&segment);
}

#[test]
fn a_bundle_without_labels_has_one_series_of_each() {
    let segment = named("bundle");
    let mut builder = segment.bundle([]);
    let a = builder.add(segment.counter("a", ""));
    let b = builder.add(segment.gauge("b", "", GaugeMode::Shared));
    let c = builder.add(segment.histogram("c", "").buckets(&[1.0]));
    let d = builder.add(segment.counter("d", ""));
    let entry = builder.register().unwrap().with([]);
    let hot = 20_000;
    for _ in 0..hot {
        entry.get(a).inc();
        entry.get(b).add(0.5);
        entry.get(c).observe(0.5);
        entry.get(d).inc_by(3);
    }
    let now = samples(&page(&segment));
    let seen = ["a_total", "b", "c_count", "d_total"].map(|sample| now[sample]);
    assert_eq!(seen, [1.0, 0.5, 1.0, 3.0].map(|n| n * f64::from(hot)));
    assert_eq!(own(&segment, "shmetrics_series"), 4.0);
    check(&segment);
    assert!(segment.unregister("c").unwrap());
    entry.get(a).inc();
    entry.get(b).set(1.0);
    entry.get(c).observe(1.0);
    entry.get(d).inc();
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 4.0);
    assert_eq!((page(&segment), own(&segment, "shmetrics_series")), (String::new(), 0.0));
    check(&segment);
}

#[test]
fn an_update_of_any_member_keeps_the_label_set() {
    let segment = named("bundle");
    let mut builder = segment.bundle(["n"]);
    let a = builder.add(segment.counter("a", ""));
    let b = builder.add(segment.gauge("b", "", GaugeMode::LiveSum));
    let c = builder.add(segment.histogram("c", "").buckets(&[1.0]));
    let bundle = builder.expire_after(Duration::from_secs(1)).register().unwrap();
    let (idle, busy) = (bundle.with(["idle"]), bundle.with(["busy"]));
    idle.get(a).inc_by(3);
    let sets = || samples(&page(&segment)).keys().filter(|sample| sample.starts_with("a_total")).count();
    assert_eq!(sets(), 2);
    let turn = std::cell::Cell::new(0);
    until("the idle label set is gone", || {
        turn.set(turn.get() + 1);
        match turn.get() % 2 {
            0 => busy.get(b).inc(),
            _ => busy.get(c).observe(0.5),
        }
        sets() == 1
    });
    assert!(!page(&segment).contains("idle"));
    // In another process, a look-up brings all members back.
    fork(|| bundle.with(["idle"]).get(c).observe(0.5)).join();
    let now = samples(&page(&segment));
    assert_eq!((now["a_total{n=\"idle\"}"], now["c_count{n=\"idle\"}"]), (3.0, 1.0));
    until("both are removed", || {
        segment.expire();
        own(&segment, "shmetrics_series_removed_total") == 6.0
    });
    assert!(idle.is_removed() && busy.get(b).is_removed());
    check(&segment);
}

#[test]
fn processes_share_the_label_sets() {
    let name = Name::new("bundle");
    let segment = name.open();
    let http = Http::new(&segment);
    let children = fork_many(4, |_| {
        let http = Http::new(&name.open());
        for n in 0..5_000_u64 {
            http.serve([&(n % 50).to_string(), "200"], 2);
        }
    });
    for n in 0..5_000_u64 {
        http.serve([&(n % 50).to_string(), "200"], 2);
    }
    join_all(children);
    let now = samples(&page(&segment));
    for n in 0..50 {
        let labels = format!("{{method=\"{n}\",status=\"200\"}}");
        let of = |sample: &str| now[&format!("{sample}{labels}")];
        assert_eq!(["requests_total", "bytes_total", "latency_count", "active"].map(of), [500.0, 1000.0, 500.0, 0.0]);
    }
    check(&segment);
}
