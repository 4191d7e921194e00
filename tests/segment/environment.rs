//! Defaults from the environment, and the list of what is there. Each test changes the environment
//! of a child.

use std::ffi::CString;

use common::{fork, is_root, note, Directory};
use shmetrics::{list, Error, Options, Reader, Segment};

/// Runs `f` in a child with these variables. (libc's call takes no lock that a fork could have left
/// taken.)
fn with(variables: &[(&str, &str)], f: impl FnOnce()) {
    fork(|| {
        for (name, value) in variables {
            let (name, value) = (CString::new(*name).unwrap(), CString::new(*value).unwrap());
            // SAFETY: NUL-terminated strings, in a child with one thread.
            assert_eq!(unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) }, 0);
        }
        f();
    })
    .join();
}

#[test]
fn the_name_comes_from_the_environment() {
    let directory = Directory::new("environment");
    let max_size = ("SHMETRICS_MAX_SIZE", "1M");
    for (value, file) in [("shop", "shmetrics-shop"), ("", "shmetrics-default")] {
        with(&[("SHMETRICS_DIR", &directory.name("")), ("SHMETRICS_SEGMENT", value), max_size], || {
            let segment = Options::new().open().unwrap();
            assert_eq!(segment.path(), Some(&*directory.0.join(file)));
            assert_eq!(Reader::open_default().unwrap().path(), segment.path());
            let named = Options::new().name("other").open().unwrap();
            assert_eq!(named.path(), Some(&*directory.0.join("shmetrics-other")), "a given name goes first");
        });
    }
    with(&[("SHMETRICS_SEGMENT", &directory.name("by-path")), max_size], || {
        Options::new().open().unwrap();
    });
    assert_eq!(directory.files(), ["by-path", "shmetrics-default", "shmetrics-other", "shmetrics-shop"]);
}

#[test]
fn the_directory_comes_from_the_environment() {
    let directory = Directory::new("environment");
    with(&[("SHMETRICS_DIR", &directory.name("missing"))], || {
        assert!(matches!(Reader::open("x"), Err(Error::NotFound(_))));
        let error = Segment::open("x").unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
        assert!(error.to_string().contains("SHMETRICS_DIR"), "{error}");
        let error = list().unwrap_err();
        assert!(matches!(error, Error::NoDirectory(_)) && error.to_string().contains("SHMETRICS_DIR"), "{error}");
    });
    let empty = format!("test-environment-{}", std::process::id());
    with(&[("SHMETRICS_DIR", "")], || {
        let segment = Options::new().name(&empty).max_size(512 << 10).open().unwrap();
        assert!(segment.path().unwrap().starts_with("/dev/shm"));
        Segment::remove(&empty).unwrap();
    });
}

#[test]
fn the_maximum_size_comes_from_the_environment() {
    let directory = Directory::new("environment");
    let name = |i: usize| directory.name(&i.to_string());
    for (i, (value, bytes)) in
        [("8M", 8 << 20), ("1048576", 1 << 20), (" 2g ", 2 << 30), ("768k", 768 << 10)].iter().enumerate()
    {
        with(&[("SHMETRICS_MAX_SIZE", value)], || {
            assert_eq!(Options::new().name(name(i)).open().unwrap().reader().inspect().max_size, *bytes);
            let asked = Options::new().name(name(i) + "-asked").max_size(512 << 10).open().unwrap();
            assert_eq!(asked.reader().inspect().max_size, 512 << 10, "a given maximum size goes first");
        });
    }
    for bad in ["lots", "", "1T", "-1", "1.5M", "4k", "99999999999G"] {
        with(&[("SHMETRICS_MAX_SIZE", bad)], || {
            let error = Options::new().name(directory.name("bad")).open().unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)), "{bad:?}: {error:?}");
        });
    }
    with(&[("SHMETRICS_MAX_SIZE", "lots")], || {
        let error = Options::new().name(directory.name("bad")).open().unwrap_err();
        assert!(error.to_string().contains("SHMETRICS_MAX_SIZE=lots"), "{error}");
    });
    with(&[], || {
        assert_eq!(Options::new().name(name(9)).open().unwrap().reader().inspect().max_size, 64 << 20);
    });
}

#[test]
fn the_list_is_of_names_in_order() {
    let directory = Directory::new("list");
    for file in ["shmetrics-b", "shmetrics-a", "other", "shmetrics-", ".shmetrics-c", "shmetrics-not a segment"] {
        std::fs::write(directory.0.join(file), "").unwrap();
    }
    with(&[("SHMETRICS_DIR", &directory.name("")), ("SHMETRICS_MAX_SIZE", "1M")], || {
        Segment::open("c").unwrap();
        let found = list().unwrap();
        let names: Vec<&str> = found.iter().map(|l| l.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "not a segment"]);
        assert_eq!(found[2].path, directory.0.join("shmetrics-c"));
        Segment::remove("c").unwrap();
        assert_eq!(list().unwrap().len(), 3);
    });
}

#[test]
fn a_directory_that_may_not_be_listed_is_an_error() {
    if !is_root() {
        return note("skipped: only root can try other users");
    }
    let directory = Directory::new("list");
    with(&[("SHMETRICS_DIR", &directory.name(""))], || {
        let path = CString::new(directory.name("")).unwrap();
        // SAFETY: a NUL-terminated path, and a plain call.
        assert_eq!(unsafe { libc::chmod(path.as_ptr(), 0o700) | libc::setuid(65534) }, 0);
        assert!(matches!(list(), Err(Error::Permission(_))));
    });
}
