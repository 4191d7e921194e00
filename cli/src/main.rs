//! The `shmetrics` command: look at shared-memory metrics segments, and serve them to a scraper.

mod args;
mod commands;
mod common;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Verb};
use commands::{inspect, list, manual, push, render, rm, serve, top};

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::List(args) => list::run(&args),
        Verb::Render(args) => render::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::Push(args) => push::run(&args),
        Verb::Top(args) => top::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Rm(args) => rm::run(&args),
        Verb::Completions { shell } => manual::completions(shell, &mut Cli::command()),
        Verb::Man => manual::page(Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough: `shmetrics render | head` is no failure.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            failure.complain();
            ExitCode::FAILURE
        }
    }
}
