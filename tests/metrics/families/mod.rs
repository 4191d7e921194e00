//! Tests of families and label sets: registration by many processes, every refusal, every limit,
//! and the counts when there is no room.

mod conflicts;
mod full;
mod growth;
mod names;
mod registration;
mod values;
