//! The numbers of `shmetrics_status`.

pub(crate) const OK: u32 = 0;
pub(crate) const NULL_ARGUMENT: u32 = 1;
pub(crate) const INVALID_ARGUMENT: u32 = 2;
pub(crate) const INVALID_NAME: u32 = 3;
pub(crate) const NOT_FOUND: u32 = 4;
pub(crate) const ALREADY_EXISTS: u32 = 5;
pub(crate) const CONFLICT: u32 = 12;
pub(crate) const BUFFER_TOO_SMALL: u32 = 17;
