//! The screen, drawn to memory, of real segments.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use shmetrics::{GaugeMode, Options, Reader, Segment};

use super::app::{App, Wish};
use super::draw::draw;
use crate::common::live::banner::banner;
use crate::common::owners::Owners;
use crate::common::source::Sources;

/// A segment, and the live table of it.
struct Stage {
    name: String,
    segment: Segment,
    sources: Sources,
    app: App,
    begin: Instant,
    reads: u64,
}

impl Stage {
    fn new(set: impl Fn(Options) -> Options) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli-top-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let segment = set(Options::new().name(&name)).open().expect("a segment is created");
        let sources = Sources::quiet(vec![name.clone()], Owners::default(), false).expect("the name is right");
        let app = App::new("shop".to_owned());
        Stage { name, segment, sources, app, begin: Instant::now(), reads: 0 }
    }

    /// Reads, one second after the last time.
    fn read(&mut self) {
        let now = self.begin + Duration::from_secs(self.reads);
        self.reads += 1;
        let reading = self.sources.read().expect("the segment can be read");
        self.app.model.take(&reading, &[], self.app.is_per_process, now);
        self.app.refresh();
    }

    fn press(&mut self, codes: impl IntoIterator<Item = KeyCode>) {
        for code in codes {
            let wish = self.app.key(KeyEvent::new(code, KeyModifiers::NONE));
            if wish == Wish::Reread {
                self.app.reset();
                self.read();
            }
        }
    }

    fn screen(&mut self, width: u16, height: u16) -> String {
        let mut terminal = ratatui::Terminal::new(TestBackend::new(width, height)).expect("memory is a terminal");
        terminal.draw(|frame| draw(&mut self.app, frame)).expect("memory can be written");
        let buffer = terminal.backend().buffer();
        let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect::<Vec<_>>().join("\n")
    }

    /// The rows of the table, without the other lines.
    fn rows(&mut self) -> Vec<String> {
        let screen = self.screen(120, 40);
        let is_row = |line: &&str| !line.is_empty();
        let rows = screen.lines().skip_while(|line| !line.contains("METRIC")).skip(1).filter(is_row);
        let rows: Vec<String> = rows.map(str::to_owned).collect();
        rows[..rows.len() - 2].to_vec()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = Segment::remove(&self.name);
    }
}

fn typed(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

/// A shop with traffic: read three times, one second apart.
fn shop() -> Stage {
    let mut stage = Stage::new(|options| options);
    let segment = stage.segment;
    let requests = segment.counter("http_requests_total", "Requests answered, by route and status.");
    let requests = requests.labels(["route", "status"]).register().expect("registers");
    let latency = segment.histogram("http_request_seconds", "Time from the request to the end of its answer.");
    let latency = latency.buckets(&[0.001, 0.004, 0.016, 0.064]).register().expect("registers");
    let sent = segment.counter("http_sent_bytes_total", "Bytes of answers.").register().expect("registers");
    let busy = segment.gauge("http_in_progress", "Requests in progress.", GaugeMode::LiveSum);
    let busy = busy.register().expect("registers");
    let breaker = segment.enumeration("breaker", "The circuit breaker of the payment service.", &["closed", "open"]);
    breaker.register().expect("registers").set(1);
    busy.set(3.0);
    for _ in 0..3 {
        for (route, status, n) in [("/", "200", 1200), ("/cart", "200", 340), ("/pay", "200", 45), ("/pay", "500", 5)] {
            requests.with([route, status]).add(f64::from(n));
        }
        for i in 0..200 {
            latency.observe(if i % 20 == 0 { 0.03 } else { 0.003 });
        }
        sent.add(2_500_000.0);
        stage.read();
    }
    stage
}

#[test]
fn the_screen_is_that_of_the_documentation() {
    let mut stage = shop();
    stage.press([KeyCode::Down, KeyCode::Enter, KeyCode::Down]);
    let screen = stage.screen(100, 15);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command.md");
    let docs = std::fs::read_to_string(path).expect("the documentation is there");
    let (before, rest) =
        docs.split_once("<!-- the screen of `shmetrics top` -->\n```text\n").expect("there is a screen");
    let (shown, after) = rest.split_once("\n```\n").expect("the screen ends");
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        let marker = "<!-- the screen of `shmetrics top` -->\n```text\n";
        std::fs::write(path, format!("{before}{marker}{screen}\n```\n{after}")).expect("the documentation is written");
        return;
    }
    assert_eq!(shown, screen, "run this test with UPDATE_SCREENS=1 if the change is meant");
}

