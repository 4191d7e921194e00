//! Warnings about segments: what is wrong, which metrics are lost, and what to do.

use std::time::{Duration, Instant};

use shmetrics::Inspection;

use crate::common::format::{bytes, clean, count, counted};
use crate::common::source::Reading;

/// A sentence for operators. The text has no characters that drive a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Banner {
    pub(crate) text: String,
    /// Metrics are lost; otherwise, they are only old.
    pub(crate) is_loss: bool,
    /// The metric of the library that tells the same. The runbook has a section of this name.
    pub(crate) metric: &'static str,
}

impl Banner {
    /// The text, with the name of the section in the runbook.
    pub(crate) fn with_runbook(&self) -> String {
        format!("{} Runbook: {}.", self.text, self.metric)
    }
}

/// A segment is full for new series from here on.
const FULL: f64 = 0.98;

/// What is wrong with a segment, from the worst on.
pub(crate) fn warnings(i: &Inspection) -> Vec<Banner> {
    let (name, mut found) = (clean(&i.name), Vec::new());
    let mut loss = |metric, text: String| found.push(Banner { text, is_loss: true, metric });
    if i.corrupt > 0 {
        let families = counted(i.corrupt, "family is", "families are");
        loss(
            "shmetrics_corrupt_records",
            format!(
                "DAMAGED: {families} missing on every page of {name}. Run `shmetrics check {name}`, find the wild \
                 pointer, remove the segment and restart."
            ),
        );
    }
    let is_full = i.used as f64 >= i.max_size as f64 * FULL;
    if is_full {
        let size = bytes(i.max_size);
        loss(
            "shmetrics_segment_used_bytes",
            format!(
                "FULL: {name} has used its {size}. New label sets share one overflow series ({} look-ups so far), \
                 and new families are refused. Restart with a larger maximum size, or use fewer label values.",
                count(i.overflow_lookups)
            ),
        );
    }
    if i.overflow_lookups > 0 && !is_full {
        let worst = i.families.iter().max_by_key(|family| family.overflow_lookups);
        let family = worst.map_or_else(String::new, |family| clean(&family.name));
        loss(
            "shmetrics_overflow_lookups_total",
            format!(
                "OVERFLOW: {} look-ups of {name} counted in the series shmetrics_overflow=\"true\", most of the \
                 family {family}. Raise its limit, or use fewer label values.",
                count(i.overflow_lookups)
            ),
        );
    }
    if i.in_use == Some(false) {
        let text = format!("NO PROCESS has {name} open: these are its last values. Start the application.");
        found.push(Banner { text, is_loss: false, metric: "shmetrics_segment_in_use" });
    }
    found
}

/// What is worst of all segments.
pub(crate) fn banner(inspections: &[Inspection], problem: Option<&str>) -> Option<Banner> {
    if let Some(problem) = problem {
        let text = format!("NO SEGMENT: {}. The values below are the last ones.", clean(problem));
        return Some(Banner { text, is_loss: true, metric: "shmetrics_serve_segment_up" });
    }
    // The banners are in the order of `warnings`.
    let rank = |banner: &Banner| match banner.metric {
        "shmetrics_corrupt_records" => 0,
        "shmetrics_segment_used_bytes" => 1,
        "shmetrics_overflow_lookups_total" => 2,
        _ => 3,
    };
    inspections.iter().flat_map(warnings).min_by_key(rank)
}

/// The part of one core that inspecting may take, and the time between two inspections at least.
const SHARE: f64 = 0.002;
const EVERY: Duration = Duration::from_secs(2);

/// Inspects the segments now and then: a walk over all families.
#[derive(Default)]
pub(crate) struct Inspector {
    next: Option<Instant>,
    had_problem: bool,
}

impl Inspector {
    /// `None`: it is too early.
    pub(crate) fn inspect(&mut self, reading: Result<&Reading, &str>) -> Option<Vec<Inspection>> {
        let begin = Instant::now();
        let is_changed = std::mem::replace(&mut self.had_problem, reading.is_err()) != reading.is_err();
        if !is_changed && self.next.is_some_and(|next| begin < next) {
            return None;
        }
        let segments = reading.map(Reading::segments).unwrap_or_default();
        let inspections = segments.iter().map(|(_, reader)| reader.inspect()).collect();
        self.next = Some(begin + EVERY.max(begin.elapsed().div_f64(SHARE)));
        Some(inspections)
    }
}
