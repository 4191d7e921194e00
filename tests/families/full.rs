//! Limits and full segments: new label sets share the overflow series, each update is counted once, and what is there goes on.

use crate::common::{fork, own, page, samples, Child, Name};
use shmetrics::{Counter, Error, Family, Segment};

const OVERFLOW: &str = "c_total{shmetrics_overflow=\"true\"}";

fn refused(segment: &Segment) -> f64 {
    own(segment, "shmetrics_series_refused_total")
}

fn counters(segment: &Segment, name: &str, max_series: u64) -> Family<Counter, 1> {
    segment.counter(name, "").max_series(max_series).labels(["n"]).register().unwrap()
}

#[test]
fn a_familys_limit() {
    let name = Name::new("limit");
    let segment = name.open();
    let (limited, free) = (counters(&segment, "c", 10), counters(&segment, "free", 0));
    for _ in 0..2 {
        (0..25).for_each(|n| limited.with([&n.to_string()]).inc());
        (0..25).for_each(|n| free.with([&n.to_string()]).inc());
    }
    let shown = samples(&page(&segment));
    assert_eq!(shown[OVERFLOW], 30.0);
    assert!((0..10).all(|n| shown[&format!("c_total{{n=\"{n}\"}}")] == 2.0));
    assert_eq!(shown.len(), 10 + 1 + 25, "the other family is not concerned");
    assert_eq!(refused(&segment), 30.0);
    assert_eq!(own(&segment, "shmetrics_series"), 35.0);
    let families = name.reader().inspect().families;
    assert_eq!([&families[0], &families[1]].map(|f| (f.series, f.refused)), [(10, 30), (25, 0)]);
}

#[test]
fn a_familys_limit_is_exact_among_racing_processes() {
    let name = Name::new("limit");
    let segment = name.open();
    let family = counters(&segment, "c", 100);
    let crowd: Vec<Child> = (0..16)
        .map(|p| fork(|| (0..200).for_each(|n| family.with([&((n * 7 + p * 31) % 200).to_string()]).inc())))
        .collect();
    crowd.into_iter().for_each(Child::join);
    let shown = samples(&page(&segment));
    assert_eq!(shown.len(), 101);
    assert_eq!(shown.values().sum::<f64>(), 16.0 * 200.0);
    assert!(shown.iter().all(|(k, v)| k == OVERFLOW || *v == 16.0), "a label set is never counted in both");
    assert_eq!(shown[OVERFLOW], refused(&segment));
}

#[test]
fn the_segments_limit() {
    let name = Name::new("limit");
    let segment = name.options().max_series(20).open().unwrap();
    let (a, b) = (counters(&segment, "c", 0), counters(&segment, "b", 0));
    (0..15).for_each(|n| a.with([&n.to_string()]).inc());
    (0..15).for_each(|n| b.with([&n.to_string()]).inc());
    (0..15).for_each(|n| a.with([&n.to_string()]).inc());
    a.with(["new"]).inc();
    let shown = samples(&page(&segment));
    assert_eq!((shown[OVERFLOW], shown["b_total{shmetrics_overflow=\"true\"}"]), (1.0, 10.0));
    assert_eq!(shown.values().sum::<f64>(), 46.0);
    assert_eq!((own(&segment, "shmetrics_series"), refused(&segment)), (20.0, 11.0));
}

/// Segments that fill up before their index does, and after.
const CEILINGS: [u64; 2] = [512 << 10, 1016 << 10];

#[test]
fn a_segment_full_of_counters() {
    for ceiling in CEILINGS {
        let name = Name::new("full");
        let segment = name.options().ceiling(ceiling).open().unwrap();
        let family = counters(&segment, "c", 0);
        let held = family.with(["0"]);
        for _ in 0..2 {
            (0..20_000).for_each(|n| family.with([&n.to_string()]).inc());
        }
        held.inc();
        let shown = samples(&page(&segment));
        let series = own(&segment, "shmetrics_series");
        assert!(series > 1000.0 && (shown.len() as f64) == series + 1.0, "{series} series, {} samples", shown.len());
        assert_eq!(shown.values().sum::<f64>(), 40_001.0, "no update is lost or counted twice");
        assert_eq!(shown[OVERFLOW], refused(&segment), "the overflow is what was refused");
        assert_eq!(shown[OVERFLOW], 2.0 * (20_000.0 - series));
        assert!(shown.iter().all(|(k, v)| k == OVERFLOW || k == "c_total{n=\"0\"}" || *v == 2.0));
        assert_eq!(shown["c_total{n=\"0\"}"], 3.0);
        assert!(own(&segment, "shmetrics_segment_used_bytes") <= ceiling as f64);
    }
}

