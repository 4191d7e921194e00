//! Tests of the API for bindings of other languages: label names known at run time, counters that
//! are taken back, one process that acts as several, and removal of unused segments.

use common::{anonymous, fork, named, page, samples, Name};
use shmetrics::{GaugeMode, Metric, Segment};

#[test]
fn label_names_known_at_run_time() {
    let segment = named("dynamic");
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
    let segment = named("dynamic-same");
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
    let segment = named("dynamic-remove");
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
fn bundles_of_both_kinds_are_the_same() {
    let segment = named("dynamic-bundle");
    let mut builder = segment.bundle(["a", "b"]);
    let (count, time) = (builder.add(segment.counter("c", "")), builder.add(segment.histogram("h", "")));
    let fixed = builder.register().unwrap();
    let dynamic = |labels: &[&str]| {
        let mut builder = segment.dynamic_bundle(labels);
        let members = (builder.add(segment.counter("c", "")), builder.add(segment.histogram("h", "")));
        (builder.register().unwrap(), members)
    };
    let (same, members) = dynamic(&["a", "b"]);
    let (turned, _) = dynamic(&["b", "a"]);
    fixed.with(["1", "2"]).get(count).inc();
    for entry in [same.with(&["1", "2"]), turned.with(&["2", "1"])] {
        entry.unwrap().get(members.0).inc();
        entry.unwrap().get(members.1).observe(1.0);
    }
    assert_eq!(fixed.with(["1", "2"]).get(time).count(), 2);
    assert_eq!(samples(&page(&segment))["c_total{a=\"1\",b=\"2\"}"], 3.0);
    assert!(same.with(&["1"]).is_none() && same.peek(&["1", "2", "3"]).is_none(), "it has two labels");
    assert!(same.peek(&["1", "2"]) == same.with(&["1", "2"]) && same.peek(&["2", "1"]).is_none());
    assert_eq!(turned.entries()[0].0, ["2", "1"]);

    let kept = same.with(&["1", "2"]).unwrap();
    assert!(!same.remove(&["1"]) && !same.remove(&[]) && turned.remove(&["2", "1"]) && !same.remove(&["1", "2"]));
    assert!(kept.is_removed() && kept.get(members.1).is_removed());
    same.with(&["1", "2"]).unwrap().get(members.0).inc();
    same.with(&["1", "3"]).unwrap();
    assert_eq!((turned.remove_matching(&[("b", "3")]).unwrap(), same.clear()), (1, 1));

    let mut plain = segment.dynamic_bundle(&[]);
    let only = (plain.add(segment.counter("p", "")), plain.add(segment.gauge("g", "", GaugeMode::Shared)));
    let plain = plain.register().unwrap();
    plain.with(&[]).unwrap().get(only.0).inc();
    assert!(!plain.remove(&[]), "what has no labels cannot be removed");
    assert_eq!(samples(&page(&segment))["p_total"], 1.0);
}

#[test]
fn options_of_dynamic_bundles() {
    let segment = named("dynamic-options");
    let mut builder = segment.dynamic_bundle(&["a"]);
    let count = builder.add(segment.counter("c", ""));
    let _ = builder.add(segment.counter("d", ""));
    let bundle = builder.max_series(1).expire_after(std::time::Duration::from_secs(100)).register().unwrap();
    for value in ["x", "y", "z"] {
        bundle.with(&[value]).unwrap().get(count).inc();
    }
    assert_eq!(samples(&page(&segment))["c_total{shmetrics_overflow=\"true\"}"], 2.0);

    let mut changed = segment.dynamic_bundle(&["b"]);
    let _ = changed.add(segment.counter("c", ""));
    let error = changed.register().unwrap_err().to_string();
    assert!(error.contains('c'), "{error}");
    assert!(changed.replace().register().is_ok());
    assert!(!page(&segment).contains("d_total"), "the old bundle is off the page as a whole");

    let elsewhere = anonymous();
    let mut mixed = segment.dynamic_bundle(&["a"]);
    let _ = mixed.add(elsewhere.counter("e", ""));
    assert!(mixed.register().unwrap_err().to_string().contains("another segment"));
    let mut limited = segment.dynamic_bundle(&["a"]);
    let _ = limited.add(segment.counter("f", "").max_series(3));
    assert!(limited.register().unwrap_err().to_string().contains("max_series"));
}

#[test]
fn a_counter_is_taken_back_down_to_0() {
    let segment = named("take-back");
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
    let segment = named("take-back-race");
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
    let segment = named("gauge-get");
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
    // A process that comes back is a new process.
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
