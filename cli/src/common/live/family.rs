//! A family as of its last read, and its series.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmetrics::{Kind, Point, PointFamily, PointValue};

use super::percentile::Observations;
use super::rates::Rates;
use crate::common::format::{clean, Unit};

/// Percentiles cover the last one to two of these.
const WINDOW: Duration = Duration::from_secs(30);
/// Points of a sparkline.
pub(crate) const TREND: usize = 32;

type Labels = Vec<(String, String)>;

pub(crate) struct Family {
    pub(crate) info: Arc<PointFamily>,
    /// A series keeps its place until the family is sorted.
    pub(crate) series: Vec<Series>,
    /// The series in the order of the segment.
    walk: Vec<usize>,
    /// The rates of all series together.
    pub(crate) rates: Rates,
    pub(crate) trend: VecDeque<f64>,
    observations: Recent,
    /// The sum of all series.
    pub(crate) total: f64,
    read: u64,
    /// The number of series of the last read.
    count: usize,
    pub(crate) read_at: Option<Instant>,
    pub(super) cost: Duration,
    /// Whether its series are shown, and keep a trend.
    pub(crate) is_open: bool,
    /// While closed, it keeps no series but a single one.
    is_folded: bool,
}

pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) value: PointValue,
    pub(crate) rates: Rates,
    pub(crate) trend: VecDeque<f64>,
    observations: Recent,
    /// The read that saw it last.
    read: u64,
}

/// Observations now, and those to compare with.
#[derive(Default)]
struct Recent {
    now: Option<Observations>,
    old: Option<Observations>,
    next: Option<(Instant, Observations)>,
}

impl Recent {
    fn update(&mut self, at: Instant, now: Option<Observations>) {
        let Some(before) = std::mem::replace(&mut self.now, now) else { return };
        match self.next.take() {
            None => {
                self.old = Some(before.clone());
                self.next = Some((at, before));
            }
            Some((since, next)) if at.duration_since(since) >= WINDOW => {
                self.old = Some(next);
                self.next = Some((at, before));
            }
            next => self.next = next,
        }
    }

    /// The percentile of the last 30 to 60 seconds; before the second read, of all observations.
    fn percentile(&self, bounds: &[f64], share: f64) -> Option<f64> {
        let now = self.now.as_ref()?;
        match &self.old {
            // Quantiles are about a window of their own.
            Some(old) => now.since(old).percentile(bounds, share),
            None => now.percentile(bounds, share),
        }
    }
}

/// A read of a family that is under way.
pub(crate) struct Read {
    walk: Vec<usize>,
    /// The number of series so far.
    count: usize,
    /// The number of series before this read.
    known: usize,
    /// Where each series is, once their order has changed.
    places: Option<HashMap<Labels, usize>>,
    total: f64,
    observations: Option<Observations>,
}

impl Family {
    pub(crate) fn new(info: Arc<PointFamily>, is_folded: bool) -> Self {
        Family {
            info,
            series: Vec::new(),
            walk: Vec::new(),
            rates: Rates::default(),
            trend: VecDeque::new(),
            observations: Recent::default(),
            total: 0.0,
            read: 0,
            count: 0,
            read_at: None,
            cost: Duration::ZERO,
            is_open: false,
            is_folded,
        }
    }

    pub(crate) fn begin(&mut self, info: Arc<PointFamily>) -> Read {
        self.info = info;
        self.read += 1;
        let (walk, known) = (Vec::with_capacity(self.walk.len()), self.series.len());
        Read { walk, count: 0, known, places: None, total: 0.0, observations: None }
    }

