//! Tests of per-process gauges: all modes, over fork and death, with the meaning of Python's
//! client.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use common::{fork, fork_many, join_all, linger, named, named_with, own, page, samples, until, Gate, Name};
use shmetrics::{Format, Gauge, GaugeMode, Segment};

fn gauges(segment: &Segment) -> Vec<Gauge> {
    GaugeMode::ALL.iter().map(|m| segment.gauge(&format!("g_{m}"), "", *m).register().unwrap()).collect()
}

fn value(segment: &Segment, mode: GaugeMode) -> Option<f64> {
    samples(&page(segment)).get(&format!("g_{mode}")).copied()
}

/// The samples of a listed mode, by identity.
fn listed(segment: &Segment, mode: GaugeMode) -> Vec<(u32, f64)> {
    let prefix = format!("g_{mode}{{pid=\"");
    let page = samples(&page(segment));
    let mut found: Vec<(u32, f64)> = page
        .iter()
        .filter_map(|(k, v)| Some((k.strip_prefix(&prefix)?.strip_suffix("\"}")?.parse().unwrap(), *v)))
        .collect();
    found.sort_by_key(|(identity, _)| *identity);
    found
}

#[test]
fn every_mode_with_living_and_dead_processes() {
    let segment = named("modes");
    let gauges = gauges(&segment);
    for mode in GaugeMode::ALL.iter().copied() {
        let shown = value(&segment, mode);
        let empty_sum = matches!(mode, GaugeMode::Shared | GaugeMode::Sum | GaugeMode::LiveSum);
        assert_eq!(shown, empty_sum.then_some(0.0), "{mode} before any process set it");
    }
    let ready = Gate::new();
    let start = |identity: u32, v: f64| {
        let child = fork(|| {
            segment.set_identity(identity);
            gauges.iter().for_each(|g| g.set(v));
            ready.signal();
            linger();
        });
        ready.wait();
        child
    };
    let (one, two, three) = (start(1, 5.0), start(2, -1.0), start(3, 3.0));
    assert_eq!(listed(&segment, GaugeMode::All), [(1, 5.0), (2, -1.0), (3, 3.0)]);
    assert_eq!(listed(&segment, GaugeMode::LiveAll), [(1, 5.0), (2, -1.0), (3, 3.0)]);
    let expect = |expected: [(GaugeMode, f64); 9], when: &str| {
        for (mode, v) in expected {
            assert_eq!(value(&segment, mode), Some(v), "{mode} {when}");
        }
    };
    use GaugeMode as M;
    let all_alive = [
        (M::Shared, 3.0),
        (M::Sum, 7.0),
        (M::LiveSum, 7.0),
        (M::Min, -1.0),
        (M::LiveMin, -1.0),
        (M::Max, 5.0),
        (M::LiveMax, 5.0),
        (M::MostRecent, 3.0),
        (M::LiveMostRecent, 3.0),
    ];
    expect(all_alive, "with all alive");
    let with_one_and_three_dead = [
        (M::Shared, 3.0),
        (M::Sum, 7.0),
        (M::LiveSum, -1.0),
        (M::Min, -1.0),
        (M::LiveMin, -1.0),
        (M::Max, 5.0),
        (M::LiveMax, -1.0),
        (M::MostRecent, 3.0),
        (M::LiveMostRecent, -1.0),
    ];
    one.kill();
    three.kill();
    expect(with_one_and_three_dead, "with the first and the last killed");
    assert_eq!(listed(&segment, GaugeMode::All).len(), 3, "the dead stay");
    assert_eq!(listed(&segment, GaugeMode::LiveAll), [(2, -1.0)]);
    // Stopped is not dead.
    two.signal(libc::SIGSTOP);
    assert_eq!(value(&segment, M::LiveSum), Some(-1.0));
    two.signal(libc::SIGCONT);
    // A newcomer takes the slot of a dead one; what that one left is still counted.
    let four = start(4, 10.0);
    let with_four = [
        (M::Shared, 10.0),
        (M::Sum, 17.0),
        (M::LiveSum, 9.0),
        (M::Min, -1.0),
        (M::LiveMin, -1.0),
        (M::Max, 10.0),
        (M::LiveMax, 10.0),
        (M::MostRecent, 10.0),
        (M::LiveMostRecent, 10.0),
    ];
    expect(with_four, "with a newcomer in a dead one's slot");
    assert_eq!(listed(&segment, GaugeMode::LiveAll), [(2, -1.0), (4, 10.0)]);
    four.kill();
    two.kill();
    assert_eq!(value(&segment, M::LiveSum), Some(0.0));
    assert_eq!(value(&segment, M::LiveMin), None);
    assert_eq!(value(&segment, M::Max), Some(10.0));
    assert_eq!(value(&segment, M::Sum), Some(17.0));
    assert_eq!(value(&segment, M::Min), Some(-1.0));
}

