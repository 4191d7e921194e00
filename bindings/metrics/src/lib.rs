#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod cache;
mod family;
mod handle;
mod names;
mod recorder;
mod settings;
mod shared;
mod warnings;

pub use builder::Builder;
pub use recorder::Recorder;
pub use settings::Matcher;
pub use shared::Warnings;

/// Keeps the examples of docs/rust.md true.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust.md")]
struct Guide;
