//! The families and series as of the last read, with their rates and percentiles.

pub(crate) mod banner;
mod family;
pub(crate) mod json;
mod percentile;
mod rates;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmetrics::{Format, Kind, Point, PointFamily};

use crate::common::source::Reading;
use family::Read;
pub(crate) use family::{has_rate, Family, Series, TREND};

/// The part of one core that reading may take: a large segment is read in turns.
const SHARE: f64 = 0.025;
/// Seconds between two reads of all families, at least: these find new families.
const ALL_EVERY: f64 = 10.0;

#[derive(Default)]
pub(crate) struct Model {
    /// In the order of their first appearance. A family keeps its place.
    pub(crate) families: Vec<Family>,
    index: HashMap<String, usize>,
    /// Seconds of reading that may be spent now.
    credit: f64,
    last: Option<Instant>,
    /// When all families were read, which finds new ones.
    all_at: Option<Instant>,
    /// Closed families keep no series but a single one: only their sums.
    is_folded: bool,
}

impl Model {
    /// A model whose memory does not grow with the series of closed families.
    pub(crate) fn folded() -> Self {
        Model { is_folded: true, ..Model::default() }
    }

    /// The number of families and series that have a place.
    pub(crate) fn places(&self) -> usize {
        self.families.iter().map(|family| 1 + family.series.len()).sum()
    }

    /// Reads all families.
    pub(crate) fn read(&mut self, reading: &Reading, only: &[String], per_process: bool) {
        self.take(reading, only, per_process, Instant::now());
    }

    /// Reads the families that are due: those on the screen first, then those that were not read
    /// for longest, as far as the share of a core allows.
    pub(crate) fn read_some(&mut self, reading: &Reading, only: &[String], per_process: bool, shown: &HashSet<usize>) {
        let now = Instant::now();
        let passed = self.last.replace(now).map_or(Duration::ZERO, |last| now.duration_since(last));
        self.credit = (self.credit + passed.as_secs_f64() * SHARE).min(SHARE * passed.as_secs_f64().max(1.0));
        let cost: f64 = self.families.iter().map(|family| family.cost.as_secs_f64()).sum();
        let is_new_due = |at: Instant| now.duration_since(at).as_secs_f64() > ALL_EVERY.max(cost / SHARE * 2.0);
        if cost <= self.credit || self.all_at.is_none_or(is_new_due) {
            self.all_at = Some(now);
            self.take(reading, only, per_process, now);
            return;
        }
        let mut due: Vec<usize> = (0..self.families.len()).collect();
        let age = |at: &usize| {
            let read = self.families[*at].read_at;
            let age = read.map_or(Duration::MAX, |read| now.duration_since(read));
            age.saturating_mul(if shown.contains(at) { 4 } else { 1 })
        };
        due.sort_by_key(|at| std::cmp::Reverse(age(at)));
        let (mut names, mut left) = (Vec::new(), self.credit);
        for at in due {
            if left <= 0.0 {
                break;
            }
            left -= self.families[at].cost.as_secs_f64();
            names.push(self.families[at].info.name.clone());
        }
        if !names.is_empty() {
            self.take(reading, &names, per_process, now);
        }
    }

    /// Takes time that showing the values has cost from the time for reading.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.credit -= time.as_secs_f64();
    }

    /// For how long the values of the family that was not read for longest are old.
    pub(crate) fn oldest(&self) -> Duration {
        let read = self.families.iter().filter_map(|family| family.read_at).min();
        read.map_or(Duration::ZERO, |read| read.elapsed())
    }

    pub(crate) fn take(&mut self, reading: &Reading, only: &[String], per_process: bool, now: Instant) {
        let mut page = reading.page(Format::Text).only(only.iter().cloned());
        if per_process {
            page = page.per_process();
        }
        let mut begin = Instant::now();
        let mut open: Option<(usize, Read)> = None;
        let is_wanted = |point: &Point| {
            !only.is_empty() || !point.family.name.starts_with("shmetrics_") && point.family.kind != Kind::Info
        };
        for point in page.points().filter(is_wanted) {
            let current = open.as_ref().map(|(at, _)| &mut self.families[*at].info);
            // Each of several segments has its own description of the family.
            let is_same =
                current.is_some_and(|info| Arc::ptr_eq(info, &point.family) || info.name == point.family.name);
            if !is_same {
                if let Some((at, read)) = open.take() {
                    self.families[at].end(now, &read, &mut begin);
                }
                let at = self.place(&point.family);
                open = Some((at, self.families[at].begin(Arc::clone(&point.family))));
            }
            if let Some((at, read)) = &mut open {
                self.families[*at].point(now, read, point);
            }
        }
        if let Some((at, read)) = open {
            self.families[at].end(now, &read, &mut begin);
        }
        // Families of the page that have no series any more.
        if only.is_empty() {
            for family in self.families.iter_mut().filter(|family| family.read_at != Some(now)) {
                let read = family.begin(Arc::clone(&family.info));
                family.end(now, &read, &mut begin);
            }
        }
        let cost: f64 = self.families.iter().filter(|f| f.read_at == Some(now)).map(|f| f.cost.as_secs_f64()).sum();
        self.credit -= cost;
    }

    fn place(&mut self, info: &Arc<PointFamily>) -> usize {
        if let Some(at) = self.index.get(&info.name) {
            return *at;
        }
        self.index.insert(info.name.clone(), self.families.len());
        self.families.push(Family::new(Arc::clone(info), self.is_folded));
        self.families.len() - 1
    }
}
