//! `shmetrics top`: the series that count most, again and again.

mod screen;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use shmetrics::{Format, Kind, Point, PointValue};
use tokio::time::{interval, MissedTickBehavior};

use crate::common::args::{names, seconds};
use crate::common::failure::{Failure, Outcome};
use crate::common::format::{clean, counted};
use crate::common::owners::Owners;
use crate::common::signals::Signals;
use crate::common::source::Sources;
use crate::common::table::{Align, Table};
use screen::Screen;

/// Lines where there is no terminal.
const LINES: usize = 25;

#[derive(Args)]
pub(crate) struct TopArgs {
    /// Names, paths or patterns such as 'web-*' [default: $SHMETRICS_SEGMENT, or default]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Patterns also select the segments of this user: a name, a number, or any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,

    /// Seconds between two tables
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub(crate) interval: Duration,

    /// End after this number of tables; without it, at Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) iterations: Option<u32>,

    /// Only this metric: the name of its family or of one of its samples; repeatable
    #[arg(long = "metric", value_name = "NAME")]
    pub(crate) metrics: Vec<String>,
}

pub(crate) fn run(args: &TopArgs) -> Outcome {
    let sources = Sources::quiet(names(&args.names), Owners::with(&args.owner)?, true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::system("cannot start"))?;
    runtime.block_on(watch(args, &sources))
}

async fn watch(args: &TopArgs, sources: &Sources) -> Outcome {
    let mut signals = Signals::listen()?;
    // Not to find it is a failure as long as nothing is drawn.
    drop(sources.read().map_err(Failure::Said)?);
    let screen = Screen::open();
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Looked::default();
    for iteration in 1.. {
        tokio::select! {
            _ = signals.next() => break,
            _ = ticks.tick() => {}
        }
        let now = Looked::at(sources, &args.metrics);
        screen.draw(&now.text(&before, &sources.names(), screen.lines())).map_err(Failure::Output)?;
        before = now;
        if args.iterations.is_some_and(|n| iteration >= n) {
            break;
        }
    }
    Ok(())
}

/// What there was at one time.
#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    series: HashMap<String, Point>,
    problem: Option<String>,
}

/// A series on the screen.
struct Row<'a> {
    name: &'a str,
    rate: Option<f64>,
    point: &'a Point,
    /// Of a histogram, the observations since.
    fresh: Option<(Vec<u64>, f64)>,
}

impl Looked {
    fn at(sources: &Sources, only: &[String]) -> Self {
        let mut looked = Looked { at: Some(Instant::now()), ..Looked::default() };
        match sources.read() {
            Ok(reading) => {
                let points = reading.cursor(Format::Text).only(only.iter().cloned()).points();
                let wanted =
                    |point: &Point| !point.family.name.starts_with("shmetrics_") && point.family.kind != Kind::Info;
                looked.series.extend(points.filter(wanted).map(|point| (name(&point), point)));
            }
            Err(problem) => looked.problem = Some(problem),
        }
        looked
    }

    fn text(&self, before: &Looked, names: &str, lines: Option<usize>) -> String {
        let mut text =
            format!("shmetrics top: {}, {}", clean(names), counted(self.series.len() as u64, "series", "series"));
        if let Some(problem) = &self.problem {
            let _ = write!(text, "; {}", clean(problem));
        }
        text.push_str("\n\n");
        let since = self.at.zip(before.at).map(|(now, then)| now.duration_since(then));
        let mut rows: Vec<Row<'_>> = self.series.iter().map(|(name, point)| row(name, point, before, since)).collect();
        rows.sort_by(|a, b| b.rate.unwrap_or(-1.0).total_cmp(&a.rate.unwrap_or(-1.0)).then_with(|| a.name.cmp(b.name)));
        rows.truncate(lines.map_or(LINES, |lines| lines.saturating_sub(3)));
        let right = |title| (title, Align::Right);
        let mut table = Table::new(&[
            right("RATE"),
            right("VALUE"),
            right("MEAN"),
            right("50%"),
            right("99%"),
            ("SERIES", Align::Left),
        ]);
        for row in rows {
            let [mean, median, most] = row.observed();
            table.row(&[
                row.rate.map_or("-".into(), number),
                value(row.point),
                mean,
                median,
                most,
                row.name.to_owned(),
            ]);
        }
        text + &table.to_string()
    }
}

