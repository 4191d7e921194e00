//! `shmetrics completions` and `shmetrics man`: files for packages.

use std::io;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use crate::common::failure::{Failure, Outcome};

/// A shell whose completions can be printed.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ShellArg {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

pub(crate) fn completions(shell: ShellArg, command: &mut Command) -> Outcome {
    let shell = match shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Elvish => Shell::Elvish,
        ShellArg::Fish => Shell::Fish,
        ShellArg::Zsh => Shell::Zsh,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, command, "shmetrics", &mut text);
    write(&text)
}

/// The manual page of the command, followed by those of its subcommands.
pub(crate) fn page(mut command: Command) -> Outcome {
    command.build();
    let mut text = Vec::new();
    // Without a date, the next part of the title would be taken for one.
    let titled =
        |command| clap_mangen::Man::new(command).date(" ").source(concat!("shmetrics ", env!("CARGO_PKG_VERSION")));
    let mut render = |command: Command| titled(command).render(&mut text).map_err(Failure::Output);
    render(command.clone())?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        render(subcommand.clone())?;
    }
    write(&text)
}

fn write(text: &[u8]) -> Outcome {
    io::Write::write_all(&mut io::stdout().lock(), text).map_err(Failure::Output)
}
