//! What a segment should be, in ordinary memory: written from the documentation, and used by one
//! process.

use crate::native::{Native, Pairs};
use crate::page;
use crate::wrong::wrong;
use common::c::{INVALID_ARGUMENT, INVALID_NAME, NULL_ARGUMENT};

mod bundle;
mod expected;
mod kind;
mod named;
mod names;
mod update;

pub(crate) use self::kind::Kind;
use self::names::{escaped, forms, is_any_name, is_name, meet, WAYS};

const SHARED: u32 = 0;
const ALL: u32 = 1;
const LIVEALL: u32 = 2;
const SUM: u32 = 3;
const LIVESUM: u32 = 4;
const MOST_RECENT: u32 = 9;
const LAST_MODE: u32 = 10;

/// A text as C gives it; `None` is NULL with a length.
pub(crate) type Text = Option<Vec<u8>>;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) name: Text,
    pub(crate) help: Text,
    pub(crate) unit: Text,
    /// `None`: the array is NULL, though its length is not 0.
    pub(crate) labels: Option<Vec<Text>>,
    /// `None`: the default ones.
    pub(crate) buckets: Option<Vec<f64>>,
    pub(crate) native: Native,
    pub(crate) states: Vec<Text>,
    pub(crate) limit: u64,
    /// Seconds: more than an input takes, or 0.
    pub(crate) expire: u32,
    /// Whether it takes the place of another definition.
    pub(crate) replace: bool,
}

/// A bundle that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) labels: Option<Vec<Text>>,
    /// What says something of label sets here is wrong.
    pub(crate) members: Vec<Spec>,
    pub(crate) limit: u64,
    pub(crate) expire: u32,
    pub(crate) replace: bool,
}

const DEFAULT_BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

#[derive(Debug)]
pub(crate) struct Family {
    /// Without a counter's `_total` or an info's `_info`.
    pub(crate) base: String,
    pub(crate) kind: Kind,
    help: String,
    unit: String,
    pub(crate) labels: Vec<String>,
    buckets: Vec<f64>,
    native: Native,
    states: Vec<String>,
    limit: u64,
    expire: u32,
    /// Replaced or unregistered: it is on no page, and updates to it are stale.
    retired: bool,
    /// Which family is the first member of its bundle: itself, if it is registered by itself.
    home: usize,
    /// For a first member, the number of families of the bundle, which follow each other.
    members: usize,
    /// For a first member, the number of the segment's store with the records of its series.
    store: usize,
    /// The only series, or the overflow series.
    embedded: Option<Cell>,
}

/// Records of one shape. One family at a time has series here.
#[derive(Debug, Default)]
struct Store {
    /// The records, in the order of the page.
    records: Vec<Record>,
    /// Records without a series, for each size the one to be used next at the end.
    free: [Vec<usize>; LISTS],
}

/// What serves one series after another.
#[derive(Debug)]
struct Record {
    /// Whose series it has, or had last.
    family: usize,
    /// Its size: of how many such steps.
    class: usize,
    generation: u32,
    live: bool,
    values: Vec<String>,
    /// The cells of each member.
    cells: Vec<Cell>,
}

/// Free lists: the last one is for all larger sizes.
const LISTS: usize = 16;

/// Which series of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) family: usize,
    /// The record and its generation. `None`: the embedded series.
    series: Option<(usize, u32)>,
}

#[derive(Clone, Debug)]
enum Cell {
    /// `tagged`: it shares its first word with the generation, and carries over to the fraction
    /// sooner.
    Counter {
        whole: u64,
        fraction: f64,
        tagged: bool,
    },
    Gauge {
        value: Option<Value>,
        identity: u32,
    },
    Histogram(Vec<(u64, f64)>),
    Native(Pairs),
    /// With quantiles: all that it has observed.
    Summary((u64, f64), Vec<f64>),
    /// A bit for each state; of an enum, the state.
    States(u64),
}

/// A value as a page should have it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Whole(u64),
    Float(f64),
    /// To 1.1 %.
    Near(f64),
    /// The clock was asked.
    Any,
}

/// A change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Update {
    Add(f64),
    AddWhole(u64),
    Set(f64),
    SetToNow,
    Observe(f64),
    Forget(f64),
    /// A state of a state set, on or off.
    State(usize, bool),
    /// The state of an enum.
    Choose(usize),
}

