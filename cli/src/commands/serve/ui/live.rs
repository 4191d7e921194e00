//! What the page for people shows: the families with their rates, and the segments. The state is
//! shared by all viewers, and a read of the segments serves all of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use shmetrics::{Inspection, LastUpdate};

use crate::common::format::{unix, Unit};
use crate::common::json::{Json, Object};
use crate::common::live::banner::{warnings, Inspector};
use crate::common::live::json::{figures, kind, series};
use crate::common::live::{Family, Model};
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
/// The maximum number of selections that are kept for viewers.
const SELECTIONS_MAX: usize = 16;

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
    /// The series that were selected for each viewer's wish, until the family is read again.
    selected: HashMap<(String, String), Selected>,
    inspector: Inspector,
    inspections: Vec<(Inspection, Option<LastUpdate>)>,
}

/// The series of a family that an answer has.
#[derive(Debug, PartialEq)]
struct Selected {
    /// The read of the family that the places are of.
    read_at: Option<Instant>,
    /// The number of series that match.
    matching: usize,
    /// The places of those with the highest rates or values, in the order of their labels.
    places: Vec<usize>,
}

impl Live {
    /// The families: documented in docs/command.md.
    pub(super) fn families(&self, reading: &Reading, wish: &Wish) -> Json {
        let mut state = self.0.lock();
        let now = Instant::now();
        if state.read_at.is_none_or(|at| now.duration_since(at) > KEPT) {
            (state.model, state.open, state.selected) = (None, BTreeMap::new(), HashMap::new());
        }
        let has_opened = wish.family.as_ref().is_some_and(|family| state.open(family, now));
        let State { model, read_at, open, selected, .. } = &mut *state;
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
            _ if !is_new => return answer(model, selected, wish),
            _ => {}
        }
        *read_at = Some(now);
        answer(model, selected, wish)
    }

    /// The segments: documented in docs/command.md.
    pub(super) fn segments(&self, reading: &Reading) -> Json {
        let mut state = self.0.lock();
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
            .field("time", unix(SystemTime::now()))
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

fn answer(model: &mut Model, selected: &mut HashMap<(String, String), Selected>, wish: &Wish) -> Json {
    let search = wish.search.to_lowercase();
    let has = |text: &str| search.is_empty() || text.to_lowercase().contains(&search);
    let matches = |family: &&Family| family.len() > 0 && (has(&family.info.name) || has(&family.info.help));
    let mut found: Vec<&Family> = model.families.iter().filter(matches).collect();
    found.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    let families = Json::list(found.iter().take(FAMILIES_MAX).map(|family| summary_of(family)));
    let matching = found.len() as u64;
    let open = wish.family.as_ref().and_then(|name| model.families.iter().find(|family| family.info.name == *name));
    let mut spent = Duration::ZERO;
    let details = open.map(|family| {
        let begin = Instant::now();
        let selection = selection(family, &wish.filter, selected);
        spent = begin.elapsed();
        Json::from(details(family, selection))
    });
    model.spend(spent);
    Object::default()
        .field("time", unix(SystemTime::now()))
        .field("age", model.oldest().as_secs_f64())
        .field("families_matching", matching)
        .field("families", families)
        .field("family", details)
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
    figures(object, family, None).field("trend", trend(family.trend.iter().copied()))
}

/// The series for a wish. A walk over all series is made once for each read of the family.
fn selection<'s>(family: &Family, filter: &str, selected: &'s mut HashMap<(String, String), Selected>) -> &'s Selected {
    let key = (family.info.name.clone(), filter.to_lowercase());
    let is_fresh = |known: &Selected| known.read_at == family.read_at;
    if !selected.get(&key).is_some_and(is_fresh) {
        if selected.len() >= SELECTIONS_MAX {
            selected.clear();
        }
        let fresh = select(family, &key.1, SERIES_MAX);
        selected.insert(key.clone(), fresh);
    }
    &selected[&key]
}

