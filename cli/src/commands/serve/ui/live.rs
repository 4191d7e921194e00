//! What the page for people shows: the families with their rates, and the segments. The state is
//! shared by all viewers, and a read of the segments serves all of them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shmetrics::{Inspection, LastUpdate};

use crate::common::format::Unit;
use crate::common::json::{Json, Object};
use crate::common::live::banner::{warnings, Inspector};
use crate::common::live::json::{figures, kind, series};
use crate::common::live::{Family, Model, Series};
use crate::common::source::Reading;
use crate::common::summary;

/// The time between two reads, at least. The page asks once a second.
const EVERY: Duration = Duration::from_millis(900);
/// What was not asked for in this time is forgotten.
const KEPT: Duration = Duration::from_secs(60);
/// The maximum number of families whose series are kept.
const OPEN_MAX: usize = 4;
/// The maximum number of families and of series in an answer.
const FAMILIES_MAX: usize = 300;
const SERIES_MAX: usize = 200;

/// What a viewer asks for.
#[derive(Default)]
pub(super) struct Wish {
    /// A part of a family's name or help.
    pub(super) search: String,
    /// The name of the family whose series are shown.
    pub(super) family: Option<String>,
    /// A part of a series' labels.
    pub(super) filter: String,
}

#[derive(Default)]
pub(super) struct Live(Mutex<State>);

#[derive(Default)]
struct State {
    model: Option<Model>,
    read_at: Option<Instant>,
    /// The open families, and when each was last asked for.
    open: BTreeMap<String, Instant>,
    inspector: Inspector,
    inspections: Vec<(Inspection, Option<LastUpdate>)>,
}

impl Live {
    /// The families: documented in docs/command.md.
    pub(super) fn families(&self, reading: &Reading, wish: &Wish) -> Json {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.read_at.is_none_or(|at| now.duration_since(at) > KEPT) {
            (state.model, state.open) = (None, BTreeMap::new());
        }
        let has_opened = wish.family.as_ref().is_some_and(|family| state.open(family, now));
        let State { model, read_at, open, .. } = &mut *state;
        let model = model.get_or_insert_with(Model::folded);
        let is_new = model.families.is_empty();
        if is_new {
            model.read_some(reading, &[], false, &HashSet::new());
        }
        let mut shown = HashSet::new();
        for (at, family) in model.families.iter_mut().enumerate() {
            family.is_open = open.contains_key(&family.info.name);
            if family.is_open {
                shown.insert(at);
            }
        }
        let is_due = read_at.is_none_or(|at| now.duration_since(at) >= EVERY);
        match &wish.family {
            // A family that was opened this moment has no series yet.
            Some(family) if has_opened => model.read(reading, std::slice::from_ref(family), false),
            _ if is_due && !is_new => model.read_some(reading, &[], false, &shown),
            _ if !is_new => return answer(model, wish),
            _ => {}
        }
        *read_at = Some(now);
        answer(model, wish)
    }

    /// The segments: documented in docs/command.md.
    pub(super) fn segments(&self, reading: &Reading) -> Json {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inspections) = state.inspector.inspect(Ok(reading)) {
            let readers = reading.segments();
            let updates = readers.iter().map(|(_, reader)| reader.last_update());
            state.inspections = inspections.into_iter().zip(updates).collect();
        }
        let segments = state.inspections.iter().map(|(i, update)| {
            let warnings = warnings(i).into_iter().map(|warning| {
                Object::default()
                    .field("text", warning.text)
                    .field("is_loss", warning.is_loss)
                    .field("metric", warning.metric)
            });
            summary::json(i, *update).field("warnings", Json::list(warnings))
        });
        let missing = reading.all_missing().iter();
        let missing = missing.map(|(name, problem)| Object::default().field("name", name).field("problem", problem));
        Object::default()
            .field("version", env!("CARGO_PKG_VERSION"))
            .field("time", unix_time())
            .field("segments", Json::list(segments.chain(missing)))
            .into()
    }
}

impl State {
    /// Notes that the family is asked for. True: its series were not kept before.
    fn open(&mut self, family: &str, now: Instant) -> bool {
        self.open.retain(|_, asked| now.duration_since(*asked) < KEPT);
        if self.open.insert(family.to_owned(), now).is_some() {
            return false;
        }
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, asked)| **asked).map(|(name, _)| name.clone());
            oldest.map(|name| self.open.remove(&name));
        }
        true
    }
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn answer(model: &Model, wish: &Wish) -> Json {
    let search = wish.search.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&search);
    let matches = |family: &&Family| family.len() > 0 && (has(&family.info.name) || has(&family.info.help));
    let mut found: Vec<&Family> = model.families.iter().filter(matches).collect();
    found.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    let families = found.iter().take(FAMILIES_MAX).map(|family| summary_of(family));
    let open = wish.family.as_ref().and_then(|name| model.families.iter().find(|family| family.info.name == *name));
    Object::default()
        .field("time", unix_time())
        .field("age", model.oldest().as_secs_f64())
        .field("families_matching", found.len() as u64)
        .field("families", Json::list(families))
        .field("family", open.map(|family| Json::from(details(family, &wish.filter))))
        .into()
}

fn summary_of(family: &Family) -> Object {
    let unit = match family.unit() {
        Unit::Seconds => Some("seconds"),
        Unit::Bytes => Some("bytes"),
        Unit::Time => Some("time"),
        Unit::None => None,
    };
    let states = match &family.series[..] {
        [only] => family.states(only),
        _ => None,
    };
    let object = Object::default()
        .field("name", &family.info.name)
        .field("title", family.name())
        .field("type", kind(family.info.kind))
        .field("unit", unit)
        .field("help", &family.info.help)
        .field("series", family.len() as u64)
        .field("value", Json::exact(family.total))
        .field("states", states);
    figures(object, &family.rates, |share| family.percentile(share)).field("trend", trend(family.trend.iter().copied()))
}

/// With the series that have the highest rates or values.
fn details(family: &Family, filter: &str) -> Object {
    let filter = filter.to_lowercase();
    let matches =
        |one: &&Series| family.is_there(one) && (filter.is_empty() || one.text().to_lowercase().contains(&filter));
    let mut found: Vec<&Series> = family.series.iter().filter(matches).collect();
    let height = |one: &Series| one.rates.get().map_or(one.amount(), |rates| rates[0]);
    if found.len() > SERIES_MAX {
        found.sort_by(|a, b| height(b).total_cmp(&height(a)));
    }
    let matching = found.len();
    found.truncate(SERIES_MAX);
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    let all = found.iter().map(|one| series(family, one).field("trend", trend(one.trend.iter().copied())));
    Object::default()
        .field("name", &family.info.name)
        .field("series_matching", matching as u64)
        .field("series", Json::list(all))
}

/// Heights from 0 to 100, of the greatest.
fn trend(heights: impl Iterator<Item = f64> + Clone) -> Json {
    let most = heights.clone().fold(0.0, f64::max);
    let height = |value: f64| if most > 0.0 { (value.max(0.0) / most * 100.0).round() as u64 } else { 0 };
    Json::list(heights.map(height))
}