    pub(crate) fn point(&mut self, now: Instant, read: &mut Read, point: Point) {
        let amount = amount(&point.value);
        read.total += amount;
        read.count += 1;
        let observations = Observations::new(&point.value);
        if let Some(observations) = &observations {
            read.observations.get_or_insert_with(Observations::default).add(observations);
        }
        if self.is_folded && !self.is_open && read.count > 1 {
            return;
        }
        let at = self.find(read, &point.labels);
        let at = at.unwrap_or_else(|| {
            self.series.push(Series {
                labels: point.labels,
                value: PointValue::Whole(0),
                rates: Rates::default(),
                trend: VecDeque::new(),
                observations: Recent::default(),
                read: 0,
            });
            self.series.len() - 1
        });
        read.walk.push(at);
        let series = &mut self.series[at];
        series.value = point.value;
        series.read = self.read;
        let has_rate = has_rate(&self.info);
        if has_rate {
            series.rates.update(now, amount);
        }
        if self.is_open {
            let height = if has_rate { series.rates.get().map(|[now, ..]| now) } else { Some(amount) };
            if let Some(height) = height {
                push(&mut series.trend, height);
            }
        }
        if observations.is_some() {
            series.observations.update(now, observations);
        }
    }

    /// The place of the series. Mostly it is the next one in the order of the last read.
    fn find(&self, read: &mut Read, labels: &Labels) -> Option<usize> {
        let next = self.walk.get(read.walk.len()).copied();
        if let (Some(at), None) = (next, &read.places)
            && self.series[at].labels == *labels
        {
            return Some(at);
        }
        // All known series were read, and none is gone: this one is new.
        if read.places.is_none() && read.walk.len() >= self.walk.len() && self.walk.len() == read.known {
            return None;
        }
        let all = || self.series.iter().enumerate().map(|(at, series)| (series.labels.clone(), at)).collect();
        read.places.get_or_insert_with(all).get(labels).copied()
    }

    pub(crate) fn end(&mut self, now: Instant, read: &Read, begin: &mut Instant) {
        self.walk.clone_from(&read.walk);
        (self.total, self.count) = (read.total, read.count);
        if self.is_folded {
            if !self.is_open && self.count > 1 {
                (self.series, self.walk) = (Vec::new(), Vec::new());
            }
            self.forget_gone();
        }
        if has_rate(&self.info) {
            self.rates.update(now, read.total);
            if let Some([now, ..]) = self.rates.get() {
                push(&mut self.trend, now);
            }
        } else {
            push(&mut self.trend, read.total);
        }
        self.observations.update(now, read.observations.clone());
        self.read_at = Some(now);
        self.cost = begin.elapsed();
        *begin = Instant::now();
    }

    /// Whether the last read has seen the series.
    pub(crate) fn is_there(&self, series: &Series) -> bool {
        series.read == self.read
    }

    /// The number of series of the last read.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Forgets series that are gone. The places of the others change.
    pub(crate) fn forget_gone(&mut self) {
        let read = self.read;
        let mut places = vec![usize::MAX; self.series.len()];
        let mut next = 0;
        for (place, series) in places.iter_mut().zip(&self.series) {
            if series.read == read {
                *place = next;
                next += 1;
            }
        }
        self.series.retain(|series| series.read == read);
        self.walk.iter_mut().for_each(|at| *at = places[*at]);
    }

