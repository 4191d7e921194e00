//! Tests of `shmetrics top`: tables and JSON without a terminal, and the live table in tmux.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{has, Room, WATCHDOG};

fn shop(room: &Room) -> shmetrics::Segment {
    let segment = room.segment_with_jobs("shop", 3);
    segment.gauge("depth", "", shmetrics::GaugeMode::Shared).register().expect("registers").set(2.5);
    let latency = segment.histogram("latency", "").buckets(&[1.0, 2.0]).register().expect("registers");
    latency.observe(1.5);
    segment.enumeration("breaker", "", &["closed", "open"]).register().expect("registers").set(1);
    let labelled = segment.counter("evil_total", "").labels(["x"]).register().expect("registers");
    labelled.with(["\u{1b}[2J"]).inc();
    segment
}

#[test]
fn series_by_their_rates() {
    let room = Room::new();
    let _segment = shop(&room);
    let out = room.run(&["top", "shop", "--iterations", "2", "--interval", "0.05"]).success();
    assert!(out.contains("shmetrics top: shop, 5 series"), "{out}");
    let second = out.split("shmetrics top").nth(2).expect("two tables");
    let row = |name: &str| -> Vec<&str> {
        let line = second.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name}: {out}"));
        line.split_whitespace().collect()
    };
    assert_eq!(row("jobs_total"), ["0", "0", "0", "3", "-", "-", "jobs_total"]);
    assert_eq!(row("depth"), ["-", "-", "-", "2.50", "-", "-", "depth"]);
    assert_eq!(row("latency"), ["0", "0", "0", "1", "-", "-", "latency"]);
    assert_eq!(row("breaker")[3], "open");
    assert!(!out.contains('\u{1b}'), "nothing drives the terminal: {out}");
    let only = room.run(&["top", "shop", "--iterations", "1", "--metric", "depth"]).success();
    assert!(only.contains("1 series") && !only.contains("jobs"), "{only}");
    let once = room.run(&["top", "shop", "--once", "--interval", "0.05"]).success();
    assert!(once.matches("shmetrics top").count() == 1 && once.contains("jobs_total"), "{once}");
}

