//! Tests of families that are registered anew with another definition, or unregistered, as a reload
//! needs.

mod generations;
mod handles;
mod memory;
mod pages;
