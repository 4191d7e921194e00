//! Tests of opening segments: every option, every refusal, and errors of the system.
#![allow(missing_docs)]

mod common;

#[path = "segment/closed.rs"]
mod closed;
#[path = "segment/environment.rs"]
mod environment;
#[path = "segment/files.rs"]
mod files;
#[path = "segment/lifetime.rs"]
mod lifetime;
#[path = "segment/options.rs"]
mod options;
#[path = "segment/restart.rs"]
mod restart;
#[path = "segment/space.rs"]
mod space;
#[path = "segment/users.rs"]
mod users;
