//! What each option does, and which arguments are refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::{fork, note, own, page, samples, Directory, Gate, Name};
use shmetrics::{Error, GaugeMode, Options, Segment};

#[test]
fn create_new_wants_no_segment_and_attach_wants_one() {
    let name = Name::new("how");
    let path = name.path().display().to_string();
    let missing = name.options().attach().open().unwrap_err();
    assert!(matches!(&missing, Error::NotFound(p) if *p == name.path()), "{missing:?}");
    assert_eq!(
        missing.to_string(),
        format!("there is no segment at {path}; start the application that creates it, or check the name")
    );
    assert!(!name.path().exists(), "asking creates nothing");
    let segment = name.options().create_new().open().unwrap();
    segment.counter("c", "").register().unwrap().inc();
    let exists = name.options().create_new().open().unwrap_err();
    assert!(matches!(&exists, Error::AlreadyExists(p) if *p == name.path()), "{exists:?}");
    assert_eq!(
        exists.to_string(),
        format!("a segment exists at {path}; attach to it, or remove it with `shmetrics rm`")
    );
    for options in [name.options().attach(), name.options()] {
        assert_eq!(samples(&page(&options.open().unwrap()))["c_total"], 1.0, "the same segment");
    }
    assert_eq!(segment.path(), Some(&*name.path()));
}

#[test]
fn names_that_would_leave_the_directory_or_surprise_a_shell_are_refused() {
    let long = "n".repeat(246);
    for bad in ["", ".hidden", "..", "a b", "a\nb", "a*", "é", "a\0b", "a;b", "/", "/dev/shm/", "..//..", &long] {
        let error = Options::new().name(bad).open().unwrap_err();
        let file = bad.ends_with('/') && bad.len() > 1;
        assert!(matches!(error, Error::InvalidName(_)) || file, "{bad:?}: {error:?}");
    }
    let too_long = format!("/dev/shm/{}", "n".repeat(256));
    assert!(matches!(Options::new().name(too_long).open(), Err(Error::InvalidName(_))));
    let longest = format!("test-{}-{}", std::process::id(), "n".repeat(245));
    for good in ["A9._-:@", &longest[..245]] {
        let name = Name(good.into());
        name.options().max_size(512 << 10).open().unwrap();
        assert!(name.path().exists(), "{good}");
    }
}

#[test]
fn a_path_may_lead_anywhere_on_a_tmpfs() {
    let directory = Directory::new("path");
    let name = directory.name("metrics of all");
    let segment = Options::new().name(&name).max_size(1 << 20).open().unwrap();
    segment.counter("c", "").register().unwrap().inc();
    assert_eq!(directory.files(), ["metrics of all"]);
    let inspection = shmetrics::Reader::open(&name).unwrap().inspect();
    assert_eq!((inspection.name.as_str(), inspection.path.as_deref()), ("metrics of all", Some(Path::new(&name))));
    let nowhere = Options::new().name(directory.name("missing/segment")).open().unwrap_err();
    assert!(matches!(nowhere, Error::InvalidArgument(_)), "{nowhere:?}");
    assert!(nowhere.to_string().contains("does not exist"), "{nowhere}");
}

