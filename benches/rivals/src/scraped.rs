//! A writer, with and without a renderer that makes page after page on the other processor.
//!
//! Processors that share a core slow each other down, whatever they do. So the fair comparison is a
//! renderer that is as busy with other metrics.

use std::arch::x86_64::_rdtsc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::SeedableRng;
use serde_json::{json, Value};
use shmetrics::{Counter, Family, Format, Histogram, Segment};

use crate::contest::OURS;
use crate::input::{set, Set, BOUNDS, INPUT, LABELS};
use crate::machine;
use crate::rivals::ours;
use crate::stats::spread;

/// Counter series on the page.
const SERIES: usize = 10_000;
/// One request in so many brings a new label set.
const FRESH: usize = 10_000;
const SLICE: Duration = Duration::from_millis(4);

#[derive(Clone, Copy, PartialEq)]
#[repr(u32)]
enum Scraper {
    Idle = 0,
    Others = 1,
    Ours = 2,
}

const SCRAPERS: [Scraper; 3] = [Scraper::Idle, Scraper::Others, Scraper::Ours];

/// A server with one counter family and a histogram.
trait Server: Send + Sync {
    fn request(&self, set: &Set, seconds: f64);
    fn render(&self, page: &mut Vec<u8>);
}

struct Shmetrics(Segment, Family<Counter, 3>, Histogram);

impl Shmetrics {
    fn new() -> Shmetrics {
        let segment = ours::anonymous(1 << 30);
        let family = ours::counters(&segment);
        let histogram = segment.histogram("observed", "").buckets(&BOUNDS).register().expect("a family");
        Shmetrics(segment, family, histogram)
    }
}

impl Server for Shmetrics {
    fn request(&self, [a, b, c]: &Set, seconds: f64) {
        self.1.with([a, b, c]).inc();
        self.2.observe(seconds);
    }
    fn render(&self, page: &mut Vec<u8>) {
        page.clear();
        let mut cursor = self.0.page(Format::Text).cursor();
        while cursor.fill(page) {}
    }
}

struct Rival(prometheus::Registry, prometheus::IntCounterVec, prometheus::Histogram);

impl Rival {
    fn new() -> Rival {
        let registry = prometheus::Registry::new();
        let options = prometheus::Opts::new("http_requests_total", "Requests.");
        let family = prometheus::IntCounterVec::new(options, &LABELS).expect("a family");
        let options = prometheus::HistogramOpts::new("observed", "Observed.").buckets(BOUNDS.to_vec());
        let histogram = prometheus::Histogram::with_opts(options).expect("a histogram");
        registry.register(Box::new(family.clone())).expect("registered");
        registry.register(Box::new(histogram.clone())).expect("registered");
        Rival(registry, family, histogram)
    }
}

impl Server for Rival {
    fn request(&self, [a, b, c]: &Set, seconds: f64) {
        self.1.with_label_values(&[a, b, c]).inc();
        self.2.observe(seconds);
    }
    fn render(&self, page: &mut Vec<u8>) {
        use prometheus::Encoder;
        page.clear();
        prometheus::TextEncoder::new().encode(&self.0.gather(), page).expect("a page");
    }
}

/// Latencies in buckets, 16 to a power of two.
struct Latencies(Vec<u64>);

impl Latencies {
    fn add(&mut self, ticks: u64) {
        let power = 63 - (ticks | 16).leading_zeros() as usize;
        self.0[(power - 4) * 16 + ((ticks >> (power - 4)) & 15) as usize] += 1;
    }

    fn merge(&mut self, other: &Latencies) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, n)| *sum += n);
    }

    fn quantile(&self, q: f64, ns_a_tick: f64) -> f64 {
        let rank = (self.0.iter().sum::<u64>() as f64 * q) as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|n| {
            seen += n;
            seen > rank
        });
        let bucket = bucket.or_else(|| self.0.iter().rposition(|n| *n > 0)).unwrap_or(0);
        ((16 + bucket % 16) as u64 * (1 << (bucket / 16))) as f64 * ns_a_tick
    }
}

/// The renderer on the other processor: a thread or a process.
#[derive(Default)]
struct Orders {
    scraper: AtomicU32,
    pages: AtomicU64,
}

fn scrape(orders: &Orders, server: &dyn Server, other: &dyn Server) {
    let mut page = Vec::new();
    loop {
        match orders.scraper.load(SeqCst) {
            0 => machine::wait(&orders.scraper, 0),
            1 => other.render(&mut page),
            _ => server.render(&mut page),
        }
        orders.pages.fetch_add(1, SeqCst);
    }
}

struct Slices {
    rates: [Vec<f64>; 3],
    latencies: [Latencies; 3],
    pages: [u64; 3],
}

/// The writer, and where it is in its input.
struct Writer<'a> {
    server: &'a dyn Server,
    i: usize,
    fresh: usize,
}

