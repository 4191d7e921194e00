//! What a segment could not take, in a sentence for the host's log.

use std::sync::atomic::Ordering::Relaxed;

use crate::record::family;
use crate::record::family::{count_of, Record};
use crate::segment::{Inner, Segment};
use crate::shm::layout::{header, PAGE};
use crate::shm::memory::Mapped;

/// A bit of `header::TOLD`: the segment has lost its name.
const UNNAMED: u32 = 16;

/// Bits of `header::TOLD`, and the counts they are about.
const KINDS: [(u32, u64); 4] = [
    (1, header::OVERFLOW_LOOKUPS),
    (2, header::REJECTED_UPDATES),
    (4, header::STALE_UPDATES),
    (8, header::REFUSED_OBSERVATIONS),
];

impl Segment {
    /// What the segment could not take, as a sentence for the host's log that says what to do;
    /// `None` if there is nothing new.
    ///
    /// Updates and look-ups never fail and never print. A host that wants to know calls this now
    /// and then, say after each page: each kind of warning is given once, to one of all
    /// processes. The numbers are on every page.
    pub fn next_warning(&self) -> Option<String> {
        let (inner, memory) = (self.inner, &self.inner.memory);
        for (bit, count_at) in KINDS {
            let count = memory.get64(count_at);
            if count == 0 || memory.get32(header::TOLD) & bit != 0 {
                continue;
            }
            // The thread that sets the bit gives the warning.
            let told = memory.u32_at(header::TOLD)?;
            if told.fetch_or(bit, Relaxed) & bit == 0 {
                return Some(match bit {
                    1 => format!(
                        "{count} look-ups of label sets were counted in an overflow series (shmetrics_overflow=\"true\"): {}",
                        cause(inner)
                    ),
                    2 => format!("{count} updates were rejected: {}", why_rejected(memory, count)),
                    8 => format!(
                        "{count} observations were not counted, or are in no quantile, for lack of room for new buckets: raise the \
                         max_size, or take coarser native buckets"
                    ),
                    _ => format!(
                        "{count} updates went to label sets that had been removed or had expired, or to families that had been \
                         replaced or unregistered, and count nowhere: look up what may be removed instead of keeping its handle"
                    ),
                });
            }
        }
        self.loss_of_name()
    }

    fn loss_of_name(&self) -> Option<String> {
        let _undisturbed = crate::os::host::Undisturbed::new();
        let told = self.inner.memory.u32_at(header::TOLD)?;
        let path = self.path()?.display();
        if told.load(Relaxed) & UNNAMED != 0 || self.is_current() || told.fetch_or(UNNAMED, Relaxed) & UNNAMED != 0 {
            return None;
        }
        Some(format!(
            "the segment {path} was removed or replaced: this process and others count in memory that new processes and exporters \
             do not see; restart them all, and keep the file from being removed (systemd-logind's RemoveIPC, systemd-tmpfiles, rm)"
        ))
    }
}

/// Why updates are rejected.
fn why_rejected(memory: &Mapped, count: u64) -> String {
    let (no_slot, no_proof) = (memory.get64(header::NO_SLOT), memory.get64(header::NO_PROOF));
    let mut reasons = Vec::new();
    if no_slot > 0 {
        let most = memory.get32(header::SLOTS_COUNT);
        reasons.push(format!(
            "{no_slot} of per-process gauges by processes beyond max_processes = {most}: raise it in a new segment"
        ));
    }
    if no_proof > 0 {
        reasons.push(format!(
            "{no_proof} of per-process gauges by processes that can neither open the segment's file again nor make a System V \
             shared memory segment: call attach_process before dropping privileges, or before a system call filter is installed"
        ));
    }
    let roomless = memory.get64(header::ROOMLESS_UPDATES);
    if roomless > 0 {
        reasons.push(format!(
            "{roomless} of per-process gauges, for lack of memory for the cells of so many processes: raise the maximum size, or give \
             the memory file system more room"
        ));
    }
    if count > no_slot.saturating_add(no_proof).saturating_add(roomless) {
        reasons.push("NaN or negative amounts for a counter, or a wrong number of label values".to_owned());
    }
    reasons.join("; ")
}

/// Why label sets are refused.
fn cause(inner: &Inner) -> String {
    let memory = &inner.memory;
    let limit = memory.get64(header::MAX_SERIES);
    // A label set of a bundle takes several series.
    let refuses = |record: &Record<'_>| record.overflow_lookups() > 0 && !record.has_home() && !record.is_retired();
    let most = family::all(memory).filter(refuses).map(|record| record.series_of_each()).max().unwrap_or(1);
    if limit != 0 && count_of(memory.get64(header::SERIES)) + most > limit {
        return format!(
            "the segment's limit of {limit} series is reached; raise max_series, or use fewer label values"
        );
    }
    for record in family::all(memory).filter(|record| !record.is_retired()) {
        let limit = record.max_series();
        if !record.has_home() && record.overflow_lookups() > 0 && limit != 0 && record.series() >= limit {
            let name = record.texts().map_or_else(String::new, |texts| texts.name);
            return format!(
                "the family {name} has reached its limit of {limit} series; raise it, or use fewer label values"
            );
        }
    }
    let (tail, end) = (memory.get64(header::ARENA_TAIL), memory.get64(header::ARENA_END));
    let index = inner.index();
    if end.saturating_sub(tail) < PAGE + inner.arena().kept() || !index.has_room() && index.bits() == index.max_bits {
        let max_size = memory.get64(header::TOTAL_SIZE);
        return format!(
            "the segment has reached its maximum size of {max_size} bytes; raise the maximum size, or use fewer label values"
        );
    }
    "the memory file system is full, or was (in a container: raise --shm-size), or the label values are longer than 64 KiB"
        .into()
}
