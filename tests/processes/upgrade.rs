//! An upgrade as nginx does it: a new master, a freshly executed program, takes over while the old
//! one's workers go on.

use std::process::{Command, Stdio};

use common::{fork, fork_many, linger, page, samples, Child, Gate, Name};
use shmetrics::{GaugeMode, Options, Segment};

const WORKERS: u32 = 3;
const UPDATES: u32 = 2000;
const SEGMENT: &str = "SHMETRICS_TEST_UPGRADE";

/// A master's workers, which have counted, also in a series of their generation, and wait to be
/// killed.
fn workers(segment: &Segment, generation: &str) -> Vec<Child> {
    let count = segment.counter("count", "").labels(["generation"]).register().unwrap();
    let all = segment.counter("all", "").register().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let ready = Gate::new();
    let workers = fork_many(WORKERS as usize, |_| {
        live.inc();
        for _ in 0..UPDATES {
            count.with([generation]).inc();
            all.inc();
        }
        ready.signal();
        linger();
    });
    workers.iter().for_each(|_| ready.wait());
    workers
}

/// The program that the old master executes; by itself it does nothing.
#[test]
fn the_new_master() {
    let Ok(name) = std::env::var(SEGMENT) else { return };
    // It would begin anew, were the old generation not there.
    let segment = Options::new().name(name).reset_if_unused(true).open().unwrap();
    let young = workers(&segment, "new");
    let s = samples(&page(&segment));
    assert_eq!(s["live"], f64::from(2 * WORKERS), "both generations live");
    young.into_iter().for_each(Child::kill);
}

#[test]
fn both_generations_count_and_nothing_is_reset() {
    let name = Name::new("upgrade");
    fork(|| {
        let segment = name.open();
        let mut old = workers(&segment, "old");
        let successor = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "upgrade::the_new_master"])
            .env(SEGMENT, &name.0)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(successor.success());
        assert_eq!(samples(&page(&segment))["live"], f64::from(WORKERS), "the old ones");
        old.drain(..).for_each(Child::kill);
        assert!(segment.is_current());
    })
    .join();
    let s = samples(&common::text(&name.reader().render(shmetrics::Format::Text)));
    let (one, both) = (f64::from(WORKERS * UPDATES), f64::from(2 * WORKERS * UPDATES));
    assert_eq!((s["count_total{generation=\"old\"}"], s["count_total{generation=\"new\"}"]), (one, one));
    assert_eq!((s["all_total"], s["live"]), (both, 0.0));
}

#[test]
fn two_services_by_mistake_under_one_name_are_told_of_their_differences() {
    let name = Name::new("shared");
    fork(|| {
        let first = name.open();
        first.counter("requests", "Of the shop.").labels(["method"]).register().unwrap().with(["GET"]).inc();
        first.counter("errors", "").register().unwrap().inc();
    })
    .join();
    fork(|| {
        let second = name.open();
        let error = second.counter("requests", "Of the bank.").labels(["branch", "method"]).register().unwrap_err();
        assert!(matches!(error, shmetrics::Error::Conflict(_)), "{error:?}");
        for part in ["requests", r#"["method"]"#, r#"["branch", "method"]"#] {
            assert!(error.to_string().contains(part), "{error}");
        }
        // What is defined alike is one family: the counts add up.
        second.counter("errors", "").register().unwrap().inc();
        assert_eq!(samples(&page(&second))["errors_total"], 2.0);
    })
    .join();
}
