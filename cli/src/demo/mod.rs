//! `shmetrics demo`: workers that share one segment, some of which are killed, and a check that
//! nothing was lost.

mod audit;
mod crew;
mod ledger;
mod page;
mod random;
mod traffic;
mod view;
mod worker;

use std::time::{Duration, Instant};

use shmetrics::{Format, Options, Reader, Segment};
use tokio::time::{interval_at, sleep, MissedTickBehavior};

use crate::args::DemoArgs;
use crate::failure::{Failure, Outcome};
use crate::signals::Signals;
use crew::Crew;
use page::Page;
use random::Random;
use traffic::Metrics;
use view::{Frame, View};

pub(crate) use worker::work;

const FIRST_KILL: Duration = Duration::from_millis(600);
const NEXT_KILLS: Duration = Duration::from_millis(1500);

pub(crate) fn run(args: &DemoArgs) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::system("cannot start the demo"))?;
    runtime.block_on(show(args))
}

async fn show(args: &DemoArgs) -> Outcome {
    // Before there is anything to clean up.
    let mut signals = Signals::listen()?;
    let stage = Stage::build(format!("demo-{}", std::process::id()))?;
    // The page is read as any other process would read it, not through the segment we made.
    let reader = Reader::open(&stage.name)?;
    let mut crew = Crew::start(&stage.name, args.workers)?;
    let mut view = View::open(&stage.name);

    let begin = Instant::now();
    let mut random = Random::new(u64::from(std::process::id()));
    let mut frames = tokio::time::interval(view.period());
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kills = interval_at(tokio::time::Instant::now() + FIRST_KILL, NEXT_KILLS);
    let end = sleep(Duration::from_secs(u64::from(args.seconds.unwrap_or(u32::MAX))));
    tokio::pin!(end);
    loop {
        tokio::select! {
            _ = signals.next() => break,
            () = &mut end => break,
            _ = kills.tick() => crew.kill_one(random.below(u64::from(args.workers)) as usize)?,
            _ = frames.tick() => {
                crew.tend()?;
                let text = reader.render(Format::Text);
                let frame = Frame { elapsed: begin.elapsed(), page: Page::new(&text), crew: &crew };
                view.draw(&frame).map_err(Failure::Output)?;
            }
        }
    }
    drop(view);

    let roll = crew.dismiss()?;
    let text = reader.render(Format::Text);
    audit::report(&roll, &Page::new(&text))
}

/// The segment, gone when this is dropped, whatever the reason.
struct Stage {
    name: String,
}

impl Stage {
    fn build(name: String) -> Result<Self, Failure> {
        let segment = Options::new().name(&name).create_new().open()?;
        let stage = Stage { name };
        Metrics::register(segment)?;
        Ok(stage)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // If somebody removed it before us, it is gone all the same.
        let _ = Segment::remove(&self.name);
    }
}
