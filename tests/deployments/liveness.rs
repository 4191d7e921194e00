//! Per-process gauges of processes that cannot open the segment's file again: each kind of segment,
//! under each condition, with the first update before the condition and after it. Every cell of the
//! matrix is a test.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use shmetrics::{Format, Gauge, GaugeMode, Options, Reader, Segment};

use crate::harness::*;
use common::{alarm, attachments, fork, linger, note, pause, samples, text, Child, Directory, Shared};

#[derive(Clone, Copy, PartialEq)]
enum Opening {
    /// Readable and writable by root alone.
    Private,
    /// And readable by root's group.
    Group,
    /// A sealed memfd.
    Anonymous,
}

#[derive(Clone, Copy, PartialEq)]
enum Condition {
    Plain,
    Setuid,
    Chroot,
    SetuidAndChroot,
    NoProc,
    NoDescriptor,
    OpenAndMapDenied,
    /// All descriptors closed, privileges dropped, the root changed.
    Daemon,
}
use Condition::*;

struct Stage {
    directory: Directory,
    name: String,
    segment: Segment,
    live: Gauge,
    sum: Gauge,
}

impl Stage {
    fn new(opening: Opening) -> Self {
        let directory = common_ground("liveness");
        let name = directory.name("segment");
        let options = Options::new().max_size(4 << 20);
        let segment = match opening {
            Opening::Private => options.name(&name).mode(0o600).open(),
            Opening::Group => options.name(&name).mode(0o640).open(),
            Opening::Anonymous => options.anonymous().open(),
        }
        .unwrap();
        let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
        let sum = segment.gauge("sum", "", GaugeMode::Sum).register().unwrap();
        Stage { directory, name, segment, live, sum }
    }

    /// `live` and `sum`, as this process sees them.
    fn shown(&self) -> [f64; 2] {
        values(&self.segment.render(Format::Text))
    }

    /// How many descriptors of the segment this process has.
    fn descriptors(&self) -> usize {
        let file = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
        let segment = file(self.segment.path().unwrap());
        let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        all.filter(|descriptor| file(&descriptor.path()) == segment).count()
    }

    #[track_caller]
    fn assert(&self, live: f64, sum: f64, when: &str) {
        assert_eq!(self.shown(), [live, sum], "{when}, to the master");
        if self.segment.path().is_some() {
            let reader = Reader::open(&self.name).unwrap();
            assert_eq!(values(&reader.render(Format::Text)), [live, sum], "{when}, to a reader");
        }
    }

    fn impose(&self, condition: Condition, inside: &Inside) {
        match condition {
            Plain => {}
            Setuid => become_nobody(),
            Chroot => change_root(&self.directory),
            SetuidAndChroot => {
                change_root(&self.directory);
                become_nobody();
            }
            NoProc => assert!(hide_proc(), "root may hide /proc"),
            NoDescriptor => leave_no_descriptor(),
            OpenAndMapDenied => {
                let mut calls = opening_calls();
                calls.push(libc::SYS_mmap);
                deny(&calls, libc::EPERM);
            }
            Daemon => {
                close_descriptors(inside);
                change_root(&self.directory);
                become_nobody();
            }
        }
    }
}

fn values(page: &[u8]) -> [f64; 2] {
    let samples = samples(&text(page));
    ["live", "sum"].map(|name| samples[name])
}

