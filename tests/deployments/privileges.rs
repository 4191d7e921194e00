//! Owner, group and mode of a segment's file; trusted owners; root and unprivileged processes in
//! either order; and programs that have more rights than their caller.

use std::ffi::CString;
use std::os::unix::fs::{chown, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::harness::*;
use common::{note, samples, text, Directory};
use shmetrics::{Account, Error, Format, GaugeMode, Options, Reader, Segment};

/// The user of an application, and a group that is not its own.
const USER: u32 = 1;
const GROUP: u32 = 7;

fn options(name: &str) -> Options {
    Options::new().name(name).max_size(512 << 10)
}

fn set(variables: &[(&str, &str)]) {
    for (name, value) in variables {
        let (name, value) = (CString::new(*name).unwrap(), CString::new(*value).unwrap());
        // SAFETY: NUL-terminated strings, in a child with one thread.
        done("setenv", unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) });
    }
}

/// What happens when a segment is opened in a process of its own, with this environment: `MODE
/// OWNER GROUP` of its file, or the error.
fn opened(variables: &[(&str, &str)], options: impl FnOnce() -> Options) -> String {
    told(|| {
        set(variables);
        match options().open() {
            Ok(segment) => {
                let file = std::fs::metadata(segment.path().unwrap()).unwrap();
                format!("{:o} {} {}", file.permissions().mode() & 0o7777, file.uid(), file.gid())
            }
            Err(e) => format!("{}: {e}", kind(&e)),
        }
    })
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::InvalidArgument(_) => "InvalidArgument",
        Error::Permission(_) => "Permission",
        _ => "another",
    }
}

fn is_error(what: &str, kind: &str, parts: &[&str]) {
    assert!(what.starts_with(&format!("{kind}: ")), "{what}");
    for part in parts {
        assert!(what.contains(part), "{part:?} is not in: {what}");
    }
}

/// Counts once in the segment: a counter, a gauge, and enough label sets that it grows. Returns the
/// counter's value.
fn count(options: &Options) -> f64 {
    let segment = options.open().unwrap();
    segment.counter("c", "").register().unwrap().inc();
    segment.gauge("g", "", GaugeMode::Sum).register().unwrap().inc();
    let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
    (0..2000).for_each(|i| sets.with([&i.to_string()]).inc());
    let shown = samples(&text(&segment.render(Format::Text)));
    assert_eq!(shown["c_total"], shown["g"], "the gauge counts, too");
    assert_eq!(shown["sets_total{n=\"1999\"}"], shown["c_total"]);
    shown["c_total"]
}

#[test]
fn a_new_segment_has_the_owner_group_and_mode_asked_for() {
    if !runs_as_root("a_new_segment_has_the_owner_group_and_mode_asked_for") {
        return;
    }
    let directory = common_ground("access");
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        directory.name(&format!("segment-{number}"))
    };
    let name = fresh();
    assert_eq!(opened(&[], || options(&name)), "600 0 0");
    let name = fresh();
    assert_eq!(opened(&[], || options(&name).mode(0o660).group(GROUP).owner(USER)), "660 1 7");
    let name = fresh();
    assert_eq!(opened(&[], || options(&name).owner("nobody")), "600 65534 0");
    let name = fresh();
    let variables = [("SHMETRICS_MODE", "0640"), ("SHMETRICS_GROUP", "7"), ("SHMETRICS_OWNER", "nobody")];
    assert_eq!(opened(&variables, || options(&name)), "640 65534 7");
    let name = fresh();
    let given = || options(&name).mode(0o666).group(Account::from("root")).owner(0);
    assert_eq!(opened(&variables, given), "666 0 0", "options go before the environment");
    for mode in ["640", "0640", "0o640", " 0640 "] {
        let name = fresh();
        assert_eq!(opened(&[("SHMETRICS_MODE", mode)], || options(&name)), "640 0 0", "{mode:?}");
    }
    // In a set-group-id directory files have its group, unless another is asked for.
    chown(&directory.0, None, Some(5)).unwrap();
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o2777)).unwrap();
    let name = fresh();
    assert_eq!(opened(&[], || options(&name)), "600 0 5");
    let name = fresh();
    assert_eq!(opened(&[("SHMETRICS_GROUP", "7")], || options(&name)), "600 0 7");
}

