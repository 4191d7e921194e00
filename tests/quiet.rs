//! Updates allocate nothing and leave `errno` unchanged, even updates that ask the system for
//! memory.

use common::anonymous;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use shmetrics::{GaugeMode, Native, Options, Segment};

/// Counts what the calling thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// It takes a slot for the process.
const FIRST: &str = "the first update of a gauge that belongs to processes";

const MARK: i32 = 4711;

fn errno() -> *mut i32 {
    // SAFETY: the calling thread's own place.
    unsafe { libc::__errno_location() }
}

/// Does an update, and says what it did besides.
fn told(of: &mut BTreeMap<&'static str, (u64, u64)>, what: &'static str, update: impl FnOnce()) {
    let before = ALLOCATIONS.with(Cell::get);
    // SAFETY: the calling thread's own.
    unsafe { *errno() = MARK };
    update();
    // SAFETY: as above.
    let now = unsafe { *errno() };
    let allocated = ALLOCATIONS.with(Cell::get) - before;
    let sum = of.entry(what).or_default();
    sum.0 += allocated;
    sum.1 += u64::from(now != MARK);
}

/// Does every kind of update until the memory that a segment has at first is used up several times,
/// or until it is full.
fn all_updates(segment: Segment) {
    let mut of = BTreeMap::new();
    let (fresh, hot) = (400, 20_000);
    // A full segment has no room for another family.
    segment.counter("named", "").labels(["n"]).register().unwrap();
    segment.histogram("seconds", "").labels(["n"]).register().unwrap();
    let mut bundle = segment.bundle(["n"]);
    let first = bundle.add(segment.counter("first", ""));
    let second = bundle.add(segment.histogram("second", "").buckets(&[1.0, 2.0]));
    let third = bundle.add(segment.gauge("third", "", GaugeMode::LiveSum));
    let fourth = bundle.add(segment.counter("fourth", ""));
    let bundle = bundle.register().unwrap();
    let bundled: Vec<_> = (0..fresh).map(|n| bundle.with([&n.to_string()])).collect();
    let native = segment.histogram("native", "").native(Native::schema(8)).labels(["n"]).register().unwrap();
    let observers: Vec<_> = (0..fresh).map(|n| native.with([&n.to_string()])).collect();
    let balance = segment.gauge_histogram("balance", "").native(Native::schema(8)).labels(["n"]).register().unwrap();
    let balances: Vec<_> = (0..20).map(|n| balance.with([&n.to_string()])).collect();
    let quantiles = segment.summary("quantiles", "").quantiles(&[0.5]).labels(["n"]).register().unwrap();
    let summaries: Vec<_> = (0..100).map(|n| quantiles.with([&n.to_string()])).collect();
    let counters = segment.counter("counters", "").labels(["n"]).register().unwrap();
    let counted: Vec<_> = (0..fresh).map(|n| counters.with([&n.to_string()])).collect();
    let classic = segment.histogram("classic", "").buckets(&[1.0, 2.0]).labels(["n"]).register().unwrap();
    let classics: Vec<_> = (0..fresh).map(|n| classic.with([&n.to_string()])).collect();
    let families: Vec<_> = GaugeMode::ALL[1..]
        .iter()
        .map(|mode| (*mode, segment.gauge(mode.as_str(), "", *mode).labels(["n"]).register().unwrap()))
        .collect();
    let gauges: Vec<_> = families
        .into_iter()
        .flat_map(|(mode, family)| (0..fresh).map(move |n| (mode, family.with([&n.to_string()]))))
        .collect();
    let names: Vec<String> = (0..5000).map(|n| format!("label {n}")).collect();
    segment.count("named", &[("n", "first")], 1.0).unwrap();
    segment.observe("seconds", &[("n", "first")], 1.0).unwrap();

    told(&mut of, FIRST, || gauges[0].1.set(1.0));
    for (_, gauge) in &gauges {
        told(&mut of, "a gauge's first update", || gauge.set(1.0));
        told(&mut of, "a gauge's second update", || gauge.add(1.0));
    }
    let exemplar = [("trace_id", "0123456789abcdef"), ("span \"id\"", "a")];
    for (i, counter) in counted.iter().enumerate() {
        told(&mut of, "a counter's exemplar", || counter.inc_with_exemplar(&exemplar));
        told(&mut of, "a histogram's exemplar", || classics[i].observe_with_exemplar(1.5, &exemplar));
        told(&mut of, "a member's exemplar", || bundled[i].get(fourth).inc_with_exemplar(&exemplar));
        told(&mut of, "a native histogram's exemplar", || observers[i].observe_with_exemplar(1.5, &exemplar));
    }
    for _ in 0..hot {
        told(&mut of, "a counter that becomes hot", || counted[0].inc());
        told(&mut of, "a counter of large amounts", || counted[1].add(3e15));
        told(&mut of, "a counter of fractions", || counted[2].add(0.5));
        told(&mut of, "a histogram that becomes hot", || classics[0].observe(0.5));
        told(&mut of, "a member that becomes hot", || bundled[0].get(fourth).inc());
        told(&mut of, "a histogram of a bundle that becomes hot", || bundled[1].get(second).observe(0.5));
        told(&mut of, "a native histogram that becomes hot", || observers[0].observe(1.0));
    }
    for (i, observer) in observers.iter().enumerate() {
        for e in 0..40 {
            let v = 2f64.powi(e * 7 - 140) * if i % 2 == 0 { 1.0 } else { -1.0 };
            told(&mut of, "a native bucket", || observer.observe(v));
            told(&mut of, "a bucket of quantiles", || summaries[i % 100].observe(v * (i + 1) as f64));
            told(&mut of, "a native bucket of a gauge histogram", || balances[i % 20].observe(v));
            told(&mut of, "one taken back", || balances[i % 20].unobserve(v));
        }
    }
    for name in &names {
        told(&mut of, "a new label set", || counters.with([name]).inc());
        told(&mut of, "a new label set of a bundle", || bundle.with([name]).get(first).inc());
        told(&mut of, "a gauge of a new label set of a bundle", || bundle.with([name]).get(third).inc());
        told(&mut of, "a new label set, by name", || segment.count("named", &[("n", name)], 1.0).unwrap());
        told(&mut of, "an observation of one", || segment.observe("seconds", &[("n", name)], 1.0).unwrap());
    }
    let gone = counters.with(["0"]);
    counters.remove(["0"]);
    told(&mut of, "a removed series", || gone.inc());
    let loud: Vec<_> = of.iter().filter(|(_, (allocations, errnos))| allocations + errnos > 0).collect();
    assert!(loud.is_empty(), "{{what: (allocations, changes of errno)}}: {loud:?}");
}

#[test]
fn updates_allocate_nothing_and_keep_errno() {
    all_updates(anonymous());
    let name = common::Name::new("quiet");
    all_updates(name.options().rseq(false).open().unwrap());
}

#[test]
fn so_do_updates_of_a_full_segment() {
    all_updates(Options::new().anonymous().max_size(3 << 20).open().unwrap());
}

#[test]
fn so_do_updates_without_a_descriptor() {
    let name = common::Name::new("quiet");
    let child = common::fork(|| {
        let segment = name.open();
        for descriptor in 3..256 {
            // SAFETY: this is what a host does, in a child whose other descriptors are not used.
            unsafe { libc::close(descriptor) };
        }
        all_updates(segment);
    });
    child.join();
}
