//! `prometheus` (tikv).

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Set, BOUNDS, INPUT, LABELS};

fn work(row: Row) -> Option<Work> {
    match row {
        Row::Inc => {
            let counter = IntCounter::new("held", "Held.").ok()?;
            work!(|_i| counter.inc())
        }
        Row::Lookup => {
            let family = IntCounterVec::new(Opts::new("http_requests_total", "Requests."), &LABELS).ok()?;
            work!(|i| {
                let [a, b, c] = INPUT.set(i);
                family.with_label_values(&[a, b, c]).inc();
            })
        }
        Row::Index => None,
        Row::Observe => {
            let options = HistogramOpts::new("observed", "Observed.").buckets(BOUNDS.to_vec());
            let histogram = Histogram::with_opts(options).ok()?;
            work!(|i| histogram.observe(INPUT.value(i)))
        }
        Row::GaugeSet => {
            let gauge = Gauge::new("gauge", "Gauge.").ok()?;
            work!(|i| gauge.set(i as f64))
        }
        Row::GaugeInc => {
            let gauge = Gauge::new("gauge", "Gauge.").ok()?;
            work!(|_i| gauge.inc())
        }
    }
}

struct Rival {
    registry: Registry,
    counters: Option<IntCounterVec>,
    histograms: Option<HistogramVec>,
    page: Vec<u8>,
}

impl Series for Rival {
    fn add(&mut self, sets: &[Set]) {
        if let Some(family) = &self.counters {
            sets.iter().for_each(|[a, b, c]| family.with_label_values(&[a, b, c]).inc());
        }
        if let Some(family) = &self.histograms {
            sets.iter().for_each(|[a, b, c]| family.with_label_values(&[a, b, c]).observe(7.5));
        }
    }

    fn render(&mut self) -> usize {
        self.page.clear();
        TextEncoder::new().encode(&self.registry.gather(), &mut self.page).expect("a page");
        self.page.len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.render();
        self.page.clone()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    let registry = Registry::new();
    let (mut counters, mut histograms) = (None, None);
    match kind {
        Kind::Counters => {
            let family = IntCounterVec::new(Opts::new("http_requests_total", "Requests."), &LABELS).ok()?;
            registry.register(Box::new(family.clone())).ok()?;
            counters = Some(family);
        }
        Kind::Histograms => {
            let options = HistogramOpts::new("http_request_seconds", "Time.").buckets(BOUNDS.to_vec());
            let family = HistogramVec::new(options, &LABELS).ok()?;
            registry.register(Box::new(family.clone())).ok()?;
            histograms = Some(family);
        }
    }
    Some(Box::new(Rival { registry, counters, histograms, page: Vec::new() }))
}

pub fn contestant() -> Contestant {
    Contestant { name: "prometheus", sharing: Sharing::Threads, note: "trusts a hash of the strings", work, series }
}
