//! Tests of the command line: help, manual, completions, and wrong arguments.

mod support;

use support::{keys, Room};

const COMMANDS: [&str; 10] = ["list", "render", "serve", "push", "inspect", "check", "top", "rm", "completions", "man"];

#[test]
fn the_manual_names_every_command() {
    let help = Room::new().run(&["--help"]).success();
    for command in COMMANDS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command} is missing:\n{help}");
    }
    for part in ["EXAMPLES:", "ENVIRONMENT:", "SHMETRICS_SEGMENT", "EXIT STATUS:"] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
}

#[test]
fn manuals_fit_a_terminal() {
    let room = Room::new();
    for help in [room.run(&["--help"])].into_iter().chain(COMMANDS.map(|command| room.run(&[command, "--help"]))) {
        for line in help.success().lines() {
            assert!(line.chars().count() <= 100, "a line is too long:\n{line}");
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
    // Title, section, date, source.
    let titles: Vec<&str> = page.lines().filter(|line| line.starts_with(".TH ")).collect();
    assert!(titles.len() > 9 && titles.iter().all(|line| line.contains(" 1 \" \" \"shmetrics 0.")), "{titles:?}");
    for shell in ["bash", "elvish", "fish", "zsh"] {
        let script = room.run(&["completions", shell]).success();
        assert!(script.contains("web.config.file"), "{shell}: {script}");
    }
}

/// In the script for fish, values and their help are one string.
#[test]
fn no_help_of_a_value_ends_a_string_of_fish() {
    let script = Room::new().run(&["completions", "fish"]).success();
    for (at, _) in script.match_indices('"') {
        let (before, after) = (&script[..at], &script[at + 1..]);
        assert!(before.ends_with(' ') || after.starts_with([' ', '\n']), "{:?}", &script[at.saturating_sub(60)..=at]);
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
fn json_has_the_documented_keys_and_no_others() {
    let room = Room::new();
    let segment = room.segment_with_jobs("shop", 1);
    let busy = segment.gauge("busy", "", shmetrics::GaugeMode::LiveSum).register().expect("registers");
    busy.inc();
    let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
    let list = words(
        "name path owner user group mode name in_use processes_attached processes_alive created last_update \
         last_update_is_last max_size_bytes used_bytes resident_bytes series",
    );
    let inspect = words(
        "layout boot_id leaked_bytes corrupt_families overflow_lookups failed_registrations rejected_updates \
         per_cpu_kind cpus per_cpu_bytes families",
    );
    let family = ["name", "type", "mode", "labels", "series", "max_series", "overflow_lookups", "bundle"];
    let process = ["slot", "pid", "identity", "alive", "attached"];
    let check = ["name", "sound", "faults"];
    let shown = room.run(&["list", "--json"]).success();
    assert_eq!(keys(&shown), list, "{shown}");
    let shown = room.run(&["inspect", "--json", "shop"]).success();
    let all = [&list[..], &inspect, &family, &family, &["processes"], &process].concat();
    assert_eq!(keys(&shown), all, "{shown}");
    let shown = room.run(&["check", "--json", "shop"]).success();
    assert_eq!(shown, "{\"name\":\"shop\",\"sound\":true,\"faults\":[]}\n");
    room.junk("junk");
    let shown = room.run(&["list", "--json"]).success();
    assert_eq!(keys(&shown)[..2], ["name", "problem"], "{shown}");

    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command.md"));
    let docs = docs.expect("the documentation is there");
    for key in [&all[..], &check, &["problem"]].concat() {
        assert!(docs.contains(&format!("`{key}`")), "{key} is not in docs/command.md");
    }
}

#[test]
fn the_version_is_told() {
    let version = Room::new().run(&["--version"]).success();
    assert_eq!(version, format!("shmetrics {}\n", env!("CARGO_PKG_VERSION")));
}