#[test]
fn rates_values_and_percentiles() {
    let mut stage = shop();
    let rows = stage.rows();
    let row = |name: &str| rows.iter().find(|row| row.contains(name)).unwrap_or_else(|| panic!("{rows:#?}")).clone();
    let words = |name: &str| row(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert!(words("http_requests_total").starts_with("\u{25b8} http_requests_total (4 series) 4.77 k 1.59 k 1.59 k"));
    assert!(words("http_request_seconds").contains("600 200 200 200 2.58 ms 54.4 ms"), "{rows:#?}");
    assert!(words("http_sent_bytes").contains("7.15 MiB 2.38 MiB 2.38 MiB"), "{rows:#?}");
    assert!(words("http_in_progress").starts_with("http_in_progress 3 - - - - -"), "{rows:#?}");
    assert!(words("breaker").starts_with("breaker open"), "{rows:#?}");
    assert!(rows[0].contains("http_sent_bytes"), "the highest rate is first: {rows:#?}");
}

#[test]
fn rows_stay_where_they_are_until_sorted() {
    let mut stage = Stage::new(|options| options);
    let family = stage.segment.counter("jobs_total", "").labels(["kind"]).register().expect("registers");
    let others = stage.segment.counter("a_total", "").register().expect("registers");
    for kind in ["mail", "pdf"] {
        family.with([kind]).inc();
    }
    stage.read();
    family.with(["mail"]).add(100.0);
    stage.read();
    let first =
        |stage: &mut Stage| stage.rows().iter().map(|row| row.chars().take(14).collect()).collect::<Vec<String>>();
    stage.press([KeyCode::Enter]);
    let rows = first(&mut stage);
    assert!(rows[1].contains("mai") && rows[2].contains("pdf"), "{rows:?}");
    others.add(1e6);
    family.with(["pdf"]).add(1000.0);
    family.with(["new"]).inc();
    stage.read();
    let rows = first(&mut stage);
    assert!(rows[1].contains("mai") && rows[2].contains("pdf") && rows[3].contains("new"), "{rows:?}");
    stage.press(typed("s"));
    let rows = first(&mut stage);
    assert!(rows[0].contains("a_total") && rows[2].contains("pdf"), "sorted again: {rows:?}");
    // Gone series keep their row until the next sort.
    family.remove(["pdf"]);
    stage.read();
    assert!(stage.rows()[2].contains("gone"), "{:?}", stage.rows());
    stage.press(typed("s"));
    assert!(!stage.rows().iter().any(|row| row.contains("pdf")), "{:?}", stage.rows());
}

#[test]
fn the_filter_follows_each_key() {
    let mut stage = shop();
    stage.press(typed("/PA"));
    let rows = stage.rows();
    assert_eq!(rows.len(), 3, "the family of the two series, and these: {rows:#?}");
    assert!(rows[1].contains("/pay") && rows[2].contains("/pay"), "{rows:#?}");
    stage.press([KeyCode::Backspace, KeyCode::Backspace]);
    stage.press(typed("sent"));
    assert_eq!(stage.rows().len(), 1);
    stage.press(typed("x"));
    assert!(stage.screen(120, 20).contains("no metric matches the filter"));
    stage.press([KeyCode::Esc]);
    assert_eq!(stage.rows().len(), 5);
    stage.press(typed("q"));
    assert_eq!(stage.app.key(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), Wish::Quit);
}

#[test]
fn families_open_and_rows_scroll() {
    let mut stage = Stage::new(|options| options);
    let family = stage.segment.counter("hits_total", "").labels(["n"]).register().expect("registers");
    for n in 0..100 {
        family.with([&format!("{n:03}")]).add(f64::from(n));
    }
    stage.read();
    assert_eq!(stage.rows().len(), 1);
    stage.press([KeyCode::Right]);
    stage.press(typed(">"));
    let screen = stage.screen(80, 14);
    assert!(screen.contains("n=\"0") && !screen.contains("n=\"050\""), "{screen}");
    stage.press([KeyCode::End]);
    let screen = stage.screen(80, 14);
    assert_eq!(stage.app.selected, 100, "{screen}");
    stage.press([KeyCode::PageUp, KeyCode::Up, KeyCode::Home, KeyCode::Left]);
    assert_eq!(stage.rows().len(), 1);
    // Any size.
    for (width, height) in [(1, 1), (20, 6), (40, 7), (300, 3), (300, 100)] {
        stage.screen(width, height);
    }
}

#[test]
fn nothing_of_a_label_drives_the_terminal() {
    let mut stage = Stage::new(|options| options);
    let evil = "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}\u{2066}\r\n";
    let family = stage.segment.counter("hits_total", evil).labels(["page"]).register().expect("registers");
    family.with([evil]).inc();
    stage.read();
    let shown = stage.screen(200, 12);
    assert!(shown.contains("pwned"), "{shown}");
    stage.press(typed(&format!("/{evil}")));
    stage.press([KeyCode::Enter]);
    let screen = shown + &stage.screen(200, 12);
    let found: Vec<char> =
        screen.chars().filter(|c| *c != '\n' && (c.is_control() || "\u{202e}\u{2066}".contains(*c))).collect();
    assert!(found.is_empty(), "{found:?} in {screen}");
}

#[test]
fn gauges_of_each_process() {
    let mut stage = shop();
    assert!(!stage.rows().iter().any(|row| row.contains("pid=")));
    stage.press(typed("w"));
    let own = format!("http_in_progress{{pid=\"{}\"}}", std::process::id());
    assert!(stage.rows().iter().any(|row| row.contains(&own)), "{own}: {:#?}", stage.rows());
    stage.press(typed("w"));
    assert!(!stage.rows().iter().any(|row| row.contains("pid=")));
}

#[test]
fn the_banner_says_what_is_wrong_and_what_to_do() {
    let mut stage = Stage::new(|options| options.max_series(5));
    let inspect = |stage: &Stage| Reader::open(&stage.name).expect("it is there").inspect();
    assert_eq!(banner(&[inspect(&stage)], None), None);
    let family = stage.segment.counter("hits_total", "").labels(["n"]).register().expect("registers");
    for n in 0..20 {
        family.with([&n.to_string()]).inc();
    }
    stage.app.banner = banner(&[inspect(&stage)], None);
    stage.read();
    let screen = stage.screen(80, 20);
    assert!(screen.contains("OVERFLOW: ") && screen.contains("hits."), "{screen}");
    // A terminal of the usual size has room for the longest banner.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&screen).contains("Runbook: shmetrics_overflow_lookups_total."), "{screen}");

    let mut sick = inspect(&stage);
    sick.in_use = Some(false);
    sick.overflow_lookups = 0;
    assert!(banner(&[sick.clone()], None).is_some_and(|b| b.text.starts_with("NO PROCESS") && !b.is_loss));
    sick.used = sick.max_size;
    assert!(banner(&[sick.clone()], None).is_some_and(|b| b.text.starts_with("FULL") && b.is_loss));
    sick.corrupt = 2;
    assert!(banner(&[sick.clone()], None).is_some_and(|b| b.text.starts_with("DAMAGED: 2 families are missing")));
    assert!(banner(&[sick], Some("it is gone")).is_some_and(|b| b.text.starts_with("NO SEGMENT: it is gone")));
}
