//! The library's own families, at the end of every page.

use std::time::Duration;

use super::number::float;
use crate::process::Slots;
use crate::segment::layout::header;
use crate::segment::memory::Mapped;

/// Bytes of records that nobody can reach: what kills have cost. Records on their way in are part of it for an instant.
pub(super) fn leaked(memory: &Mapped) -> u64 {
    let allocated = memory.get64(header::ARENA_TAIL).saturating_sub(memory.get64(header::ARENA_AT));
    allocated.saturating_sub(memory.get64(header::ARENA_REACHABLE))
}

/// Bytes in use: fixed parts, index and records.
pub(super) fn used(memory: &Mapped) -> u64 {
    let index = 8u64 << memory.get32(header::INDEX_BITS).min(40);
    let records = memory.get64(header::ARENA_TAIL).saturating_sub(memory.get64(header::ARENA_AT));
    memory.get64(header::INDEX_AT).saturating_add(index).saturating_add(records)
}

pub(super) fn render(memory: &Mapped, living: &[u32], [series, corrupt]: [u64; 2], busy: Duration, out: &mut Vec<u8>) {
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        out.extend_from_slice(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n").as_bytes());
        for (labels, v) in samples {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(labels.as_bytes());
            out.push(b' ');
            float(*v, out);
            out.push(b'\n');
        }
    };
    let word = |at| memory.get64(at) as f64;
    let alive = living.iter().filter(|g| **g != 0).count();
    let slots = Slots::in_memory(memory);
    let dead = (0..slots.high()).filter(|i| slots.holder(*i).is_some()).count().saturating_sub(alive);
    family(
        "shmetrics_segment_ceiling_bytes",
        "gauge",
        "Bytes the segment may grow to.",
        &[("", word(header::TOTAL_SIZE))],
    );
    family("shmetrics_segment_used_bytes", "gauge", "Bytes of the segment in use.", &[("", used(memory) as f64)]);
    family(
        "shmetrics_segment_leaked_bytes",
        "gauge",
        "Bytes of records that killed processes never finished, or that are being made.",
        &[("", leaked(memory) as f64)],
    );
    family("shmetrics_series", "gauge", "Series on this page, but for those of the library.", &[("", series as f64)]);
    family(
        "shmetrics_series_removed_total",
        "counter",
        "Series that were removed, or have expired for good.",
        &[("", word(header::REMOVED_SERIES))],
    );
    family(
        "shmetrics_series_refused_total",
        "counter",
        "Look-ups of label sets that were counted in an overflow series instead, for lack of room or beyond a limit.",
        &[("", word(header::REFUSED_SERIES))],
    );
    family(
        "shmetrics_families_refused_total",
        "counter",
        "Registrations that failed.",
        &[("", word(header::REFUSED_FAMILIES))],
    );
    family(
        "shmetrics_updates_rejected_total",
        "counter",
        "Updates with values a metric cannot take, or by processes beyond the limit.",
        &[("", word(header::REJECTED_UPDATES))],
    );
    family(
        "shmetrics_updates_to_removed_total",
        "counter",
        "Updates through handles to series that had been removed: they count nowhere.",
        &[("", word(header::STALE_UPDATES))],
    );
    family(
        "shmetrics_corrupt_records",
        "gauge",
        "Damaged records this page had to leave out.",
        &[("", corrupt as f64)],
    );
    family(
        "shmetrics_processes",
        "gauge",
        "Processes with gauges of their own.",
        &[("{state=\"alive\"}", alive as f64), ("{state=\"dead\"}", dead as f64)],
    );
    family(
        "shmetrics_render_seconds",
        "gauge",
        "Time it took to render this page, up to here.",
        &[("", busy.as_secs_f64())],
    );
}