/// A worker of a root master updates its gauges under the condition; its death shows on the next
/// page, before it is reaped.
fn cell(test: &str, opening: Opening, condition: Condition) {
    if !runs_as_root(test) {
        return;
    }
    for before in [true, false] {
        let stage = Stage::new(opening);
        let mut worker = Worker::start(|inside| {
            if before {
                stage.live.set(1.0);
                stage.sum.set(1.0);
            }
            stage.impose(condition, inside);
            stage.live.set(5.0);
            stage.sum.set(5.0);
            inside.say("counted");
            inside.wait();
            stage.live.inc();
            inside.say("again");
            inside.wait();
        });
        let when = if before { "first update before" } else { "first update after" };
        assert_eq!(worker.hear(), "counted");
        stage.assert(5.0, 5.0, when);
        worker.go();
        assert_eq!(worker.hear(), "again");
        stage.assert(6.0, 5.0, when);
        // SAFETY: a plain call; the worker is our child.
        unsafe { libc::kill(worker.pid(), libc::SIGKILL) };
        await_zombie(worker.pid());
        stage.assert(0.0, 5.0, &format!("{when}; killed, not reaped"));
        worker.kill();
        stage.assert(0.0, 5.0, &format!("{when}; reaped"));
        // Its slot serves the next worker.
        let mut next = Worker::start(|inside| {
            stage.live.set(2.0);
            inside.say("counted");
            inside.wait();
        });
        next.hear();
        stage.assert(2.0, 5.0, &format!("{when}; the next worker"));
        assert_eq!(stage.segment.reader().processes().len(), 1, "{when}: the dead worker's slot is used again");
        next.kill();
    }
}

/// Waits until the process has ended, without reaping it.
fn await_zombie(pid: i32) {
    // SAFETY: an all-zero value is valid; a plain call with a local.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOWAIT;
        done("waitid", libc::waitid(libc::P_PID, pid as libc::id_t, &raw mut info, options));
    }
}

macro_rules! matrix {
    ($($name:ident: $opening:ident, $condition:ident;)*) => {
        $(#[test]
        fn $name() {
            cell(stringify!($name), Opening::$opening, $condition);
        })*
    };
}

matrix! {
    private_plain: Private, Plain;
    private_setuid: Private, Setuid;
    private_chroot: Private, Chroot;
    private_setuid_and_chroot: Private, SetuidAndChroot;
    private_without_proc: Private, NoProc;
    private_without_a_free_descriptor: Private, NoDescriptor;
    private_open_and_mmap_denied: Private, OpenAndMapDenied;
    private_daemon: Private, Daemon;
    group_plain: Group, Plain;
    group_setuid: Group, Setuid;
    group_chroot: Group, Chroot;
    group_setuid_and_chroot: Group, SetuidAndChroot;
    group_without_proc: Group, NoProc;
    group_without_a_free_descriptor: Group, NoDescriptor;
    group_open_and_mmap_denied: Group, OpenAndMapDenied;
    group_daemon: Group, Daemon;
    anonymous_plain: Anonymous, Plain;
    anonymous_setuid: Anonymous, Setuid;
    anonymous_chroot: Anonymous, Chroot;
    anonymous_setuid_and_chroot: Anonymous, SetuidAndChroot;
    anonymous_without_proc: Anonymous, NoProc;
    anonymous_without_a_free_descriptor: Anonymous, NoDescriptor;
    anonymous_open_and_mmap_denied: Anonymous, OpenAndMapDenied;
    anonymous_daemon: Anonymous, Daemon;
}

#[test]
fn forty_workers_of_nobody_count_and_die_and_leave_nothing_in_the_kernel() {
    if !runs_as_root("forty_workers_of_nobody_count_and_die_and_leave_nothing_in_the_kernel") {
        return;
    }
    // Segments that other programs have left behind have the pids of processes that ended long ago.
    let older: HashSet<i32> = attachments().into_iter().map(|a| a.id).collect();
    let stage = Stage::new(Opening::Private);
    let mut pids = Vec::new();
    for round in 1..=3 {
        let mut workers: Vec<Worker> = (0..40)
            .map(|_| {
                Worker::start(|inside| {
                    if round > 1 {
                        close_descriptors(inside);
                    }
                    become_nobody();
                    stage.live.inc();
                    stage.sum.inc();
                    inside.say("counted");
                    inside.wait();
                })
            })
            .collect();
        workers.iter_mut().for_each(|w| _ = w.hear());
        pids.extend(workers.iter().map(Worker::pid));
        stage.assert(40.0, 40.0 * f64::from(round), "all live");
        workers.into_iter().for_each(Worker::kill);
        stage.assert(0.0, 40.0 * f64::from(round), "all dead");
    }
    assert!(stage.segment.reader().processes().len() <= 40, "slots are used again");
    let mut left = attachments();
    left.retain(|a| !older.contains(&a.id) && pids.contains(&a.creator));
    assert!(left.is_empty(), "the workers left segments behind: {left:?}");
}

