//! Limits that the header states. The compiler holds each equal to the limit of the code.

use crate::shm::layout;
use crate::text::{label_set, names};

/// The longest name of a metric, a label or a unit, in bytes.
pub const SHMETRICS_MAX_NAME_BYTES: usize = 512;
/// The longest help text, in bytes.
pub const SHMETRICS_MAX_HELP_BYTES: usize = 16_384;
/// The most labels of a family.
pub const SHMETRICS_MAX_LABELS: usize = 64;
/// The most finite bounds of a histogram's buckets.
pub const SHMETRICS_MAX_BUCKETS: usize = 1024;
/// The most quantiles of a summary.
pub const SHMETRICS_MAX_QUANTILES: usize = 64;
/// The most states of a state set or an enum.
pub const SHMETRICS_MAX_STATES: usize = 64;
/// The most members of a bundle.
pub const SHMETRICS_MAX_MEMBERS: usize = 64;
/// The most characters of the names and values of an exemplar's labels together.
pub const SHMETRICS_MAX_EXEMPLAR_CHARACTERS: usize = 128;
/// The longest text of a series' labels in bytes: names, escaped values, and three bytes for each
/// label. A longer one is counted in the family's overflow series.
pub const SHMETRICS_MAX_LABEL_TEXT_BYTES: usize = 65_535;
/// The smallest maximum size of a segment, in bytes.
pub const SHMETRICS_MIN_SIZE_BYTES: u64 = 524_288;
/// The greatest maximum size of a segment, in bytes: 64 GiB.
pub const SHMETRICS_MAX_SIZE_BYTES: u64 = 68_719_476_736;
/// The most processes that can have values in a segment's per-process gauges at one time.
pub const SHMETRICS_MAX_PROCESSES: u32 = 32_768;

const _: () = {
    assert!(SHMETRICS_MAX_NAME_BYTES == names::NAME_MAX);
    assert!(SHMETRICS_MAX_HELP_BYTES == names::HELP_MAX);
    assert!(SHMETRICS_MAX_LABELS == names::LABELS_MAX);
    assert!(SHMETRICS_MAX_BUCKETS == names::BUCKETS_MAX);
    assert!(SHMETRICS_MAX_QUANTILES == names::QUANTILES_MAX);
    assert!(SHMETRICS_MAX_STATES == names::STATES_MAX);
    assert!(SHMETRICS_MAX_MEMBERS == crate::record::bundle::MEMBERS_MAX);
    assert!(SHMETRICS_MAX_EXEMPLAR_CHARACTERS == crate::metric::CODE_POINTS);
    assert!(SHMETRICS_MAX_LABEL_TEXT_BYTES == label_set::TEXT_MAX);
    assert!(SHMETRICS_MIN_SIZE_BYTES == layout::LEAST_MAX_SIZE);
    assert!(SHMETRICS_MAX_SIZE_BYTES == layout::GREATEST_MAX_SIZE);
    assert!(SHMETRICS_MAX_PROCESSES == layout::MAX_PROCESSES);
};
