//! The live view: a screen redrawn a few times a second, or a line each second where there is no
//! terminal.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use super::crew::Crew;
use super::page::Page;
use super::traffic::REQUESTS;
use crate::screen::Screen;
use crate::show::{bar, clean, count, counted};

const BAR_WIDTH: usize = 24;
/// Rates are taken over this time, to be readable.
const RATE_WINDOW: Duration = Duration::from_secs(2);

pub(super) struct Frame<'a> {
    pub(super) elapsed: Duration,
    pub(super) page: Page<'a>,
    pub(super) crew: &'a Crew,
}

pub(super) struct View {
    screen: Screen,
    segment: String,
    history: VecDeque<(Duration, Vec<u64>)>,
}

impl View {
    pub(super) fn open(segment: &str) -> Self {
        View { screen: Screen::open(), segment: clean(segment), history: VecDeque::new() }
    }

    pub(super) fn period(&self) -> Duration {
        Duration::from_millis(if self.screen.is_terminal() { 200 } else { 1000 })
    }

    pub(super) fn draw(&mut self, frame: &Frame) -> io::Result<()> {
        let totals: Vec<u64> = REQUESTS.iter().map(|request| frame.page.answered(request)).collect();
        let rates = self.rates(frame.elapsed, &totals);
        let text = if self.screen.is_terminal() {
            self.screen_text(frame, &totals, &rates)
        } else {
            line_text(frame, &totals, &rates)
        };
        self.screen.draw(&text)
    }

    /// Per second, over the window that ends now.
    fn rates(&mut self, now: Duration, totals: &[u64]) -> Vec<u64> {
        self.history.push_back((now, totals.to_vec()));
        while self.history.len() > 2 && now.saturating_sub(self.history[1].0) >= RATE_WINDOW {
            self.history.pop_front();
        }
        let (then, before) = &self.history[0];
        let seconds = now.saturating_sub(*then).as_secs_f64();
        let rate = |(now, then): (&u64, &u64)| {
            if seconds > 0.0 {
                (now.saturating_sub(*then) as f64 / seconds).round() as u64
            } else {
                0
            }
        };
        totals.iter().zip(before).map(rate).collect()
    }

    fn screen_text(&self, frame: &Frame, totals: &[u64], rates: &[u64]) -> String {
        let Frame { elapsed, page, crew } = frame;
        let mut text = String::new();
        let pids: Vec<String> = crew.pids().map(|pid| pid.to_string()).collect();
        let workers = counted(pids.len() as u64, "worker", "workers");
        let mut say = |line: String| {
            text += &line;
            text.push('\n');
        };
        say(format!("shmetrics demo: {workers}, one segment ({}), {} s", self.segment, elapsed.as_secs()));
        say(String::new());
        say(format!("  {:<20}{:>12}{:>12}", "REQUEST", "COUNTED", "PER SECOND"));
        let fastest = rates.iter().copied().max().unwrap_or(0);
        for ((request, &total), &rate) in REQUESTS.iter().zip(totals).zip(rates) {
            let title = format!("{:<5}{:<10}{}", request.method, request.path, request.status);
            let bar = bar(rate, fastest, BAR_WIDTH);
            say(format!("  {title:<20}{:>12}{:>12}  {bar}", count(total), count(rate)));
        }
        let (total, rate) = (totals.iter().sum(), rates.iter().sum());
        say(format!("  {:<20}{:>12}{:>12}", "all", count(total), count(rate)));
        say(String::new());
        let (median, slow) = (millis(page.quantile(0.5)), millis(page.quantile(0.99)));
        say(format!("  latency      half within {median}, 99 % within {slow}"));
        say(format!("  in progress  {}", page.in_progress()));
        say(format!("  workers      {}", pids.join(" ")));
        let (killed, last) = crew.killed();
        let last = last.map_or(String::new(), |pid| format!(", the last was {pid}"));
        say(format!("  killed       {}{last}", count(killed)));
        let tally = crew.tally();
        let (begun, finished) = (count(tally.begun_total()), count(tally.finished_total()));
        say(format!("  ledgers      {begun} begun, {finished} finished"));
        say(String::new());
        say(format!("Another terminal shows the page with: shmetrics render {}", self.segment));
        say("Ctrl-C ends the demo and compares the metrics with the ledgers.".to_owned());
        text
    }
}

fn line_text(frame: &Frame, totals: &[u64], rates: &[u64]) -> String {
    let Frame { elapsed, page, crew } = frame;
    let mut text = String::new();
    let total = count(totals.iter().sum());
    let rate = count(rates.iter().sum());
    let (slow, running, killed) = (millis(page.quantile(0.99)), page.in_progress(), crew.killed().0);
    let _ = writeln!(
        text,
        "{:>4} s  {total:>10} requests  {rate:>7}/s  99 % within {slow}  {running} in progress  {killed} killed",
        elapsed.as_secs()
    );
    text
}

fn millis(seconds: Option<f64>) -> String {
    seconds.map_or("-".to_owned(), |s| format!("{:.1} ms", s * 1000.0))
}