#[test]
fn a_silent_child_does_not_keep_an_unprivileged_parent_alive() {
    if !runs_as_root("a_silent_child_does_not_keep_an_unprivileged_parent_alive") {
        return;
    }
    let stage = Stage::new(Opening::Private);
    let mut worker = Worker::start(|inside| {
        become_nobody();
        stage.live.set(3.0);
        let silent = fork(linger);
        inside.say(silent.0);
        inside.wait();
    });
    let silent = Child(worker.hear().parse().unwrap());
    stage.assert(3.0, 0.0, "it lives");
    worker.kill();
    stage.assert(0.0, 0.0, "its child lives on");
    silent.signal(libc::SIGKILL);
    std::mem::forget(silent); // not ours to reap
}

#[test]
fn a_child_of_an_unprivileged_worker_counts_for_itself() {
    if !runs_as_root("a_child_of_an_unprivileged_worker_counts_for_itself") {
        return;
    }
    let stage = Stage::new(Opening::Private);
    let mut worker = Worker::start(|inside| {
        change_root(&stage.directory);
        become_nobody();
        stage.live.set(3.0);
        let mut child = fork(|| {
            stage.live.set(4.0);
            inside.say("both");
            linger();
        });
        inside.wait();
        child.signal(libc::SIGKILL);
        child.wait();
        inside.say("one");
        inside.wait();
    });
    worker.hear();
    stage.assert(7.0, 0.0, "both live");
    worker.go();
    worker.hear();
    stage.assert(3.0, 0.0, "the child is dead");
    worker.kill();
    stage.assert(0.0, 0.0, "both are");
}

#[test]
fn from_another_pid_namespace_an_unprivileged_death_is_seen() {
    if !runs_as_root("from_another_pid_namespace_an_unprivileged_death_is_seen") {
        return;
    }
    let stage = Stage::new(Opening::Private);
    let mut worker = Worker::start(|inside| {
        if !unshare(libc::CLONE_NEWPID) {
            return inside.say("skipped");
        }
        let mut first = fork(|| {
            become_nobody();
            stage.live.set(2.0);
            inside.say("counted");
            linger();
        });
        inside.wait();
        first.signal(libc::SIGKILL);
        await_zombie(first.0);
        inside.say("killed");
        inside.wait();
        first.wait();
    });
    if worker.hear() == "skipped" {
        return note("skipped: from_another_pid_namespace (namespaces are not permitted here)");
    }
    stage.assert(2.0, 0.0, "it lives");
    worker.go();
    worker.hear();
    stage.assert(0.0, 0.0, "it is dead, and not reaped");
    worker.kill();
}

/// What a reader in an IPC namespace of its own sees, also in a PID namespace of its own.
fn seen_from_elsewhere(stage: &Stage) -> String {
    told(|| {
        if !unshare(libc::CLONE_NEWIPC | libc::CLONE_NEWPID) {
            return "skipped".to_owned();
        }
        told(|| format!("{:?}", values(&Reader::open(&stage.name).unwrap().render(Format::Text))))
    })
}

#[test]
fn in_another_container_the_death_of_an_unprivileged_worker_is_seen() {
    if !runs_as_root("in_another_container_the_death_of_an_unprivileged_worker_is_seen") {
        return;
    }
    for attached_before in [false, true] {
        let stage = Stage::new(Opening::Private);
        let mut worker = Worker::start(|inside| {
            if attached_before {
                stage.segment.attach_process().unwrap();
            }
            change_root(&stage.directory);
            become_nobody();
            stage.live.set(1.0);
            inside.say("counted");
            inside.wait();
        });
        worker.hear();
        let seen = seen_from_elsewhere(&stage);
        if seen == "skipped" {
            return note("skipped: another container (namespaces are not permitted here)");
        }
        assert_eq!(seen, "[1.0, 0.0]");
        // SAFETY: a plain call; the worker is our child.
        unsafe { libc::kill(worker.pid(), libc::SIGKILL) };
        await_zombie(worker.pid());
        assert_eq!(seen_from_elsewhere(&stage), "[0.0, 0.0]", "locks show in every namespace");
        worker.kill();
    }
}

