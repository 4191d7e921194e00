//! Tests of the command line: help, manual, completions, and wrong arguments.

mod support;

use support::Room;

#[test]
fn the_manual_names_every_command() {
    let help = Room::new().run(&["--help"]).success();
    for command in ["list", "render", "serve", "push", "inspect", "check", "top", "rm", "completions", "man"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command} is missing:\n{help}");
    }
    for part in ["EXAMPLES:", "ENVIRONMENT:", "SHMETRICS_SEGMENT", "EXIT STATUS:"] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
}

#[test]
fn manuals_fit_a_terminal() {
    let room = Room::new();
    for args in [
        &["--help"][..],
        &["list", "--help"],
        &["render", "--help"],
        &["serve", "--help"],
        &["push", "--help"],
        &["top", "--help"],
        &["completions", "--help"],
        &["inspect", "--help"],
        &["check", "--help"],
        &["rm", "--help"],
    ] {
        let help = room.run(args).success();
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{args:?} has a line too long:\n{line}");
        }
    }
}

#[test]
fn what_packagers_install() {
    let room = Room::new();
    let page = room.run(&["man"]).success();
    assert!(
        page.contains(".TH shmetrics 1") && page.contains("EXIT STATUS") && page.contains("web.config.file"),
        "{page}"
    );
    for shell in ["bash", "elvish", "fish", "zsh"] {
        let script = room.run(&["completions", shell]).success();
        assert!(script.contains("web.config.file"), "{shell}: {script}");
    }
}

#[test]
fn a_wrong_command_line_is_status_two() {
    let room = Room::new();
    for args in [&[][..], &["lst"], &["render", "a", "b"], &["list", "--all"]] {
        let ran = room.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
    }
    let ran = room.run(&["lst"]);
    assert!(ran.err.contains("list"), "a near command is not suggested: {ran:?}");
}

#[test]
fn the_version_is_told() {
    let version = Room::new().run(&["--version"]).success();
    assert_eq!(version, format!("shmetrics {}\n", env!("CARGO_PKG_VERSION")));
}