/// One segment.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// In the order of the page; those that are retired, too.
    pub(crate) families: Vec<Family>,
    stores: Vec<Store>,
    /// The most series, 0 for no limit.
    limit: u64,
    identity: u32,
    series: u64,
    overflow_lookups: u64,
    failed_registrations: u64,
    rejected: u64,
    removed: u64,
    /// Updates through handles to removed series.
    stale: u64,
}

/// Why a registration may fail. At the door: before the segment hears of it.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    door: Vec<u32>,
    inside: Vec<u32>,
}

impl Faults {
    /// Whether this status is right. Of several faults, any may be named.
    pub(crate) fn allow(&self, status: u32) -> bool {
        match (&*self.door, &*self.inside) {
            ([], []) => status == 0,
            ([], faults) | (faults, _) => faults.contains(&status),
        }
    }
}

impl Spec {
    /// Without help, unit, labels, states and limits.
    pub(crate) fn plain(kind: Kind, name: Text) -> Self {
        let nothing = || Some(Vec::new());
        Spec {
            kind,
            name,
            help: nothing(),
            unit: nothing(),
            labels: Some(Vec::new()),
            buckets: None,
            native: Native::NONE,
            states: Vec::new(),
            limit: 0,
            expire: 0,
            replace: false,
        }
    }

    /// The family it asks for, as far as it can be read, and what is wrong with it.
    pub(crate) fn read(&self) -> (Family, Faults) {
        let mut faults = Faults::default();
        let mut text = |text: &Text| match text.as_deref().map(std::str::from_utf8) {
            None => {
                faults.door.push(NULL_ARGUMENT);
                String::new()
            }
            Some(Err(_)) => {
                faults.door.push(INVALID_NAME);
                String::new()
            }
            Some(Ok(text)) => text.to_owned(),
        };
        let (name, help, unit) = (text(&self.name), text(&self.help), text(&self.unit));
        let labels: Vec<String> = self.labels.iter().flatten().map(&mut text).collect();
        let mut states: Vec<String> = self.states.iter().map(&mut text).collect();
        if self.labels.is_none() {
            faults.door.push(NULL_ARGUMENT);
        }
        if !self.kind.has_buckets() && self.buckets.as_ref().is_some_and(|buckets| !buckets.is_empty()) {
            faults.door.push(INVALID_ARGUMENT);
        }
        if !self.kind.has_states() && !states.is_empty() {
            faults.door.push(INVALID_ARGUMENT);
        }
        if matches!(self.kind, Kind::Gauge(mode) if mode > LAST_MODE) {
            faults.door.push(INVALID_ARGUMENT);
        }
        let base = name.strip_suffix(self.kind.suffix()).unwrap_or(&name);
        let mut fault = |wrong: bool, status: u32| {
            if wrong {
                faults.inside.push(status);
            }
        };
        let ours = WAYS.iter().any(|way| escaped(&name, *way, true).starts_with("shmetrics_"));
        fault(!is_any_name(&name) || name.len() > 512 || ours, INVALID_NAME);
        fault(base.is_empty(), INVALID_NAME);
        let ends = base.strip_suffix(&*unit).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'));
        let unitless = self.kind.has_states() || self.kind == Kind::Info;
        fault(!unit.is_empty() && (!is_name(&unit, false) || !ends || unitless), INVALID_NAME);
        fault(help.len() > 16 << 10, INVALID_ARGUMENT);
        fault(labels.len() > 64, INVALID_ARGUMENT);
        let shown: Vec<[String; 4]> = labels.iter().map(|label| forms(label)).collect();
        for (i, label) in labels.iter().enumerate() {
            let own = match self.kind {
                Kind::Histogram | Kind::GaugeHistogram => "le",
                Kind::Summary => "quantile",
                Kind::StateSet | Kind::Enum => base,
                Kind::Gauge(ALL | LIVEALL) => "pid",
                _ => "__name__",
            };
            let ours = [own, "shmetrics_overflow", "__name__"].map(forms);
            let mut taken = shown[..i].iter().chain(&ours);
            let reserved = label.starts_with("__") || taken.any(|other| meet(&shown[i], other));
            fault(!is_any_name(label) || label.len() > 512 || reserved, INVALID_NAME);
        }
        let native = match self.kind {
            Kind::Histogram | Kind::GaugeHistogram => Native { quantiles: &[], ..self.native },
            Kind::Summary => Native { quantiles: self.native.quantiles, ..Native::NONE },
            _ => Native::NONE,
        };
        fault(native.is_wrong() || native.quantiles.windows(2).any(|q| q[0] >= q[1]), INVALID_ARGUMENT);
        let default = if native.factor == 0.0 { DEFAULT_BUCKETS.to_vec() } else { Vec::new() };
        let mut buckets = self.buckets.clone().unwrap_or(default);
        if buckets.last() == Some(&f64::INFINITY) {
            buckets.pop();
        }
        let rise = buckets.windows(2).all(|w| w[0] < w[1]);
        fault(!rise || buckets.len() > 1024 || buckets.iter().any(|b| !b.is_finite()), INVALID_ARGUMENT);
        if !self.kind.has_buckets() {
            buckets.clear();
        }
        if self.kind.has_states() {
            // It names a label, too.
            let reserved = ["shmetrics_overflow", "__name__"].iter().any(|other| meet(&forms(base), &forms(other)));
            fault(base.contains(':') || base.starts_with("__") || reserved, INVALID_NAME);
            fault(!(1..=64).contains(&states.len()), INVALID_ARGUMENT);
            for (i, state) in states.iter().enumerate() {
                fault(state.is_empty() || state.len() > 512 || states[..i].contains(state), INVALID_NAME);
            }
        } else {
            states.clear();
        }
        let expire = if labels.is_empty() { 0 } else { self.expire };
        let family = Family {
            base: base.to_owned(),
            kind: self.kind,
            help,
            unit,
            labels,
            buckets,
            native,
            states,
            limit: self.limit,
            expire,
            retired: false,
            home: 0,
            members: 1,
            store: 0,
            embedded: None,
        };
        (family, faults)
    }
}

