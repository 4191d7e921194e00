//! The shared memory: the only folder that knows bytes, offsets, mappings and the protocols between
//! processes. A record is some bytes here; what they mean is in `record` and `metric`.

pub(crate) mod arena;
pub(crate) mod clock;
pub(crate) mod generation;
pub(crate) mod grants;
pub(crate) mod header;
pub(crate) mod index;
pub(crate) mod layout;
pub(crate) mod list;
pub(crate) mod mapping;
pub(crate) mod memory;
#[cfg(test)]
mod model;
pub(crate) mod pair;
pub(crate) mod percpu;
pub(crate) mod state;
