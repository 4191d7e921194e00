//! `prometheus-client`, of the Prometheus project.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{text, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Set, BOUNDS, INPUT};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    methodname: String,
    pathpathpa: String,
    statuscode: String,
}

/// It takes owned strings only.
fn labels([a, b, c]: &Set) -> Labels {
    Labels { methodname: a.clone(), pathpathpa: b.clone(), statuscode: c.clone() }
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

fn work(row: Row) -> Option<Work> {
    match row {
        Row::Inc => {
            let counter: Counter = Counter::default();
            work!(|_i| counter.inc())
        }
        Row::Lookup => {
            let family = Family::<Labels, Counter>::default();
            work!(|i| family.get_or_create(&labels(INPUT.set(i))).inc())
        }
        Row::Index => None,
        Row::Observe => {
            let histogram = histogram();
            work!(|i| histogram.observe(INPUT.value(i)))
        }
        Row::GaugeSet => {
            let gauge = Gauge::<f64, AtomicU64>::default();
            work!(|i| gauge.set(i as f64))
        }
        Row::GaugeInc => {
            let gauge = Gauge::<f64, AtomicU64>::default();
            work!(|_i| gauge.inc())
        }
    }
}

struct Rival {
    registry: Registry,
    counters: Family<Labels, Counter>,
    histograms: Family<Labels, Histogram, fn() -> Histogram>,
    kind: Kind,
    page: String,
}

impl Series for Rival {
    fn add(&mut self, sets: &[Set]) {
        for set in sets {
            match self.kind {
                Kind::Counters => drop(self.counters.get_or_create(&labels(set)).inc()),
                Kind::Histograms => self.histograms.get_or_create(&labels(set)).observe(7.5),
            }
        }
    }

    fn render(&mut self) -> usize {
        self.page.clear();
        text::encode(&mut self.page, &self.registry).expect("a page");
        self.page.len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.render();
        self.page.clone().into_bytes()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    let mut rival = Rival {
        registry: Registry::default(),
        counters: Family::default(),
        histograms: Family::new_with_constructor(histogram),
        kind,
        page: String::new(),
    };
    match kind {
        Kind::Counters => rival.registry.register("http_requests", "Requests", rival.counters.clone()),
        Kind::Histograms => rival.registry.register("http_request_seconds", "Time", rival.histograms.clone()),
    }
    Some(Box::new(rival))
}

pub fn contestant() -> Contestant {
    Contestant {
        name: "prometheus-client",
        sharing: Sharing::Threads,
        note: "compares; wants owned strings",
        work,
        series,
    }
}