#[test]
fn a_segment_full_of_histograms() {
    let name = Name::new("full");
    let segment = name.options().ceiling(512 << 10).open().unwrap();
    let family = segment.histogram("h", "").buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
    (0..10_000).for_each(|n| family.with([&n.to_string()]).observe(f64::from(n % 4)));
    let shown = samples(&page(&segment));
    let total = |part: &str| shown.iter().filter(|(k, _)| k.starts_with(part)).map(|(_, v)| v).sum::<f64>();
    assert_eq!((total("h_count"), total("h_sum")), (10_000.0, 15_000.0));
    assert_eq!(shown["h_count{shmetrics_overflow=\"true\"}"], refused(&segment));
    assert!(refused(&segment) > 1000.0);
    assert_eq!(shown["h_bucket{shmetrics_overflow=\"true\",le=\"+Inf\"}"], refused(&segment));
}

#[test]
fn a_segment_full_of_families() {
    let name = Name::new("full");
    let segment = name.options().ceiling(512 << 10).open().unwrap();
    let family = |i: u32| segment.counter(&format!("family_{i}"), "One of many.").labels(["n"]).register();
    let mut count = 0;
    let error = loop {
        match family(count) {
            Ok(f) => f.with(["1"]).inc(),
            Err(e) => break e,
        }
        count += 1;
        assert!(count < 100_000);
    };
    assert!(
        matches!(&error, Error::Full(why) if why.contains(&format!("family_{count}")) && why.contains("ceiling")),
        "{error:?}"
    );
    assert!(count > 800, "{count} families");
    let refused_families = own(&segment, "shmetrics_families_refused_total");
    assert_eq!(refused_families, 1.0);
    // Those that are there are found, take label sets (all of them: the overflow series was made with the family), and go on.
    let overflowed = refused(&segment);
    for i in 0..count {
        let f = family(i).unwrap();
        f.with(["1"]).inc();
        f.with(["another"]).inc();
    }
    let shown = samples(&page(&segment));
    assert_eq!(shown.values().sum::<f64>(), f64::from(3 * count));
    let overflow: f64 = shown.iter().filter(|(k, _)| k.contains("overflow")).map(|(_, v)| v).sum();
    assert_eq!(overflow, refused(&segment));
    assert!(refused(&segment) - overflowed >= f64::from(count) - 10.0);
    assert_eq!(page(&segment).matches("# TYPE ").count(), count as usize);
}

#[test]
fn per_process_gauges_in_a_full_segment_are_rejected_and_counted() {
    let name = Name::new("full");
    let segment = name.options().ceiling(512 << 10).open().unwrap();
    let family = segment.gauge("g", "", shmetrics::GaugeMode::LiveSum).labels(["n"]).register().unwrap();
    (0..3000).for_each(|n| family.with([&n.to_string()]).inc());
    let shown: f64 = samples(&page(&segment)).values().sum();
    let rejected = own(&segment, "shmetrics_updates_rejected_total");
    assert!(rejected > 0.0 && refused(&segment) > 0.0);
    assert_eq!(shown + rejected, 3000.0, "an update without room for its cell is rejected, and never half done");
}

#[test]
fn trouble_is_told_once_and_says_what_to_do() {
    let name = Name::new("trouble");
    let segment = name.options().ceiling(512 << 10).open().unwrap();
    let (limited, family) = (counters(&segment, "limited", 2), counters(&segment, "c", 0));
    assert_eq!(segment.trouble(), None);
    (0..3).for_each(|n| limited.with([&n.to_string()]).inc());
    let told = segment.trouble().unwrap();
    assert!(told.starts_with("1 look-ups") && told.contains("the family limited has reached its limit of 2"), "{told}");
    family.with(["x"]).add(f64::NAN);
    fork(|| {
        let told = segment.trouble().unwrap();
        assert!(told.contains("1 updates were rejected"), "{told}");
    })
    .join();
    assert_eq!(segment.trouble(), None, "another process was told");

    let name = Name::new("trouble");
    let segment = name.options().ceiling(512 << 10).open().unwrap();
    let family = counters(&segment, "c", 0);
    (0..20_000).for_each(|n| family.with([&n.to_string()]).inc());
    let told = segment.trouble().unwrap();
    assert!(told.contains("ceiling of 524288 bytes; raise the ceiling"), "{told}");
}
