//! The families at the end of a page, which are in no segment: those of the host, and the library's
//! own.

use std::time::Duration;

use super::family::ConstLabels;
use super::segments::{Part, Segments};
use crate::expose::external::ExternalFamily;
use crate::expose::format::plain::PlainFamily;
use crate::expose::self_metrics;
use crate::kind::Kind;
use crate::text::names::Named;

/// What the page has shown.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) series: u64,
    /// The time that rendering took so far.
    pub(super) busy: Duration,
    /// Whether the page has read all values of the segments.
    pub(super) is_whole: bool,
}

/// The families of the host that clash with no family of a segment, nor with each other. The others
/// are counted as conflicts.
pub(super) fn without_clashes(external: Vec<ExternalFamily>, segments: &mut Segments<'_>) -> Vec<ExternalFamily> {
    let mut taken: Vec<(String, Kind, bool)> = Vec::new();
    if !external.is_empty() {
        for part in &segments.parts {
            taken.extend(part.families().into_iter().map(|(name, (_, kind, exact))| (name, kind, exact)));
        }
    }
    let mut kept = Vec::new();
    for external in external {
        let clashes =
            |(base, kind, exact): &(String, _, _)| external.clashes(Named { base, kind: *kind, exact: *exact });
        if taken.iter().any(clashes) {
            segments.external_conflicts += 1;
        } else {
            taken.push((external.name().to_owned(), external.kind(), false));
            kept.push(external);
        }
    }
    kept
}

/// The library's own families. `has_others`: families of the host are on the page.
pub(super) fn own_families<'f>(segments: &Segments<'_>, shown: Shown, has_others: bool) -> Vec<PlainFamily<'f>> {
    let mut families: Vec<PlainFamily<'_>> = Vec::new();
    for part in &segments.parts {
        let mut state = part.source.state();
        state.updated = part.source.updated(Some(&part.look).filter(|_| shown.is_whole));
        let its = self_metrics::segment_families(&part.memory, &part.living, &state);
        for (i, mut family) in its.into_iter().enumerate() {
            family.add_labels(&part.self_labels.shown);
            match families.get_mut(i) {
                Some(first) => first.samples.append(&mut family.samples),
                None => families.push(family),
            }
        }
    }
    let const_labels = match &segments.parts[..] {
        [part] => part.self_labels.shown.clone(),
        _ => ConstLabels::default(),
    };
    let mut own = self_metrics::page_families(shown.series, shown.busy);
    own.iter_mut().for_each(|family| family.add_labels(&const_labels));
    let mut left_out = of_each(segments, |part| self_metrics::corrupt_records(part.corrupt));
    left_out.append(&mut conflicts(segments, has_others));
    own.splice(1..1, left_out);
    families.append(&mut own);
    families
}

/// What each segment lacks on the page, and what the host's families lack. An only segment lacks
/// nothing.
fn conflicts<'f>(segments: &Segments<'_>, has_others: bool) -> Vec<PlainFamily<'f>> {
    let of_host = has_others.then(|| self_metrics::conflicts(segments.external_conflicts));
    match (&segments.parts[..], of_host) {
        ([part], Some(mut of_host)) => {
            of_host.add_labels(&part.self_labels.shown);
            vec![of_host]
        }
        ([_], None) => Vec::new(),
        (_, of_host) => {
            let mut all = of_each(segments, |part| self_metrics::conflicts(part.conflicts));
            match (all.first_mut(), of_host) {
                (Some(of_segments), Some(mut of_host)) => of_segments.samples.append(&mut of_host.samples),
                (_, of_host) => all.extend(of_host),
            }
            all
        }
    }
}

/// One family with a sample of each segment. Nothing without segments.
fn of_each<'f>(segments: &Segments<'_>, family: impl Fn(&Part<'_>) -> PlainFamily<'f>) -> Vec<PlainFamily<'f>> {
    let labelled = segments.parts.iter().map(|part| {
        let mut family = family(part);
        family.add_labels(&part.self_labels.shown);
        family
    });
    let all = labelled.reduce(|mut all, mut more| {
        all.samples.append(&mut more.samples);
        all
    });
    all.into_iter().collect()
}
