//! Tests of processes: every way to fork, to stop and to die, the remains of a process, and later
//! generations of processes.
#![allow(missing_docs)]

mod common;

#[path = "processes/deaths.rs"]
mod deaths;
#[path = "processes/forks.rs"]
mod forks;
#[path = "processes/generations.rs"]
mod generations;
#[path = "processes/namespaces.rs"]
mod namespaces;
#[path = "processes/pids.rs"]
mod pids;
#[path = "processes/scene.rs"]
mod scene;
#[path = "processes/unwiped.rs"]
mod unwiped;
#[path = "processes/upgrade.rs"]
mod upgrade;
