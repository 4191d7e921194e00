//! What one update costs, beside the machine's own floor: `cargo bench --bench hot_path`.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use criterion::{criterion_group, criterion_main, Criterion};
use crossbeam_utils::CachePadded;
use shmetrics::{GaugeMode, Native, Options, Segment};

fn segment() -> Segment {
    Options::new().anonymous().max_size(256 << 20).open().unwrap()
}

/// Look-ups in an order that no predictor learns.
const ORDER: usize = 1 << 14;

/// Label sets of three ten-character values, as strings that arrive at run time.
fn label_sets(n: usize) -> Vec<[String; 3]> {
    (0..n).map(|i| [format!("method{i:04}"), format!("/path/{i:04}"), format!("status{i:04}")]).collect()
}

fn hot_path(c: &mut Criterion) {
    let segment = segment();
    let mut group = c.benchmark_group("floor");
    let word = CachePadded::new(AtomicU64::new(0));
    group.bench_function("lock xadd, one word", |b| b.iter(|| black_box(&word).fetch_add(1, Relaxed)));
    group.bench_function("relaxed store, one word", |b| b.iter(|| black_box(&word).store(black_box(1), Relaxed)));
    group.finish();

    let mut group = c.benchmark_group("counter");
    let counter = segment.counter("held", "").register().unwrap();
    group.bench_function("held, inc", |b| b.iter(|| black_box(&counter).inc()));
    group.bench_function("held, add 0.5", |b| b.iter(|| black_box(&counter).add(black_box(0.5))));
    let labelled = segment.counter("labelled", "").labels(["l"]).register().unwrap().with(["v"]);
    group.bench_function("held, of a label set, inc", |b| b.iter(|| black_box(&labelled).inc()));
    for n in [1, 100, 10_000] {
        let name = format!("looked_up_{n}");
        let family = segment.counter(&name, "").labels(["method", "path", "status"]).register().unwrap();
        let sets = label_sets(n);
        sets.iter().for_each(|[a, b, c]| family.with([a, b, c]).inc());
        let order: Vec<u32> = (0..ORDER).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u32 % n as u32).collect();
        let mut i = 0usize;
        group.bench_function(format!("three strings of {n} sets, inc"), |b| {
            b.iter(|| {
                i = (i + 1) & (ORDER - 1);
                let [a, b, c] = &sets[order[i] as usize];
                family.with([a, b, c]).inc();
            });
        });
        if n == 100 {
            group.bench_function("name and three strings of 100 sets in one call", |b| {
                b.iter(|| {
                    i = (i + 1) & (ORDER - 1);
                    let [a, b, c] = &sets[order[i] as usize];
                    let _ = black_box(segment.count(&name, &[("method", a), ("path", b), ("status", c)], 1.0));
                });
            });
        }
    }
    group.finish();

    let mut group = c.benchmark_group("histogram");
    let bounds: Vec<f64> = (1..15).map(f64::from).collect();
    let histogram = segment.histogram("observed", "").buckets(&bounds).register().unwrap();
    let mut i = 0u64;
    group.bench_function("observe, 15 equally likely buckets", |b| {
        b.iter(|| {
            i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            histogram.observe(((i >> 60) as f64) + 0.5);
        });
    });
    let native = segment.histogram("native", "").native(Native::factor(1.1)).register().unwrap();
    let both = segment.histogram("both", "").native(Native::factor(1.1)).buckets(&bounds).register().unwrap();
    let labelled =
        segment.histogram("labelled_native", "").native(Native::factor(1.1)).labels(["l"]).register().unwrap();
    let labelled = labelled.with(["v"]);
    for (name, native) in [("native", native), ("native and classic", both), ("native, of a label set", labelled)] {
        group.bench_function(format!("{name}, observe, the same values"), |b| {
            b.iter(|| {
                i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                native.observe(((i >> 60) as f64) + 0.5);
            });
        });
        group.bench_function(format!("{name}, observe, 80 buckets"), |b| {
            b.iter(|| {
                i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                native.observe(f64::from_bits((1013 << 52) + (i >> 2)).min(1e6));
            });
        });
    }
    let summary = segment.summary("summary", "").register().unwrap();
    let quantiles = segment.summary("quantiles", "").quantiles(&[0.5, 0.99]).register().unwrap();
    for (name, summary) in [("summary", summary), ("summary with quantiles", quantiles)] {
        group.bench_function(format!("{name}, observe"), |b| {
            b.iter(|| {
                i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                summary.observe(((i >> 60) as f64) + 0.5);
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("gauge");
    for mode in [GaugeMode::Shared, GaugeMode::LiveSum] {
        let gauge = segment.gauge(&format!("g_{mode}"), "", mode).register().unwrap();
        group.bench_function(format!("{mode}, set"), |b| b.iter(|| black_box(&gauge).set(black_box(1.0))));
        group.bench_function(format!("{mode}, inc"), |b| b.iter(|| black_box(&gauge).inc()));
    }
    group.finish();
}

fn new_label_set(c: &mut Criterion) {
    let mut group = c.benchmark_group("new label set");
    group.bench_function("made and counted", |b| {
        // The segment has room for this many.
        const MOST: u64 = 500_000;
        b.iter_custom(|n| {
            let rounds = (0..n).step_by(MOST as usize).map(|from| MOST.min(n - from));
            rounds.map(|n| new_label_sets(&self::segment(), 0..n)).sum()
        });
    });
    let full = Options::new().anonymous().max_size(64 << 20).open().unwrap();
    let mut next = 1_000_000;
    new_label_sets(&full, 0..next);
    group.bench_function("refused by a full segment, and counted as overflow", |b| {
        b.iter_custom(|n| {
            let from = next;
            next += n;
            new_label_sets(&full, from..next)
        });
    });
    group.finish();
}

fn new_label_sets(segment: &Segment, numbers: std::ops::Range<u64>) -> Duration {
    let family = segment.counter("fresh", "").labels(["n"]).register().unwrap();
    let mut buffer = itoa::Buffer::new();
    let start = Instant::now();
    numbers.for_each(|n| family.with([buffer.format(n)]).inc());
    start.elapsed()
}

criterion_group!(benches, hot_path, new_label_set);
criterion_main!(benches);
