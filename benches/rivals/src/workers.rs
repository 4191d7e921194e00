//! What a page costs while more and more processes count, and after many have died.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use serde_json::{json, Value};
use shmetrics::{Counter, Family, Format, Gauge, GaugeMode, Histogram, Segment};

use crate::input::{set, BOUNDS, LABELS};
use crate::machine;
use crate::rivals::ours;
use crate::stats::spread;

/// The same in python_client.py.
const COUNTERS: usize = 100;
const HISTOGRAMS: usize = 10;
const GAUGES: usize = 3;

const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Workers that live and die together.
const AT_A_TIME: usize = 8;

struct Application {
    segment: Segment,
    counters: Family<Counter, 3>,
    histograms: Family<Histogram, 3>,
    gauges: Vec<Gauge>,
    page: Vec<u8>,
}

impl Application {
    fn new() -> Application {
        let segment = ours::anonymous(256 << 20);
        let counters = ours::counters(&segment);
        let histograms = segment.histogram("http_request_seconds", "Time.").labels(LABELS).buckets(&BOUNDS);
        let gauge = |i| segment.gauge(&format!("busy_{i}"), "Busy.", GaugeMode::LiveSum).register().expect("a family");
        let histograms = histograms.register().expect("a family");
        let gauges = (0..GAUGES).map(gauge).collect();
        Application { segment, counters, histograms, gauges, page: Vec::new() }
    }

    /// What a worker does.
    fn work(&self) {
        for i in 0..COUNTERS {
            let [a, b, c] = set(i);
            self.counters.with([&a, &b, &c]).inc();
        }
        for i in 0..HISTOGRAMS {
            let [a, b, c] = set(i);
            self.histograms.with([&a, &b, &c]).observe(7.5);
        }
        self.gauges.iter().for_each(Gauge::inc);
    }

    fn render(&mut self) {
        self.page.clear();
        let mut cursor = self.segment.page(Format::Text).cursor();
        while cursor.fill(&mut self.page) {}
    }

    /// Microseconds for a page.
    fn pages(&mut self) -> Vec<f64> {
        self.render();
        (0..machine::rounds(101, 401)).map(|_| machine::time(|| self.render()) / 1e3).collect()
    }
}

/// Starts so many workers, which have all counted when this returns and live until the value goes.
struct Workers(Vec<libc::pid_t>);

impl Workers {
    fn start(application: &Application, n: usize) -> Workers {
        let there: &AtomicU32 = machine::shared();
        let workers = (0..n).map(|_| {
            machine::fork(|| {
                application.work();
                there.fetch_add(1, SeqCst);
                machine::wake(there);
                loop {
                    machine::wait(there, u32::MAX);
                    std::thread::park_timeout(std::time::Duration::from_secs(1));
                }
            })
        });
        let workers = Workers(workers.collect());
        loop {
            let now = there.load(SeqCst);
            if now as usize >= n {
                return workers;
            }
            machine::wait(there, now);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(machine::kill);
    }
}

pub fn run() -> Value {
    machine::pin(machine::processors()[0]);
    let mut living: Vec<(usize, Vec<f64>)> = SIZES.map(|n| (n, Vec::new())).into();
    // Twice, so that a slow moment of the machine does not fall on one size alone; in a new segment
    // each, as a page also pays for the most processes that there ever were at one time.
    for _ in 0..2 {
        let mut application = Application::new();
        for (n, us) in &mut living {
            let _workers = Workers::start(&application, *n);
            us.extend(application.pages());
        }
    }
    let mut application = Application::new();
    drop(Workers::start(&application, AT_A_TIME));
    let (mut dead, mut died) = (vec![(AT_A_TIME, application.pages())], AT_A_TIME);
    for n in [100, 1_000, 10_000] {
        while died < n {
            drop(Workers::start(&application, AT_A_TIME.min(n - died)));
            died += AT_A_TIME.min(n - died);
        }
        dead.push((n, application.pages()));
    }
    let report = |list: &[(usize, Vec<f64>)]| -> Vec<Value> {
        list.iter().map(|(n, us)| json!({ "processes": n, "us": spread(us) })).collect()
    };
    json!({
        "counters": COUNTERS, "histograms": HISTOGRAMS, "gauges": GAUGES,
        "living": report(&living),
        "dead": report(&dead),
    })
}
