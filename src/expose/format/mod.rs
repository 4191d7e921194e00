//! The exposition formats: which of them a scraper asks for, and how each writes a family.
//!
//! * `negotiate`: the headers of a scraper; `exposition`: the format and escaping that they select
//! * `text`: text and OpenMetrics 1.0.0; `openmetrics2`; `protobuf`; `native`: native buckets
//! * `plain`: families that are in no segment; `writer`, `simd`: bytes put together quickly

pub(super) mod exposition;
pub(super) mod native;
pub(super) mod negotiate;
pub(super) mod openmetrics2;
pub(super) mod plain;
pub(super) mod protobuf;
pub(super) mod simd;
pub(super) mod text;
pub(super) mod writer;
