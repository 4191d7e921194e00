//! The harness does what it says: without that, its tests would prove nothing.

use std::path::Path;

use crate::harness::*;
use common::{is_root, note};

#[test]
fn privileges_and_roots_are_really_changed() {
    if !runs_as_root("privileges_and_roots_are_really_changed") {
        return;
    }
    let directory = common_ground("harness");
    let seen = told(|| {
        change_root(&directory);
        become_user(NOBODY, NOBODY, &[7]);
        let mut groups = [0; 4];
        // SAFETY: plain calls; the list is as long as it says.
        let (user, group, n) = unsafe { (libc::geteuid(), libc::getegid(), libc::getgroups(4, groups.as_mut_ptr())) };
        format!("{user} {group} {n} {} {}", groups[0], Path::new("/dev/shm").exists())
    });
    assert_eq!(seen, "65534 65534 1 7 false");
}

#[test]
fn without_proc_descriptors_or_calls() {
    let cannot_open = || std::fs::File::open("/dev/null").map_err(|e| e.raw_os_error().unwrap_or(0)).err();
    assert_eq!(
        told(|| {
            leave_no_descriptor();
            format!("{:?}", cannot_open())
        }),
        format!("Some({})", libc::EMFILE)
    );
    assert_eq!(
        told(|| {
            deny(&opening_calls(), libc::EPERM);
            format!("{:?}", cannot_open())
        }),
        format!("Some({})", libc::EPERM)
    );
    let proc = told(|| if hide_proc() { Path::new("/proc/self").exists().to_string() } else { String::new() });
    if proc.is_empty() && !is_root() {
        return note("skipped: hiding /proc (needs root or user namespaces)");
    }
    assert_eq!(proc, "false");
}

#[test]
fn a_worker_says_waits_and_goes_on() {
    let mut worker = Worker::start(|inside| {
        inside.say("ready");
        inside.wait();
        close_descriptors(inside);
        inside.say(7);
        inside.wait();
        unreachable!("it is killed before");
    });
    assert_eq!(worker.hear(), "ready");
    worker.go();
    assert_eq!(worker.hear(), "7");
    worker.kill();
}
