//! The `shmetrics` command: look at shared-memory metrics segments, and serve them to a scraper.

mod args;
mod census;
mod conflicts;
mod failure;
mod inspect;
mod json;
mod list;
mod manual;
mod parse;
mod processes;
mod push;
mod render;
mod rm;
mod screen;
mod serve;
mod show;
mod signals;
mod source;
mod stem;
mod table;
mod top;
mod trust;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Verb};

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::List(args) => list::run(&args),
        Verb::Render(args) => render::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::Push(args) => push::run(&args, args::names(&args.names)),
        Verb::Top(args) => top::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Rm(args) => rm::run(&args),
        Verb::Completions { shell } => manual::completions(shell),
        Verb::Man => manual::page(),
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
