//! The C library: the calls of the crate's feature `capi`, as a shared and a static library.
//!
//! This is a crate of its own, so that Rust programs build neither library and export none of its
//! symbols.

use capi as _;
