//! One module for each command, with its arguments.

pub(crate) mod check;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod manual;
pub(crate) mod push;
pub(crate) mod render;
pub(crate) mod rm;
pub(crate) mod serve;
pub(crate) mod top;