/// Selects the series with the highest rates or values. The time grows with the number of series,
/// and not faster.
fn select(family: &Family, filter: &str, most: usize) -> Selected {
    let mut text = String::new();
    let mut found: Vec<(f64, usize)> = Vec::new();
    for (place, one) in family.series.iter().enumerate() {
        if family.is_there(one) && (filter.is_empty() || one.has(filter, &mut text)) {
            found.push((one.rates.get().map_or(one.amount(), |rates| rates[0]), place));
        }
    }
    let matching = found.len();
    if matching > most {
        found.select_nth_unstable_by(most, |(a, at_a), (b, at_b)| b.total_cmp(a).then(at_a.cmp(at_b)));
        found.truncate(most);
    }
    let mut places: Vec<usize> = found.into_iter().map(|(_, place)| place).collect();
    places.sort_by(|a, b| family.series[*a].labels.cmp(&family.series[*b].labels));
    Selected { read_at: family.read_at, matching, places }
}

/// A family with the selected series.
fn details(family: &Family, selected: &Selected) -> Object {
    let found = selected.places.iter().map(|place| &family.series[*place]);
    let all = found.map(|one| series(family, one).field("trend", trend(one.trend.iter().copied())));
    Object::default()
        .field("name", &family.info.name)
        .field("series_matching", selected.matching as u64)
        .field("series", Json::list(all))
}

/// Heights from 0 to 100, of the greatest.
fn trend(heights: impl Iterator<Item = f64> + Clone) -> Json {
    let most = heights.clone().fold(0.0, f64::max);
    let height = |value: f64| if most > 0.0 { (value.max(0.0) / most * 100.0).round() as u64 } else { 0 };
    Json::list(heights.map(height))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shmetrics::{Format, Segment};

    use super::*;

    #[test]
    fn the_highest_series_are_selected_once_for_each_read() {
        let name = format!("/dev/shm/.shmetrics-live-test-{}", std::process::id());
        let segment = Segment::open(&name).expect("opens");
        let family = segment.counter("jobs_total", "").labels(["n"]).register().expect("registers");
        for n in 0..500_u32 {
            family.with([&format!("N{n:03}")]).add(f64::from(n * 7919 % 500));
        }
        let read = |at| {
            let points: Vec<_> = segment.reader().page(Format::Text).only(["jobs_total"]).points().collect();
            let mut family = Family::new(Arc::clone(&points[0].family), true);
            family.is_open = true;
            let mut read = family.begin(Arc::clone(&points[0].family));
            for point in points {
                family.point(at, &mut read, point);
            }
            family.end(at, &read, &mut Instant::now());
            family
        };
        let now = Instant::now();
        let (family, mut kept) = (read(now), HashMap::new());
        let values = |selected: &Selected| {
            let mut values: Vec<f64> = selected.places.iter().map(|at| family.series[*at].amount()).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let found = select(&family, "", 3);
        assert_eq!((found.matching, values(&found)), (500, vec![497.0, 498.0, 499.0]));
        assert!(found.places.is_sorted_by_key(|at| &family.series[*at].labels));
        let found = select(&family, "n=\"n4", 200);
        assert_eq!((found.matching, found.places.len()), (100, 100));
        assert!(found.places.iter().all(|at| family.series[*at].labels[0].1.starts_with("N4")));

        let places = selection(&family, "N4", &mut kept).places.clone();
        assert_eq!(selection(&family, "n4", &mut kept).places, places);
        assert_eq!(kept.len(), 1, "the filter has no case");
        for kept in kept.values_mut() {
            kept.places.truncate(1);
        }
        assert_eq!(selection(&family, "n4", &mut kept).places.len(), 1, "no walk before the next read");
        let later = read(now + Duration::from_secs(1));
        assert_eq!(selection(&later, "n4", &mut kept).places.len(), 100);
        for n in 0..SELECTIONS_MAX * 3 {
            selection(&family, &n.to_string(), &mut kept);
            assert!(kept.len() <= SELECTIONS_MAX);
        }
        Segment::remove(&name).expect("removes");
    }
}
