//! What removing a label set means, for each kind of metric.

use common::{fork, named, named_with, own, page, samples, Gate};
use shmetrics::{Counter, Family, GaugeMode, Metric, Segment};

fn counters(segment: &Segment) -> Family<Counter, 2> {
    segment.counter("c", "").labels(["a", "b"]).register().unwrap()
}

#[test]
fn a_removed_series_is_gone_and_a_new_one_starts_from_nothing() {
    let segment = named("removal");
    let family = counters(&segment);
    let (kept, gone) = (family.with(["kept", ""]), family.with(["gone", "x\"\n"]));
    kept.inc_by(3);
    gone.add(7.5);
    assert!(!gone.is_removed());
    assert!(family.remove(["gone", "x\"\n"]));
    assert_eq!(page(&segment), "# TYPE c_total counter\nc_total{a=\"kept\",b=\"\"} 3\n");
    assert!(gone.is_removed() && !kept.is_removed());
    assert!(!family.remove(["gone", "x\"\n"]), "there is none any more");
    assert!(!family.remove(["never", "there"]));
    assert_eq!((own(&segment, "shmetrics_series"), own(&segment, "shmetrics_series_removed_total")), (1.0, 1.0));

    family.with(["gone", "x\"\n"]).inc();
    assert_eq!(samples(&page(&segment))["c_total{a=\"gone\",b=\"x\\\"\\n\"}"], 1.0);
    assert_eq!(own(&segment, "shmetrics_series"), 2.0);
    assert_eq!(segment.reader().inspect().families[0].series, 2);
}

#[test]
fn an_old_handle_counts_nowhere() {
    let segment = named("removal");
    let family = counters(&segment);
    let old = family.with(["old", ""]);
    old.inc_by(5);
    assert!(family.remove(["old", ""]));
    // The record serves another label set now, of the same length and of another.
    let new = family.with(["new", ""]);
    old.inc();
    old.inc_by(1 << 50);
    old.add(0.5);
    old.add(2.0);
    new.inc();
    assert_eq!((old.get(), new.get()), (0.0, 1.0));
    assert_eq!(samples(&page(&segment)).values().sum::<f64>(), 1.0);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 4.0);
    assert!(old.is_removed() && !new.is_removed());
}

#[test]
fn other_processes_see_it_at_once() {
    let segment = named("removal");
    let family = counters(&segment);
    let old = family.with(["x", ""]);
    let (made, removed) = (Gate::new(), Gate::new());
    let child = fork(|| {
        let mine = family.with(["x", ""]);
        mine.inc();
        made.signal();
        removed.wait();
        assert!(mine.is_removed());
        mine.inc();
        family.with(["x", ""]).inc_by(10);
    });
    made.wait();
    assert_eq!(old.get(), 1.0);
    assert!(family.remove(["x", ""]));
    removed.signal();
    child.join();
    old.inc();
    assert_eq!(samples(&page(&segment))["c_total{a=\"x\",b=\"\"}"], 10.0);
}

#[test]
fn histograms() {
    let segment = named("removal");
    let family = segment.histogram("h", "").buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
    let old = family.with(["1"]);
    (0..30).for_each(|i| old.observe(f64::from(i % 3) + 0.5));
    assert!(family.remove(["1"]));
    assert_eq!(page(&segment), "# TYPE h histogram\n");
    let new = family.with(["2"]);
    old.observe(0.5);
    new.observe(1.5);
    let shown = samples(&page(&segment));
    assert_eq!(shown["h_bucket{n=\"2\",le=\"1.0\"}"], 0.0);
    assert_eq!((shown["h_count{n=\"2\"}"], shown["h_sum{n=\"2\"}"]), (1.0, 1.5));
    assert_eq!(shown.len(), 5);
    assert_eq!(own(&segment, "shmetrics_stale_updates_total"), 1.0);
}

