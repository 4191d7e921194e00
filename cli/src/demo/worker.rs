//! One worker: attaches to the segment by name and works until its standard input ends.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use shmetrics::Options;

use super::ledger::Ledger;
use super::random::Random;
use super::traffic::{self, Metrics};
use crate::failure::{Failure, Outcome};

/// The longest idle time between two requests.
const PAUSE_MAX: Duration = Duration::from_millis(1);

pub(crate) fn work(name: &str) -> Outcome {
    let segment = Options::new().name(name).attach().open()?;
    let metrics = Metrics::register(segment)?;
    // `io::stdout()` would keep entries in this process, where they die with it.
    let pipe = io::stdout().as_fd().try_clone_to_owned().map_err(Failure::Output)?;
    let mut ledger = Ledger(File::from(pipe));
    let dismissed = end_of_input();
    let mut random = Random::new(u64::from(std::process::id()));
    while !dismissed.load(Ordering::Relaxed) {
        // The show is over without a word if nobody reads the ledger any more.
        answer(&metrics, &mut ledger, &mut random).map_err(Failure::Output)?;
        thread::sleep(PAUSE_MAX.mul_f64(random.unit()));
    }
    Ok(())
}

fn answer(metrics: &Metrics, ledger: &mut Ledger<File>, random: &mut Random) -> io::Result<()> {
    let (kind, time) = traffic::next(random);
    ledger.begin(kind)?;
    metrics.in_progress.inc();
    let start = Instant::now();
    thread::sleep(time);
    metrics.seconds.observe(start.elapsed().as_secs_f64());
    metrics.requests[kind].inc();
    metrics.in_progress.dec();
    ledger.finish(kind)
}

/// Becomes true when the parent closes the pipe, or is no more: no worker outlives the demo.
fn end_of_input() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        flag.store(true, Ordering::Relaxed);
    });
    ended
}
