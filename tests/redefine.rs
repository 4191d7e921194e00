//! Tests of families that are registered anew with another definition, or unregistered, as a reload
//! needs.
#![allow(missing_docs)]

mod common;

#[path = "redefine/generations.rs"]
mod generations;
#[path = "redefine/handles.rs"]
mod handles;
#[path = "redefine/memory.rs"]
mod memory;
#[path = "redefine/pages.rs"]
mod pages;