#[test]
fn gauges_of_every_mode() {
    use GaugeMode::{All, LiveAll, LiveMax, LiveMin, LiveMostRecent, LiveSum, Max, Min, MostRecent, Shared, Sum};
    for mode in [Shared, All, LiveAll, Sum, LiveSum, Min, LiveMin, Max, LiveMax, MostRecent, LiveMostRecent] {
        let segment = named("removal");
        let family = segment.gauge("g", "", mode).labels(["n"]).register().unwrap();
        for round in 0..200 {
            let (key, value) = (round.to_string(), f64::from(round) - 100.0);
            let gauge = family.with([&key]);
            // A dead process leaves its part behind, in this life only.
            if round % 50 == 0 {
                fork(|| family.with([&key]).set(value)).join();
            }
            gauge.set(value);
            let sample = match mode {
                All | LiveAll => format!("g{{n=\"{key}\",pid=\"{}\"}}", std::process::id()),
                _ => format!("g{{n=\"{key}\"}}"),
            };
            let shown = samples(&page(&segment));
            let expected = if mode == Sum && round % 50 == 0 { 2.0 * value } else { value };
            assert_eq!(shown.get(&sample), Some(&expected), "{mode}, round {round}: {shown:?}");
            assert!(family.remove([&key]));
            gauge.set(1e9);
            gauge.inc();
            assert!(gauge.is_removed());
            assert_eq!(page(&segment), "# TYPE g gauge\n", "{mode}, round {round}");
        }
        assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0, "{mode}");
        assert!(own(&segment, "shmetrics_segment_used_bytes") < 1e6, "{mode}: the memory is used again");
    }
}

#[test]
fn a_family_is_cleared() {
    let segment = named("removal");
    let (family, other) = (counters(&segment), segment.counter("d", "").labels(["n"]).register().unwrap());
    other.with(["1"]).inc();
    let held: Vec<Counter> = (0..500).map(|i| family.with([&i.to_string(), ""])).collect();
    held.iter().for_each(Counter::inc);
    assert_eq!(family.clear(), 500);
    assert_eq!(family.clear(), 0);
    held.iter().for_each(Counter::inc);
    assert_eq!(samples(&page(&segment)).len(), 1);
    assert_eq!(own(&segment, "shmetrics_series"), 1.0);
    (0..500).for_each(|i| family.with([&i.to_string(), "new"]).inc());
    assert!(samples(&page(&segment)).values().all(|v| *v == 1.0));
}

#[test]
fn a_limit_counts_what_is_there() {
    let segment = named("removal");
    let family = segment.counter("c", "").max_series(10).labels(["n"]).register().unwrap();
    for n in 0..100 {
        family.with([&n.to_string()]).inc();
        assert!(n < 9 || family.remove([&(n - 9).to_string()]));
    }
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 0.0);
    (0..20).for_each(|n| family.with([&format!("more {n}")]).inc());
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 19.0);
}

#[test]
fn a_full_segment_has_room_again() {
    let segment = named_with("removal", |options| options.max_size(512 << 10));
    let family = counters(&segment);
    let mut n = 0;
    while own(&segment, "shmetrics_overflow_lookups_total") == 0.0 {
        (n..n + 100).for_each(|i| family.with([&i.to_string(), ""]).inc());
        n += 100;
    }
    let before = own(&segment, "shmetrics_overflow_lookups_total");
    assert!((0..100).all(|i| family.remove([&i.to_string(), ""])));
    (0..100).for_each(|i| family.with([&format!("n{i}"), ""]).inc());
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), before, "each found a free record");
    // Longer label texts find longer records only.
    family.with(["", &"x".repeat(100)]).inc();
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), before + 1.0);
}

#[test]
fn label_texts_of_all_lengths_take_turns() {
    let segment = named("removal");
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    for round in 0..3 {
        for len in (0..400).chain([1000, 5000, 65_000]) {
            let value = format!("{round}{}", "x".repeat(len));
            family.with([&value]).inc_by(len as u64);
            assert_eq!(samples(&page(&segment)), [(format!("c_total{{n=\"{value}\"}}"), len as f64)].into());
            assert!(family.remove([&value]));
        }
    }
    let leaked = own(&segment, "shmetrics_segment_leaked_bytes");
    assert_eq!(leaked, 0.0);
}