impl Family {
    fn cell(&self, tagged: bool) -> Cell {
        match self.kind {
            Kind::Counter => Cell::Counter { whole: 0, fraction: 0.0, tagged },
            Kind::Gauge(_) | Kind::Unknown => Cell::Gauge { value: None, identity: 0 },
            Kind::Histogram | Kind::GaugeHistogram if self.native.factor > 0.0 => Cell::Native(Pairs::default()),
            Kind::Summary if !self.native.quantiles.is_empty() => Cell::Summary((0, 0.0), Vec::new()),
            Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => {
                Cell::Histogram(vec![(0, 0.0); self.buckets.len() + 1])
            }
            Kind::StateSet | Kind::Enum | Kind::Info => Cell::States(0),
        }
    }

    fn same(&self, other: &Family) -> bool {
        self.kind == other.kind
            && self.order(&other.labels).is_some()
            && self.unit == other.unit
            && self.buckets == other.buckets
            && self.native == other.native
            && self.states == other.states
            && self.expire == other.expire
    }

    /// Where each of its labels is among these, if they are the same in any order.
    pub(crate) fn order(&self, labels: &[String]) -> Option<Vec<usize>> {
        let place = |own: &String| labels.iter().position(|label| label == own);
        self.labels.iter().map(place).collect::<Option<Vec<_>>>().filter(|order| order.len() == labels.len())
    }

    /// What registers it again.
    pub(crate) fn spec(&self) -> Spec {
        let text = |text: &String| Some(text.clone().into_bytes());
        Spec {
            kind: self.kind,
            name: text(&self.base),
            help: text(&self.help),
            unit: text(&self.unit),
            labels: Some(self.labels.iter().map(text).collect()),
            buckets: self.kind.has_buckets().then(|| self.buckets.clone()),
            native: self.native,
            states: self.states.iter().map(text).collect(),
            limit: self.limit,
            expire: self.expire,
            replace: false,
        }
    }

    fn has_pairs(&self) -> bool {
        self.kind.has_buckets() || self.kind == Kind::Summary
    }

    /// Where its cells end, if they begin as those of a series do.
    fn cells_end(&self) -> usize {
        if self.native.factor > 0.0 {
            64 + 16 * (2 * self.buckets.len() + 1) + 136
        } else if !self.native.quantiles.is_empty() {
            64 + 16 * 2 + 136
        } else if self.has_pairs() {
            64 + 16 * (self.buckets.len() + 1)
        } else {
            52
        }
    }

    /// Whether its cells may serve those of another family.
    fn is_shaped_as(&self, other: &Family) -> bool {
        // Families without buckets have one shape, whatever their type.
        let cells = |f: &Family| (f.has_pairs().then_some(f.kind), f.has_pairs() && f.native.factor > 0.0);
        let schema = |f: &Family| (f.native.factor.to_bits(), f.native.quantiles.len());
        cells(self) == cells(other)
            && self.buckets.len() == other.buckets.len()
            && schema(self) == schema(other)
            && self.is_per_process() == other.is_per_process()
    }

