//! Pages while families are redefined: each name once, always, and other families as they are.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use common::{fork, fork_many, named, own, page, samples, Name};
use shmetrics::{Format, GaugeMode, Segment};

const DEFINITIONS: usize = 5;

/// The i-th definition of the family, updated once.
fn define(segment: &Segment, i: usize) {
    match i % DEFINITIONS {
        0 => segment.counter("m", "").labels(["a"]).replace().register().unwrap().with(["1"]).inc(),
        1 => segment.counter("m", "").labels(["a", "b"]).replace().register().unwrap().with(["1", "2"]).inc(),
        2 => segment.gauge("m", "", GaugeMode::Shared).replace().register().unwrap().set(1.0),
        3 => segment
            .histogram("m", "")
            .buckets(&[1.0])
            .labels(["a"])
            .replace()
            .register()
            .unwrap()
            .with(["1"])
            .observe(0.5),
        _ => segment.histogram("m", "Other.").buckets(&[1.0, 2.0]).replace().register().unwrap().observe(0.5),
    }
}

/// Asserts that a page has one family `m`, and the others.
fn look(text: &str, last: &mut f64) {
    let heads: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE m")).collect();
    assert_eq!(heads.len(), 1, "{text}");
    let samples = samples(text);
    assert!(samples["steady_total"] >= *last, "{text}");
    *last = samples["steady_total"];
    assert_eq!(samples["before"], 7.0);
    assert_eq!(samples["after"], 8.0);
}

#[test]
fn no_page_has_a_name_twice_and_none_misses_it() {
    let segment = named("redefine");
    segment.gauge("before", "", GaugeMode::Shared).register().unwrap().set(7.0);
    define(&segment, 0);
    segment.gauge("after", "", GaugeMode::Shared).register().unwrap().set(8.0);
    let steady = segment.counter("steady", "").register().unwrap();
    let stop = AtomicBool::new(false);
    let pages = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0.0;
            while !stop.load(Relaxed) {
                look(&page(&segment), &mut last);
                // Page by page in small pieces, so that much happens in between.
                let reader = segment.reader();
                let (mut cursor, mut whole, mut piece) = (reader.page(Format::Text).cursor(), Vec::new(), [0; 64]);
                loop {
                    match cursor.read(&mut piece).unwrap() {
                        0 => break,
                        n => whole.extend_from_slice(&piece[..n]),
                    }
                    std::thread::yield_now();
                }
                look(&common::text(&whole), &mut last);
                pages.fetch_add(2, Relaxed);
            }
        });
        let worker = scope.spawn(|| {
            while !stop.load(Relaxed) {
                steady.inc();
            }
        });
        let enough = |i: usize| i >= 400 && pages.load(Relaxed) >= 10 || reader.is_finished();
        (1..u32::MAX as usize).take_while(|i| !enough(*i)).for_each(|i| define(&segment, i));
        stop.store(true, Relaxed);
        worker.join().unwrap();
        reader.join().unwrap();
    });
    assert_eq!(segment.reader().verify(), Vec::<String>::new());
    assert_eq!(own(&segment, "shmetrics_corrupt_records"), 0.0);
}

#[test]
fn workers_of_two_revisions_count_side_by_side() {
    let name = Name::new("redefine");
    let old = name.open();
    let steady = old.counter("steady", "").labels(["worker"]).register().unwrap();
    let before = old.counter("m", "").labels(["a"]).register().unwrap();
    let work = |i: usize, steady: shmetrics::Counter, update: &dyn Fn(&str)| {
        for n in 0..20_000 {
            steady.inc();
            update(&format!("{}", (n + i) % 50));
        }
    };
    let workers = fork_many(3, |i| work(i, steady.with([&i.to_string()]), &|value| before.with([value]).inc()));
    let new = name.options().separate_mapping(true).open().unwrap();
    let family = new.counter("m", "").labels(["a", "b"]).replace().register().unwrap();
    let more: Vec<_> = (3..6)
        .map(|i| fork(|| work(i, steady.with([&i.to_string()]), &|value| family.with([value, "x"]).inc())))
        .collect();
    for mut worker in workers.into_iter().chain(more) {
        assert_eq!(worker.wait(), 0);
    }
    let samples = samples(&page(&new));
    let sum = |of: &str| samples.iter().filter(|(k, _)| k.starts_with(of)).map(|(_, v)| v).sum::<f64>();
    assert_eq!(sum("steady_total"), 120_000.0);
    assert_eq!(sum("m_total"), 60_000.0, "the new revision's, and nothing of the old one's");
    assert_eq!(samples.keys().filter(|k| k.starts_with("m_total")).count(), 50);
    assert!(own(&new, "shmetrics_stale_updates_total") <= 60_000.0);
    assert_eq!(own(&new, "shmetrics_series"), 56.0);
    assert_eq!(name.reader().verify(), Vec::<String>::new());
}
