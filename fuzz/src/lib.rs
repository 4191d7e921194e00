//! The fuzz targets, as plain functions of bytes: run by a fuzzing engine (`fuzz_targets/`) or on
//! kept inputs (`tests/replay.rs`). Each panics, or dies, if the library is wrong.

mod ffi;
mod file;
mod input;
mod look;
mod model;
pub mod mutated;
pub mod names;
mod native;
pub mod negotiation;
mod page;
#[cfg(fuzzing)]
mod quick;
pub mod reader;
pub mod sequence;
mod slate;
pub mod sparse;
pub mod vary;
mod wrong;

pub use wrong::wrong;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("reader", reader::run),
    ("mutated", mutated::run),
    ("sparse", sparse::run),
    ("names", names::run),
    ("negotiation", negotiation::run),
    ("sequence", sequence::run),
];
