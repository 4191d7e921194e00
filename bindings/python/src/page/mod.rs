//! Pages and families of a segment.

pub(crate) mod compat;
pub(crate) mod families;
mod sample_line;