#[test]
fn maximum_sizes_and_process_limits_have_their_ranges() {
    let name = Name::new("limits");
    for bytes in [0, 1, (512 << 10) - 1, (64 << 30) + 1, u64::MAX] {
        let error = name.options().max_size(bytes).open().unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{bytes}: {error:?}");
        assert!(error.to_string().contains("512 KiB to 64 GiB"), "{error}");
    }
    for processes in [0, 32_769] {
        let error = name.options().max_processes(processes).open().unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{processes}: {error:?}");
        assert!(error.to_string().contains("1 to 32768"), "{error}");
    }
    let error = name.options().max_size(512 << 10).max_processes(8192).open().unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    let error = error.to_string();
    let least: u64 = error.split("at least ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(error.contains("too small for 8192 processes"), "{error}");
    assert!(!name.path().exists());
    name.options().max_size(least).max_processes(8192).open().unwrap().counter("c", "").register().unwrap();
}

#[test]
fn segments_of_the_least_and_the_greatest_size_work() {
    for (max_size, processes) in [(512 << 10, 1), (512 << 10, 512), (64 << 30, 1), (3 << 30, 32_768)] {
        let name = Name::new("sizes");
        let segment = name.options().max_size(max_size).max_processes(processes).open().unwrap();
        segment.counter("c", "").labels(["n"]).register().unwrap().with(["1"]).inc();
        segment.gauge("g", "", GaugeMode::LiveSum).register().unwrap().set(2.0);
        let s = samples(&page(&segment));
        assert_eq!((s["c_total{n=\"1\"}"], s["g"]), (1.0, 2.0), "{max_size} bytes, {processes} processes");
        assert_eq!(own(&segment, "shmetrics_segment_max_size_bytes"), max_size as f64);
        let file = std::fs::metadata(name.path()).unwrap();
        assert_eq!(file.len(), max_size);
        assert!(file.blocks() * 512 < 4 << 20, "{} bytes of memory for {max_size}", file.blocks() * 512);
    }
}

#[test]
fn only_the_creators_limits_count() {
    let name = Name::new("limits");
    let segment = name.options().max_size(1 << 20).max_series(3).open().unwrap();
    let ready = Gate::new();
    let other = fork(|| {
        // Another process, which maps it anew, with other ideas.
        let segment = name.options().separate_mapping(true).max_size(8 << 20).max_series(1000).open().unwrap();
        assert_eq!(own(&segment, "shmetrics_segment_max_size_bytes"), f64::from(1 << 20));
        let family = segment.counter("c", "").labels(["n"]).register().unwrap();
        (0..10).for_each(|i| family.with([&i.to_string()]).inc());
        ready.signal();
    });
    ready.wait();
    other.join();
    assert_eq!(samples(&page(&segment))["c_total{shmetrics_overflow=\"true\"}"], 7.0);
}

#[test]
fn the_mode_is_the_one_asked_for_under_any_umask() {
    for umask in [0, 0o022, 0o077, 0o777] {
        fork(|| {
            // SAFETY: a plain call.
            unsafe { libc::umask(umask) };
            for mode in [0o600, 0o640, 0o660, 0o666, 0o777] {
                let name = Name::new("mode");
                name.options().max_size(512 << 10).mode(mode).open().unwrap();
                let has = std::fs::metadata(name.path()).unwrap().permissions().mode() & 0o7777;
                assert_eq!(has, mode, "mode {mode:o} under umask {umask:o}");
            }
        })
        .join();
    }
    let name = Name::new("mode");
    for (mode, reason) in [
        (0, "the owner must be able to read and write"),
        (0o400, "the owner must be able to read and write"),
        (0o200, "the owner must be able to read and write"),
        (0o1600, "cannot be setuid, setgid or sticky"),
        (0o4755, "cannot be setuid, setgid or sticky"),
        (0o4600, "cannot be setuid, setgid or sticky"),
        (0o100_600, "it is no file mode"),
    ] {
        let error = name.options().mode(mode).open().unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "mode {mode:o}: {error:?}");
        assert!(error.to_string().starts_with(&format!("mode {mode:o}: ")), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(!name.path().exists());
}

#[test]
fn a_disk_is_refused_unless_allowed() {
    let directory = Directory::within(Path::new(env!("CARGO_TARGET_TMPDIR")), "disk");
    let name = directory.name("segment");
    let Err(error) = Options::new().name(&name).max_size(1 << 20).open() else {
        return note("skipped: the build directory is on a tmpfs, there is no disk to refuse");
    };
    assert!(matches!(&error, Error::NotTmpfs(d) if *d == directory.0), "{error:?}");
    assert!(error.to_string().contains("/dev/shm") && error.to_string().contains("allow disks"), "{error}");
    assert_eq!(directory.files(), [""; 0], "nothing was created");
    let segment = Options::new().name(&name).max_size(1 << 20).allow_disk(true).open().unwrap();
    segment.counter("c", "").register().unwrap().inc();
    let reader = shmetrics::Reader::open(&name).unwrap();
    assert_eq!(samples(&common::text(&reader.render(shmetrics::Format::Text)))["c_total"], 1.0);
    Segment::remove(&name).unwrap();
    assert!(!reader.is_current());
}

#[test]
fn a_small_application_needs_less_than_a_megabyte() {
    let name = Name::new("resident");
    let segment = name.options().max_size(64 << 20).open().unwrap();
    let memory = || std::fs::metadata(name.path()).unwrap().blocks() * 512;
    assert_eq!(memory(), name.reader().inspect().resident);
    assert!(memory() < 512 << 10, "{} bytes for an empty segment", memory());
    for family in 0..50 {
        let family = format!("family_{family}");
        let help = "A family of a small application, with a help text of some length.";
        if family.ends_with('7') {
            let f = segment.histogram(&family, help).labels(["method", "path"]).register().unwrap();
            (0..10).for_each(|i| f.with(["GET", &format!("/a/path/of/some/length/{i}")]).observe(0.1));
        } else {
            let f = segment.counter(&family, help).labels(["method", "path"]).register().unwrap();
            (0..10).for_each(|i| f.with(["GET", &format!("/a/path/of/some/length/{i}")]).inc());
        }
    }
    assert_eq!(own(&segment, "shmetrics_series"), 500.0);
    assert!(memory() < 1 << 20, "{} bytes for 50 families with 500 series", memory());
    let (used, resident) = (own(&segment, "shmetrics_segment_used_bytes"), memory() as f64);
    assert!(used <= resident, "{used} bytes used, {resident} held");
}
