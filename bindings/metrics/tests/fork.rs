//! Processes count through the facade into one segment, even if they are forked while other threads
//! count.
#![allow(missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use common::{segment, value};
use metrics::{counter, describe_counter, gauge, histogram, with_local_recorder};
use shmetrics_metrics::Recorder;

struct Child(libc::pid_t);

/// Forks a child that runs `f` and exits. One that hangs is ended by a signal.
fn fork(f: impl FnOnce()) -> Child {
    // SAFETY: the child runs the closure and leaves by _exit, so it runs none of the parent's
    // destructors. What it does needs no lock but malloc's, which glibc makes safe over fork.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: no preconditions.
            unsafe { libc::alarm(20) };
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
            // SAFETY: no preconditions.
            unsafe { libc::_exit(if ok { 0 } else { 101 }) }
        }
        pid => Child(pid),
    }
}

impl Child {
    #[track_caller]
    fn succeeds(self) {
        let mut status = 0;
        // SAFETY: our child, waited for once; `status` outlives the call.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        assert_eq!(status, 0, "the child's status");
    }
}

#[test]
fn two_processes_count_into_one_page() {
    let segment = segment();
    let recorder = Recorder::new(segment);
    let count = |status: &'static str| {
        with_local_recorder(&recorder, || {
            counter!("requests", "status" => status).increment(1);
            counter!("seen").absolute(100);
            histogram!("took_seconds").record(0.2);
            gauge!("in_progress").increment(1.0);
        });
    };
    let children = [fork(|| count("200")), fork(|| (0..9).for_each(|_| count("200")))];
    for child in children {
        child.succeeds();
    }
    count("200");
    fork(|| count("404")).succeeds();
    assert_eq!(value(segment, "requests_total{status=\"200\"}"), 11.0);
    assert_eq!(value(segment, "requests_total{status=\"404\"}"), 1.0);
    assert_eq!(value(segment, "took_seconds_count"), 12.0);
    // Each process' own; the last child goes on from what its parent had.
    assert_eq!(value(segment, "seen_total"), 300.0);
    // The dead have nothing in progress.
    assert_eq!(value(segment, "in_progress"), 1.0);
}

/// Ends the threads also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn children_forked_amid_the_work_of_threads_are_not_stranded() {
    let segment = segment();
    let recorder = Recorder::new(segment);
    with_local_recorder(&recorder, || counter!("clash").increment(1));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = Stop(&stop);
        for thread in 0..2 {
            let (recorder, stop) = (&recorder, stop.0);
            scope.spawn(move || {
                for i in (0..400).cycle() {
                    if stop.load(Relaxed) {
                        break;
                    }
                    with_local_recorder(recorder, || {
                        describe_counter!(format!("work_{thread}_{i}"), "Made while others fork.");
                        counter!(format!("work_{thread}_{i}"), "a" => "1").absolute(1);
                        gauge!("clash").set(1.0);
                    });
                }
            });
        }
        for round in 0..100 {
            let child = fork(|| {
                with_local_recorder(&recorder, || {
                    describe_counter!("children", "Children.");
                    counter!("children", "round" => round.to_string()).increment(1);
                    counter!("seen").absolute(1);
                    gauge!("clash").set(1.0);
                    assert!(recorder.warnings().lost_updates > 0);
                });
            });
            child.succeeds();
        }
    });
    assert_eq!(value(segment, "seen_total"), 100.0);
    assert_eq!(value(segment, "children_total{round=\"99\"}"), 1.0);
}
