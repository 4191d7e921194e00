//! Logs the families that a page of several segments leaves out, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shmetrics::{Kind, Reader};

use crate::common::format::clean;
use crate::common::log::{log, Level};

/// The time between two checks: a check walks over all families.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The maximum number of sentences, so that an application with ever new families cannot fill the
/// memory or the journal.
const TOLD_MAX: usize = 1000;

#[derive(Default)]
pub(crate) struct Conflicts {
    told: Mutex<(Option<Instant>, BTreeSet<String>)>,
}

impl Conflicts {
    /// Checks, if the last check is old enough, and logs new conflicts.
    pub(crate) fn tell(&self, segments: &[(&str, &Reader)]) {
        let mut told = self.told.lock();
        if segments.len() < 2 || told.0.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return;
        }
        told.0 = Some(Instant::now());
        for sentence in find(segments) {
            if told.1.len() < TOLD_MAX && told.1.insert(sentence.clone()) {
                log(Level::Warn, sentence);
            }
        }
    }
}

/// The families that have another type in a segment named earlier.
fn find(segments: &[(&str, &Reader)]) -> Vec<String> {
    let mut first: BTreeMap<String, (Kind, &str)> = BTreeMap::new();
    let mut found = Vec::new();
    for (segment, reader) in segments {
        for family in reader.inspect().families {
            let (kind, by) = *first.entry(family.name.clone()).or_insert((family.kind, segment));
            if kind != family.kind {
                found.push(format!(
                    "the family {} of segment {} is left out: it is of the type {}, and of the type {kind} in {}; rename one of \
                     them, or serve the segments apart",
                    clean(&family.name),
                    clean(segment),
                    family.kind,
                    clean(by)
                ));
            }
        }
    }
    found
}