    fn is_per_process(&self) -> bool {
        matches!(self.kind, Kind::Gauge(mode) if mode != SHARED && mode != MOST_RECENT)
    }

    /// Bytes of a series' label text.
    fn text_len(&self, values: &[String]) -> usize {
        let escapes = |v: &String| v.bytes().filter(|b| matches!(b, b'\\' | b'"' | b'\n')).count();
        // A name that is not plain stands in quotes.
        let name = |l: &String| if is_name(l, false) { l.len() } else { l.len() + 2 + escapes(l) };
        let each = self.labels.iter().zip(values).map(|(l, v)| name(l) + 3 + v.len() + escapes(v));
        each.sum::<usize>() + values.len().saturating_sub(1)
    }
}

impl Segment {
    pub(crate) fn new(limit: u64) -> Self {
        Segment { limit, ..Segment::default() }
    }

    pub(crate) fn set_identity(&mut self, identity: u32) {
        self.identity = identity;
    }

    /// Registers a family: which one it is, or what is wrong.
    pub(crate) fn register(&mut self, spec: &Spec) -> Result<usize, Faults> {
        let (family, faults) = spec.read();
        self.admit(vec![family], faults, spec.replace, false)
    }

    /// The family of this name.
    fn called(&self, base: &str) -> Option<usize> {
        self.families.iter().position(|f| !f.retired && f.base == base)
    }

    /// Unregisters the family of this name, or the counter or the info that pages call so: whether
    /// there was one, or what is wrong.
    pub(crate) fn unregister(&mut self, name: &Text) -> Result<bool, u32> {
        let name = name.as_deref().ok_or(NULL_ARGUMENT)?;
        let name = std::str::from_utf8(name).map_err(|_| INVALID_NAME)?;
        let shown = |kind: Kind| {
            let at = name.strip_suffix(kind.suffix()).and_then(|base| self.called(base));
            at.filter(|at| self.families[*at].kind == kind)
        };
        let found = self.called(name).or_else(|| shown(Kind::Counter)).or_else(|| shown(Kind::Info));
        found.into_iter().for_each(|at| self.retire(at));
        Ok(found.is_some())
    }

    /// Takes a family off, with all of its bundle.
    fn retire(&mut self, family: usize) {
        self.clear(family);
        let home = self.families[family].home;
        let all = self.bundle_of(home);
        self.families[all.clone()].iter_mut().for_each(|f| f.retired = true);
        if self.families[home].labels.is_empty() {
            (self.series, self.removed) = (self.series - all.len() as u64, self.removed + all.len() as u64);
        }
    }

    /// The records with a series of this family, in the order of the page.
    fn live(&self, family: usize) -> impl Iterator<Item = (usize, &Record)> {
        let home = self.families[family].home;
        let records = self.stores[self.families[home].store].records.iter().enumerate();
        records.filter(move |(_, r)| r.live && r.family == home)
    }

    /// The record of the series with these values.
    fn find(&self, family: usize, values: &[String]) -> Option<usize> {
        self.live(family).find(|(_, r)| r.values == values).map(|(at, _)| at)
    }

    fn record(&self, family: usize, at: usize) -> &Record {
        &self.stores[self.store_of(family)].records[at]
    }

    /// A record for a new label set: the last one that became free of those of its size, else a new
    /// one.
    fn obtain(&mut self, family: usize, values: Vec<String>) -> (usize, u32) {
        let family = self.families[family].home;
        let members = &self.families[self.bundle_of(family)];
        let class = self.class(family, members[0].text_len(&values));
        let cells: Vec<Cell> = members.iter().map(|f| f.cell(true)).collect();
        let Store { records, free } = &mut self.stores[members[0].store];
        let list = &mut free[class.min(LISTS - 1)];
        match list.last().copied().filter(|last| records[*last].class >= class) {
            Some(at) => {
                list.pop();
                let Record { class, generation, .. } = records[at];
                records[at] = Record { family, class, generation: generation + 1, live: true, values, cells };
                (at, generation + 1)
            }
            None => {
                records.push(Record { family, class, generation: 0, live: true, values, cells });
                (records.len() - 1, 0)
            }
        }
    }

    fn remove_record(&mut self, family: usize, at: usize) {
        let (store, of_each) = (self.store_of(family), self.series_of_each(family));
        let Store { records, free } = &mut self.stores[store];
        records[at].live = false;
        free[records[at].class.min(LISTS - 1)].push(at);
        (self.series, self.removed) = (self.series - of_each, self.removed + of_each);
    }

