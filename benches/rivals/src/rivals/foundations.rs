//! `foundations-metrics` (Cloudflare): counters by thread, `ThreadLocalCounter`.

use std::num::NonZeroUsize;

use foundations_metrics::{
    encode_to_text, EncodeMetric, Family, Gauge, Histogram, LowCardinalityFamily, LowCardinalityLabel, NamedMetric,
    ThreadLocalCounter,
};
use serde::Serialize;

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Digit, Set, BOUNDS, INPUT};

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Labels {
    methodname: String,
    pathpathpa: String,
    statuscode: String,
}

/// It takes owned strings only.
fn labels([a, b, c]: &Set) -> Labels {
    Labels { methodname: a.clone(), pathpathpa: b.clone(), statuscode: c.clone() }
}

#[derive(Clone, PartialEq, Serialize)]
struct Digits {
    tens: Digit,
    ones: Digit,
}

impl LowCardinalityLabel for Digits {
    const CARDINALITY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

    fn index(&self) -> usize {
        10 * self.tens as usize + self.ones as usize
    }
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

fn work(row: Row) -> Option<Work> {
    match row {
        Row::Inc => {
            let counter: ThreadLocalCounter = ThreadLocalCounter::default();
            work!(|_i| counter.inc())
        }
        Row::Lookup => {
            let family = Family::<Labels, ThreadLocalCounter>::default();
            work!(|i| family.get_or_create(&labels(INPUT.set(i))).inc())
        }
        Row::Index => {
            let family = LowCardinalityFamily::<Digits, ThreadLocalCounter>::default();
            work!(|i| {
                let [tens, ones] = INPUT.digits(i);
                family.get_or_create(&Digits { tens, ones }).inc();
            })
        }
        Row::Observe => {
            let histogram = histogram();
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
    counters: Family<Labels, ThreadLocalCounter>,
    histograms: Family<Labels, Histogram, fn() -> Histogram>,
    named: Box<dyn EncodeMetric>,
    kind: Kind,
}

impl Series for Rival {
    fn add(&mut self, sets: &[Set]) {
        for set in sets {
            match self.kind {
                Kind::Counters => self.counters.get_or_create(&labels(set)).inc(),
                Kind::Histograms => self.histograms.get_or_create(&labels(set)).observe(7.5),
            }
        }
    }

    fn render(&mut self) -> usize {
        self.page().len()
    }

    fn page(&mut self) -> Vec<u8> {
        encode_to_text(&self.named.encode()).into()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    let counters = Family::<Labels, ThreadLocalCounter>::default();
    let histograms = Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(histogram);
    let named: Box<dyn EncodeMetric> = match kind {
        Kind::Counters => Box::new(NamedMetric::new("http_requests", "Requests.", counters.clone())),
        Kind::Histograms => Box::new(NamedMetric::new("http_request_seconds", "Time.", histograms.clone())),
    };
    Some(Box::new(Rival { counters, histograms, named, kind }))
}

pub fn contestant() -> Contestant {
    Contestant {
        name: "foundations-metrics",
        sharing: Sharing::Threads,
        note: "compares; wants owned strings",
        work,
        series,
    }
}
