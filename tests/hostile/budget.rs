//! Tests of a reader's cost: a hostile file costs at most a multiple of its length, and a sound
//! file is always shown whole.

use std::time::Duration;

use common::file::Bytes;
use common::Name;
use shmetrics::{Format, GaugeMode, Native, Options, Reader, Segment};

const MAX_SIZE: u64 = 1 << 20;
const FAMILY_HEAD: u64 = 280;
const NEXT: u64 = 0;
const HEAD: u64 = 32;
const PER_CPU: u64 = 20;
const TEXT_LEN: u64 = 48;
const VALUE: u64 = 40;
const HELP_LEN: u64 = 88;

/// A segment's file, to be damaged.
/// The processor time of this thread: other work on the machine does not count.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a plain call with a local.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Victim {
    name: Name,
    file: Bytes,
}

impl Victim {
    fn new(fill: impl FnOnce(&Segment)) -> Self {
        let name = Name::new("budget");
        fill(&name.options().max_size(MAX_SIZE).open().unwrap());
        let file = Bytes::of(name.path());
        Victim { name, file }
    }

    fn each_series(&self, mut f: impl FnMut(u64)) {
        let mut at = self.file.link(self.file.link(FAMILY_HEAD) + HEAD);
        while at != 0 {
            f(at);
            at = self.file.link(at + NEXT);
        }
    }

    /// All that a reader does, with a bound on each. Returns the page as text.
    fn read(&self) -> String {
        let reader = Reader::open(&self.name.0).unwrap();
        for format in [Format::Text, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf] {
            let start = cpu_time();
            let page = reader.render(format);
            assert!(page.len() as u64 <= 64 * MAX_SIZE, "{format:?}: {} bytes", page.len());
            let cost = cpu_time().saturating_sub(start);
            assert!(cost < Duration::from_secs(20), "{format:?}: {cost:?}");
        }
        let start = cpu_time();
        reader.page(Format::Text).points().count();
        reader.inspect();
        reader.verify();
        let cost = cpu_time().saturating_sub(start);
        assert!(cost < Duration::from_secs(60), "{cost:?}");
        String::from_utf8_lossy(&reader.render(Format::Text)).into_owned()
    }

    fn is_told(&self) {
        let page = self.read();
        assert!(!page.contains("\nshmetrics_corrupt_records 0\n"), "nothing was left out");
    }
}

fn counters(segment: &Segment) {
    let family = segment.counter("sets", "Help.").labels(["n"]).register().unwrap();
    (0..5000).for_each(|n| family.with([&n.to_string()]).inc());
}

#[test]
fn texts_that_overlap() {
    let victim = Victim::new(counters);
    victim.each_series(|at| victim.file.write(at + TEXT_LEN, &60_000u16.to_ne_bytes()));
    victim.is_told();
}

#[test]
fn a_help_without_end() {
    let victim = Victim::new(counters);
    victim.file.write(victim.file.link(FAMILY_HEAD) + HELP_LEN, &300_000u32.to_ne_bytes());
    victim.is_told();
}

#[test]
fn cells_of_each_cpu_that_all_series_share() {
    for (cpus, stride) in [(65_536u32, 128u32), (900, 128)] {
        let victim = Victim::new(counters);
        let shape: Vec<u8> = [stride, cpus, 1].iter().flat_map(|n| n.to_ne_bytes()).collect();
        victim.file.write(136, &shape);
        victim.each_series(|at| victim.file.write(at + PER_CPU, &16u32.to_ne_bytes()));
        victim.read();
    }
}

#[test]
fn cells_of_processes_in_a_ring() {
    let victim = Victim::new(|segment| {
        let family = segment.gauge("busy", "", GaugeMode::LiveSum).labels(["n"]).register().unwrap();
        (0..1500).for_each(|n| family.with([&n.to_string()]).set(1.0));
    });
    let mut first = 0;
    victim.each_series(|at| {
        let block = victim.file.link(at + VALUE);
        if first == 0 {
            first = block;
            victim.file.write(first, &((first / 16) as u32).to_ne_bytes());
        }
        victim.file.write(at + VALUE, &((first / 16) as u32).to_ne_bytes());
    });
    victim.read();
}

