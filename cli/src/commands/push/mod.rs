//! `shmetrics push`: pushes to a Pushgateway, or by OTLP, once or at an interval.

mod args;
mod client;
mod dense;
mod gateway;
mod otlp;
mod retry;
mod secret;
mod status;
mod translate;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{interval, timeout, Instant, MissedTickBehavior};

use crate::common::failure::{Failure, Outcome};
use crate::common::log::{log, Level};
use crate::common::signals::Signals;
use crate::common::source::Sources;
use args::Method;
pub(crate) use args::PushArgs;
use client::Client;
use gateway::Gateway;
use otlp::Otlp;
use retry::{retry, Limits};
use status::{Status, Textfile};

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
    /// `None` for a single push.
    status: Option<Status>,
    textfile: Option<Textfile>,
}

pub(crate) fn run(args: &PushArgs) -> Outcome {
    if args.method == Method::Delete && args.interval.is_some() {
        return Err(Failure::Said("a group is removed once; leave out --interval".into()));
    }
    let mut pusher = Pusher::new(args, args.segments.names())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .map_err(Failure::system("cannot start pushing"))?;
    let done = runtime.block_on(async {
        match args.interval {
            None => pusher.push(Limits { retries: args.retries, until: None }).await,
            Some(period) => pusher.keep_on(period, args.retries).await,
        }
        .map_err(Failure::Said)
    });
    // A name server that does not answer keeps a thread of the runtime busy.
    runtime.shutdown_background();
    done
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
        let sources = Sources::quiet(names, args.segments.owners()?, !args.no_segment_label)?;
        let textfile = |path: &PathBuf| {
            let failed = Failure::system(format!("cannot write the textfile {}", path.display()));
            Textfile::new(path, to.to_string(), sources.names()).map_err(failed)
        };
        let textfile = args.textfile.as_ref().map(textfile).transpose()?;
        let status = args.interval.map(|_| Status::default());
        Ok(Pusher { sources, client, target, status, textfile })
    }

    /// Pushes the values of this moment once.
    async fn push(&mut self, limits: Limits) -> Result<(), String> {
        self.client.refresh()?;
        if let Target::Gateway(gateway) = &self.target
            && !gateway.needs_segments()
        {
            let request = gateway.request(None, Vec::new())?;
            return retry(limits, || self.client.send(&request)).await.map(drop);
        }
        let reading = self.sources.read()?;
        let own = self.status.as_mut().map(|status| {
            status.read(&reading);
            status.external_families()
        });
        let own = own.transpose().map_err(|e| e.to_string())?.unwrap_or_default();
        match &self.target {
            Target::Gateway(gateway) => {
                let request = gateway.request(Some(&reading), own)?;
                retry(limits, || self.client.send(&request)).await.map(drop)
            }
            Target::Otlp(otlp) => {
                let mut batches = otlp.batches(&reading, own);
                for request in batches.by_ref() {
                    reading.check_whole()?;
                    let answer = retry(limits, || self.client.send(&request)).await?;
                    if let Some(objection) = otlp::objection(&answer) {
                        return Err(objection);
                    }
                }
                let dropped = batches.dropped;
                match &mut self.status {
                    Some(status) => status.dropped(dropped),
                    None if dropped > 0 => log(Level::Warn, status::dropped(dropped)),
                    None => {}
                }
                Ok(())
            }
        }
    }

    /// As `push`, with the result in the log and in the textfile.
    async fn push_and_tell(&mut self, limits: Limits, within: Option<Duration>) -> Result<(), String> {
        let push = self.push(limits);
        let done = match within {
            None => push.await,
            Some(time) => timeout(time, push).await.unwrap_or_else(|_| Err("the last push takes too long".into())),
        };
        if let Some(status) = &mut self.status {
            status.pushed(&done);
            if let Some(textfile) = &self.textfile {
                status.write(textfile);
            }
        }
        done
    }

    /// Pushes in each interval, and once more after a signal.
    async fn keep_on(&mut self, period: Duration, retries: u32) -> Result<(), String> {
        let mut signals = Signals::listen().map_err(|e| e.to_string())?;
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = signals.next() => break,
                _ = ticks.tick() => {}
            }
            // The next push has the values of a push that is not done by then.
            let until = Some(Instant::now() + period);
            tokio::select! {
                _ = signals.next() => break,
                _ = self.push_and_tell(Limits { retries, until }, None) => {}
            }
        }
        self.push_and_tell(Limits { retries: 0, until: None }, Some(LAST_WORDS)).await
    }
}
