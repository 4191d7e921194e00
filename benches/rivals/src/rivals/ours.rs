//! shmetrics, through its Rust interface.

use std::sync::OnceLock;

use shmetrics::{Counter, Family, Format, GaugeMode, Histogram, LabelSet, Options, Segment};

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work, OURS};
use crate::input::{Digit, Set, BOUNDS, INPUT, LABELS};

#[derive(LabelSet)]
struct Digits {
    tens: Digit,
    ones: Digit,
}

static SEGMENT: OnceLock<Segment> = OnceLock::new();

/// Makes the updates of this process go to a segment that other processes share. Call it before any
/// work is made.
pub fn share(name: &str) {
    let segment = Options::new().name(name).max_size(256 << 20).open().expect("a segment");
    assert!(SEGMENT.set(segment).is_ok(), "shared twice");
}

fn segment() -> &'static Segment {
    SEGMENT.get_or_init(|| anonymous(256 << 20))
}

pub fn anonymous(max_size: u64) -> Segment {
    Options::new().anonymous().max_size(max_size).open().expect("a segment")
}

pub fn counters(segment: &Segment) -> Family<Counter, 3> {
    segment.counter("http_requests_total", "Requests.").labels(LABELS).register().expect("a family")
}

fn work(row: Row) -> Option<Work> {
    let segment = segment();
    match row {
        Row::Inc => {
            let counter = segment.counter("held", "").register().expect("a family");
            work!(|_i| counter.inc())
        }
        Row::Lookup => {
            let family = counters(segment);
            work!(|i| {
                let [a, b, c] = INPUT.set(i);
                family.with([a, b, c]).inc();
            })
        }
        Row::Index => {
            let family = segment.counter("indexed", "").label_set::<Digits>().register().expect("a family");
            work!(|i| {
                let [tens, ones] = INPUT.digits(i);
                family.inc(&Digits { tens, ones });
            })
        }
        Row::Observe => {
            let histogram = segment.histogram("observed", "").buckets(&BOUNDS).register().expect("a family");
            work!(|i| histogram.observe(INPUT.value(i)))
        }
        Row::GaugeSet | Row::GaugeInc => {
            let gauge = segment.gauge("gauge", "", GaugeMode::Shared).register().expect("a family");
            match row {
                Row::GaugeSet => work!(|i| gauge.set(i as f64)),
                _ => work!(|_i| gauge.inc()),
            }
        }
    }
}

/// Series of one family in a segment of their own.
pub struct Ours {
    pub segment: Segment,
    counters: Option<Family<Counter, 3>>,
    histograms: Option<Family<Histogram, 3>>,
    page: Vec<u8>,
}

impl Ours {
    pub fn new(kind: Kind, segment: Segment) -> Ours {
        let counters = (kind == Kind::Counters).then(|| counters(&segment));
        let histograms = (kind == Kind::Histograms).then(|| {
            let family = segment.histogram("http_request_seconds", "Time.").labels(LABELS).buckets(&BOUNDS);
            family.register().expect("a family")
        });
        Ours { segment, counters, histograms, page: Vec::new() }
    }
}

impl Series for Ours {
    fn add(&mut self, sets: &[Set]) {
        if let Some(family) = &self.counters {
            sets.iter().for_each(|[a, b, c]| family.with([a, b, c]).inc());
        }
        if let Some(family) = &self.histograms {
            sets.iter().for_each(|[a, b, c]| family.with([a, b, c]).observe(7.5));
        }
    }

    fn render(&mut self) -> usize {
        self.page.clear();
        let mut cursor = self.segment.page(Format::Text).cursor();
        while cursor.fill(&mut self.page) {}
        self.page.len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.render();
        self.page.clone()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    Some(Box::new(Ours::new(kind, anonymous(4 << 30))))
}

pub fn rust() -> Contestant {
    Contestant { name: OURS, sharing: Sharing::Processes, note: "compares the strings", work, series }
}
