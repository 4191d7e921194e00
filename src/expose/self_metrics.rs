//! The library's own families, at the end of every page.

use std::time::Duration;

use super::format::plain::PlainFamily;
use super::source::State;
use crate::process::Slots;
use crate::shm::layout::header;
use crate::shm::memory::Mapped;

/// Bytes of records that no process can reach: what kills have cost. Records that are being
/// inserted are part of it for an instant.
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

// Not inlined for each family below: the end of a page is not hot.
#[inline(never)]
fn gauge<'a>(name: &'a str, help: &'a str, v: f64) -> PlainFamily<'a> {
    PlainFamily { name, help, is_counter: false, samples: vec![(Vec::new(), v)] }
}

/// The damaged records of a segment.
pub(super) fn corrupt_records<'a>(corrupt: u64) -> PlainFamily<'a> {
    gauge("shmetrics_corrupt_records", "Damaged records that this page leaves out.", corrupt as f64)
}

/// What a page leaves out of a segment, or of the host's families, for the sake of others.
pub(super) fn conflicts<'a>(conflicts: u64) -> PlainFamily<'a> {
    gauge(
        "shmetrics_conflicts",
        "Families and series that this page leaves out, because another of its segments defines them otherwise or has them too.",
        conflicts as f64,
    )
}

/// The library's own families about a page: its series and time.
pub(super) fn page_families<'a>(series: u64, busy: Duration) -> Vec<PlainFamily<'a>> {
    vec![
        gauge("shmetrics_series", "Series on this page, without the series of the library.", series as f64),
        gauge("shmetrics_render_seconds", "Time to render this page up to this line.", busy.as_secs_f64()),
    ]
}

/// A gauge without a sample where the value is not known.
#[inline(never)]
fn known<'a>(name: &'a str, help: &'a str, v: Option<f64>) -> PlainFamily<'a> {
    PlainFamily { samples: v.map(|v| (Vec::new(), v)).into_iter().collect(), ..gauge(name, help, 0.0) }
}

/// The library's own families about a segment: always the same ones, some without samples.
pub(super) fn segment_families<'a>(memory: &Mapped, living: &[u32], whole: &State) -> Vec<PlainFamily<'a>> {
    let word = |at| memory.get64(at) as f64;
    let alive = living.iter().filter(|g| **g != 0).count();
    let slots = Slots::in_memory(memory);
    let dead = (0..slots.high()).filter(|i| slots.holder(*i).is_some()).count().saturating_sub(alive);
    let counter = |name, help, v| PlainFamily { is_counter: true, ..gauge(name, help, v) };
    let state = |state: &str, n: usize| (vec![("state".to_owned(), state.to_owned())], n as f64);
    vec![
        gauge("shmetrics_segment_max_size_bytes", "Maximum size of the segment.", word(header::TOTAL_SIZE)),
        gauge("shmetrics_segment_used_bytes", "Bytes of the segment in use.", used(memory) as f64),
        gauge("shmetrics_segment_per_cpu_bytes", "Bytes of per-CPU cells of hot series.", word(header::PER_CPU_BYTES)),
        gauge(
            "shmetrics_segment_leaked_bytes",
            "Bytes of records that killed processes left unfinished, or that processes are making.",
            leaked(memory) as f64,
        ),
        counter(
            "shmetrics_series_removed",
            "Series that were removed or expired for good.",
            word(header::REMOVED_SERIES),
        ),
        counter(
            "shmetrics_overflow_lookups",
            "Look-ups that returned an overflow series, because a limit was reached or the segment was full.",
            word(header::OVERFLOW_LOOKUPS),
        ),
        counter("shmetrics_registrations_failed", "Registrations that failed.", word(header::FAILED_REGISTRATIONS)),
        counter(
            "shmetrics_updates_rejected",
            "Updates that were not done, because of their value or of the process limit.",
            word(header::REJECTED_UPDATES),
        ),
        counter(
            "shmetrics_stale_updates",
            "Updates through handles to removed series. They change no series.",
            word(header::STALE_UPDATES),
        ),
        counter(
            "shmetrics_observations_refused",
            "Observations without room for a new native bucket, or for a new bucket of quantiles.",
            word(header::REFUSED_OBSERVATIONS),
        ),
        PlainFamily {
            name: "shmetrics_processes",
            help: "Processes with per-process gauges, alive and dead, and all processes that have the segment open (attached).",
            is_counter: false,
            samples: [state("alive", alive), state("dead", dead)]
                .into_iter()
                .chain(whole.attached.map(|n| state("attached", n as usize)))
                .collect(),
        },
        known(
            "shmetrics_segment_in_use",
            "1: a process has the segment open for counting. 0: no process has, and the values are the last values.",
            whole.in_use.map(|yes| f64::from(u8::from(yes))),
        ),
        known(
            "shmetrics_segment_current",
            "1: the name of the segment leads to this segment. 0: this segment was removed or replaced, and new processes do not see it.",
            whole.current.map(|yes| f64::from(u8::from(yes))),
        ),
        known(
            "shmetrics_last_update_timestamp_seconds",
            "When a page first saw the latest update of a metric.",
            whole.updated,
        ),
    ]
}
