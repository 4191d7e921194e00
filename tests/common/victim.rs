//! A segment with a bit of everything, and where everything in it is.

use std::collections::BTreeMap;

use crate::{fork, Directory};
use shmetrics::{Bundle, Counter, Family, Gauge, GaugeMode, Histogram, Member, Native, Options, Segment, Summary};

pub const MAX_SIZE: u64 = 512 << 10;

/// Handles to all of it.
pub struct Everything {
    pub plain: Counter,
    pub sets: Family<Counter, 2>,
    pub gauges: Vec<Gauge>,
    pub histograms: Family<Histogram, 1>,
    pub natives: Family<Histogram, 1>,
    pub quantiles: Summary,
    pub bundle: Bundle<1>,
    pub members: (Member<Counter>, Member<Gauge>, Member<Histogram>, Member<Counter>),
}

const MODES: [GaugeMode; 5] =
    [GaugeMode::Shared, GaugeMode::MostRecent, GaugeMode::Sum, GaugeMode::LiveMax, GaugeMode::LiveAll];

impl Everything {
    pub fn register(segment: &Segment) -> Result<Self, shmetrics::Error> {
        let gauge = |mode: &GaugeMode| segment.gauge(&format!("g_{mode}"), "A gauge.", *mode).register();
        let mut bundle = segment.bundle(["path"]);
        let members = (
            bundle.add(segment.counter("b_requests", "Bundled.")),
            bundle.add(segment.gauge("b_active", "", GaugeMode::Sum)),
            bundle.add(segment.histogram("b_times", "").buckets(&[0.5, 1.0])),
            bundle.add(segment.counter("b_bytes", "")),
        );
        Ok(Everything {
            plain: segment.counter("plain", "A counter.").register()?,
            sets: segment.counter("sets", "Label sets.").max_series(4).labels(["a", "b"]).register()?,
            gauges: MODES.iter().map(gauge).collect::<Result<_, _>>()?,
            histograms: segment.histogram("h", "Times.").buckets(&[0.5, 1.0]).labels(["path"]).register()?,
            natives: segment
                .histogram("n", "Native.")
                .native(Native::schema(1).max_buckets(3))
                .buckets(&[0.6, 1.0])
                .labels(["path"])
                .register()?,
            quantiles: segment.summary("q", "Quantiles.").quantiles(&[0.5, 0.9]).register()?,
            bundle: bundle.max_series(4).register()?,
            members,
        })
    }

    /// So much that these have per-CPU cells.
    pub fn heat(&self) {
        let (labelled, histogram) = (self.sets.with(["x", "y"]), self.histograms.with(["/"]));
        let bundled = self.bundle.with(["/"]).get(self.members.0);
        for _ in 0..5000 {
            self.plain.inc();
            labelled.inc();
            histogram.observe(0.7);
            bundled.inc();
        }
    }

    /// Updates all members of a label set.
    pub fn serve(&self, path: &str, n: u64) {
        let (requests, active, times, bytes) = self.members;
        let entry = self.bundle.with([path]);
        entry.get(active).inc();
        entry.get(requests).inc();
        entry.get(times).observe(n as f64);
        entry.get(bytes).inc_by(n);
    }

    pub fn update(&self, n: u64) {
        self.plain.inc();
        self.plain.add(0.5);
        for (a, b) in [("x", "y"), ("with \"quotes\"", "\\\n"), ("", "é"), ("one", "more"), ("too", "many")] {
            self.sets.with([a, b]).inc_by(n);
        }
        self.gauges.iter().for_each(|g| g.set(n as f64));
        self.gauges.iter().for_each(Gauge::inc);
        self.serve("/", n);
        self.serve("/other", n);
        self.histograms.with(["/"]).observe(0.7);
        self.histograms.with(["/other"]).observe(n as f64);
        for v in [0.0, 0.55, -0.7, 1e9, n as f64] {
            self.natives.with(["/"]).observe(v);
            self.quantiles.observe(v);
        }
    }
}

pub fn options(name: &str) -> Options {
    Options::new().name(name).max_size(MAX_SIZE).max_processes(64)
}

/// The bytes of the segment's file, which no process has mapped any more.
pub fn bytes() -> Vec<u8> {
    let directory = Directory::new("victim");
    let name = directory.name("segment");
    for process in 1..=3 {
        fork(|| {
            let segment = options(&name).open().unwrap();
            segment.set_identity(process);
            let everything = Everything::register(&segment).unwrap();
            everything.heat();
            everything.update(u64::from(process));
            if process < 3 {
                // The next one finds this one alive, and takes a slot of its own.
                fork(|| {
                    segment.set_identity(process + 10);
                    everything.update(1);
                })
                .join();
            }
        })
        .join();
    }
    std::fs::read(&name).unwrap()
}

/// The byte map of `docs/format.md`: for each section its fields, with offset and size.
pub struct Map(BTreeMap<String, Vec<(String, usize, usize)>>);

/// A field of a record in the victim.
#[derive(Clone, Debug)]
pub struct Field {
    pub what: String,
    pub at: usize,
    pub size: usize,
}