impl Writer<'_> {
    /// Requests a second, the latency of each, and whether the kernel has taken the processor away
    /// meanwhile. Waiting for a lock is part of the latency, and no disturbance.
    fn slice(&mut self) -> (f64, Latencies, bool) {
        let (mut latencies, mut done) = (Latencies(vec![0; 64 * 16]), 0u64);
        let (start, preempted) = (Instant::now(), machine::preempted());
        while start.elapsed() < SLICE {
            for _ in 0..256 {
                self.i += 1;
                let new = self.i.is_multiple_of(FRESH).then(|| {
                    self.fresh += 1;
                    set(self.fresh)
                });
                let labels = new.as_ref().unwrap_or(INPUT.set(self.i));
                // SAFETY: reads a counter.
                let before = unsafe { _rdtsc() };
                self.server.request(labels, INPUT.value(self.i));
                // SAFETY: the same.
                latencies.add(unsafe { _rdtsc() } - before);
            }
            done += 256;
        }
        (done as f64 / start.elapsed().as_secs_f64(), latencies, machine::preempted() == preempted)
    }
}

fn measure(server: &dyn Server, orders: &Orders) -> Slices {
    let rounds = machine::rounds(101, 1_001);
    let mut random = StdRng::seed_from_u64(6);
    let empty = || Latencies(vec![0; 64 * 16]);
    let mut slices = Slices { rates: Default::default(), latencies: [empty(), empty(), empty()], pages: [0; 3] };
    let mut writer = Writer { server, i: 0, fresh: SERIES };
    writer.slice();
    for _ in 0..rounds {
        let mut order = SCRAPERS;
        order.shuffle(&mut random);
        for scraper in order {
            let state = scraper as usize;
            orders.scraper.store(scraper as u32, SeqCst);
            machine::wake(&orders.scraper);
            for last in [false, false, false, false, true] {
                // The renderer comes to its new work meanwhile.
                machine::wake_up();
                let pages = orders.pages.load(SeqCst);
                let (rate, latencies, undisturbed) = writer.slice();
                if undisturbed || last {
                    slices.rates[state].push(rate);
                    slices.latencies[state].merge(&latencies);
                    slices.pages[state] += orders.pages.load(SeqCst) - pages;
                    break;
                }
            }
        }
    }
    orders.scraper.store(0, SeqCst);
    slices
}

fn report(name: &str, slices: &Slices, ns_a_tick: f64) -> Value {
    let results: Vec<Value> = ["idle", "others", "scraped"]
        .iter()
        .enumerate()
        .map(|(i, scraper)| {
            let of_others: Vec<f64> = slices.rates[i].iter().zip(&slices.rates[1]).map(|(a, b)| a / b).collect();
            let of_idle: Vec<f64> = slices.rates[i].iter().zip(&slices.rates[0]).map(|(a, b)| a / b).collect();
            let q = |q| slices.latencies[i].quantile(q, ns_a_tick);
            json!({
                "scraper": scraper,
                "requests_a_second": spread(&slices.rates[i]),
                "of_others": spread(&of_others),
                "of_idle": spread(&of_idle),
                "pages": slices.pages[i],
                "latency_ns": { "p50": q(0.5), "p99": q(0.99), "p99.9": q(0.999), "p99.99": q(0.9999), "max": q(1.0) },
            })
        })
        .collect();
    json!({ "name": name, "states": results })
}

fn filled<S: Server>(server: S) -> S {
    (0..SERIES).for_each(|i| server.request(&set(i), 7.5));
    server
}

pub fn run() -> Value {
    let [first, last] = machine::processors();
    machine::pin(first);
    let ns_a_tick = {
        // SAFETY: reads a counter.
        let (start, ticks) = (Instant::now(), unsafe { _rdtsc() });
        std::thread::sleep(Duration::from_millis(50));
        // SAFETY: the same.
        start.elapsed().as_nanos() as f64 / (unsafe { _rdtsc() } - ticks) as f64
    };
    let (server, other) = (filled(Shmetrics::new()), filled(Shmetrics::new()));
    let orders: &Orders = machine::shared();
    let child = machine::fork(|| {
        machine::pin(last);
        scrape(orders, &server, &other);
    });
    let ours = report(OURS, &measure(&server, orders), ns_a_tick);
    machine::kill(child);
    let rivals: &'static [Rival; 2] = Box::leak(Box::new([filled(Rival::new()), filled(Rival::new())]));
    let orders: &Orders = machine::shared();
    std::thread::spawn(move || {
        machine::pin(last);
        scrape(orders, &rivals[0], &rivals[1]);
    });
    let rival = report("prometheus", &measure(&rivals[0], orders), ns_a_tick);
    json!({ "series": SERIES, "fresh_one_in": FRESH, "contestants": [ours, rival] })
}
