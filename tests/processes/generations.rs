//! Short-lived workers by the thousand.

use common::{fork, long, named, own, page, samples};
use shmetrics::{Format, GaugeMode};

#[test]
fn thousands_of_short_lived_workers_leave_no_residue() {
    let generations = if long() { 10_000 } else { 500 };
    let segment = named("generations");
    let count = segment.counter("count", "").labels(["kind"]).register().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let all = segment.gauge("all", "", GaugeMode::LiveAll).register().unwrap();
    let generation = |n: u32| {
        fork(|| {
            live.set(f64::from(n));
            all.set(1.0);
            count.with(["short"]).inc();
        })
        .join();
    };
    generation(1);
    let size = || (own(&segment, "shmetrics_segment_used_bytes"), segment.reader().inspect().resident);
    let first = (size(), segment.render(Format::Text).len());
    (2..=generations).for_each(generation);
    assert_eq!(size(), first.0, "no memory for a generation");
    // The count has more digits now, as have the library's own figures; a line has more than that.
    let grown = segment.render(Format::Text).len() - first.1;
    assert!(grown <= 10, "a page grew by {grown} bytes");
    let s = samples(&page(&segment));
    assert_eq!((s["count_total{kind=\"short\"}"], s["live"]), (f64::from(generations), 0.0));
    let processes = segment.reader().inspect().processes;
    assert!(processes.len() == 1 && !processes[0].alive, "one slot for all: {processes:?}");
}
