//! The index doubles under load: whatever was found before is found after, once.

use common::{alarm, fork, named_with, own, page, samples, Random, Shared};

const SETS: u64 = 200_000;

#[test]
fn an_index_that_doubles_loses_nothing_and_shows_nothing_twice() {
    let segment = named_with("growth", |options| options.max_size(64 << 20));
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    // How many each of the two inserters has done; the look-ups, by parity of the label set.
    let told = Shared::new(2);
    let inserter = |parity: u64| {
        fork(|| {
            alarm(240);
            for i in 0..SETS / 2 {
                family.with([&(2 * i + parity).to_string()]).inc();
                told.set(parity as usize, i + 1);
            }
        })
    };
    let (mut even, mut odd) = (inserter(0), inserter(1));
    let looked_up = Shared::new(SETS as usize);
    let reader = fork(|| {
        alarm(240);
        let mut random = Random(3);
        loop {
            let done = [told.get(0), told.get(1)];
            for parity in [0, 1] {
                if done[parity as usize] > 0 {
                    // Often the newest, which are in the part of the index that moves.
                    let range = if random.below(2) == 0 { 64 } else { done[parity as usize] };
                    let back = random.below(range);
                    let known = 2 * (done[parity as usize] - 1).saturating_sub(back) + parity;
                    let counter = family.with([&known.to_string()]);
                    assert!(counter.get() >= 1.0, "label set {known}, made before, is not found");
                    counter.inc();
                    looked_up.add(known as usize, 1);
                }
            }
            if done == [SETS / 2; 2] {
                break;
            }
        }
    });
    // Both make some sets the other makes too: neither may see its own twin.
    fork(|| (0..5000).for_each(|i| assert!(family.with([&(i * 37).to_string()]).get() >= 0.0))).join();
    [even.wait(), odd.wait()].iter().for_each(|status| assert_eq!(*status, 0));
    reader.join();
    assert_eq!(own(&segment, "shmetrics_series"), SETS as f64);
    assert_eq!(own(&segment, "shmetrics_overflow_lookups_total"), 0.0);
    let shown = samples(&page(&segment));
    assert_eq!(shown.len(), SETS as usize);
    for n in 0..SETS {
        assert_eq!(shown[&format!("c_total{{n=\"{n}\"}}")], (1 + looked_up.get(n as usize)) as f64, "label set {n}");
    }
    let all: u64 = looked_up.snapshot().iter().sum();
    assert!(all > 1000, "only {all} look-ups while the index grew: the test proves nothing");
}
