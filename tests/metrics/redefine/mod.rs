//! Tests of families that are registered anew with another definition, or unregistered, as a reload
//! needs.

mod handles;
mod memory;
mod pages;
mod revisions;
