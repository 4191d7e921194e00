//! Registration is idempotent: by any process, at any time, any number of times.

use common::{alarm, fork_many, join_all, named, own, page, samples, Gate, Random};
use shmetrics::{GaugeMode, Kind, Segment};

#[test]
fn registering_again_is_finding() {
    let segment = named("again");
    let used = |s: &Segment| own(s, "shmetrics_segment_used_bytes");
    let register = || {
        segment.counter("c_total", "").register().unwrap().inc();
        segment.counter("c", "").register().unwrap().inc();
        let g = segment.gauge("g_seconds", "", GaugeMode::Max).unit("seconds").labels(["a", "b"]).register().unwrap();
        g.with(["1", "2"]).set(1.0);
        segment.histogram("h", "").buckets(&[1.0, 2.0]).labels(["a"]).register().unwrap().with(["1"]).observe(1.5);
        segment.histogram("h", "").buckets(&[1.0, 2.0, f64::INFINITY]).labels(["a"]).register().unwrap();
    };
    register();
    let (after_one, series) = (used(&segment), own(&segment, "shmetrics_series"));
    (0..100).for_each(|_| register());
    assert_eq!((used(&segment), own(&segment, "shmetrics_series")), (after_one, series));
    let s = samples(&page(&segment));
    assert_eq!((s["c_total"], s["h_count{a=\"1\"}"]), (202.0, 101.0));
    assert_eq!(own(&segment, "shmetrics_registrations_failed_total"), 0.0);
}

#[test]
fn the_first_help_stays() {
    let segment = named("help");
    for help in ["The first.", "The second.", ""] {
        segment.counter("c", help).register().unwrap();
        segment.counter("bare", if help.is_empty() { "Too late." } else { "" }).register().unwrap();
    }
    assert_eq!(
        page(&segment),
        "# HELP c_total The first.\n# TYPE c_total counter\nc_total 0\n# TYPE bare_total counter\nbare_total 0\n"
    );
}

#[test]
fn many_processes_register_the_same_families_at_once() {
    const PROCESSES: usize = 32;
    const FAMILIES: usize = 120;
    for round in 0..5 {
        let segment = named("crowd");
        let go = Gate::new();
        let crowd = fork_many(PROCESSES, |p| {
            alarm(120);
            go.wait();
            let mut order: Vec<usize> = (0..FAMILIES).collect();
            let mut random = Random((round * PROCESSES + p) as u64);
            (1..FAMILIES).rev().for_each(|i| order.swap(i, random.below(i as u64 + 1) as usize));
            for i in order {
                let (family, help) = (format!("family_{i}"), format!("As process {p} has it."));
                match i % 3 {
                    0 => segment.counter(&family, &help).register().unwrap().inc(),
                    1 => segment.histogram(&family, &help).labels(["l"]).register().unwrap().with(["v"]).observe(1.0),
                    _ => segment.gauge(&family, &help, GaugeMode::Sum).register().unwrap().inc(),
                }
            }
        });
        crowd.iter().for_each(|_| go.signal());
        join_all(crowd);
        let page = page(&segment);
        let s = samples(&page);
        for i in 0..FAMILIES {
            let (sample, of) = match i % 3 {
                0 => (format!("family_{i}_total"), format!("family_{i}_total")),
                1 => (format!("family_{i}_count{{l=\"v\"}}"), format!("family_{i}")),
                _ => (format!("family_{i}"), format!("family_{i}")),
            };
            assert_eq!(s[&sample], PROCESSES as f64, "{sample}");
            for line in ["HELP", "TYPE"] {
                assert_eq!(page.matches(&format!("# {line} {of} ")).count(), 1, "{line} of {of}");
            }
        }
        assert_eq!(page.matches("# HELP ").count(), FAMILIES);
        assert_eq!(own(&segment, "shmetrics_series"), FAMILIES as f64);
        assert_eq!(own(&segment, "shmetrics_registrations_failed_total"), 0.0);
        assert_eq!(segment.reader().inspect().families.len(), FAMILIES);
    }
}

#[test]
fn of_racing_definitions_one_wins_and_the_others_are_told() {
    for round in 0..50 {
        let segment = named("duel");
        let (go, won) = (Gate::new(), common::Shared::new(2));
        let duel = fork_many(8, |p| {
            alarm(60);
            go.wait();
            let done = if p % 2 == 0 {
                segment.counter("x", "").register().map(|c| c.inc())
            } else {
                segment.gauge("x_total", "", GaugeMode::Shared).register().map(|g| g.inc())
            };
            match done {
                Ok(()) => won.add(p % 2, 1),
                Err(e) => assert!(matches!(e, shmetrics::Error::Conflict(_)), "{e:?}"),
            }
        });
        duel.iter().for_each(|_| go.signal());
        join_all(duel);
        // Both expose x_total: one kind is there, with all its processes.
        assert_eq!((won.get(0).max(won.get(1)), won.get(0).min(won.get(1))), (4, 0), "round {round}");
        assert_eq!(samples(&page(&segment))["x_total"], 4.0);
        assert_eq!(own(&segment, "shmetrics_registrations_failed_total"), 4.0);
    }
}

#[test]
fn what_was_registered_can_be_inspected() {
    let segment = named("inspect");
    let builder = segment.histogram("h_seconds", "How long.").unit("seconds").buckets(&[0.5, 1e6]).max_series(7);
    let h = builder.labels(["a", "b"]).register().unwrap();
    h.with(["1", "2"]).observe(0.1);
    h.with(["1", "3"]).observe(0.1);
    segment.gauge("g", "", GaugeMode::LiveMax).register().unwrap();
    let families = segment.reader().inspect().families;
    let (h, g) = (&families[0], &families[1]);
    assert_eq!((h.name.as_str(), h.kind, h.mode, h.help.as_str()), ("h_seconds", Kind::Histogram, None, "How long."));
    assert_eq!((h.unit.as_str(), h.series, h.max_series, h.overflow_lookups), ("seconds", 2, 7, 0));
    assert_eq!((&h.labels[..], &h.buckets[..]), (&["a".into(), "b".into()][..], &["0.5".into(), "1e+06".into()][..]));
    assert_eq!((g.name.as_str(), g.kind, g.mode, g.series), ("g", Kind::Gauge, Some(GaugeMode::LiveMax), 1));
}