#[test]
fn many_generations_leave_no_residue_and_lose_no_sum() {
    let segment = named("generations");
    let sum = segment.gauge("sum", "", GaugeMode::Sum).register().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let max = segment.gauge("max", "", GaugeMode::Max).register().unwrap();
    let generation = |i: u32| {
        fork(|| {
            sum.add(f64::from(i));
            live.inc();
            max.set(f64::from(i % 97));
        })
        .join();
    };
    for i in 1..=8 {
        generation(i);
    }
    let used = own(&segment, "shmetrics_segment_used_bytes");
    for i in 9..=300 {
        generation(i);
    }
    assert_eq!(own(&segment, "shmetrics_segment_used_bytes"), used, "no memory per generation");
    let s = samples(&page(&segment));
    assert_eq!((s["sum"], s["live"], s["max"]), (f64::from(300 * 301 / 2), 0.0, 96.0));
    let processes = segment.reader().inspect().processes;
    assert_eq!(processes.len(), 1, "one slot for all: {processes:?}");
}

#[test]
fn a_fork_is_a_process_of_its_own_for_its_gauges() {
    let segment = named("fork");
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    live.set(1.0);
    let (ready, go) = (Gate::new(), Gate::new());
    let child = fork(|| {
        live.inc();
        let grandchild = fork(|| {
            live.inc();
            ready.signal();
            go.wait();
        });
        grandchild.join();
    });
    ready.wait();
    assert_eq!(samples(&page(&segment))["live"], 3.0);
    let reader = segment.reader();
    assert_eq!(reader.inspect().processes.iter().filter(|p| p.alive).count(), 3);
    go.signal();
    child.join();
    assert_eq!(samples(&page(&segment))["live"], 1.0);
}

#[test]
fn a_parent_killed_while_its_silent_child_lives_on_is_dead() {
    let segment = named("orphan");
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let parent = fork(|| {
        live.inc();
        // A child that never counts: it inherits the lock's descriptor and does not know it.
        let silent = fork(|| go.wait());
        std::mem::forget(silent);
        ready.signal();
        linger();
    });
    ready.wait();
    assert_eq!(samples(&page(&segment))["live"], 1.0);
    parent.kill();
    assert_eq!(samples(&page(&segment))["live"], 0.0);
    go.signal();
}

#[test]
fn threads_of_one_process_share_its_value() {
    let segment = named("threads");
    for round in 0..50 {
        let g = segment.gauge(&format!("g{round}"), "", GaugeMode::Sum).register().unwrap();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..100).for_each(|_| g.inc()));
            }
        });
        assert_eq!(samples(&page(&segment))[&format!("g{round}")], 400.0, "no first update is lost");
    }
}

#[test]
fn threads_whose_first_updates_come_at_once_need_one_slot() {
    const ROUNDS: u32 = 8;
    const THREADS: u32 = 4;
    // All slots but one are taken, so that a claim takes some time.
    const SLOTS: u32 = 128;
    let name = Name::new("at-once");
    let options = || name.options().max_size(1 << 20).max_processes(SLOTS);
    let first = options().open().unwrap();
    let lossy = first.counter("lossy", "").register().unwrap();
    let live = |segment: &Segment| segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    (1..SLOTS).for_each(|_| live(&options().separate_mapping(true).open().unwrap()).set(0.0));
    let gauge = live(&first);
    let round = || {
        let together = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    together.fetch_add(1, SeqCst);
                    while together.load(SeqCst) < THREADS {
                        std::thread::yield_now();
                    }
                    gauge.inc();
                });
            }
        });
        if samples(&page(&first))["live"] != f64::from(THREADS) {
            lossy.inc();
        }
    };
    (0..ROUNDS).for_each(|_| fork(round).join());
    // A thread does not wait for long for another one that the machine does not run.
    assert!(lossy.get() <= 1.0, "updates were lost in {} of {ROUNDS} rounds", lossy.get());
}