#[test]
fn json_has_the_documented_shape() {
    let room = Room::new();
    let _segment = shop(&room);
    let out = room.run(&["top", "shop", "--once", "--json", "--interval", "0.05"]).success();
    assert!(out.starts_with("{\"segments\":\"shop\",\"time\":1") && out.ends_with("}]}]}\n"), "{out}");
    for part in [
        r#","problem":null,"families":[{"name":"jobs","type":"counter","unit":"","help":"Jobs done.","series":["#,
        r#"{"labels":{},"value":3,"rate_1s":0.0,"rate_10s":0.0,"rate_60s":0.0,"p50":null,"p90":null,"p99":null}"#,
        r#""value":2.5,"rate_1s":null,"#,
        r#"{"labels":{},"count":1,"sum":1.5,"rate_1s":0.0,"#,
        r#""states":["open"],"#,
        r#"{"labels":{"x":"\u001b[2J"},"value":1,"#,
    ] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    let first = room.run(&["top", "shop", "--json", "--iterations", "1"]).success();
    assert!(first.contains(r#""rate_1s":null,"rate_10s":null,"rate_60s":null,"p50":1.5,"p90":1.9,"#), "{first}");
}

#[test]
fn without_a_segment_it_says_so() {
    Room::new().run(&["top", "shop", "--iterations", "1"]).failure(&["there is no segment at"]);
}

/// A tmux server of its own with one window, in which a shell runs.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// `None`, with a word about it: tmux is not installed.
    fn open(room: &Room) -> Option<Self> {
        if !has("tmux") {
            return None;
        }
        let tmux = Tmux { socket: room.dir().join("tmux").display().to_string() };
        let dir = format!("SHMETRICS_DIR={}", room.dir().display());
        let shell = format!("exec bash --noprofile --rcfile {} -i", room.write("rc", "PS1='ready> '\n"));
        let session = ["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "24"];
        tmux.run(&[&session[..], &["-e", &dir, "-e", "RUST_BACKTRACE=0", &shell]].concat());
        tmux.prompt();
        Some(tmux)
    }

    fn run(&self, args: &[&str]) -> String {
        let ran = Command::new("tmux").args(["-S", &self.socket]).args(args).output().expect("tmux runs");
        assert!(ran.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    fn line(&self, text: &str) {
        self.keys(&[text, "Enter"]);
    }

    /// Waits until the screen is as wanted, and gives it.
    #[track_caller]
    fn wait(&self, is_it: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.run(&["capture-pane", "-p"]);
            if is_it(&screen) {
                return screen;
            }
            assert!(begin.elapsed() < WATCHDOG, "the screen stays:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the shell reads a line: what is typed before may be lost.
    #[track_caller]
    fn prompt(&self) {
        self.wait(|screen| screen.trim_end().ends_with("ready>"));
    }

    /// Waits for the shell, and asserts that the terminal is as a shell wants it.
    #[track_caller]
    fn shell(&self, mark: &str) {
        self.prompt();
        // What the shell echoes is not what it prints.
        self.line(&format!(
            "clear; stty -a | tr ';' '\\n' | grep -c -w -- '-icanon\\|-echo\\|-isig'; echo is-{mark}-$((40+2))"
        ));
        let screen = self.wait(|screen| screen.contains(&format!("is-{mark}-42")));
        self.prompt();
        assert!(screen.lines().any(|line| line == "0"), "the terminal is still raw after {mark}:\n{screen}");
        let modes = self.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(modes, "0 1\n", "after {mark}, the other screen is left and the cursor shows");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

#[test]
fn the_live_table_gives_the_terminal_back() {
    let room = Room::new();
    let segment = shop(&room);
    let Some(tmux) = Tmux::open(&room) else { return };
    let top = format!("{} top shop --interval 0.1", env!("CARGO_BIN_EXE_shmetrics"));
    let is_top = |screen: &str| screen.contains("METRIC") && screen.contains("jobs_total");
    tmux.line(&top);
    let screen = tmux.wait(|screen| is_top(screen) && screen.contains("q quit"));
    assert!(screen.contains("shmetrics top: shop   5 families, 5 series"), "{screen}");

    // Keys are for the table, not for the shell.
    tmux.keys(&["/", "d", "e", "p"]);
    tmux.wait(|screen| screen.contains("depth") && !screen.contains("jobs_total"));
    tmux.keys(&["Escape"]);
    tmux.wait(is_top);
    segment.counter("late_total", "").register().expect("registers").inc();
    tmux.wait(|screen| screen.contains("late_total"));

    tmux.run(&["resize-window", "-x", "60", "-y", "12"]);
    let screen = tmux.wait(|screen| is_top(screen) && !screen.contains("TREND"));
    assert!(screen.lines().count() <= 12 && screen.lines().all(|line| line.chars().count() <= 60), "{screen}");
    tmux.run(&["resize-window", "-x", "100", "-y", "24"]);

    tmux.keys(&["C-z"]);
    tmux.wait(|screen| screen.contains("Stopped"));
    tmux.shell("stopped");
    tmux.line("fg");
    tmux.wait(is_top);
    tmux.keys(&["q"]);
    tmux.shell("q");

    for signal in ["TERM", "INT", "HUP", "TSTP"] {
        tmux.line(&format!("clear; {top}"));
        tmux.wait(is_top);
        // The shell's only child.
        let shell = tmux.run(&["display-message", "-p", "#{pane_pid}"]);
        let sent = Command::new("pkill").args([&format!("-{signal}"), "-P", shell.trim()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{signal} is sent");
        tmux.shell(signal);
        if signal == "TSTP" {
            tmux.line("fg");
            tmux.wait(is_top);
            tmux.keys(&["C-c"]);
            tmux.shell("C-c");
        }
    }
    if cfg!(debug_assertions) {
        tmux.line(&format!("clear; {top}"));
        tmux.wait(is_top);
        tmux.keys(&["F12"]);
        tmux.wait(|screen| screen.lines().any(|line| line == "F12 was pressed"));
        tmux.shell("panic");
    }
}

/// A connection breaks, and `nohup` or a supervisor ignores the hangup.
#[test]
fn a_terminal_that_is_gone_ends_the_live_table_without_a_panic() {
    let room = Room::new();
    let _segment = shop(&room);
    let Some(tmux) = Tmux::open(&room) else { return };
    let status = room.dir().join("status");
    let (program, file) = (env!("CARGO_BIN_EXE_shmetrics"), status.display());
    tmux.line(&format!(
        "clear; trap '' HUP; {program} top shop --interval 0.1; echo $? > {file}.new; mv {file}.new {file}"
    ));
    tmux.wait(|screen| screen.contains("METRIC"));
    tmux.run(&["kill-server"]);
    let begin = Instant::now();
    while !status.exists() {
        assert!(begin.elapsed() < WATCHDOG, "the table outlives its terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = std::fs::read_to_string(&status).expect("reads");
    assert!(["0", "1"].contains(&status.trim()), "{status}");
}
