//! `shmetrics completions` and `shmetrics man`: for those who package it.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Cli, ShellArg};
use crate::failure::{Failure, Outcome};

pub(crate) fn completions(shell: ShellArg) -> Outcome {
    let shell = match shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Elvish => Shell::Elvish,
        ShellArg::Fish => Shell::Fish,
        ShellArg::Zsh => Shell::Zsh,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shmetrics", &mut text);
    write(&text)
}

/// The command's page, with those of its verbs after it.
pub(crate) fn page() -> Outcome {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let mut render = |command: clap::Command| clap_mangen::Man::new(command).render(&mut text).map_err(Failure::Output);
    render(command.clone())?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        render(verb.clone())?;
    }
    write(&text)
}

fn write(text: &[u8]) -> Outcome {
    io::Write::write_all(&mut io::stdout().lock(), text).map_err(Failure::Output)
}