impl Map {
    pub fn new() -> Self {
        let (mut sections, mut section) = (BTreeMap::<String, Vec<_>>::new(), String::new());
        for line in include_str!("../../docs/format.md").lines() {
            if let Some(title) = line.strip_prefix('#') {
                title.trim_start_matches('#').trim().clone_into(&mut section);
            }
            if let [_, offset, size, field, ..] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
                if let (Ok(offset), Ok(size)) = (offset.parse(), size.parse()) {
                    sections.entry(section.clone()).or_default().push((field.to_owned(), offset, size));
                }
            }
        }
        Map(sections)
    }

    pub fn at(&self, section: &str, field: &str) -> usize {
        self.0[section].iter().find(|(name, ..)| name == field).unwrap_or_else(|| panic!("no field {field}")).1
    }

    fn push(&self, section: &str, record: &str, base: usize, out: &mut Vec<Field>) {
        for (field, offset, size) in &self.0[section] {
            out.push(Field { what: format!("{field} of {record}"), at: base + offset, size: *size });
        }
    }

    /// All documented fields of everything in the victim: header, slots, families, series, cells.
    pub fn fields(&self, victim: &[u8]) -> Vec<Field> {
        let mut out = Vec::new();
        self.push("header", "the header", 0, &mut out);
        let slots_at = word(victim, self.at("header", "SLOTS_AT"), 8);
        (0..3).for_each(|i| self.push("slot", &format!("slot {i}"), slots_at + i * 64, &mut out));
        let next = |record: usize| link(victim, record + self.at("entry", "NEXT"));
        let mut family = link(victim, self.at("header", "FAMILY_HEAD"));
        for f in 0.. {
            if family == 0 {
                break;
            }
            let name = format!("family {f}");
            self.push("entry", &name, family, &mut out);
            self.push("family", &name, family, &mut out);
            let mut series = vec![link(victim, family + self.at("family", "OVERFLOW"))];
            let count = word(victim, family + self.at("family", "MEMBER_COUNT"), 2);
            for i in 0..count {
                let row = link(victim, family + self.at("family", "MEMBERS")) + 16 * i;
                self.push("member", &format!("row {i} of {name}"), row, &mut out);
            }
            let seat = word(victim, family + self.at("family", "SEAT"), 4);
            if seat > 0 {
                // Other members of a bundle have their series in the first one's.
                let home = link(victim, family + self.at("entry", "PARENT"));
                let mut one = link(victim, home + self.at("family", "HEAD"));
                while one != 0 {
                    self.push("seat", &format!("the seat of {name} in {one}"), one + seat, &mut out);
                    one = next(one);
                }
                family = next(family);
                continue;
            }
            let mut one = link(victim, family + self.at("family", "HEAD"));
            while one != 0 {
                series.push(one);
                one = next(one);
            }
            let kind = match victim[family + self.at("entry", "KIND")] {
                1 => "counter",
                2 => "gauge",
                3 | 8 => "histogram",
                other => panic!("a victim of kind {other}"),
            };
            for (s, at) in series.into_iter().enumerate() {
                let name = format!("series {s} of {name}");
                self.push("entry", &name, at, &mut out);
                self.push(kind, &name, at, &mut out);
                let mode = victim[family + self.at("family", "MODE")];
                if victim[family + self.at("family", "SCHEMA")] != 0 {
                    let pairs = match victim[family + self.at("entry", "KIND")] {
                        8 => 2,
                        _ => 1 + 2 * word(victim, family + self.at("family", "BUCKET_COUNT"), 2),
                    };
                    self.push_native(victim, &name, at + 64 + 16 * pairs, &mut out);
                }
                if kind == "gauge" && ![0, 9].contains(&mode) {
                    self.push_cells(victim, &name, at, &mut out);
                }
            }
            family = next(family);
        }
        assert!(out.iter().all(|f| f.at + f.size <= victim.len()));
        out
    }

    /// The links to pages, the pages' to chunks, and what blocks and pairs begin with.
    fn push_native(&self, victim: &[u8], series: &str, root: usize, out: &mut Vec<Field>) {
        for i in 0..34 {
            let page = link(victim, root + 4 * i);
            out.push(Field { what: format!("link {i} of {series}"), at: root + 4 * i, size: 4 });
            if page == 0 {
                continue;
            }
            self.push("native_block", &format!("page {i} of {series}"), page, out);
            for c in 0..8 {
                let (at, name) = (page + 16 + 4 * c, format!("chunk {c} of page {i} of {series}"));
                out.push(Field { what: format!("the link to {name}"), at, size: 4 });
                let chunk = link(victim, at);
                if chunk != 0 {
                    self.push("native_block", &name, chunk, out);
                    let pair =
                        |i: usize| Field { what: format!("word {i} of {name}"), at: chunk + 16 + 8 * i, size: 8 };
                    out.extend((0..32).map(pair));
                }
            }
        }
    }

    fn push_cells(&self, victim: &[u8], series: &str, at: usize, out: &mut Vec<Field>) {
        let block = link(victim, at + self.at("gauge", "VALUE"));
        assert_ne!(block, 0, "{series} has cells");
        out.push(Field { what: format!("the cells' next block of {series}"), at: block, size: 4 });
        (0..2).for_each(|i| self.push("process_cell", &format!("cell {i} of {series}"), block + 16 + i * 32, out));
    }
}

pub fn word(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
}

/// The offset that the link at `at` leads to.
pub fn link(bytes: &[u8], at: usize) -> usize {
    word(bytes, at, 4) * 16
}
