//! The number of processes that have a segment open, and whether its name leads to it, if processes
//! do not all see the same system.

use crate::harness::{
    become_nobody, change_root, close_descriptors, common_ground, deny, hide_proc, mount, runs_as_root, told, unshare,
    unshare_mounts, Worker,
};
use common::{fork, samples, Directory};
use shmetrics::{Format, GaugeMode, Options, Reader, Segment};

const ATTACHED: &str = "shmetrics_processes{state=\"attached\"}";
const IN_USE: &str = "shmetrics_segment_in_use";
const CURRENT: &str = "shmetrics_segment_current";

/// A sample of the page, or `none`.
fn sample(reader: &Reader, name: &str) -> String {
    let page = String::from_utf8(reader.render(Format::Text)).unwrap();
    samples(&page).get(name).map_or_else(|| "none".to_owned(), f64::to_string)
}

fn state(reader: &Reader) -> String {
    [ATTACHED, IN_USE, CURRENT].map(|name| sample(reader, name)).join(" ")
}

/// A worker that opens the segment, says what its own page tells, and stays until it may go on.
fn opens(name: &str, before: impl FnOnce()) -> Worker {
    Worker::start(|inside| {
        before();
        let segment = Segment::open(name).unwrap();
        segment.counter("c", "").register().unwrap().inc();
        inside.say(state(&segment.reader()));
        inside.wait();
    })
}

#[test]
fn a_root_master_and_its_workers_without_privileges() {
    if !runs_as_root("a_root_master_and_its_workers_without_privileges") {
        return;
    }
    let ground = common_ground("whole-setuid");
    let name = ground.name("app");
    let mut master = Worker::start(|inside| {
        let segment = Options::new().name(&name).mode(0o600).open().unwrap();
        let mut workers: Vec<Worker> = (0..2)
            .map(|i| {
                Worker::start(|inside| {
                    if i == 1 {
                        change_root(&ground);
                    }
                    become_nobody();
                    inside.wait();
                    // A page of the worker: it may not open the file, nor read the state of root's
                    // System V page.
                    inside.say(state(&segment.reader()));
                    inside.wait();
                })
            })
            .collect();
        workers.iter_mut().for_each(Worker::go);
        let pages: Vec<String> = workers.iter_mut().map(Worker::hear).collect();
        inside.say(pages.join(", "));
        inside.wait();
        workers.into_iter().for_each(Worker::kill);
        inside.say(state(&segment.reader()));
        inside.wait();
    });
    // After chroot the name means something else, which is no removal.
    assert_eq!(master.hear(), "3 1 1, 3 1 none");
    let reader = Reader::open(&name).unwrap();
    assert_eq!(state(&reader), "3 1 1");
    master.go();
    assert_eq!(master.hear(), "1 1 1");
    master.kill();
    assert_eq!(state(&reader), "0 0 1");
}

#[test]
fn hosts_that_close_all_descriptors() {
    let ground = common_ground("whole-closed");
    let name = ground.name("app");
    let mut worker = Worker::start(|inside| {
        let segment = Segment::open(&name).unwrap();
        close_descriptors(inside);
        inside.say(state(&segment.reader()));
        inside.wait();
    });
    assert_eq!(worker.hear(), "1 1 1");
    let reader = Reader::open(&name).unwrap();
    assert_eq!(state(&reader), "1 1 1");
    worker.kill();
    assert_eq!(state(&reader), "0 0 1");
}

#[test]
fn a_pid_namespace_of_their_own_does_not_matter() {
    let ground = common_ground("whole-pid");
    let name = ground.name("app");
    let mut outer = Worker::start(|inside| {
        if !unshare(libc::CLONE_NEWPID) {
            inside.say("no namespaces");
            return;
        }
        // The first child is the init process of the new namespace.
        let mut init = Worker::start(|init| {
            let segment = Segment::open(&name).unwrap();
            init.say(state(&segment.reader()));
            init.wait();
        });
        inside.say(init.hear());
        inside.wait();
        init.kill();
        inside.say("killed");
        inside.wait();
    });
    let said = outer.hear();
    if said == "no namespaces" {
        return;
    }
    assert_eq!(said, "1 1 1");
    let reader = Reader::open(&name).unwrap();
    assert_eq!(state(&reader), "1 1 1");
    outer.go();
    assert_eq!(outer.hear(), "killed");
    assert_eq!(state(&reader), "0 0 1");
}