    /// The values as they are stored. `None`: they are not as many as there are labels.
    fn values(&mut self, family: usize, values: Option<&[Vec<u8>]>) -> Option<Vec<String>> {
        let Some(values) = values.filter(|v| v.len() == self.families[family].labels.len()) else {
            self.rejected += 1;
            return None;
        };
        Some(values.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect())
    }

    /// The series with these values. `None`: an inert handle.
    pub(crate) fn with(&mut self, family: usize, values: Option<&[Vec<u8>]>) -> Option<At> {
        let values = self.values(family, values)?;
        let embedded = At { family, series: None };
        if values.is_empty() {
            return Some(embedded);
        }
        if let Some(at) = self.find(family, &values) {
            return Some(At { family, series: Some((at, self.record(family, at).generation)) });
        }
        let there = self.live(family).count() as u64;
        let f = &self.families[self.families[family].home];
        let all = self.series + self.series_of_each(family);
        let full = (f.limit != 0 && there >= f.limit) || (self.limit != 0 && all > self.limit);
        let too_long = f.text_len(&values) > 65_535;
        if f.retired && !too_long {
            return Some(embedded);
        }
        if (full && !wrong()) || too_long {
            self.overflow_lookups += 1;
            let members = self.bundle_of(family);
            for f in &mut self.families[members] {
                let cell = f.cell(false);
                f.embedded.get_or_insert(cell);
            }
            return Some(embedded);
        }
        let series = self.obtain(family, values);
        self.series += self.series_of_each(family);
        Some(At { family, series: Some(series) })
    }

    /// Removes the series with these values: whether there was one.
    pub(crate) fn remove(&mut self, family: usize, values: Option<&[Vec<u8>]>) -> bool {
        let Some(values) = self.values(family, values) else { return false };
        let found = self.find(family, &values);
        found.into_iter().for_each(|at| self.remove_record(family, at));
        found.is_some()
    }

    /// Removes all series of a family: how many.
    pub(crate) fn clear(&mut self, family: usize) -> u64 {
        let there: Vec<usize> = self.live(family).map(|(at, _)| at).collect();
        there.iter().for_each(|at| self.remove_record(family, *at));
        there.len() as u64
    }

    pub(crate) fn is_removed(&self, at: At) -> bool {
        match at.series {
            None => self.families[at.family].retired,
            Some((record, generation)) => {
                let record = self.record(at.family, record);
                !record.live || record.generation != generation
            }
        }
    }

    /// The cell of a series that is there.
    fn cell_at(&mut self, at: At) -> &mut Cell {
        match at.series {
            Some((record, _)) => {
                let (store, member) = (self.store_of(at.family), at.family - self.families[at.family].home);
                &mut self.stores[store].records[record].cells[member]
            }
            None => self.families[at.family].embedded.as_mut().expect("made by `with`"),
        }
    }

    /// Compares a page with what it should be.
    pub(crate) fn check(&self, page: &[u8]) {
        self.check_by(false, page);
    }

    /// As `check`; with a wrong rule of the parser for the negative control.
    pub(crate) fn check_by(&self, wrong: bool, page: &[u8]) {
        let found = page::parse_by(wrong, page).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(page)));
        let own = found.iter().position(|f| f.name.starts_with("shmetrics_")).expect("the library's own families");
        let (found, own) = found.split_at(own);
        let there: Vec<usize> = (0..self.families.len()).filter(|at| !self.families[*at].retired).collect();
        assert_eq!(found.len(), there.len(), "families: {found:?}");
        for (found, at) in found.iter().zip(there) {
            let member = at - self.families[at].home;
            self.families[at].check(found, self.live(at).map(|(_, record)| (&*record.values, &record.cells[member])));
        }
        for (name, value) in [
            ("shmetrics_series", self.series),
            ("shmetrics_series_removed_total", self.removed),
            ("shmetrics_overflow_lookups_total", self.overflow_lookups),
            ("shmetrics_registrations_failed_total", self.failed_registrations),
            ("shmetrics_updates_rejected_total", self.rejected),
            ("shmetrics_stale_updates_total", self.stale),
            ("shmetrics_observations_refused_total", 0),
            ("shmetrics_corrupt_records", 0),
            ("shmetrics_segment_leaked_bytes", 0),
        ] {
            let family = own.iter().find(|f| f.name == name).expect(name);
            assert_eq!(family.samples[0].value, value.to_string(), "{name}");
        }
    }
}
