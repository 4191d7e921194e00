//! Real deployments: dropped privileges, changed roots, namespaces, limits and system call filters,
//! in real processes. Everything happens in forked children and private namespaces. Nothing is left
//! behind.
#![cfg(target_os = "linux")]
#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod harness;
mod liveness;
mod opening;
mod privileges;
mod publishing;
mod selftest;
mod time;
mod whole;