    /// Sorts the series by a key, and by labels where the keys are equal. Their places change.
    pub(crate) fn sort_series(&mut self, is_descending: bool, key: impl Fn(&Self, &Series) -> Option<f64>) {
        let keys: Vec<Option<f64>> = self.series.iter().map(|series| key(self, series)).collect();
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        order.sort_by(|a, b| {
            let by_labels = self.series[*a].labels.cmp(&self.series[*b].labels);
            match (keys[*a], keys[*b]) {
                (Some(of_a), Some(of_b)) if is_descending => of_b.total_cmp(&of_a).then(by_labels),
                (Some(of_a), Some(of_b)) => of_a.total_cmp(&of_b).then(by_labels),
                _ if is_descending => by_labels.reverse(),
                _ => by_labels,
            }
        });
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, old)| places[*old] = new);
        let mut sorted: Vec<(usize, Series)> = places.iter().copied().zip(self.series.drain(..)).collect();
        sorted.sort_by_key(|(place, _)| *place);
        self.series = sorted.into_iter().map(|(_, series)| series).collect();
        self.walk.iter_mut().for_each(|at| *at = places[*at]);
    }

    /// The rates of a series, or of the whole family.
    pub(crate) fn rates(&self, series: Option<&Series>) -> Option<[f64; 3]> {
        series.map_or(&self.rates, |series| &series.rates).get()
    }

    /// The amount of a series, or the sum of the family.
    pub(crate) fn amount(&self, series: Option<&Series>) -> f64 {
        series.map_or(self.total, Series::amount)
    }

    /// A percentile of a series, or of the whole family.
    pub(crate) fn percentile(&self, series: Option<&Series>, share: f64) -> Option<f64> {
        series.map_or(&self.observations, |series| &series.observations).percentile(&self.info.bounds, share)
    }

    /// As pages name its samples; cleaned for a terminal.
    pub(crate) fn name(&self) -> String {
        let suffix = match self.info.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        format!("{}{suffix}", clean(&self.info.name))
    }

    /// What its values are, by its unit or by the end of its name.
    pub(crate) fn unit(&self) -> Unit {
        let info = &self.info;
        let ends =
            |unit: &str| info.unit == unit || info.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        let is_time = |end: &str| info.kind == Kind::Gauge && info.name.ends_with(end);
        if is_time("_timestamp_seconds") || is_time("_time_seconds") {
            Unit::Time
        } else if ends("seconds") {
            Unit::Seconds
        } else if ends("bytes") {
            Unit::Bytes
        } else {
            Unit::None
        }
    }

    /// The names of the states that are on.
    pub(crate) fn states(&self, series: &Series) -> Option<String> {
        let PointValue::States(on) = &series.value else { return None };
        let on = self.info.states.iter().zip(on).filter(|(_, on)| **on).map(|(state, _)| state.as_str());
        let on: Vec<&str> = on.collect();
        Some(if on.is_empty() { "none".to_owned() } else { clean(&on.join(",")) })
    }
}

impl Series {
    /// `{name="value",...}`, cleaned for a terminal; empty without labels.
    pub(crate) fn text(&self) -> String {
        if self.labels.is_empty() {
            return String::new();
        }
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        clean(&format!("{{{}}}", labels.join(",")))
    }

    /// Whether a part of the text is `filter`, which is in lower case. `text` is room for the text:
    /// a walk over many series allocates nothing.
    pub(crate) fn has(&self, filter: &str, text: &mut String) -> bool {
        if self.labels.is_empty() {
            return false;
        }
        text.clear();
        for (name, value) in &self.labels {
            // As `text` writes values.
            let _ = write!(text, "{}{name}={value:?}", if text.is_empty() { '{' } else { ',' });
        }
        if text.is_ascii() {
            text.make_ascii_lowercase();
            text.push('}');
            return text.contains(filter);
        }
        self.text().to_lowercase().contains(filter)
    }

    pub(crate) fn amount(&self) -> f64 {
        amount(&self.value)
    }
}

fn push(trend: &mut VecDeque<f64>, height: f64) {
    if trend.len() == TREND {
        trend.pop_front();
    }
    trend.push_back(height);
}

/// Counters have rates, and so has the number of observations.
pub(crate) fn has_rate(info: &PointFamily) -> bool {
    matches!(info.kind, Kind::Counter | Kind::Histogram | Kind::Summary)
}

/// The value of a counter or gauge; the number of observations, or of states that are on.
fn amount(value: &PointValue) -> f64 {
    match value {
        PointValue::Whole(n) => *n as f64,
        PointValue::Float(v) => *v,
        PointValue::Buckets { counts, .. } => counts.iter().sum::<u64>() as f64,
        PointValue::States(on) => on.iter().filter(|on| **on).count() as f64,
        _ => 0.0,
    }
}
