//! Tests of the backend over the `shared_memory` crate. They run on Linux too, so that the backend
//! keeps working.
#![cfg(feature = "portable")]

use common::{fork, fork_many, join_all, linger, page, samples, Gate, Name};
use shmetrics::{Error, GaugeMode, Options, Segment};

fn options(name: &Name) -> Options {
    name.options().portable(true)
}

#[test]
fn processes_count_into_one_segment() {
    let name = Name::new("portable");
    let segment = options(&name).open().unwrap();
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    let histogram = segment.histogram("h", "").buckets(&[1.0]).register().unwrap();
    let children = fork_many(4, |_| {
        // Not inherited: attached by name, as an unrelated process does.
        let segment = options(&name).attach().open().unwrap();
        let family = segment.counter("c", "").labels(["n"]).register().unwrap();
        for i in 0..1000 {
            family.with([&(i % 100).to_string()]).inc();
            histogram.observe(f64::from(i % 3));
        }
    });
    join_all(children);
    family.with(["0"]).inc();
    let s = samples(&page(&segment));
    assert_eq!(s.iter().filter(|(k, _)| k.starts_with("c_total{")).map(|(_, v)| v).sum::<f64>(), 4001.0);
    assert_eq!(s["h_count"], 4000.0);
}

#[test]
fn the_name_outlives_children_and_is_removed_by_request() {
    let name = Name::new("portable");
    let segment = options(&name).create_new().open().unwrap();
    segment.counter("c", "").register().unwrap().inc();
    fork(|| assert!(options(&name).attach().open().is_ok())).join();
    assert!(name.path().exists(), "no child unlinks its parent's segment");
    assert!(matches!(options(&name).create_new().open(), Err(Error::AlreadyExists(_))));
    Segment::remove(&name.0).unwrap();
    assert!(matches!(options(&name).attach().open(), Err(Error::NotFound(_))));
}

#[test]
fn gauges_know_the_living_by_their_pids() {
    let name = Name::new("portable");
    let segment = options(&name).open().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let ready = Gate::new();
    let child = fork(|| {
        live.inc();
        ready.signal();
        linger();
    });
    ready.wait();
    live.inc();
    assert_eq!(samples(&page(&segment))["live"], 2.0);
    child.kill();
    assert_eq!(samples(&page(&segment))["live"], 1.0);
}

#[test]
fn a_process_that_lives_on_can_leave() {
    let name = Name::new("portable");
    let segment = options(&name).open().unwrap();
    let gauge = segment.gauge("g", "", GaugeMode::LiveSum).register().unwrap();
    let seen = || samples(&page(&segment)).get("g").copied();
    gauge.set(3.0);
    assert_eq!(seen(), Some(3.0));
    segment.detach_process();
    assert_eq!(seen(), Some(0.0));
    gauge.add(2.0);
    assert_eq!(seen(), Some(2.0), "it is a new process to the segment");
}

#[test]
fn the_native_backend_opens_it_too() {
    let name = Name::new("portable");
    let segment = options(&name).open().unwrap();
    segment.counter("c", "").register().unwrap().inc_by(7);
    // On Linux the crate's shared memory is the same file on the same tmpfs.
    let page = common::text(&name.reader().render(shmetrics::Format::Text));
    assert_eq!(samples(&page)["c_total"], 7.0);
}

#[test]
fn what_it_cannot_do_is_said() {
    assert!(matches!(Options::new().portable(true).anonymous().open(), Err(Error::Unsupported(_))));
    assert!(matches!(Options::new().portable(true).name("/dev/shm/x").open(), Err(Error::InvalidName(_))));
    let portable = || Options::new().portable(true).name("x");
    for options in [portable().mode(0o640), portable().owner(0), portable().group(0), portable().separate_mapping(true)]
    {
        assert!(matches!(options.open(), Err(Error::Unsupported(_))), "{options:?}");
    }
}
