//! `shmetrics push`: pushes to a Pushgateway, or by OTLP, once or at an interval.

mod args;
mod client;
mod dense;
mod gateway;
mod otlp;
mod retry;
mod translate;

use std::time::Duration;

use tokio::time::{interval, timeout, Instant, MissedTickBehavior};

use crate::common::args::names;
use crate::common::failure::{Failure, Outcome};
use crate::common::log::{log, Level};
use crate::common::owners::Owners;
use crate::common::signals::Signals;
use crate::common::source::Sources;
use args::Method;
pub(crate) use args::PushArgs;
use client::Client;
use gateway::Gateway;
use otlp::Otlp;
use retry::{retry, Limits};

/// The maximum time of the last push after a signal.
const LAST_WORDS: Duration = Duration::from_secs(5);

enum Target {
    Gateway(Gateway),
    Otlp(Otlp),
}

struct Pusher {
    sources: Sources,
    client: Client,
    target: Target,
}

pub(crate) fn run(args: &PushArgs) -> Outcome {
    if args.method == Method::Delete && args.interval.is_some() {
        return Err(Failure::Said("a group is removed once; leave out --interval".into()));
    }
    let pusher = Pusher::new(args, names(&args.names))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .map_err(Failure::system("cannot start pushing"))?;
    runtime.block_on(async {
        match args.interval {
            None => pusher.push(Limits { retries: args.retries, until: None }).await,
            Some(period) => pusher.keep_on(period, args.retries).await,
        }
        .map_err(Failure::Said)
    })
}

impl Pusher {
    fn new(args: &PushArgs, names: Vec<String>) -> Result<Self, Failure> {
        let name = names.first().cloned().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let target = match (&args.gateway, &args.otlp) {
            (Some(url), _) => Gateway::new(args, url, args.job.as_deref().unwrap_or(name)).map(Target::Gateway),
            (None, Some(url)) => Otlp::new(args, url, name).map(Target::Otlp),
            (None, None) => Err("give --gateway or --otlp".into()),
        };
        let target = target.map_err(Failure::Said)?;
        let to = match &target {
            Target::Gateway(gateway) => gateway.to(),
            Target::Otlp(otlp) => otlp.to(),
        };
        let client = Client::new(args, to).map_err(Failure::Said)?;
        Ok(Pusher {
            sources: Sources::quiet(names, Owners::with(&args.owner)?, !args.no_segment_label)?,
            client,
            target,
        })
    }

    /// Pushes the values of this moment once.
    async fn push(&self, limits: Limits) -> Result<(), String> {
        match &self.target {
            Target::Gateway(gateway) => {
                let request = gateway.request(&self.sources)?;
                retry(limits, || self.client.send(&request)).await.map(drop)
            }
            Target::Otlp(otlp) => {
                let reading = self.sources.read()?;
                let mut batches = otlp.batches(&reading);
                for request in batches.by_ref() {
                    reading.check_whole()?;
                    let answer = retry(limits, || self.client.send(&request)).await?;
                    if let Some(objection) = otlp::objection(&answer) {
                        return Err(objection);
                    }
                }
                if batches.dropped > 0 {
                    log(Level::Warn, format_args!("{} series have a type that OTLP does not have", batches.dropped));
                }
                Ok(())
            }
        }
    }

    /// Pushes in each interval, and once more after a signal. A failure is logged when it changes.
    async fn keep_on(&self, period: Duration, retries: u32) -> Result<(), String> {
        let mut signals = Signals::listen().map_err(|e| e.to_string())?;
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Ok(());
        loop {
            tokio::select! {
                _ = signals.next() => break,
                _ = ticks.tick() => {}
            }
            // The next push has the values of a push that is not done by then.
            let until = Some(Instant::now() + period);
            let done = tokio::select! {
                _ = signals.next() => break,
                done = self.push(Limits { retries, until }) => done,
            };
            match (&done, &last) {
                (Err(problem), Err(before)) if problem == before => {}
                (Err(problem), _) => log(Level::Warn, format_args!("not pushed: {problem}")),
                (Ok(()), Err(_)) => log(Level::Info, "pushed again"),
                (Ok(()), Ok(())) => {}
            }
            last = done;
        }
        let once = Limits { retries: 0, until: None };
        timeout(LAST_WORDS, self.push(once)).await.unwrap_or_else(|_| Err("the last push takes too long".into()))
    }
}