/// The one case in which a death is not seen: an attachment, from another IPC namespace and another
/// PID namespace. Elsewhere it is.
#[test]
fn what_another_ipc_namespace_hides_counts_as_alive() {
    if !runs_as_root("what_another_ipc_namespace_hides_counts_as_alive") {
        return;
    }
    let stage = Stage::new(Opening::Private);
    let mut worker = Worker::start(|inside| {
        close_descriptors(inside);
        become_nobody();
        stage.live.set(10.0);
        inside.say("counted");
        inside.wait();
    });
    worker.hear();
    if seen_from_elsewhere(&stage) == "skipped" {
        return note("skipped: another IPC namespace (not permitted here)");
    }
    worker.kill();
    assert_eq!(seen_from_elsewhere(&stage), "[10.0, 0.0]");
    stage.assert(0.0, 0.0, "here all is seen");
}

#[test]
fn a_fork_leaves_no_descriptor_in_its_parent_and_one_in_a_silent_child_of_root() {
    let stage = Stage::new(Opening::Private);
    let own = || stage.descriptors();
    let handed = usize::from(common::is_root());
    let child = || {
        let child = own();
        let grandchild = told(|| format!("{} {}", own(), told(own)));
        stage.live.set(1.0);
        format!("{child} {grandchild} {}", own())
    };
    // In a process in which no threads of other tests fork: a fork opens descriptors for a moment.
    let seen = told(|| {
        let before = own();
        format!("{} {before} {}", told(child), own())
    });
    // They do not add up over generations, and a process with a slot needs none.
    assert_eq!(seen, format!("{0} {0} {0} 1 {0} {0}", 1 + handed));
}

#[test]
fn forks_of_several_threads_leave_no_descriptor_in_children() {
    let stage = Stage::new(Opening::Private);
    let own = || stage.descriptors();
    // The process has no threads of other tests.
    let seen = told(|| {
        let most = || (0..400).map(|_| told(own).parse::<usize>().unwrap()).max();
        let most = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(most)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).max()
        });
        format!("{} {}", most.unwrap(), own())
    });
    // A child may have none of its parent's for itself, and never two. What this process was handed
    // is there too.
    let handed = usize::from(common::is_root());
    let (most, left) = seen.split_once(' ').unwrap();
    assert!(most.parse::<usize>().unwrap() <= 1 + handed, "{seen}");
    assert_eq!(left, (1 + handed).to_string());
}

#[test]
fn where_no_way_is_left_updates_are_refused_with_the_reason_and_tried_again() {
    let stage = Stage::new(Opening::Anonymous);
    let mut worker = Worker::start(|inside| {
        close_descriptors(inside);
        let mut calls = opening_calls();
        calls.push(libc::SYS_shmget);
        deny(&calls, libc::EACCES);
        let refused = stage.segment.attach_process();
        assert!(matches!(refused, Err(shmetrics::Error::Permission(_))), "{refused:?}");
        for _ in 0..1000 {
            stage.live.inc();
        }
        inside.say("refused");
        inside.wait();
    });
    worker.hear();
    let page = String::from_utf8(stage.segment.render(Format::Text)).unwrap();
    assert!(page.contains("\nshmetrics_updates_rejected_total 1000\n"), "{page}");
    let told = stage.segment.next_warning().unwrap();
    assert!(told.contains("1000 of per-process gauges") && told.contains("attach_process"), "{told}");
    assert!(!told.contains("NaN") && !told.contains("max_processes"), "{told}");
    worker.kill();
}

