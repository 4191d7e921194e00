//! Typed label sets: the labels of a family as a struct, checked by the compiler.

#[doc(hidden)]
pub mod declare;
mod family;
mod labels;

pub use self::family::{LabelStruct, TypedFamily};
pub use self::labels::{LabelSet, LabelText, LabelValue};
