//! Bundles: a label set has one record for the series of several metrics.

mod alone;
mod life;
mod pages;
mod registration;
mod variants;

use shmetrics::{Bundle, Counter, Gauge, GaugeMode, Histogram, Member, Segment};

/// What a host counts of its requests.
struct Http {
    bundle: Bundle<2>,
    requests: Member<Counter>,
    latency: Member<Histogram>,
    bytes: Member<Counter>,
    active: Member<Gauge>,
}

impl Http {
    fn new(segment: &Segment) -> Self {
        let mut bundle = segment.bundle(["method", "status"]);
        let requests = bundle.add(segment.counter("requests", "Requests."));
        let latency = bundle.add(segment.histogram("latency", "Latency.").buckets(&[0.5, 1.0]));
        let bytes = bundle.add(segment.counter("bytes", "Bytes."));
        let active = bundle.add(segment.gauge("active", "In progress.", GaugeMode::LiveSum));
        Http { bundle: bundle.register().unwrap(), requests, latency, bytes, active }
    }

    /// One request of so many bytes.
    fn serve(&self, labels: [&str; 2], bytes: u64) {
        let entry = self.bundle.with(labels);
        entry.get(self.active).inc();
        entry.get(self.requests).inc();
        entry.get(self.bytes).inc_by(bytes);
        entry.get(self.latency).observe(0.75);
        entry.get(self.active).dec();
    }
}

#[track_caller]
fn check(segment: &Segment) {
    assert_eq!(segment.reader().verify(), Vec::<String>::new());
}