#[test]
fn a_refusal_for_want_of_a_slot_is_remembered_and_does_not_last() {
    let name = common::Name::new("refusal");
    let segment = name.options().max_processes(1).open().unwrap();
    let live = segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
    let mut holder = Worker::start(|inside| {
        live.set(1.0);
        inside.say("holds the only slot");
        inside.wait();
    });
    holder.hear();
    let mut late = Worker::start(|inside| {
        live.set(2.0);
        inside.say("refused");
        inside.wait();
        // The slot is free now. An attempt by name is made at once; updates make one when their
        // wait is over.
        for _ in 0..4000 {
            live.set(3.0);
            if live.get() == 3.0 {
                inside.say("counts");
                return inside.wait();
            }
            pause(10_000);
        }
        inside.say("gave up");
    });
    late.hear();
    let told = segment.next_warning().unwrap();
    assert!(told.contains("max_processes = 1") && !told.contains("NaN"), "{told}");
    let attach = told_of_attach(&segment);
    assert!(attach.contains("as many as max_processes allows"), "{attach}");
    holder.kill();
    late.go();
    assert_eq!(late.hear(), "counts");
    assert_eq!(samples(&text(&segment.render(Format::Text)))["live"], 3.0);
    late.kill();
}

fn told_of_attach(segment: &Segment) -> String {
    told(|| segment.attach_process().map_or_else(|e| e.to_string(), |()| "attached".to_owned()))
}

#[test]
fn a_slot_can_be_taken_before_a_filter_denies_everything() {
    let stage = Stage::new(Opening::Private);
    let mut worker = Worker::start(|inside| {
        stage.segment.attach_process().unwrap();
        stage.segment.attach_process().unwrap();
        let mut calls = opening_calls();
        calls.extend([libc::SYS_shmget, libc::SYS_mmap, libc::SYS_fcntl]);
        deny(&calls, libc::EPERM);
        stage.live.set(4.0);
        inside.say("counted");
        inside.wait();
    });
    worker.hear();
    stage.assert(4.0, 0.0, "it lives");
    worker.kill();
    stage.assert(0.0, 0.0, "it is dead");
}

static IN_HANDLER: std::sync::OnceLock<Gauge> = std::sync::OnceLock::new();

extern "C" fn update_in_handler(_: i32) {
    if let Some(gauge) = IN_HANDLER.get() {
        gauge.set(1.0);
    }
}

/// The first update of a process comes in a signal handler, while the process allocates and frees
/// memory.
#[test]
fn the_first_update_may_come_in_a_signal_handler() {
    let stage = Stage::new(Opening::Anonymous);
    let gauge = stage.segment.gauge("state", "", GaugeMode::LiveSum).register().unwrap();
    IN_HANDLER.set(gauge).unwrap();
    for round in 0..100 {
        let handled = told(|| {
            let unprivileged = common::is_root() && round % 2 == 0;
            if unprivileged {
                become_nobody();
            }
            let handler: extern "C" fn(i32) = update_in_handler;
            let soon = libc::timeval { tv_sec: 0, tv_usec: 100 + 7 * round };
            let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
            let timer = libc::itimerval { it_interval: never, it_value: soon };
            // SAFETY: plain calls; the handler only updates a gauge.
            unsafe {
                libc::signal(libc::SIGALRM, handler as libc::sighandler_t);
                libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
            }
            let mut kept = Vec::new();
            while gauge.get() == 0.0 {
                kept.push(vec![0u8; 100 + kept.len() % 5000]);
                kept.truncate(50);
            }
            // SAFETY: a plain call: no watchdog of the harness is left, and none is needed.
            unsafe { libc::signal(libc::SIGALRM, libc::SIG_IGN) };
            gauge.get()
        });
        assert_eq!(handled, "1");
    }
}

/// Pages while workers start, count and die one after another: none may show a worker that is dead.
#[test]
fn no_page_shows_a_dead_process_while_its_slot_changes_hands() {
    pages_beside_short_lives(1, Until::Workers(400));
}

/// The same for ten minutes, as fast as two processes can start workers: `cargo test --release
/// --test deployments -- --ignored --exact liveness::ten_minutes_of_worker_starts`.
#[test]
#[ignore = "takes ten minutes"]
fn ten_minutes_of_worker_starts() {
    pages_beside_short_lives(2, Until::Seconds(600));
}

#[derive(Clone, Copy)]
enum Until {
    Workers(u64),
    Seconds(u64),
}