#[test]
fn another_ipc_namespace_hides_the_number_and_not_the_use() {
    let ground = common_ground("whole-ipc");
    let name = ground.name("app");
    let mut first = opens(&name, || ());
    assert_eq!(first.hear(), "1 1 1");
    let reader = Reader::open(&name).unwrap();
    let mut foreign = Worker::start(|inside| {
        if !unshare(libc::CLONE_NEWIPC) {
            inside.say("no namespaces");
            return;
        }
        let seen = state(&Reader::open(&name).unwrap());
        let segment = Segment::open(&name).unwrap();
        inside.say(format!("{seen}, {}", state(&segment.reader())));
        inside.wait();
        inside.say(state(&segment.reader()));
        inside.wait();
    });
    let said = foreign.hear();
    if said == "no namespaces" {
        return;
    }
    // A number that leaves a process out would be wrong: there is none while it lives, on any page.
    assert_eq!(said, "none 1 1, none 1 1");
    assert_eq!(state(&reader), "none 1 1");
    first.kill();
    foreign.go();
    assert_eq!(foreign.hear(), "none 1 1");
    foreign.kill();
    assert_eq!(state(&reader), "0 0 1");
    // All are gone: the next process begins anew, whatever the header says of the page before.
    let mut next = opens(&name, || ());
    assert_eq!(next.hear(), "1 1 1");
    assert_eq!(state(&reader), "1 1 1");
    next.kill();
}

#[test]
fn a_filter_that_denies_system_v_costs_the_number_alone() {
    let ground = common_ground("whole-filter");
    let name = ground.name("app");
    let denied = [libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmctl];
    let mut filtered = Worker::start(|inside| {
        deny(&denied, libc::EPERM);
        let segment = Segment::open(&name).unwrap();
        let gauge = segment.gauge("g", "", GaugeMode::LiveSum).register().unwrap();
        gauge.set(3.0);
        inside.say(format!("{} {}", state(&segment.reader()), gauge.get()));
        inside.wait();
    });
    assert_eq!(filtered.hear(), "none 1 1 3");
    let mut free = opens(&name, || ());
    assert_eq!(free.hear(), "none 1 1", "one of the two is not counted");
    let reader = Reader::open(&name).unwrap();
    assert_eq!(state(&reader), "none 1 1");
    filtered.kill();
    assert_eq!(state(&reader), "1 1 1", "the one that is left is");
    free.kill();
}

#[test]
fn without_proc_processes_are_counted() {
    let ground = common_ground("whole-proc");
    let name = ground.name("app");
    let mut first = opens(&name, || ());
    assert_eq!(first.hear(), "1 1 1");
    let said = told(|| {
        if !hide_proc() {
            return "no namespaces".to_owned();
        }
        let segment = Segment::open(&name).unwrap();
        state(&segment.reader())
    });
    assert!(said == "2 1 1" || said == "no namespaces", "{said}");
    first.kill();
}

#[test]
fn a_mount_over_the_directory_is_no_removal_and_a_removal_behind_it_is_seen() {
    let ground = common_ground("whole-mount");
    let name = ground.name("app");
    let mut worker = Worker::start(|inside| {
        if !unshare_mounts() {
            inside.say("no namespaces");
            return;
        }
        let segment = Segment::open(&name).unwrap();
        if !mount("none", &ground.0, "tmpfs", 0, "size=1m") {
            inside.say("no namespaces");
            return;
        }
        inside.say(format!("{} {:?}", segment.is_current(), segment.next_warning()));
        inside.wait();
        inside.say(segment.is_current());
        inside.wait();
    });
    let said = worker.hear();
    if said == "no namespaces" {
        return;
    }
    assert_eq!(said, "true None");
    std::fs::remove_file(&name).unwrap();
    worker.go();
    assert_eq!(worker.hear(), "false");
    worker.kill();
}

/// What systemd-logind's RemoveIPC, systemd-tmpfiles and `rm -rf /dev/shm/*` do to a running
/// application.
#[test]
fn removed_files_split_old_and_new_processes_and_both_can_tell() {
    let ground = common_ground("whole-removed");
    let name = ground.name("app");
    let mut old = Worker::start(|inside| {
        let segment = Segment::open(&name).unwrap();
        let child = fork(|| std::thread::sleep(std::time::Duration::from_secs(60)));
        inside.say(state(&segment.reader()));
        inside.wait();
        let told = segment.next_warning().unwrap_or_default();
        inside.say(format!("{} {}", state(&segment.reader()), told.contains("was removed or replaced")));
        inside.wait();
        drop(child);
    });
    assert_eq!(old.hear(), "2 1 1");
    for file in ground.files() {
        std::fs::remove_file(ground.0.join(file)).unwrap();
    }
    let mut new = opens(&name, || ());
    assert_eq!(new.hear(), "1 1 1");
    old.go();
    assert_eq!(old.hear(), "2 1 0 true");
    new.kill();
    old.go();
    old.join();
}

/// The recipe: `RuntimeDirectory=` with `RuntimeDirectoryPreserve=restart`, which is a directory of
/// the service's own that no cleaner looks into.
#[test]
fn a_runtime_directory_survives_the_restart_of_a_service() {
    let runtime = Directory::new("whole-runtime");
    let count = || {
        told(|| {
            // SAFETY: a forked child, which has no other thread.
            unsafe { std::env::set_var("SHMETRICS_DIR", &runtime.0) };
            let counter = Segment::open("app").unwrap().counter("c", "").register().unwrap();
            counter.inc();
            counter.get()
        })
    };
    assert_eq!(count(), "1");
    assert_eq!(count(), "2", "the counts go on");
    let path = runtime.name("shmetrics-app");
    assert_eq!(state(&Reader::open(&path).unwrap()), "0 0 1");
}