#[test]
fn wrong_values_are_errors_that_name_the_variable() {
    let directory = Directory::new("wrong");
    let name = directory.name("segment");
    let open = |variable, value| opened(&[(variable, value)], || options(&name));
    for (mode, reason) in [
        ("", "octal file mode"),
        ("rw-r-----", "octal file mode"),
        ("0x1a0", "octal file mode"),
        ("0689", "octal file mode"),
        ("-1", "octal file mode"),
        ("0440", "the owner must be able to read and write"),
        ("4600", "cannot be setuid, setgid or sticky"),
        ("777777777777777", "it is no file mode"),
    ] {
        is_error(&open("SHMETRICS_MODE", mode), "InvalidArgument", &[&format!("SHMETRICS_MODE={mode}: "), reason]);
    }
    for variable in ["SHMETRICS_GROUP", "SHMETRICS_OWNER"] {
        for bad in ["", "no-such-account", "-1", "4294967295", "99999999999"] {
            is_error(&open(variable, bad), "InvalidArgument", &[&format!("{variable}={bad}: ")]);
        }
    }
    is_error(&opened(&[], || options(&name).group("no-such-group")), "InvalidArgument", &["group=no-such-group"]);
    assert_eq!(directory.files(), [""; 0], "nothing stays behind");
}

#[test]
fn options_that_exclude_each_other_are_errors() {
    let directory = Directory::new("exclude");
    let named = || options(&directory.name("segment"));
    for (options, words) in [
        (named().anonymous(), ["anonymous", "name"]),
        (Options::new().anonymous().name("x"), ["anonymous", "name"]),
        (Options::new().anonymous().separate_mapping(true), ["anonymous", "separate_mapping"]),
        (Options::new().anonymous().attach(), ["anonymous", "attach"]),
        (Options::new().anonymous().mode(0o640), ["anonymous", "mode"]),
        (Options::new().anonymous().owner(0), ["anonymous", "owner"]),
        (Options::new().anonymous().group(0), ["anonymous", "group"]),
        (named().create_new().attach(), ["create_new", "attach"]),
        (named().attach().create_new(), ["create_new", "attach"]),
    ] {
        let error = options.open().unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
        let told = error.to_string();
        assert!(words.iter().all(|w| told.contains(&format!("`{w}`"))), "{told}");
    }
    assert_eq!(directory.files(), [""; 0]);
    // The environment is for segments that have a name.
    let anonymous = told(|| {
        set(&[("SHMETRICS_SEGMENT", "x"), ("SHMETRICS_MODE", "0640"), ("SHMETRICS_GROUP", "0")]);
        Options::new().anonymous().max_size(512 << 10).open().is_ok()
    });
    assert_eq!(anonymous, "true");
}

#[test]
fn what_may_not_be_given_away_is_an_error_with_the_reason() {
    if !runs_as_root("what_may_not_be_given_away_is_an_error_with_the_reason") {
        return;
    }
    let directory = common_ground("give");
    let name = directory.name("segment");
    let open = |options: Options| {
        told(|| {
            become_user(USER, USER, &[GROUP]);
            opened(&[], || options)
        })
    };
    is_error(&open(options(&name).group(5)), "Permission", &["option group=5", "groups that it is in"]);
    is_error(&open(options(&name).owner(5)), "Permission", &["option owner=5", "root's rights"]);
    assert_eq!(directory.files(), [""; 0], "nothing stays behind");
    assert_eq!(open(options(&name).group(GROUP).owner(USER).mode(0o660)), "660 1 7");
}

#[test]
fn a_process_attaches_roots_segment_through_its_group() {
    if !runs_as_root("a_process_attaches_roots_segment_through_its_group") {
        return;
    }
    let directory = common_ground("group");
    let name = directory.name("segment");
    assert_eq!(told(|| count(&options(&name).mode(0o660).group(GROUP))), "1");
    let by = |user, group, groups: &[u32]| {
        told(|| {
            become_user(user, group, groups);
            count(&options(&name).attach())
        })
    };
    assert_eq!(by(USER, GROUP, &[]), "2");
    assert_eq!(by(NOBODY, NOBODY, &[GROUP]), "3", "also by a supplementary group");
    let refused = told(|| {
        become_user(USER, USER, &[]);
        opened(&[], || options(&name).attach())
    });
    is_error(&refused, "Permission", &[&name]);
}

/// The configurations that work in either order of start: variables of both, options of both.
#[test]
fn root_and_an_unprivileged_application_start_in_either_order() {
    if !runs_as_root("root_and_an_unprivileged_application_start_in_either_order") {
        return;
    }
    let by_owner: &[(&str, &str)] = &[("SHMETRICS_OWNER", "1")];
    let by_group: &[(&str, &str)] =
        &[("SHMETRICS_GROUP", "7"), ("SHMETRICS_MODE", "0660"), ("SHMETRICS_TRUST", "nobody, 1")];
    for variables in [by_owner, by_group] {
        for root_first in [true, false] {
            let directory = common_ground("order");
            let name = directory.name("segment");
            let process = |is_root: bool| {
                told(|| {
                    set(variables);
                    if !is_root {
                        become_user(USER, USER, &[GROUP]);
                    }
                    count(&options(&name))
                })
            };
            assert_eq!(process(root_first), "1", "{variables:?}, root first: {root_first}");
            assert_eq!(process(!root_first), "2", "{variables:?}, root first: {root_first}");
            assert_eq!(process(true), "3", "root is started anew");
        }
    }
}

