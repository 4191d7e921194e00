//! `shmetrics top`: the series of segments, live, with their rates and percentiles.

mod app;
mod draw;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use clap::Args;
use ratatui::crossterm::event::{Event, KeyEventKind};
use tokio::time::{interval, MissedTickBehavior};

use crate::common::args::{seconds, MetricsArg, SegmentsArg};
use crate::common::failure::{Failure, Outcome};
use crate::common::format::unix;
use crate::common::live::banner::{banner, Inspector};
use crate::common::live::{self, Model};
use crate::common::signals::Signals;
use crate::common::source::Sources;
use app::{App, Wish};
use terminal::{Job, JobControl, Terminal};

#[derive(Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    segments: SegmentsArg,

    /// Seconds between two reads
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    interval: Duration,

    /// End after this number of tables
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,

    /// Read twice, one interval apart, print one table, and end
    #[arg(long, conflicts_with = "iterations")]
    once: bool,

    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    only: MetricsArg,
}

pub(crate) fn run(args: &TopArgs) -> Outcome {
    let sources = Sources::quiet(args.segments.names(), args.segments.owners()?, true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::system("cannot start"))?;
    // Before the terminal changes: a segment that does not exist is a failure.
    drop(sources.read().map_err(Failure::Said)?);
    let is_live = !args.once && !args.json && args.iterations.is_none() && terminal::is_there();
    runtime.block_on(async {
        if is_live {
            watch(args, &sources).await
        } else {
            print(args, &sources).await
        }
    })
}

/// Tables or objects, one after the other.
async fn print(args: &TopArgs, sources: &Sources) -> Outcome {
    let mut signals = Signals::listen()?;
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut model, names) = (Model::default(), sources.names());
    for iteration in 1.. {
        tokio::select! {
            _ = signals.next() => break,
            _ = ticks.tick() => {}
        }
        let problem = match sources.read() {
            Ok(reading) => {
                model.read(&reading, &args.only.metrics, false);
                None
            }
            Err(problem) => Some(problem),
        };
        if args.once && iteration == 1 {
            continue;
        }
        let text = if args.json {
            format!("{}\n", live::json::model(&model, &names, problem.as_deref(), unix(SystemTime::now())))
        } else {
            text::table(&model, &names, problem.as_deref())
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
        if args.once || args.iterations.is_some_and(|n| iteration >= n) {
            break;
        }
    }
    Ok(())
}

/// The live table, until a key or a signal ends it.
async fn watch(args: &TopArgs, sources: &Sources) -> Outcome {
    let mut signals = Signals::listen()?;
    let mut jobs = JobControl::listen().map_err(Failure::system("cannot listen for signals"))?;
    let mut app = App::new(sources.names());
    let mut inspector = Inspector::default();
    let mut terminal = Terminal::open().map_err(Failure::Output)?;
    let mut events = terminal::events();
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = signals.next() => return Ok(()),
            job = jobs.next() => match job {
                Job::Stop => terminal.suspend(&mut jobs).await.map_err(Failure::Output)?,
                Job::GoOn => terminal.resume().map_err(Failure::Output)?,
            },
            _ = ticks.tick(), if !app.is_paused => read(&mut app, args, sources, &mut inspector),
            event = events.recv() => match event {
                // The terminal is gone.
                None => return Ok(()),
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => match app.key(key) {
                    Wish::Nothing => {}
                    Wish::Quit => return Ok(()),
                    Wish::Suspend => terminal.suspend(&mut jobs).await.map_err(Failure::Output)?,
                    Wish::Reread => {
                        app.reset();
                        read(&mut app, args, sources, &mut inspector);
                    }
                },
                Some(_) => {}
            },
        }
        terminal.draw(|frame| draw::draw(&mut app, frame)).map_err(Failure::Output)?;
    }
}

fn read(app: &mut App, args: &TopArgs, sources: &Sources, inspector: &mut Inspector) {
    let reading = sources.read();
    let problem = match &reading {
        Ok(reading) => {
            let shown = app.shown();
            app.model.read_some(reading, &args.only.metrics, app.is_per_process, &shown);
            None
        }
        Err(problem) => Some(problem.as_str()),
    };
    if let Some(inspections) = inspector.inspect(reading.as_ref().map_err(String::as_str)) {
        app.banner = banner(&inspections, problem);
    }
    app.refresh();
}
