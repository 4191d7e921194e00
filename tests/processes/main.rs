//! Tests of processes: every way to fork, to stop and to die, the remains of a process, and later
//! generations of processes.

mod deaths;
mod forks;
mod gauges;
mod generations;
mod namespaces;
mod pids;
mod scene;
mod unwiped;
mod upgrade;
