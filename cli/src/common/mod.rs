//! Modules that several commands use.

pub(crate) mod args;
pub(crate) mod census;
pub(crate) mod failure;
pub(crate) mod json;
pub(crate) mod processes;
pub(crate) mod show;
pub(crate) mod signals;
pub(crate) mod source;
pub(crate) mod stem;
pub(crate) mod table;
pub(crate) mod trust;
pub(crate) mod whole;
