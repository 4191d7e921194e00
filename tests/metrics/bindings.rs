//! Tests of the API for bindings of other languages: label names known at run time, counters that
//! are taken back, one process that acts as several, and removal of unused segments.

use common::{fork, page, samples, Name};
use shmetrics::{GaugeMode, Segment};

#[test]
fn label_names_known_at_run_time() {
    let name = Name::new("dynamic");
    let segment = name.open();
    for count in 0..20 {
        let names: Vec<String> = (0..count).map(|i| format!("l{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let family = format!("c{count}");
        let counters = segment.counter(&family, "").label_names(&names).register().unwrap();
        let values = vec!["a\"b"; count];
        counters.with(&values).unwrap().inc();
        counters.with(&values).unwrap().inc();
        assert!(counters.with(&vec!["x"; count + 1]).is_none(), "one value too many");
        let line = if count == 0 {
            format!("{family}_total 2\n")
        } else {
            let text: Vec<String> = names.iter().map(|n| format!("{n}=\"a\\\"b\"")).collect();
            format!("{family}_total{{{}}} 2\n", text.join(","))
        };
        assert!(page(&segment).contains(&line), "{line}");
    }
}

#[test]
fn families_of_both_kinds_are_the_same() {
    let name = Name::new("dynamic-same");
    let segment = name.open();
    let fixed = segment.histogram("h", "").labels(["a", "b"]).register().unwrap();
    let dynamic = segment.histogram("h", "").label_names(&["a", "b"]).register().unwrap();
    fixed.with(["1", "2"]).observe(1.0);
    dynamic.with(&["1", "2"]).unwrap().observe(1.0);
    assert_eq!(samples(&page(&segment))["h_count{a=\"1\",b=\"2\"}"], 2.0);
    let other = segment.histogram("h", "").label_names(&["b", "a"]).register();
    other.unwrap().with(&["2", "1"]).unwrap().observe(1.0);
    assert_eq!(samples(&page(&segment))["h_count{a=\"1\",b=\"2\"}"], 3.0, "in any order");
    assert!(segment.counter("c", "").label_names(&["a", "a"]).register().is_err());
}

#[test]
fn series_of_dynamic_families_are_removed() {
    let name = Name::new("dynamic-remove");
    let segment = name.open();
    let gauges = segment.gauge("g", "", GaugeMode::Shared).label_names(&["a"]).register().unwrap();
    let kept = gauges.with(&["x"]).unwrap();
    kept.set(1.0);
    assert!(!gauges.remove(&["x", "y"]) && !gauges.remove(&[]));
    assert!(gauges.remove(&["x"]) && !gauges.remove(&["x"]));
    kept.set(2.0);
    assert_eq!(kept.get(), 0.0, "a removed gauge has no value");
    gauges.with(&["y"]).unwrap().set(3.0);
    assert_eq!(gauges.clear(), 1);
    assert!(!page(&segment).contains("g{"));
    let single = segment.gauge("single", "", GaugeMode::Shared).label_names(&[]).register().unwrap();
    single.with(&[]).unwrap().set(4.0);
    assert!(!single.remove(&[]), "what has no labels cannot be removed");
    assert_eq!(samples(&page(&segment))["single"], 4.0);
}

#[test]
fn a_counter_is_taken_back_down_to_0() {
    let name = Name::new("take-back");
    let segment = name.open();
    let labelled = segment.counter("l", "").labels(["a"]).register().unwrap();
    for counter in [segment.counter("c", "").register().unwrap(), labelled.with(["x"])] {
        let step = |back: f64| {
            counter.saturating_sub(back);
            counter.get()
        };
        counter.add(7.0);
        counter.add(0.75);
        assert_eq!(step(2.0), 5.75, "of the integer");
        assert_eq!(step(0.5), 5.25, "of the fraction");
        assert_eq!(step(0.5), 4.75, "of both");
        assert_eq!(step(1.25), 3.5, "of both");
        for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(step(nothing), 3.5, "{nothing}");
        }
        assert_eq!(step(1e30), 0.0, "never below 0");
        counter.inc();
        assert_eq!(counter.get(), 1.0);
        counter.saturating_sub(counter.get());
        // A great number is kept in both parts.
        counter.add(1e15);
        counter.add(2f64.powi(60));
        assert_eq!(step(2f64.powi(60)), 1e15);
        assert_eq!(step(1e15), 0.0);
    }
    labelled.remove(["x"]);
}

#[test]
fn no_update_is_lost_while_another_takes_back() {
    let name = Name::new("take-back-race");
    let segment = name.open();
    let counter = segment.counter("c", "").labels(["a"]).register().unwrap().with(["x"]);
    counter.add(1e6);
    let mut child = fork(|| (0..50_000).for_each(|_| counter.saturating_sub(1.5)));
    for _ in 0..50_000 {
        counter.add(2.5);
    }
    assert_eq!(child.wait(), 0);
    assert_eq!(counter.get(), 1e6 + 50_000.0);
}

#[test]
fn a_gauge_gives_its_own_process_value() {
    let name = Name::new("gauge-get");
    let segment = name.open();
    let modes = [GaugeMode::All, GaugeMode::LiveSum, GaugeMode::Max, GaugeMode::LiveMostRecent];
    for mode in modes {
        let gauge = segment.gauge(&format!("g_{mode}"), "", mode).register().unwrap();
        assert_eq!(gauge.get(), 0.0, "{mode} before it is set");
        gauge.set(5.0);
        let mut child = fork(|| {
            assert_eq!(gauge.get(), 0.0, "{mode} in a child that has not set it");
            gauge.set(7.0);
            assert_eq!(gauge.get(), 7.0);
        });
        assert_eq!(child.wait(), 0);
        assert_eq!(gauge.get(), 5.0, "{mode}");
    }
    for mode in [GaugeMode::Shared, GaugeMode::MostRecent] {
        let gauge = segment.gauge(&format!("g_{mode}"), "", mode).labels(["a"]).register().unwrap().with(["x"]);
        gauge.set(5.0);
        assert_eq!(fork(|| gauge.set(7.0)).wait(), 0);
        assert_eq!(gauge.get(), 7.0, "{mode} has one value for all");
    }
}

#[test]
fn one_process_plays_several() {
    let name = Name::new("apart");
    let segment = name.open();
    let others =
        [name.options().separate_mapping(true).open().unwrap(), name.options().separate_mapping(true).open().unwrap()];
    let mut v = 1.0;
    for (identity, of) in [segment, others[0], others[1]].iter().enumerate() {
        of.set_identity(100 + identity as u32);
        for mode in [GaugeMode::LiveAll, GaugeMode::LiveSum, GaugeMode::Sum, GaugeMode::LiveMax] {
            of.gauge(&format!("g_{mode}"), "", mode).register().unwrap().set(v);
        }
        v *= 2.0;
    }
    let seen = |key: &str| samples(&page(&segment)).get(key).copied();
    assert_eq!(seen("g_livesum"), Some(7.0));
    assert_eq!(seen("g_liveall{pid=\"102\"}"), Some(4.0));
    others[1].detach_process();
    assert_eq!(seen("g_liveall{pid=\"102\"}"), None);
    assert_eq!((seen("g_livesum"), seen("g_livemax"), seen("g_sum")), (Some(3.0), Some(2.0), Some(7.0)));
    segment.detach_process();
    assert_eq!((seen("g_livesum"), seen("g_sum")), (Some(2.0), Some(7.0)));
    // Who comes back is a new one.
    segment.gauge("g_livesum", "", GaugeMode::LiveSum).register().unwrap().add(10.0);
    assert_eq!(seen("g_livesum"), Some(12.0));
    assert_eq!(name.open().path(), segment.path());
}

#[test]
fn a_segment_is_removed_if_nobody_uses_it() {
    let name = Name::new("remove-unused");
    assert!(!Segment::remove_if_unused(&name.0).unwrap(), "there is none");
    let mut child = fork(|| name.open().counter("c", "").register().unwrap().inc());
    assert_eq!(child.wait(), 0);
    let reader = name.reader();
    assert!(Segment::remove_if_unused(&name.0).unwrap(), "its only user is dead; readers are none");
    assert!(!reader.is_current());
    let _segment = name.open();
    assert!(!Segment::remove_if_unused(&name.0).unwrap(), "this process uses it");
    assert!(name.path().exists());
}
