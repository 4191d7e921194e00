//! Tests of families and label sets: registration by many processes, every refusal, every limit,
//! and the counts when there is no room.
#![allow(missing_docs)]

mod common;

#[path = "families/conflicts.rs"]
mod conflicts;
#[path = "families/full.rs"]
mod full;
#[path = "families/growth.rs"]
mod growth;
#[path = "families/names.rs"]
mod names;
#[path = "families/registration.rs"]
mod registration;
#[path = "families/values.rs"]
mod values;
