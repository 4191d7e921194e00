//! The shared memory: the only folder that knows bytes, offsets, mappings and the protocols between
//! processes. A record is some bytes here; what they mean is in `record` and `metric`.
//!
//! * `layout`: each fixed offset; `header`: the first page; `memory`: words at checked offsets
//! * `mapping`: where the bytes come from; `grants`: which of them may be touched; `arena`: memory
//!   for records
//! * `index`: the hash index; `list`: the insertion of an entry; `state`, `generation`: how a
//!   record is removed and used again; `model`: these protocols under model checkers
//! * `pair`: two words that change as one; `percpu`: the cells for each CPU; `clock`: the time

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
