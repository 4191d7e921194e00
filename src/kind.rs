//! The kinds of metric, by the byte that records have for them.

pub(crate) const KIND_COUNTER: u8 = 1;
pub(crate) const KIND_GAUGE: u8 = 2;
pub(crate) const KIND_HISTOGRAM: u8 = 3;
pub(crate) const KIND_UNKNOWN: u8 = 4;
pub(crate) const KIND_INFO: u8 = 5;
pub(crate) const KIND_STATE_SET: u8 = 6;
pub(crate) const KIND_ENUM: u8 = 7;
pub(crate) const KIND_SUMMARY: u8 = 8;
pub(crate) const KIND_GAUGE_HISTOGRAM: u8 = 9;

/// What the family's name may end in and is kept without: every format adds it as its rules say.
pub(crate) fn own_suffix(kind: u8) -> &'static str {
    match kind {
        KIND_COUNTER => "_total",
        KIND_INFO => "_info",
        _ => "",
    }
}
