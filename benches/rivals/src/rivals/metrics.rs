//! The `metrics` facade with `metrics-exporter-prometheus`.

use std::sync::LazyLock;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::contest::work;
use crate::contest::{Contestant, Kind, Row, Series, Sharing, Work};
use crate::input::{Set, BOUNDS, INPUT, LABELS};

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().set_buckets(&BOUNDS).expect("bounds").build_recorder()
}

/// The one that macros reach.
static INSTALLED: LazyLock<()> =
    LazyLock::new(|| metrics::set_global_recorder(recorder()).unwrap_or_else(|_| panic!("another recorder")));

static METADATA: Metadata<'static> = Metadata::new("bench", Level::INFO, None);

fn work(row: Row) -> Option<Work> {
    LazyLock::force(&INSTALLED);
    match row {
        Row::Inc => {
            let counter = metrics::counter!("held");
            work!(|_i| counter.increment(1))
        }
        Row::Lookup => work!(|i| {
            let [a, b, c] = INPUT.set(i);
            metrics::counter!("http_requests_total", "methodname" => a.clone(), "pathpathpa" => b.clone(), "statuscode" => c.clone())
                .increment(1);
        }),
        // This exporter keeps the values in an unbounded queue until a page drains it, so it does
        // other work than the rest.
        Row::Index | Row::Observe => None,
        Row::GaugeSet => {
            let gauge = metrics::gauge!("gauge_set");
            work!(|i| gauge.set(i as f64))
        }
        Row::GaugeInc => {
            let gauge = metrics::gauge!("gauge_inc");
            work!(|_i| gauge.increment(1.0))
        }
    }
}

struct Rival {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    kind: Kind,
}

impl Series for Rival {
    fn add(&mut self, sets: &[Set]) {
        for set in sets {
            let labels: Vec<Label> =
                LABELS.iter().zip(set).map(|(name, value)| Label::new(*name, value.clone())).collect();
            match self.kind {
                Kind::Counters => {
                    let key = Key::from_parts(KeyName::from_const_str("http_requests_total"), labels);
                    self.recorder.register_counter(&key, &METADATA).increment(1);
                }
                Kind::Histograms => {
                    let key = Key::from_parts(KeyName::from_const_str("http_request_seconds"), labels);
                    self.recorder.register_histogram(&key, &METADATA).record(7.5);
                }
            }
        }
    }

    fn render(&mut self) -> usize {
        self.handle.render().len()
    }

    fn page(&mut self) -> Vec<u8> {
        self.handle.render().into_bytes()
    }
}

fn series(kind: Kind) -> Option<Box<dyn Series>> {
    let recorder = recorder();
    let handle = recorder.handle();
    Some(Box::new(Rival { recorder, handle, kind }))
}

pub fn contestant() -> Contestant {
    Contestant {
        name: "metrics + exporter",
        sharing: Sharing::Threads,
        note: "compares; wants owned strings",
        work,
        series,
    }
}