fn row<'a>(name: &'a str, point: &'a Point, before: &Looked, since: Option<Duration>) -> Row<'a> {
    let per_second = |now: f64, then: f64| since.map(|since| (now - then).max(0.0) / since.as_secs_f64().max(1e-9));
    let old = before.series.get(name).map(|point| &point.value);
    let (rate, fresh) = match (&point.value, point.family.kind) {
        (PointValue::Whole(n), Kind::Counter) => (per_second(*n as f64, old.map_or(0.0, single)), None),
        (PointValue::Float(v), Kind::Counter) => (per_second(*v, old.map_or(0.0, single)), None),
        (PointValue::Buckets { counts, sum, .. }, _) => {
            let (fresh, more) = match old {
                Some(PointValue::Buckets { counts: old, sum: less, .. }) if old.len() == counts.len() => {
                    let fresh: Vec<u64> = counts.iter().zip(old).map(|(now, then)| now.saturating_sub(*then)).collect();
                    (fresh, sum - less)
                }
                _ => (counts.clone(), *sum),
            };
            (per_second(fresh.iter().sum::<u64>() as f64, 0.0), Some((fresh, more)))
        }
        _ => (None, None),
    };
    Row { name, rate, point, fresh: fresh.filter(|_| since.is_some()) }
}

impl Row<'_> {
    /// The mean, the median, and what 99 % are within.
    fn observed(&self) -> [String; 3] {
        let none = || ["-".to_owned(), "-".to_owned(), "-".to_owned()];
        let Some((fresh, sum)) = &self.fresh else { return none() };
        let count: u64 = fresh.iter().sum();
        if count == 0 {
            return none();
        }
        let of = |share| quantile(fresh, &self.point.family.bounds, share).map_or("-".to_owned(), number);
        [number(sum / count as f64), of(0.5), of(0.99)]
    }
}

/// The value below which a share of the observations is, taking them as even inside a bucket: as
/// Prometheus does.
fn quantile(counts: &[u64], bounds: &[f64], share: f64) -> Option<f64> {
    let wanted = counts.iter().sum::<u64>() as f64 * share;
    let mut below = 0.0;
    for (i, count) in counts.iter().enumerate() {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            // Beyond the last finite bound nothing is known but that.
            let Some(upper) = bounds.get(i) else { return bounds.last().copied() };
            let lower = if i == 0 { upper.min(0.0) } else { bounds[i - 1] };
            return Some(lower + (upper - lower) * (wanted - below) / count);
        }
        below += count;
    }
    None
}

fn single(value: &PointValue) -> f64 {
    match value {
        PointValue::Whole(n) => *n as f64,
        PointValue::Float(v) => *v,
        _ => 0.0,
    }
}

fn value(point: &Point) -> String {
    match &point.value {
        PointValue::Whole(n) => n.to_string(),
        PointValue::Float(v) => number(*v),
        PointValue::Buckets { counts, .. } => counts.iter().sum::<u64>().to_string(),
        PointValue::States(on) => {
            let on = point.family.states.iter().zip(on).filter(|(_, on)| **on).map(|(state, _)| state.as_str());
            let on: Vec<&str> = on.collect();
            if on.is_empty() {
                "none".to_owned()
            } else {
                on.join(",")
            }
        }
        _ => "?".to_owned(),
    }
}

/// Four figures are enough to watch.
fn number(v: f64) -> String {
    let size = v.abs();
    if v.fract().abs() <= 0.0 && size < 1e15 || v.is_infinite() {
        return format!("{v}");
    }
    match size {
        s if !(1e-4..1e15).contains(&s) => format!("{v:.3e}"),
        s if s >= 1000.0 => format!("{v:.0}"),
        s if s >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.5}"),
    }
}

fn name(point: &Point) -> String {
    let labels: Vec<String> = point.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let suffix = if point.family.kind == Kind::Counter { "_total" } else { "" };
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    format!("{}{suffix}{labels}", point.family.name)
}

#[cfg(test)]
mod tests {
    use super::{number, quantile};

    #[test]
    fn quantiles_as_prometheus_has_them() {
        let bounds = [1.0, 2.0, 4.0];
        assert_eq!(quantile(&[4, 4, 0, 0], &bounds, 0.5), Some(1.0));
        assert_eq!(quantile(&[0, 0, 10, 0], &bounds, 0.5), Some(3.0));
        assert_eq!(quantile(&[0, 0, 0, 3], &bounds, 0.99), Some(4.0));
        assert_eq!(quantile(&[0; 4], &bounds, 0.5), None);
        assert_eq!(quantile(&[7], &[], 0.5), None, "a summary has no buckets");
    }

    #[test]
    fn numbers() {
        let numbers = [0.0, 17.0, -1.5, 0.012_345, 123_456.7, 1e-9, f64::INFINITY].map(number);
        assert_eq!(numbers, ["0", "17", "-1.50", "0.01235", "123457", "1.000e-9", "inf"]);
    }
}
