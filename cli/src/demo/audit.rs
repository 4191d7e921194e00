//! The comparison at the end: the metrics against the workers' ledgers.
//!
//! A request that finished must have been counted; one that never began cannot have been. Only a
//! request that a kill cut short is open, and a worker does one at a time, so there is at most one
//! for each killed worker.

use std::io::{self, Write};

use super::crew::Roll;
use super::page::Page;
use super::traffic::{Request, REQUESTS};
use crate::failure::{Failure, Outcome};
use crate::show::{count, counted};

pub(super) fn report(roll: &Roll, page: &Page) -> Outcome {
    let tally = &roll.tally;
    let cut = tally.cut_short();
    let unwilling = match roll.unwilling {
        0 => String::new(),
        n => format!(", {n} of them for not ending when asked"),
    };
    let mut out = io::stdout().lock();
    let summary = [
        format!("workers      {} started, {} killed{unwilling}", count(roll.started), count(roll.killed)),
        format!(
            "ledgers      {} finished, {} cut short by a kill",
            counted(tally.finished_total(), "request", "requests"),
            count(cut)
        ),
        format!("counter      {}", count(page.answered_total())),
        format!("histogram    {}", count(page.observed())),
        format!("in progress  {}", page.in_progress()),
    ];
    for line in summary {
        writeln!(out, "{line}").map_err(Failure::Output)?;
    }
    let problems = problems(roll, page);
    if problems.is_empty() {
        let verdict = "the metrics agree: every finished request is counted, and nothing but those cut short besides";
        return writeln!(out, "{verdict}").map_err(Failure::Output);
    }
    Err(Failure::Said(format!("the metrics disagree with the ledgers: {}", problems.join("; "))))
}

fn problems(roll: &Roll, page: &Page) -> Vec<String> {
    let tally = &roll.tally;
    let mut problems = Vec::new();
    let mut compare = |what: &str, value: u64, finished: u64, begun: u64| {
        if !(finished..=begun).contains(&value) {
            problems.push(format!("{what} is {value} for {finished} finished and {begun} begun"));
        }
    };
    for (kind, request) in REQUESTS.iter().enumerate() {
        compare(&title(request), page.answered(request), tally.finished[kind], tally.begun[kind]);
    }
    compare("the counter's total", page.answered_total(), tally.finished_total(), tally.begun_total());
    compare("the histogram's count", page.observed(), tally.finished_total(), tally.begun_total());
    let cut = tally.cut_short();
    if cut > roll.killed {
        problems.push(format!("{cut} requests were cut short by {} kills", roll.killed));
    }
    if page.in_progress() != 0.0 {
        problems.push(format!("{} requests are in progress with no worker left", page.in_progress()));
    }
    problems
}

fn title(request: &Request) -> String {
    format!("{} {} {}", request.method, request.path, request.status)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Tally;
    use super::{problems, Page, Roll};

    fn check(root: u64, search: u64, observed: u64, in_progress: u64) -> Vec<String> {
        let tally = Tally { begun: [11, 5, 0, 0, 0], finished: [10, 5, 0, 0, 0] };
        let roll = Roll { tally, started: 3, killed: 1, unwilling: 0 };
        let text = format!(
            "demo_requests_total{{method=\"GET\",path=\"/\",status=\"200\"}} {root}\n\
             demo_requests_total{{method=\"GET\",path=\"/search\",status=\"200\"}} {search}\n\
             demo_request_seconds_count {observed}\ndemo_requests_in_progress {in_progress}\n"
        );
        problems(&roll, &Page::new(text.as_bytes()))
    }

    #[test]
    fn a_request_cut_short_may_count_or_not() {
        assert_eq!(check(10, 5, 15, 0), [""; 0]);
        assert_eq!(check(11, 5, 16, 0), [""; 0]);
        assert_eq!(check(10, 5, 16, 0), [""; 0]);
    }

    #[test]
    fn a_lost_request_is_found() {
        assert_eq!(check(9, 5, 15, 0).len(), 2, "the series and the total are short");
        assert_eq!(check(10, 5, 14, 0).len(), 1, "the histogram is short");
    }

    #[test]
    fn a_request_counted_twice_is_found() {
        assert_eq!(check(12, 5, 15, 0).len(), 2, "the series and the total are over");
        assert_eq!(check(10, 5, 17, 0).len(), 1, "the histogram is over");
    }

    #[test]
    fn a_request_counted_elsewhere_is_found() {
        assert_eq!(check(9, 6, 15, 0).len(), 2, "the total is right, both series are not");
    }

    #[test]
    fn what_the_dead_left_in_progress_is_found() {
        assert_eq!(check(10, 5, 15, 1).len(), 1);
    }

    #[test]
    fn more_open_requests_than_kills_are_found() {
        let tally = Tally { begun: [2, 0, 0, 0, 0], finished: [0; 5] };
        let roll = Roll { tally, started: 1, killed: 1, unwilling: 0 };
        assert_eq!(problems(&roll, &Page::new(b"")).len(), 1);
    }
}
