//! Limits and full segments: new label sets share the overflow series, each update is counted once,
//! and what is there goes on.

use common::file::Bytes;
use common::{fork, fork_many, join_all, named, named_with, own, page, samples, Gate, Name};
use shmetrics::{Counter, Error, Family, GaugeMode, Segment};

const OVERFLOW: &str = "c_total{shmetrics_overflow=\"true\"}";

fn refused(segment: &Segment) -> f64 {
    own(segment, "shmetrics_overflow_lookups_total")
}

fn counters(segment: &Segment, name: &str, max_series: u64) -> Family<Counter, 1> {
    segment.counter(name, "").max_series(max_series).labels(["n"]).register().unwrap()
}

#[test]
fn a_familys_limit() {
    let segment = named("limit");
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
    let families = segment.reader().inspect().families;
    assert_eq!([&families[0], &families[1]].map(|f| (f.series, f.overflow_lookups)), [(10, 30), (25, 0)]);
}

#[test]
fn a_familys_limit_is_exact_among_racing_processes() {
    let segment = named("limit");
    let family = counters(&segment, "c", 100);
    join_all(fork_many(16, |p| (0..200).for_each(|n| family.with([&((n * 7 + p * 31) % 200).to_string()]).inc())));
    let shown = samples(&page(&segment));
    assert_eq!(shown.len(), 101);
    assert_eq!(shown.values().sum::<f64>(), 16.0 * 200.0);
    assert!(shown.iter().all(|(k, v)| k == OVERFLOW || *v == 16.0), "a label set is never counted in both");
    assert_eq!(shown[OVERFLOW], refused(&segment));
}

#[test]
fn the_segments_limit() {
    let segment = named_with("limit", |options| options.max_series(20));
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
const SIZES: [u64; 2] = [512 << 10, 1016 << 10];

#[test]
fn a_segment_full_of_counters() {
    for max_size in SIZES {
        let segment = named_with("full", |options| options.max_size(max_size));
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
        assert!(own(&segment, "shmetrics_segment_used_bytes") <= max_size as f64);
    }
}

#[test]
fn a_segment_full_of_histograms() {
    let segment = named_with("full", |options| options.max_size(512 << 10));
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
    let segment = named_with("full", |options| options.max_size(512 << 10));
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
        matches!(&error, Error::Full(why) if why.contains(&format!("family_{count}")) && why.contains("maximum size")),
        "{error:?}"
    );
    assert!(count > 800, "{count} families");
    let failed_registrations = own(&segment, "shmetrics_registrations_failed_total");
    assert_eq!(failed_registrations, 1.0);
    // Those that are there are found, take label sets (all of them: the overflow series was made
    // with the family), and go on.
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
fn per_process_gauges_in_a_full_segment_all_count() {
    let segment = named_with("full", |options| options.max_size(512 << 10));
    let family = segment.gauge("g", "", GaugeMode::LiveSum).labels(["n"]).register().unwrap();
    (0..3000).for_each(|n| family.with([&n.to_string()]).inc());
    let shown: f64 = samples(&page(&segment)).values().sum();
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0);
    assert!(refused(&segment) > 0.0);
    assert_eq!(shown, 3000.0, "what has no series has its cell in the overflow series");
    workers(
        40,
        || (0..3000).for_each(|n| family.with([&n.to_string()]).inc()),
        || {
            let shown: f64 = samples(&page(&segment)).values().sum();
            assert_eq!(shown, 41.0 * 3000.0);
        },
    );
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0);
}

/// Runs `act` in so many processes, and `check` while all of them live.
fn workers(count: usize, act: impl Fn(), check: impl FnOnce()) {
    let (done, end) = (Gate::new(), Gate::new());
    let all = fork_many(count, |_| {
        act();
        done.signal();
        end.wait();
    });
    (0..count).for_each(|_| done.wait());
    check();
    (0..count).for_each(|_| end.signal());
    join_all(all);
}

fn fill(segment: &Segment) {
    let counters = counters(segment, "filler", 0);
    // No text leaves room behind for another.
    (0..30_000).for_each(|n| counters.with([&n.to_string()]).inc());
    assert!(refused(segment) > 1000.0);
}

