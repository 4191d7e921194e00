//! The metrics of the worker. The families are those that the C side registers: the first process
//! makes them, the others find them.

use std::io::{self, Read};

use shmetrics::{Counter, Error, Exposition, Family, Gauge, GaugeMode, Histogram, InProgress, Options, Segment};

use crate::routes::Route;

const LANG: &str = "rust";
const SECONDS: [f64; 11] = [0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.006, 0.008, 0.01, 0.05, 0.1];

pub struct Metrics {
    segment: Segment,
    requests: Family<Counter, 4>,
    duration: Family<Histogram, 2>,
    in_progress: Gauge,
}

impl Metrics {
    /// Attaches to the segment named in `SHMETRICS_SEGMENT`.
    pub fn attach(worker_number: u32) -> Result<Self, Error> {
        let segment = Options::new().attach().open()?;
        segment.set_identity(worker_number);
        let requests = segment
            .counter("http_requests_total", "Requests answered.")
            .labels(["lang", "method", "path", "status"])
            .register()?;
        let duration = segment
            .histogram("http_request_duration_seconds", "Time from the request to the first byte of its answer.")
            .labels(["lang", "path"])
            .buckets(&SECONDS)
            .register()?;
        let in_progress = segment
            .gauge("http_requests_in_progress", "Requests being answered now.", GaugeMode::LiveSum)
            .labels(["lang"])
            .register()?
            .with([LANG]);
        Ok(Metrics { segment, requests, duration, in_progress })
    }

    /// Counts a request as in progress for as long as the value lives.
    pub fn in_progress(&self) -> InProgress {
        self.in_progress.track_in_progress()
    }

    /// Does a request's work, and counts it with the time that took.
    pub fn measure(&self, route: &Route, work: impl FnOnce()) {
        let timer = self.duration.with([LANG, route.path]).start_timer();
        work();
        self.requests.with([LANG, route.method, route.path, &route.status[..3]]).inc();
        timer.stop();
    }

    /// Hands over the page of all processes, part by part.
    pub fn page(&self, exposition: Exposition, mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut cursor = self.segment.page(exposition).cursor();
        let mut part = [0; 4096];
        loop {
            match cursor.read(&mut part)? {
                0 => return Ok(()),
                len => send(&part[..len])?,
            }
        }
    }
}
