//! Tests of real deployments: dropped privileges, changed roots, namespaces, limits and system call
//! filters, in real processes. The tests run in forked children and private namespaces, and leave
//! nothing behind.
#![cfg(target_os = "linux")]

mod filters;
mod harness;
mod liveness;
mod opening;
mod privileges;
mod publishing;
mod selftest;
mod time;
mod whole;
