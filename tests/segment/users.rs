//! Other users: read and write access to a segment, and the users whose files are trusted.

use std::os::unix::fs::{chown, PermissionsExt};

use common::{fork, is_root, note, samples, text, Directory};
use shmetrics::{Error, Format, Options, Reader, Segment};

const NOBODY: u32 = 65534;

/// Runs `f` as another user. Needs root to begin with.
fn as_user(user: u32, group: u32, f: impl FnOnce()) {
    fork(|| {
        // SAFETY: plain calls, in a child with one thread.
        let done =
            unsafe { libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(group) == 0 && libc::setuid(user) == 0 };
        assert!(done, "setuid: {}", std::io::Error::last_os_error());
        f();
    })
    .join();
}

/// A directory that every user may write to.
fn common_ground() -> Option<Directory> {
    if !is_root() {
        note("skipped: only root can try other users");
        return None;
    }
    let directory = Directory::new("users");
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    Some(directory)
}

/// In a process of its own: what a process has mapped, its children have.
fn create(name: &str, mode: u32) {
    fork(|| {
        let segment = Options::new().name(name).max_size(512 << 10).mode(mode).create_new().open().unwrap();
        segment.counter("c", "").register().unwrap().inc();
    })
    .join();
}

fn count_read(name: &str) -> f64 {
    samples(&text(&Reader::open(name).unwrap().render(Format::Text)))["c_total"]
}

fn assert_no_permission(error: &Error, name: &str) {
    assert!(matches!(error, Error::Permission(_)), "{error:?}");
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn a_private_segment_is_nobody_elses() {
    let Some(directory) = common_ground() else { return };
    let name = directory.name("segment");
    create(&name, 0o600);
    as_user(NOBODY, NOBODY, || {
        assert_no_permission(&Reader::open(&name).unwrap_err(), &name);
        assert_no_permission(&Options::new().name(&name).open().unwrap_err(), &name);
    });
    assert_eq!(count_read(&name), 1.0);
}

#[test]
fn the_group_may_read_what_is_made_for_it() {
    let Some(directory) = common_ground() else { return };
    let name = directory.name("segment");
    create(&name, 0o640);
    as_user(NOBODY, 0, || {
        assert_eq!(count_read(&name), 1.0);
        assert_no_permission(&Options::new().name(&name).open().unwrap_err(), &name);
    });
    as_user(NOBODY, NOBODY, || assert_no_permission(&Reader::open(&name).unwrap_err(), &name));
}

#[test]
fn a_file_planted_by_another_user_is_not_written_to() {
    let Some(directory) = common_ground() else { return };
    let name = directory.name("segment");
    as_user(NOBODY, NOBODY, || create(&name, 0o666));
    let error = Options::new().name(&name).open().unwrap_err();
    assert_no_permission(&error, &name);
    assert!(error.to_string().contains("belongs to user 65534"), "{error}");
    assert!(error.to_string().contains("SHMETRICS_TRUST=65534"), "{error}");
    assert_eq!(count_read(&name), 1.0, "to read it is harmless");
    as_user(1, 1, || assert_no_permission(&Options::new().name(&name).open().unwrap_err(), &name));
}

#[test]
fn roots_segment_is_shared_with_whom_its_mode_says() {
    let Some(directory) = common_ground() else { return };
    let name = directory.name("segment");
    create(&name, 0o666);
    as_user(NOBODY, NOBODY, || {
        let segment = Options::new().name(&name).attach().open().unwrap();
        segment.counter("c", "").register().unwrap().inc();
        // A gauge's cell needs a lock, and growth a grant.
        segment.gauge("g", "", shmetrics::GaugeMode::Sum).register().unwrap().inc();
        let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
        (0..5000).for_each(|i| sets.with([&i.to_string()]).inc());
    });
    assert_eq!(count_read(&name), 2.0);
    let page = samples(&text(&Reader::open(&name).unwrap().render(Format::Text)));
    assert_eq!(
        (page["g"], page.len()),
        (1.0, 5002 + usize::from(page.contains_key("sets_total{shmetrics_overflow=\"true\"}")))
    );
}

#[test]
fn a_directory_that_may_not_be_written_to() {
    let Some(directory) = common_ground() else { return };
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let name = directory.name("segment");
    as_user(NOBODY, NOBODY, || {
        let error = Options::new().name(&name).max_size(512 << 10).open().unwrap_err();
        assert!(matches!(error, Error::Permission(_)), "{error:?}");
    });
    create(&name, 0o600);
    as_user(NOBODY, NOBODY, || assert_no_permission(&Segment::remove(&name).unwrap_err(), &name));
    chown(&directory.0, Some(NOBODY), None).unwrap();
}
