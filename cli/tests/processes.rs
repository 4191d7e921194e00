//! Tests of `shmetrics serve --process-metrics`: values from `/proc` of the processes that count.

// The floats are small whole numbers and sums of these.
#![allow(clippy::float_cmp)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use support::http::{Response, Server};
use support::Room;

const LIMIT: Duration = Duration::from_secs(30);

/// A process that has a segment open for counting: it burns CPU time for each line that it is
/// given, and answers.
struct Worker {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(path: &str) -> Self {
        Self::run(
            "for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end: pass
    print('done', flush=True)",
            path,
        )
    }

    /// In Python, without this library: the mapping alone makes it a process of the segment.
    fn run(script: &str, path: &str) -> Self {
        let script = format!(
            "import mmap, os, sys, time
f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 4096); f.close()
print('up', flush=True)
{script}"
        );
        let mut command = Command::new("python3");
        command.args(["-c", &script, path]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 starts");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut worker = Worker { child, answers };
        worker.wait("up");
        worker
    }

    fn wait(&mut self, answer: &str) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answers");
        assert_eq!(line.trim_end(), answer);
    }

    fn burn(&mut self, seconds: f64) {
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{seconds}").expect("is told");
        self.wait("done");
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Each test alone: a child that another test starts has the mappings of this process until it
/// runs its program, and counts as one more process of the segment until then.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn value(page: &Response, series: &str) -> Option<f64> {
    support::value(&page.body, series)
}

#[test]
fn sums_and_each() {
    let _alone = alone();
    let room = Room::new();
    room.segment_with_jobs("shop", 1);
    let path = room.path("shop");
    let server = Server::start_with(&room, &["shop", "--process-metrics"]);
    let (mut one, mut two) = (Worker::start(&path), Worker::start(&path));
    // The kernel counts in hundredths, and rounds down.
    one.burn(0.3);
    two.burn(0.2);
    let page = server.get("/metrics");
    let get = |name: &str| value(&page, name).unwrap_or_else(|| panic!("no {name}: {page:?}"));
    // This test counts, too: it has made the segment.
    assert_eq!(get("shmetrics_serve_processes"), 3.0);
    let of = |name: &str| {
        let pids = [one.pid(), two.pid(), std::process::id()];
        pids.map(|pid| get(&format!("process_worker_{name}{{pid=\"{pid}\"}}")))
    };
    for name in ["resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "threads"] {
        let each = of(name);
        assert!(each.iter().all(|v| *v > 0.0), "{name}: {each:?}");
        assert_eq!(get(&format!("process_{name}")), each.iter().sum::<f64>(), "{name}");
    }
    assert!(of("cpu_seconds_total")[0] >= 0.2 && get("process_cpu_seconds_total") >= 0.3);
    assert_eq!(get("process_start_time_seconds"), of("start_time_seconds").into_iter().fold(f64::INFINITY, f64::min));
    assert!(!page.body.contains(&format!("pid=\"{}\"", server.pid())), "who only reads does not count: {page:?}");

    // The dead processes are gone from the page, and their CPU time is still in the sum.
    let before = get("process_cpu_seconds_total");
    one.kill();
    let page = server.get("/metrics");
    assert_eq!(value(&page, &format!("process_worker_cpu_seconds_total{{pid=\"{}\"}}", one.pid())), None, "{page:?}");
    assert_eq!(value(&page, "shmetrics_serve_processes"), Some(2.0));
    assert!(value(&page, "process_cpu_seconds_total") >= Some(before), "{page:?}");
    let mut three = Worker::start(&path);
    three.burn(0.2);
    let after = value(&server.get("/metrics"), "process_cpu_seconds_total");
    assert!(after >= Some(before + 0.1), "{after:?}");
    // Only these, as scrapers ask for them.
    let page = server.get("/metrics?name[]=process_threads");
    assert!(value(&page, "process_threads") > Some(2.0) && !page.body.contains("jobs"), "{page:?}");
}

#[test]
fn a_workers_identity_is_its_name_and_families_of_the_host_come_first() {
    let _alone = alone();
    let room = Room::new();
    let segment = room.segment("shop");
    segment.set_identity(7);
    segment.gauge("busy", "", shmetrics::GaugeMode::LiveAll).register().expect("registers").set(1.0);
    segment.gauge("process_threads", "Mine.", shmetrics::GaugeMode::Shared).register().expect("registers").set(99.0);
    let server = Server::start_with(&room, &["shop", "--process-metrics"]);
    let page = server.get("/metrics");
    assert_eq!(value(&page, "busy{pid=\"7\"}"), Some(1.0), "{page:?}");
    assert!(value(&page, "process_worker_threads{pid=\"7\"}") > Some(0.0), "{page:?}");
    assert_eq!((value(&page, "process_threads"), value(&page, "shmetrics_conflicts")), (Some(99.0), Some(1.0)));
    let plain = Server::start(&room, "shop").get("/metrics");
    assert!(!plain.body.contains("process_worker"), "only who asks for them has them: {plain:?}");
}

#[test]
fn of_several_segments_each_has_its_own() {
    let _alone = alone();
    let room = Room::new();
    room.segment_with_jobs("shop", 1);
    room.segment_with_jobs("cron", 1);
    let worker = Worker::start(&room.path("cron"));
    let server = Server::start_with(&room, &["shop", "cron", "--process-metrics"]);
    let page = server.get("/metrics");
    assert_eq!(value(&page, "shmetrics_serve_processes{segment=\"shop\"}"), Some(1.0), "{page:?}");
    assert_eq!(value(&page, "shmetrics_serve_processes{segment=\"cron\"}"), Some(2.0), "{page:?}");
    let name = format!("process_worker_threads{{pid=\"{}\",segment=\"cron\"}}", worker.pid());
    assert_eq!(value(&page, &name), Some(1.0), "{page:?}");
    let plain = Server::start_with(&room, &["shop", "cron", "--process-metrics", "--no-segment-label"]);
    assert_eq!(value(&plain.get("/metrics"), "shmetrics_serve_processes"), Some(2.0), "in both, it is one");
}

#[test]
fn a_program_that_a_worker_starts_does_not_count() {
    let _alone = alone();
    let room = Room::new();
    room.segment_with_jobs("shop", 1);
    let server = Server::start_with(&room, &["shop", "--process-metrics"]);
    // The child has the worker's mappings until it executes its program.
    let script = "if os.fork() == 0:
    sys.stdin.readline()
    os.execvp('sh', ['sh', '-c', 'echo done; read line'])
os.wait()";
    let mut worker = Worker::run(script, &room.path("shop"));
    let counted = || value(&server.get("/metrics"), "shmetrics_serve_processes");
    let both = Instant::now() + LIMIT;
    while counted() != Some(3.0) {
        assert!(Instant::now() < both, "this test, the worker and its child count");
    }
    worker.burn(0.0);
    assert_eq!(counted(), Some(2.0));
}
