//! What an update costs through the facade, and without it.
#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use shmetrics::Options;
use shmetrics_metrics::Recorder;

fn update(c: &mut Criterion) {
    let segment = Options::new().anonymous().open().unwrap();
    Recorder::new(segment).install().unwrap();
    let statuses = ["200", "404", "500"];
    let mut i = 0;
    let mut next = || {
        i = (i + 1) % statuses.len();
        statuses[i]
    };

    let direct = segment.counter("direct", "").labels(["method", "status"]).register().unwrap();
    let held = direct.with(["GET", "200"]);
    c.bench_function("library: counter, held", |b| b.iter(|| held.inc()));
    c.bench_function("library: counter, two labels looked up", |b| b.iter(|| direct.with(["GET", next()]).inc()));

    let held = metrics::counter!("held", "method" => "GET");
    c.bench_function("facade: counter, held", |b| b.iter(|| held.increment(1)));
    c.bench_function("facade: counter!, no labels", |b| b.iter(|| metrics::counter!("plain").increment(1)));
    c.bench_function("facade: counter!, two static labels", |b| {
        b.iter(|| metrics::counter!("static", "method" => "GET", "status" => "200").increment(1));
    });
    c.bench_function("facade: counter!, two labels, one known at run time", |b| {
        b.iter(|| metrics::counter!("dynamic", "method" => "GET", "status" => next()).increment(1));
    });
    c.bench_function("facade: counter!, two labels, one a new String", |b| {
        b.iter(|| metrics::counter!("owned", "method" => "GET", "status" => next().to_owned()).increment(1));
    });
    c.bench_function("facade: making that key alone", |b| {
        b.iter(|| {
            let labels = vec![metrics::Label::new("method", "GET"), metrics::Label::new("status", next().to_owned())];
            metrics::Key::from_parts("owned", labels).get_hash()
        });
    });
    c.bench_function("facade: gauge! (livesum)", |b| b.iter(|| metrics::gauge!("gauge").increment(1.0)));
    c.bench_function("facade: histogram!", |b| b.iter(|| metrics::histogram!("histogram").record(0.3)));
}

criterion_group!(benches, update);
criterion_main!(benches);
