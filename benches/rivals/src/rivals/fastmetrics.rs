//! `fastmetrics`.

use fastmetrics::derive::LabelSet;
use fastmetrics::format::text::{self, TextProfile};
use fastmetrics::metrics::counter::Counter;
use fastmetrics::metrics::family::Family;
use fastmetrics::metrics::gauge::Gauge;
use fastmetrics::metrics::histogram::Histogram;
use fastmetrics::registry::Registry;

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Set, BOUNDS, INPUT};

#[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
struct Labels {
    methodname: String,
    pathpathpa: String,
    statuscode: String,
}

/// It takes owned strings only.
fn labels([a, b, c]: &Set) -> Labels {
    Labels { methodname: a.clone(), pathpathpa: b.clone(), statuscode: c.clone() }
}

fn work(row: Row) -> Option<Work> {
    match row {
        Row::Inc => {
            let counter: Counter = Counter::default();
            work!(|_i| counter.inc())
        }
        Row::Lookup => {
            let family = Family::<Labels, Counter>::default();
            work!(|i| family.with_or_new(&labels(INPUT.set(i)), |counter| counter.inc()))
        }
        Row::Index => None,
        Row::Observe => {
            let histogram = Histogram::new(BOUNDS);
            work!(|i| histogram.observe(INPUT.value(i)))
        }
        Row::GaugeSet => {
            let gauge = Gauge::<f64>::default();
            work!(|i| gauge.set(i as f64))
        }
        Row::GaugeInc => {
            let gauge = Gauge::<f64>::default();
            work!(|_i| gauge.inc())
        }
    }
}

struct Rival {
    registry: Registry,
    counters: Family<Labels, Counter>,
    histograms: Family<Labels, Histogram>,
    kind: Kind,
    page: String,
}

impl Series for Rival {
    fn add(&mut self, sets: &[Set]) {
        for set in sets {
            match self.kind {
                Kind::Counters => self.counters.with_or_new(&labels(set), |counter| counter.inc()),
                Kind::Histograms => self.histograms.with_or_new(&labels(set), |histogram| histogram.observe(7.5)),
            }
        }
    }

    fn render(&mut self) -> usize {
        self.page.clear();
        text::encode(&mut self.page, &self.registry, TextProfile::default()).expect("a page");
        self.page.len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.render();
        self.page.clone().into_bytes()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    let mut registry = Registry::default();
    let counters = Family::<Labels, Counter>::default();
    let histograms = Family::<Labels, Histogram>::new(|| Histogram::new(BOUNDS));
    match kind {
        Kind::Counters => registry.register("http_requests", "Requests", counters.clone()).map(drop),
        Kind::Histograms => registry.register("http_request_seconds", "Time", histograms.clone()).map(drop),
    }
    .ok()?;
    Some(Box::new(Rival { registry, counters, histograms, kind, page: String::new() }))
}

pub fn contestant() -> Contestant {
    Contestant { name: "fastmetrics", sharing: Sharing::Threads, note: "compares; wants owned strings", work, series }
}
