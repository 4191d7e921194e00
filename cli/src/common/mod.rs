//! Modules that several commands use.

pub(crate) mod args;
pub(crate) mod failure;
pub(crate) mod file;
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod owners;
pub(crate) mod processes;
pub(crate) mod signals;
pub(crate) mod source;
pub(crate) mod stem;
pub(crate) mod summary;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod variants;
