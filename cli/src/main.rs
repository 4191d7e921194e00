//! The `shmetrics` command: look at shared-memory metrics segments, and serve them to a scraper.

mod args;
mod commands;
mod common;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use shmetrics::Reader;

use args::{Cli, Command};
use commands::{check, inspect, list, manual, push, render, rm, serve, top};

fn main() -> ExitCode {
    // The command only reads, and reads files of other users. Where the system cannot do it, a
    // truncated file ends the command.
    let _ = Reader::survive_truncation();
    let outcome = match Cli::parse().command {
        Command::List(args) => list::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Push(args) => push::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Rm(args) => rm::run(&args),
        Command::Completions { shell } => manual::completions(shell, &mut Cli::command()),
        Command::Man => manual::page(Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output closed it: `shmetrics render | head` is no failure.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            failure.complain();
            ExitCode::FAILURE
        }
    }
}
