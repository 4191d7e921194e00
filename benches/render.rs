//! What rendering costs a line, from 1,000 to 1,000,000 counter series: `cargo bench --bench
//! render`.
#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use shmetrics::{Format, Options, Segment};

fn counters(n: usize) -> Segment {
    let segment = Options::new().anonymous().max_size(1 << 30).open().unwrap();
    let family =
        segment.counter("http_requests_total", "Requests.").labels(["method", "path", "status"]).register().unwrap();
    for i in 0..n {
        family
            .with([&format!("method{:04}", i % 10), &format!("/p/{i:07}"), &format!("status{:04}", i % 7)])
            .inc_by(i as u64);
    }
    segment
}

fn render(c: &mut Criterion) {
    let mut group = c.benchmark_group("render");
    group.sample_size(20);
    for n in [1_000, 100_000, 1_000_000] {
        let segment = counters(n);
        let mut page = Vec::new();
        group.throughput(Throughput::Elements(n as u64));
        group.bench_with_input(BenchmarkId::new("counter lines", n), &segment, |b, segment| {
            b.iter(|| {
                page.clear();
                let mut cursor = segment.page(Format::Text).cursor();
                while cursor.fill(&mut page) {}
            });
        });
    }
    // With a name, as most are: a page tells whether the name still leads to the segment.
    let name = format!("bench-render-{}", std::process::id());
    let segment = Options::new().name(&name).open().unwrap();
    segment.counter("jobs", "Jobs.").register().unwrap().inc();
    group.throughput(Throughput::Elements(1));
    group.bench_function("one series", |b| b.iter(|| segment.render(Format::Text)));
    Segment::remove(&name).unwrap();
    let segment = counters(100_000);
    group.throughput(Throughput::Elements(100_000));
    for format in [Format::Text, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf] {
        group.bench_with_input(BenchmarkId::new("100,000 counters", format!("{format:?}")), &segment, |b, segment| {
            let mut page = Vec::new();
            b.iter(|| {
                page.clear();
                let mut cursor = segment.page(format).cursor();
                while cursor.fill(&mut page) {}
            });
        });
    }
    let segment = Options::new().anonymous().max_size(256 << 20).open().unwrap();
    let family = segment.histogram("latency_seconds", "Latency.").labels(["path"]).register().unwrap();
    for i in 0..1000 {
        family.with([&format!("/p/{i:07}")]).observe(f64::from(i) / 100.0);
    }
    let mut page = Vec::new();
    group.throughput(Throughput::Elements(17_000));
    group.bench_function("histogram lines/17000", |b| {
        b.iter(|| {
            page.clear();
            let mut cursor = segment.page(Format::Text).cursor();
            while cursor.fill(&mut page) {}
        });
    });
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
