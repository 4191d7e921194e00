//! The negative control.

/// Whether one rule of each target's oracle is to be wrong: the negative control.
pub(crate) const WRONG: bool = cfg!(feature = "wrong");
