//! What victims do, and what a page must show of it.

mod bundle;
mod expiry;
mod labelled;
mod native;
mod percpu;
mod redefine;
mod removal;
mod reuse;
mod updates;

use std::collections::BTreeMap;

use shmetrics::{Counter, Family, Gauge, GaugeMode, Histogram, Metric, Segment};

use super::image::Image;
use super::survivor::Seen;
use common::Name;

pub use bundle::*;
pub use expiry::*;
pub use labelled::*;
pub use native::*;
pub use percpu::*;
pub use redefine::*;
pub use removal::*;
pub use reuse::*;
pub use updates::*;

/// Gets everything in hand that is not part of the operation, and returns the operation.
pub type Ready = fn(&Name) -> Box<dyn Fn()>;
/// A page's samples.
pub type Page = BTreeMap<String, f64>;

/// Something a process does when it is killed or stopped: twice, for the second time may take
/// another way.
#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// Brings a new segment to where the operation begins, in a process that is gone afterwards.
    pub setup: fn(&Segment),
    /// What no process can do by itself: changes the bytes that `setup` has left.
    pub edit: fn(&mut Image),
    pub ready: Ready,
    /// What survivors do, if not the same.
    pub others: Option<Ready>,
    /// What another process does while the victim is stopped, or after it was killed. It got ready
    /// before the victim did.
    pub hold: Option<Ready>,
    /// The sample that the operation raises, and by how much.
    pub sample: &'static str,
    pub unit: f64,
    /// The sample without victims and survivors.
    pub base: f64,
    /// What it stands for that there is no sample, before any survivor has worked.
    pub absent: f64,
    /// Whether only living processes count.
    pub living: bool,
    /// Whether series expire before each page.
    pub expire: bool,
    /// How many series a label set has, which a kill may count wrongly.
    pub series: u64,
    /// The most bytes that one kill may cost: the record that the operation makes.
    pub record: f64,
    /// The header word that the operation must change, or it is not what its name says; and one
    /// that it must not.
    pub moves: Option<usize>,
    pub stays: Option<usize>,
    /// What else pages must show. Panics with what is wrong.
    pub also: fn(&Page, &Seen),
    /// Looks up what was there before; whatever is not found will be on the page twice.
    pub revisit: fn(&Segment),
}

/// How often a victim does its operation.
pub const ACTS: u64 = 2;

const PLAIN: Operation = Operation {
    name: "",
    setup: |_| (),
    edit: |_| (),
    ready: |_| Box::new(|| ()),
    others: None,
    hold: None,
    sample: "",
    unit: 1.0,
    base: 0.0,
    absent: 0.0,
    living: false,
    expire: false,
    series: 1,
    record: 0.0,
    moves: None,
    stays: None,
    also: |_, _| (),
    revisit: |_| (),
};

const BUCKETS: [f64; 2] = [1.0, 5.0];

/// All that histograms observe.
pub const OBSERVED: f64 = 2.5;

/// Families of one label, each the first of its segment.
pub type Labelled<M> = Family<M, 1>;

pub fn counters(segment: &Segment) -> Labelled<Counter> {
    segment.counter("x", "").labels(["n"]).register().unwrap()
}

fn histograms(segment: &Segment) -> Labelled<Histogram> {
    segment.histogram("x", "").buckets(&BUCKETS).labels(["n"]).register().unwrap()
}

fn shared_gauges(segment: &Segment) -> Labelled<Gauge> {
    segment.gauge("x", "", GaugeMode::Shared).labels(["n"]).register().unwrap()
}

fn sum_gauges(segment: &Segment) -> Labelled<Gauge> {
    segment.gauge("x", "", GaugeMode::Sum).labels(["n"]).register().unwrap()
}

/// What operations count in that have nothing to count otherwise: `jobs_total`.
fn jobs(segment: &Segment) -> Counter {
    segment.counter("jobs", "").register().unwrap()
}

/// An act that is counted as a job once it is done.
fn counted(name: &Name, act: impl Fn() + 'static) -> Box<dyn Fn()> {
    let jobs = jobs(&name.open());
    Box::new(move || {
        act();
        jobs.inc();
    })
}

/// The value of a series of the family `x`, whatever its kind.
fn value(page: &Page, n: &str) -> Option<f64> {
    let sample = |name: &str| page.get(&format!("{name}{{n=\"{n}\"}}")).copied();
    sample("x").or(sample("x_total")).or(sample("x_count"))
}

/// Makes a series and removes it, so that the next one is in its record's second generation.
fn live_again<M: Metric>(family: &Labelled<M>, update: impl Fn(&M)) -> M {
    let first = family.with(["x"]);
    (0..100).for_each(|_| update(&first));
    assert!(family.remove(["x"]) && Metric::is_removed(&first));
    family.with(["x"])
}