/// A full segment never changes what is there, also for processes that come later; whether or not
/// others had touched it.
#[test]
fn gauges_of_new_processes_count_in_a_full_segment() {
    const MODES: [GaugeMode; 6] = [
        GaugeMode::LiveSum,
        GaugeMode::LiveAll,
        GaugeMode::Sum,
        GaugeMode::LiveMax,
        GaugeMode::All,
        GaugeMode::LiveMostRecent,
    ];
    for touched in [false, true] {
        let name = Name::new("full");
        let segment = name.options().max_size(512 << 10).open().unwrap();
        let labelled: Vec<_> =
            (0..3).map(|i| segment.gauge(&format!("l{i}"), "", MODES[i]).labels(["n"]).register().unwrap()).collect();
        let mut all: Vec<_> =
            MODES.iter().map(|m| segment.gauge(&format!("{m}"), "", *m).register().unwrap()).collect();
        let labels = ["a", "b", "c", "d"];
        all.extend(labelled.iter().flat_map(|family| labels.map(|n| family.with([n]))));
        if touched {
            all.iter().for_each(|g| g.set(1.0));
        }
        fill(&segment);
        let before = page(&segment);
        let count = 60;
        workers(
            count,
            || all.iter().for_each(|g| g.set(1.0)),
            || {
                let shown = samples(&page(&segment));
                let expected = (count + usize::from(touched)) as f64;
                let per_process =
                    |name: &str| shown.keys().filter(|k| k.starts_with(&format!("{name}{{"))).count() as f64;
                assert_eq!([shown["livesum"], shown["sum"]], [expected; 2], "touched: {touched}");
                assert_eq!([per_process("liveall"), per_process("all")], [expected; 2]);
                assert_eq!(per_process("l1"), 4.0 * expected);
                for n in labels {
                    assert_eq!([shown[&format!("l0{{n=\"{n}\"}}")], shown[&format!("l2{{n=\"{n}\"}}")]], [expected; 2]);
                }
                assert_eq!([shown["livemax"], shown["livemostrecent"]], [1.0; 2]);
            },
        );
        assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 0.0, "touched: {touched}");
        assert!(before.contains("filler_total"), "{before}");
        assert_eq!(name.reader().verify(), Vec::<String>::new());
    }
}

/// As many as the segment takes, where they are not too many series.
#[test]
fn all_processes_count_in_a_full_segment() {
    let segment = named_with("full", |options| options.max_size(1 << 20).max_processes(160));
    let gauges: Vec<_> =
        (0..8).map(|i| segment.gauge(&format!("g{i}"), "", GaugeMode::LiveSum).register().unwrap()).collect();
    fill(&segment);
    workers(
        160,
        || gauges.iter().for_each(shmetrics::Gauge::inc),
        || {
            let shown = samples(&page(&segment));
            assert!((0..8).all(|i| shown[&format!("g{i}")] == 160.0), "{shown:?}");
        },
    );
}

/// Words of the index that lead to records of other label sets: what helpers that were stopped have
/// put back. A full index of them keeps no label set out where others go, and is rid of them as
/// records are used again.
#[test]
fn stale_index_words_do_not_fill_a_segment_for_good() {
    const INDEX_AT: u64 = 96;
    const INDEX_BITS: u64 = 264;
    const INDEX_ENTRIES: u64 = 344;
    let name = Name::new("stale");
    let segment = name.options().max_size(512 << 10).open().unwrap();
    let family = counters(&segment, "c", 0);
    // So many that the index has its largest size.
    (0..3500).for_each(|n| family.with([&format!("{n:06}")]).inc());
    assert_eq!(family.clear(), 3500);
    let file = Bytes::of(name.path());
    let (index, bits) = (file.get(INDEX_AT), 13u64);
    assert_eq!(file.get(INDEX_BITS), bits << 32 | bits, "size and target");
    let links: Vec<u64> =
        (0..1u64 << bits).map(|i| file.get(index + 8 * i) & 0xffff_ffff).filter(|link| *link != 0).take(50).collect();
    // Words of some records in turn, with tags that no label set has here, at their homes.
    let mut planted = 0u64;
    for i in 0..1u64 << bits {
        let at = index + 8 * i;
        if file.get(at) == 0 && i % 8 != 0 {
            let tag = 0x5500_0000 | i;
            let link = links[i as usize % links.len()];
            file.put(at, tag << 32 | link);
            planted += 1;
        }
    }
    let full = (1u64 << bits) * 7 / 8;
    file.put(INDEX_ENTRIES, full);
    for round in 0..4 {
        let labels: Vec<String> = (0..500).map(|n| format!("{round}{n:05}")).collect();
        labels.iter().for_each(|label| family.with([label]).inc());
        assert_eq!(refused(&segment), 0.0, "of label sets that come and go, in round {round}");
        assert!(labels.iter().all(|label| family.remove([label])));
    }
    let left = file.get(INDEX_ENTRIES);
    assert!(planted > 3000 && left < full, "{left} entries, of {full}; {planted} of them planted");
    assert_eq!(name.reader().verify(), Vec::<String>::new());
}

#[test]
fn trouble_is_told_once_and_says_what_to_do() {
    let name = Name::new("trouble");
    let segment = name.options().max_size(512 << 10).open().unwrap();
    let (limited, family) = (counters(&segment, "limited", 2), counters(&segment, "c", 0));
    assert_eq!(segment.next_warning(), None);
    (0..3).for_each(|n| limited.with([&n.to_string()]).inc());
    let told = segment.next_warning().unwrap();
    assert!(told.starts_with("1 look-ups") && told.contains("the family limited has reached its limit of 2"), "{told}");
    family.with(["x"]).add(f64::NAN);
    fork(|| {
        let told = segment.next_warning().unwrap();
        assert!(told.contains("1 updates were rejected"), "{told}");
    })
    .join();
    assert_eq!(segment.next_warning(), None, "another process was told");

    let segment = named_with("trouble", |options| options.max_size(512 << 10));
    let family = counters(&segment, "c", 0);
    (0..20_000).for_each(|n| family.with([&n.to_string()]).inc());
    let told = segment.next_warning().unwrap();
    assert!(told.contains("maximum size of 524288 bytes; raise the maximum size"), "{told}");
}