#[test]
fn beyond_the_process_limit_updates_are_counted_as_rejected() {
    let segment = named_with("limit", |options| options.max_processes(2));
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let holders = fork_many(2, |_| {
        live.inc();
        ready.signal();
        go.wait();
    });
    holders.iter().for_each(|_| ready.wait());
    live.inc();
    assert_eq!(samples(&page(&segment))["live"], 2.0);
    assert_eq!(own(&segment, "shmetrics_updates_rejected_total"), 1.0);
    holders.iter().for_each(|_| go.signal());
    join_all(holders);
    live.inc();
    assert_eq!(samples(&page(&segment))["live"], 1.0, "and a freed slot is found again");
}

#[test]
fn any_value_may_be_set_and_all_calls_do_what_they_say() {
    let segment = named("values");
    for mode in [GaugeMode::Shared, GaugeMode::LiveSum, GaugeMode::MostRecent, GaugeMode::LiveMostRecent] {
        let key = format!("v_{mode}");
        let g = segment.gauge(&key, "", mode).register().unwrap();
        let now = |g: &Gauge, v: f64| {
            g.set(v);
            samples(&page(&segment))[&key]
        };
        for v in [0.0, -0.0, 1.5, -3.0, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(now(&g, v), v, "{mode}");
        }
        assert!(now(&g, f64::NAN).is_nan());
        g.set(10.0);
        g.inc();
        g.dec();
        g.add(2.5);
        g.sub(0.5);
        {
            let _guard = g.track_in_progress();
            assert_eq!(samples(&page(&segment))[&key], 13.0);
        }
        assert_eq!(samples(&page(&segment))[&key], 12.0);
        g.set_to_now();
        assert!(samples(&page(&segment))[&key] > 1.7e9);
    }
}

#[test]
fn an_anonymous_segment_is_shared_by_forks_and_sealed() {
    let segment = shmetrics::Options::new().anonymous().max_size(1 << 20).open().unwrap();
    let c = segment.counter("c", "").register().unwrap();
    let g = segment.gauge("g", "", GaugeMode::LiveSum).register().unwrap();
    let ready = Gate::new();
    let child = fork(|| {
        c.inc();
        g.inc();
        ready.signal();
        linger();
    });
    ready.wait();
    let s = samples(&common::text(&segment.render(Format::Text)));
    assert_eq!((s["c_total"], s["g"]), (1.0, 1.0));
    child.kill();
    assert_eq!(samples(&page(&segment))["g"], 0.0);
    let descriptor = segment.as_fd().unwrap();
    // SAFETY: a plain call on the segment's descriptor; the seal refuses it.
    let truncated = unsafe { libc::ftruncate(descriptor.as_raw_fd(), 0) };
    assert_eq!(truncated, -1, "no process can truncate it under a reader");
}

#[test]
fn a_process_that_closes_all_descriptors_lives_on() {
    let segment = named("closed");
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let daemon = fork(|| {
        live.set(5.0);
        // As daemons do, but for the pipes this test needs.
        let kept = [ready.descriptors(), go.descriptors()].concat();
        for fd in (3..256).filter(|fd| !kept.contains(fd)) {
            // SAFETY: closing what may not be open is an error and no more; the library must cope
            // with it.
            unsafe { libc::close(fd) };
        }
        ready.signal();
        go.wait();
        live.add(1.0);
        ready.signal();
        go.wait();
    });
    ready.wait();
    let shown = || samples(&page(&segment))["live"];
    assert_eq!(shown(), 5.0, "its mapping holds its lock");
    fork(|| {
        live.set(10.0);
        assert_eq!(shown(), 15.0, "its slot is not given away");
    })
    .join();
    go.signal();
    ready.wait();
    assert_eq!(shown(), 6.0);
    go.signal();
    daemon.join();
    assert_eq!(shown(), 0.0, "dead, it is gone");
}

#[test]
fn a_child_that_never_counts_does_not_keep_its_parent_alive() {
    let segment = named("silent");
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let mut parent = fork(|| {
        live.set(5.0);
        // Not killed with this one: it is a grandchild.
        let silent = fork(|| go.wait());
        ready.signal();
        std::mem::forget(silent);
        linger();
    });
    ready.wait();
    assert_eq!(samples(&page(&segment))["live"], 5.0);
    parent.signal(libc::SIGKILL);
    // Dead and not reaped yet: its pid is still there, and must not matter.
    until("the dead parent is not shown", || samples(&page(&segment))["live"] == 0.0);
    go.signal();
    parent.wait();
}