/// Each starter forks workers one after another, which are numbered, and notes which of them is
/// dead. Every second worker drops its privileges before it counts.
fn pages_beside_short_lives(starters: u64, until: Until) {
    let stage = Stage::new(Opening::Anonymous);
    let all = stage.segment.gauge("all", "", GaugeMode::LiveAll).register().unwrap();
    let words = Shared::new(2 * starters as usize);
    let (begun, dead): (Vec<&AtomicU64>, Vec<&AtomicU64>) = words.chunks(2).map(|pair| (&pair[0], &pair[1])).unzip();
    let unprivileged = common::is_root();
    let start = std::time::Instant::now();
    let goes_on = |workers: u64| match until {
        Until::Workers(most) => workers <= most,
        Until::Seconds(most) => start.elapsed().as_secs() < most,
    };
    let mut running: Vec<Child> = (0..starters as usize)
        .map(|starter| {
            fork(|| {
                alarm(1200);
                for number in (1..).take_while(|n| goes_on(*n)) {
                    begun[starter].store(number, SeqCst);
                    // SAFETY: the child only counts, and ends by _exit.
                    let pid = unsafe { libc::fork() };
                    if pid == 0 {
                        if unprivileged && number % 2 == 0 {
                            become_nobody();
                        }
                        stage.segment.set_identity((number * starters) as u32 + starter as u32);
                        all.set(1.0);
                        // SAFETY: ends the child at once.
                        unsafe { libc::_exit(0) };
                    }
                    done("fork", pid);
                    // A zombie while the next page is made, now and then.
                    await_zombie(pid);
                    dead[starter].store(number, SeqCst);
                    Child(pid).wait();
                }
            })
        })
        .collect();
    let (mut pages, mut seen) = (0, 0);
    while !running.is_empty() {
        running.retain_mut(|starter| !starter.has_ended());
        let gone: Vec<u64> = dead.iter().map(|word| word.load(SeqCst)).collect();
        let page = text(&stage.segment.render(Format::Text));
        let newest: Vec<u64> = begun.iter().map(|word| word.load(SeqCst)).collect();
        for line in page.lines().filter_map(|line| line.strip_prefix("all{pid=\"")) {
            let identity: u64 = line.split('"').next().unwrap().parse().unwrap();
            let (number, starter) = (identity / starters, (identity % starters) as usize);
            let living = gone[starter] + 1..=newest[starter];
            assert!(living.contains(&number), "worker {number} of starter {starter}: {living:?} may live");
            seen += 1;
        }
        pages += 1;
    }
    assert!(pages > 20, "{pages} pages");
    let workers: u64 = dead.iter().map(|word| word.load(SeqCst)).sum();
    let rate = workers as f64 / start.elapsed().as_secs_f64();
    note(&format!("{pages} pages beside {workers} workers, {rate:.0} a second; {seen} living ones on the pages"));
}

/// Forks in one thread while another takes its slot: the silent children must not keep the slot.
#[test]
fn children_forked_while_a_slot_is_taken_do_not_keep_it() {
    for round in 0..30 {
        let stage = Stage::new(if round % 2 == 0 { Opening::Private } else { Opening::Anonymous });
        let unprivileged = common::is_root() && round % 3 == 0;
        let mut worker = Worker::start(|inside| {
            if unprivileged {
                become_nobody();
            }
            let silent = std::thread::scope(|s| {
                let forker = s.spawn(|| {
                    (0..8)
                        .map(|_| {
                            // SAFETY: the child only waits, and ends by _exit.
                            let pid = unsafe { libc::fork() };
                            if pid == 0 {
                                // SAFETY: as above.
                                unsafe { libc::pause() };
                                // SAFETY: as above.
                                unsafe { libc::_exit(0) };
                            }
                            pid
                        })
                        .collect::<Vec<_>>()
                });
                pause(round * 20);
                stage.live.set(5.0);
                forker.join().unwrap()
            });
            inside.say(silent.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            inside.wait();
        });
        let silent: Vec<i32> = worker.hear().split(' ').map(|p| p.parse().unwrap()).collect();
        stage.assert(5.0, 0.0, "it lives");
        worker.kill();
        stage.assert(0.0, 0.0, "its silent children live on");
        for pid in silent {
            // SAFETY: plain calls; they wait for this, and are nobody else's business.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}
