//! Tests of opening segments: every option, every refusal, and errors of the system.

mod closed;
mod environment;
mod files;
mod lifetime;
mod options;
mod restart;
mod space;
mod users;
