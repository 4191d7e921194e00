//! What the live table and the live page cost with 100,000 series: a measurement, not a test. It
//! prints the figures of docs/command.md.
//!
//! ```text
//! cargo build --release -p shmetrics-cli
//! cargo test --release -p shmetrics-cli --test cost -- --ignored --nocapture
//! ```
//!
//! `SHMETRICS_COMMAND` names another build of the command, to compare. `SHMETRICS_COST_SECONDS` is
//! the time of each measurement, 30 without it.

mod support;

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use support::http::Server;
use support::{note, Room};

const SERIES: usize = 100_000;
/// Turns with a viewer and without one, in turns.
const TURNS: usize = 7;

fn seconds() -> u64 {
    std::env::var("SHMETRICS_COST_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30)
}

fn command(room: &Room, arguments: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_shmetrics").to_owned();
    let mut command = room.program(&std::env::var("SHMETRICS_COMMAND").unwrap_or(built));
    command.args(arguments);
    command
}

/// The CPU time of a process, in seconds.
fn cpu(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs").flatten();
    let of_task = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(|task| of_task(task.path())).sum::<f64>() / 1e9
}

/// A segment with one large family, and threads that count in it.
struct Application {
    is_over: &'static AtomicBool,
    counts: &'static AtomicU64,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Application {
    fn new(room: &Room, writers: usize) -> Self {
        let options = shmetrics::Options::new().name(room.path("large")).max_size(256 << 20);
        let segment = options.open().expect("the segment is made");
        let family = segment.counter("hits_total", "Hits.").labels(["page"]).register().expect("registers");
        let all: Vec<_> = (0..SERIES).map(|n| family.with([&format!("/page/{n}")])).collect();
        all.iter().enumerate().for_each(|(n, series)| series.add((n % 1000) as f64));
        let (is_over, counts) = (&*Box::leak(Box::default()), &*Box::leak(Box::default()));
        let count = |writer: usize| {
            let all = all.clone();
            thread::spawn(move || {
                let mut at = writer;
                while !AtomicBool::load(is_over, Relaxed) {
                    for _ in 0..1000 {
                        all[at % SERIES].inc();
                        at = at.wrapping_add(7919);
                    }
                    AtomicU64::fetch_add(counts, 1000, Relaxed);
                }
            })
        };
        Application { is_over, counts, threads: (0..writers).map(count).collect() }
    }

    /// Updates in a second.
    fn rate(&self, time: Duration) -> f64 {
        let (begin, before) = (Instant::now(), self.counts.load(Relaxed));
        thread::sleep(time);
        (self.counts.load(Relaxed) - before) as f64 / begin.elapsed().as_secs_f64()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// A viewer of the page with the large family open: the requests of page.js, once a second.
fn view(server: &Server, time: Duration, filter: &str) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        let next = Instant::now() + Duration::from_secs(1);
        server.get(&format!("/-/live.json?family=hits&filter={filter}")).assert(200, "series_matching");
        server.get("/-/segments.json").assert(200, "segments");
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

/// The ratio of the writers' rates with and without a viewer, in turns.
fn kept(application: &Application, mut viewer: impl FnMut(Duration)) -> String {
    let turn = Duration::from_secs(seconds().div_ceil(TURNS as u64).max(2));
    let ratios = (0..TURNS).map(|_| {
        let without = application.rate(turn);
        let with = thread::scope(|scope| {
            let rate = scope.spawn(|| application.rate(turn));
            viewer(turn);
            rate.join().expect("it counts")
        });
        with / without
    });
    let (least, middle, most) = median(ratios.collect());
    format!("writers keep {:.1} % ({:.1} to {:.1})", middle * 100.0, least * 100.0, most * 100.0)
}

#[test]
#[ignore = "measures for minutes"]
fn the_live_page() {
    let room = Room::new();
    let application = Application::new(&room, 0);
    let server = Server::run(command(&room, &["serve", "--listen", "127.0.0.1:0", "large"]));
    let begin = Instant::now();
    server.get("/").assert(200, "large");
    server.get("/-/live.json").assert(200, "hits");
    note(&format!("live page: first picture after {} ms", begin.elapsed().as_millis()));
    for (what, filter) in [("", ""), (", with a filter", "page/7")] {
        view(&server, Duration::from_secs(2), filter);
        let (begin, before) = (Instant::now(), cpu(server.pid()));
        view(&server, Duration::from_secs(seconds()), filter);
        let share = (cpu(server.pid()) - before) / begin.elapsed().as_secs_f64();
        note(&format!("live page: {:.1} % of a core, one family of {SERIES} series open{what}", share * 100.0));
    }
    drop((application, server));
    let room = Room::new();
    let application = Application::new(&room, 1);
    let server = Server::run(command(&room, &["serve", "--listen", "127.0.0.1:0", "large"]));
    note(&format!("live page: {}", kept(&application, |time| view(&server, time, ""))));
}

/// `shmetrics top` in a terminal of `script`, with the family open.
struct Top(Child);

impl Top {
    fn start(room: &Room) -> Self {
        let name = std::env::var("SHMETRICS_COMMAND").unwrap_or(env!("CARGO_BIN_EXE_shmetrics").to_owned());
        let mut command = room.program("script");
        command.args(["-qfec", &format!("stty rows 40 cols 120; exec '{name}' top large"), "/dev/null"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
        Top(child)
    }

    /// Reads until the screen has this text.
    fn wait_for(&mut self, text: &str) {
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        let out = self.0.stdout.as_mut().expect("a pipe");
        while !String::from_utf8_lossy(&seen).contains(text) {
            let read = out.read(&mut piece).expect("the terminal can be read");
            assert!(read > 0, "top has ended");
            seen.extend(&piece[..read]);
        }
    }

    fn pid(&self) -> u32 {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.0.id()));
        children.expect("the kernel tells").trim().parse().expect("script has one child")
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "measures for minutes"]
fn the_live_table() {
    let room = Room::new();
    let application = Application::new(&room, 0);
    let begin = Instant::now();
    let mut top = Top::start(&room);
    top.wait_for("hits_total");
    note(&format!("top: first picture after {} ms", begin.elapsed().as_millis()));
    let pid = top.pid();
    let mut out = top.0.stdout.take().expect("a pipe");
    thread::spawn(move || drop(std::io::copy(&mut out, &mut std::io::sink())));
    thread::sleep(Duration::from_secs(3));
    for (what, keys) in [("closed", ""), ("open", "a")] {
        std::io::Write::write_all(top.0.stdin.as_mut().expect("a pipe"), keys.as_bytes()).expect("top reads");
        thread::sleep(Duration::from_secs(5));
        let (begin, before) = (Instant::now(), cpu(pid));
        thread::sleep(Duration::from_secs(seconds()));
        let share = (cpu(pid) - before) / begin.elapsed().as_secs_f64();
        note(&format!("top: {:.1} % of a core, one family of {SERIES} series {what}", share * 100.0));
    }
    drop((top, application));
    let room = Room::new();
    let application = Application::new(&room, 1);
    let text = kept(&application, |time| {
        let mut top = Top::start(&room);
        top.wait_for("hits_total");
        thread::sleep(time);
    });
    note(&format!("top: {text}"));
}