/// Shows all of a sound segment, in every format.
fn is_whole(name: &Name, series: usize) {
    let reader = name.reader();
    for format in [Format::Text, Format::OpenMetrics, Format::OpenMetrics2] {
        let page = String::from_utf8(reader.render(format)).unwrap();
        let corrupt = page.lines().find_map(|line| line.strip_prefix("shmetrics_corrupt_records ")).unwrap();
        assert_eq!(corrupt.parse::<f64>().unwrap(), 0.0, "{format:?}");
    }
    reader.render(Format::Protobuf);
    let points = reader.page(Format::Text).points().filter(|p| !p.family.name.starts_with("shmetrics"));
    assert!(points.count() >= series);
    assert_eq!(reader.verify(), Vec::<String>::new());
}

#[test]
fn a_full_segment_of_long_and_short_texts_is_shown_whole() {
    for longest in [1usize, 30, 700, 20_000] {
        let name = Name::new("dense");
        let segment = name.options().max_size(2 << 20).open().unwrap();
        let family = segment.counter("sets", &"h".repeat(16 << 10)).labels(["n", "m"]).register().unwrap();
        for n in 0..30_000usize {
            let long = "x".repeat(n % longest + 1);
            family.with([&n.to_string(), &long]).inc();
        }
        assert!(segment.reader().inspect().overflow_lookups > 0 || longest == 1, "it is full");
        is_whole(&name, 50);
    }
}

#[test]
fn a_segment_with_all_that_records_lead_to_is_shown_whole() {
    for per_cpu in [true, false] {
        let name = Name::new("dense");
        let segment = name.options().max_size(4 << 20).per_cpu(per_cpu).open().unwrap();
        let bounds: Vec<f64> = (0..1024).map(f64::from).collect();
        let wide = segment.histogram("wide", "").buckets(&bounds).labels(["n"]).register().unwrap();
        let native = segment.histogram("native", "").native(Native::schema(8)).labels(["n"]).register().unwrap();
        let both = segment
            .histogram("both", "")
            .buckets(&[1.0, 2.0])
            .native(Native::schema(3))
            .labels(["n"])
            .register()
            .unwrap();
        let quantiles = segment.summary("quantiles", "").quantiles(&[0.5]).labels(["n"]).register().unwrap();
        let hot = segment.counter("hot", "").labels(["n"]).register().unwrap();
        let others: Vec<_> = (0..40u32)
            .map(|i| {
                let other = Options::new().name(&name.0).separate_mapping(true).open().unwrap();
                other.set_identity(i);
                other
            })
            .collect();
        let trace = [("trace_id", "0123456789abcdef0123456789abcdef")];
        for n in 0..12 {
            let value = n.to_string();
            for e in -30..30 {
                let v = 1.37f64.powi(e * 3) * if e % 5 == 0 { -1.0 } else { 1.0 };
                wide.with([&value]).observe_with_exemplar(v, &trace);
                native.with([&value]).observe_with_exemplar(v, &trace);
                both.with([&value]).observe_with_exemplar(v, &trace);
                quantiles.with([&value]).observe(v);
            }
            for _ in 0..9000 {
                hot.with([&value]).inc();
                native.with([&value]).observe(1.5);
                both.with([&value]).observe(1.5);
            }
            hot.with([&value]).inc_with_exemplar(&trace);
            for other in &others {
                for mode in [GaugeMode::All, GaugeMode::Sum, GaugeMode::LiveMax] {
                    let family = other.gauge(&format!("gauge_{mode}"), "", mode).labels(["n"]).register().unwrap();
                    family.with([&value]).set(1.0);
                }
            }
        }
        // What is left is filled with series that are as small as can be.
        let small = segment.counter("small", "").labels(["n"]).register().unwrap();
        (0..60_000).for_each(|n| small.with([&n.to_string()]).inc());
        is_whole(&name, 60);
    }
}
