//! `measured` (Neon), its sparse families: label values are not known beforehand.

use measured::metric::histogram::Thresholds;
use measured::metric::name::MetricName;
use measured::metric::MetricFamilyEncoding;
use measured::text::BufferedTextEncoder;
use measured::{Counter, CounterVec, FloatGauge, Histogram, HistogramVec, LabelGroup};
use paracord::ParaCord;

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Digit, Set, BOUNDS, INPUT};

#[derive(Clone, Copy, PartialEq, Debug, LabelGroup)]
#[label(set = LabelsSet)]
struct Labels<'a> {
    #[label(dynamic_with = ParaCord)]
    methodname: &'a str,
    #[label(dynamic_with = ParaCord)]
    pathpathpa: &'a str,
    #[label(dynamic_with = ParaCord)]
    statuscode: &'a str,
}

#[derive(Clone, Copy, PartialEq, Debug, LabelGroup)]
#[label(set = DigitsSet)]
struct Digits {
    tens: Digit,
    ones: Digit,
}

fn labels([a, b, c]: &Set) -> Labels<'_> {
    Labels { methodname: a, pathpathpa: b, statuscode: c }
}

fn label_sets() -> LabelsSet {
    LabelsSet { methodname: ParaCord::default(), pathpathpa: ParaCord::default(), statuscode: ParaCord::default() }
}

fn work(row: Row) -> Option<Work> {
    match row {
        Row::Inc => {
            let counter = Counter::new();
            work!(|_i| counter.get_metric().inc())
        }
        Row::Lookup => {
            let family = CounterVec::with_label_set(label_sets());
            work!(|i| family.inc(labels(INPUT.set(i))))
        }
        Row::Index => {
            let family = CounterVec::<DigitsSet>::dense();
            work!(|i| {
                let [tens, ones] = INPUT.digits(i);
                family.inc(Digits { tens, ones });
            })
        }
        Row::Observe => {
            let histogram = Histogram::with_metadata(Thresholds::with_buckets(BOUNDS));
            work!(|i| histogram.get_metric().observe(INPUT.value(i)))
        }
        Row::GaugeSet => {
            let gauge = FloatGauge::new();
            work!(|i| gauge.get_metric().set(i as f64))
        }
        Row::GaugeInc => {
            let gauge = FloatGauge::new();
            work!(|_i| gauge.get_metric().inc())
        }
    }
}

struct Rival {
    counters: CounterVec<LabelsSet>,
    histograms: HistogramVec<LabelsSet, 14>,
    kind: Kind,
    encoder: BufferedTextEncoder,
}

impl Rival {
    fn encode(&mut self) -> impl AsRef<[u8]> {
        match self.kind {
            Kind::Counters => self
                .counters
                .collect_family_into(MetricName::from_str("http_requests_total"), &mut self.encoder)
                .expect("a page"),
            Kind::Histograms => self
                .histograms
                .collect_family_into(MetricName::from_str("http_request_seconds"), &mut self.encoder)
                .expect("a page"),
        }
        self.encoder.finish()
    }
}

impl Series for Rival {
    fn add(&mut self, sets: &[Set]) {
        for set in sets {
            match self.kind {
                Kind::Counters => self.counters.inc(labels(set)),
                Kind::Histograms => self.histograms.observe(labels(set), 7.5),
            }
        }
    }

    fn render(&mut self) -> usize {
        self.encode().as_ref().len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.encode().as_ref().to_vec()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    Some(Box::new(Rival {
        counters: CounterVec::with_label_set(label_sets()),
        histograms: HistogramVec::with_label_set_and_metadata(label_sets(), Thresholds::with_buckets(BOUNDS)),
        kind,
        encoder: BufferedTextEncoder::new(),
    }))
}

pub fn contestant() -> Contestant {
    Contestant { name: "measured", sharing: Sharing::Threads, note: "compares", work, series }
}