#[test]
fn other_users_segments_are_refused_unless_they_are_trusted() {
    if !runs_as_root("other_users_segments_are_refused_unless_they_are_trusted") {
        return;
    }
    let directory = common_ground("trust");
    let name = directory.name("segment");
    told(|| {
        become_user(USER, USER, &[]);
        count(&options(&name).mode(0o666))
    });
    let expected = ["belongs to user 1,", "SHMETRICS_TRUST=1"];
    is_error(&opened(&[], || options(&name)), "Permission", &expected);
    is_error(&opened(&[("SHMETRICS_TRUST", "nobody,2")], || options(&name)), "Permission", &expected);
    is_error(&opened(&[("SHMETRICS_TRUST", "")], || options(&name)), "Permission", &expected);
    is_error(&opened(&[], || options(&name).trust_owner(2).owner(3)), "Permission", &expected);
    is_error(
        &opened(&[("SHMETRICS_TRUST", "no-such-user")], || options(&name)),
        "InvalidArgument",
        &["SHMETRICS_TRUST=no-such-user", "there is no user"],
    );
    assert_eq!(opened(&[("SHMETRICS_TRUST", "nobody,1")], || options(&name)), "666 1 1");
    assert_eq!(opened(&[], || options(&name).trust_owner(2).trust_owner(USER)), "666 1 1");
    assert_eq!(opened(&[], || options(&name).owner(USER)), "666 1 1");
    let by_another = told(|| {
        become_nobody();
        opened(&[("SHMETRICS_TRUST", "1")], || options(&name))
    });
    assert_eq!(by_another, "666 1 1", "trust is not for root alone");
    for (trust, removed) in [("2", "false"), ("1", "true")] {
        let done = told(|| {
            set(&[("SHMETRICS_TRUST", trust)]);
            Segment::remove_if_unused(&name).unwrap_or(false)
        });
        assert_eq!(done, removed, "SHMETRICS_TRUST={trust}");
    }
}

/// The child of [`a_setuid_program_ignores_the_environment`]: this test binary with the file
/// owner's rights.
const CHILD: &str = "DEPLOYMENTS_SETUID_CHILD";

#[test]
fn a_setuid_program_ignores_the_environment() {
    if let Ok(name) = std::env::var(CHILD) {
        // SAFETY: a plain call, which reads what the kernel gave the process.
        let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        let default = Options::new().max_size(512 << 10).attach().open().err();
        let reader = Reader::open_default().err();
        let made = options(&name).open().unwrap();
        let mode = std::fs::metadata(made.path().unwrap()).unwrap().permissions().mode() & 0o777;
        let plain = Options::new().name("x").attach().open().err();
        println!("answer: {secure} {mode:o} {default:?} {reader:?} {plain:?}");
        return;
    }
    if !runs_as_root("a_setuid_program_ignores_the_environment") {
        return;
    }
    // Not in /dev/shm, which is often mounted without setuid.
    let programs = Directory::within(Path::new(env!("CARGO_TARGET_TMPDIR")), "setuid");
    let program = programs.0.join("program");
    // By a child: what another test forks must not have the descriptor that writes.
    told(|| std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap());
    let directory = common_ground("setuid");
    for (is_setuid, dir) in [(false, directory.name("")), (true, "/dev/shm".into())] {
        chown(&program, Some(NOBODY), Some(NOBODY)).unwrap();
        let mode = if is_setuid { 0o4755 } else { 0o755 };
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        let told = told(|| {
            // The program ignores all names but the default one. The host's /dev/shm may have it.
            if is_setuid && !(unshare_mounts() && mount("none", Path::new(&dir), "tmpfs", 0, "mode=1777")) {
                return "skipped".to_owned();
            }
            let mut command = Command::new(&program);
            if is_setuid {
                command.env("SHMETRICS_GROUP", "no-such-group");
            }
            let output = command
                .args(["--exact", "--nocapture", "privileges::a_setuid_program_ignores_the_environment"])
                .env(CHILD, Path::new(&dir).join("made"))
                .env("SHMETRICS_DIR", directory.name(""))
                .env("SHMETRICS_SEGMENT", "chosen-by-the-caller")
                .env("SHMETRICS_MODE", "0666")
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            told.lines().find(|line| line.contains("answer: ")).expect(&told).to_owned()
        });
        if told == "skipped" {
            return note("skipped: a_setuid_program_ignores_the_environment (mounts are not permitted here)");
        }
        let (_, answer) = told.split_once("answer: ").unwrap();
        let (name, mode) = if is_setuid { ("default", "600") } else { ("chosen-by-the-caller", "666") };
        let file = Path::new(&dir).join(format!("shmetrics-{name}"));
        let x = Path::new(&dir).join("shmetrics-x");
        let missing = format!("Some(NotFound({file:?})) Some(NotFound({file:?})) Some(NotFound({x:?}))");
        assert_eq!(answer, format!("{is_setuid} {mode} {missing}"));
    }
}
