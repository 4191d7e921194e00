//! The exposition formats: which of them a scraper asks for, and how each writes a family.

pub(super) mod exposition;
pub(super) mod native;
pub(super) mod negotiate;
pub(super) mod openmetrics2;
pub(super) mod plain;
pub(super) mod protobuf;
pub(super) mod simd;
pub(super) mod text;
pub(super) mod writer;
