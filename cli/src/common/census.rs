//! Sums over an inspection that several verbs tell.

use shmetrics::Inspection;

/// The series of all families; one without labels is a series too.
pub(crate) fn series(inspection: &Inspection) -> u64 {
    inspection.families.iter().map(|family| family.series).sum()
}

/// The processes that have gauges of their own and live.
pub(crate) fn alive(inspection: &Inspection) -> u64 {
    inspection.processes.iter().filter(|process| process.alive).count() as u64
}
