//! One mapping for each process, however it opens the segment, and from wherever it still can.

use std::os::unix::fs::{symlink, MetadataExt};
use std::sync::Barrier;

use crate::harness::*;
use common::{page, samples, text, Directory};
use shmetrics::{Error, Format, GaugeMode, Options, Reader, Segment};

fn options(name: &str) -> Options {
    Options::new().name(name).max_size(512 << 10)
}

fn live(segment: &Segment) -> shmetrics::Gauge {
    segment.gauge("live", "", GaugeMode::LiveSum).register().unwrap()
}

/// How many processes hold slots.
fn processes(segment: &Segment) -> usize {
    segment.reader().inspect().processes.len()
}

/// How often this process has the file mapped whole, and how many descriptors of it.
fn mappings(file: &str) -> (usize, usize) {
    let inode = std::fs::metadata(file).unwrap().ino();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let fields = maps.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
    let whole = fields.filter(|f| f[1] == "rw-s" && f[2] == "00000000" && f[4] == inode.to_string()).count();
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let leads =
        |e: std::io::Result<std::fs::DirEntry>| std::fs::metadata(e.unwrap().path()).is_ok_and(|m| m.ino() == inode);
    (whole, open.filter_map(|e| leads(e).then_some(())).count())
}

#[test]
fn threads_that_open_at_once_are_one_process() {
    let directory = Directory::new("threads");
    for (round, exists) in (0..40).map(|i| (i, i % 2 == 0)) {
        let name = directory.name(&format!("segment-{round}"));
        if exists {
            told(|| options(&name).open().is_ok());
        }
        let threads = if round % 4 == 0 { 10 } else { 2 };
        let seen = told(|| {
            let start = Barrier::new(threads);
            let open = || {
                start.wait();
                let segment = options(&name).open().unwrap();
                let gauge = live(&segment);
                gauge.set(1.0);
                segment
            };
            let segments: Vec<Segment> = std::thread::scope(|s| {
                let threads: Vec<_> = (0..threads).map(|_| s.spawn(open)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let value = samples(&page(&segments[0]))["live"];
            segments[0].detach_process();
            // Another mapping would have kept its slot.
            let left = segments[0].reader().inspect().processes.iter().filter(|p| p.alive).count();
            format!("{value} {left} {:?}", mappings(&name))
        });
        assert_eq!(seen, "1 0 (1, 1)", "round {round}, {threads} threads");
    }
}

#[test]
fn a_child_forked_between_finds_what_there_is() {
    let directory = Directory::new("forks");
    let name = directory.name("segment");
    told(|| options(&name).open().is_ok());
    let seen = told(|| {
        std::thread::scope(|s| {
            let openers: Vec<_> = (0..2).map(|_| s.spawn(|| options(&name).open().unwrap())).collect();
            let children: Vec<_> = (0..20)
                .map(|_| {
                    Worker::start(|inside| {
                        let segment = options(&name).open().unwrap();
                        live(&segment).set(1.0);
                        let again = options(&name).attach().open().unwrap();
                        live(&again).set(1.0);
                        inside.say(format!("{} {}", processes(&again) >= 1, samples(&page(&again))["live"] >= 1.0));
                    })
                })
                .collect();
            openers.into_iter().for_each(|t| assert!(t.join().is_ok()));
            children.into_iter().all(|mut c| {
                let good = c.hear() == "true true";
                c.join();
                good
            })
        })
    });
    assert_eq!(seen, "true");
}

#[test]
fn a_path_written_otherwise_is_the_same_segment() {
    let directory = Directory::new("paths");
    std::fs::create_dir(directory.0.join("real")).unwrap();
    symlink(directory.0.join("real"), directory.0.join("link")).unwrap();
    let seen = told(|| {
        std::env::set_current_dir(&directory.0).unwrap();
        let first = options("real/segment").open().unwrap();
        let paths = [
            directory.name("real/segment"),
            directory.name("link/segment"),
            "./real/segment".into(),
            "link/../real/segment".into(),
            "real//segment".into(),
        ];
        for path in &paths {
            live(&options(path).open().unwrap()).inc();
            live(&options(path).attach().open().unwrap()).inc();
        }
        let separate = options("real/segment").separate_mapping(true).open().unwrap();
        live(&separate).inc();
        let file = directory.name("real/segment");
        format!("{} {} {:?}", samples(&page(&first))["live"], processes(&first), mappings(&file))
    });
    assert_eq!(seen, "11 2 (2, 2)", "a mapping for all paths, and the one that is apart");
}

#[test]
fn a_name_that_leads_elsewhere_is_not_the_old_mapping() {
    let directory = Directory::new("names");
    let (name, other) = (directory.name("segment"), directory.name("other"));
    told(|| options(&other).open().map(|s| live(&s).set(5.0)).is_ok());
    let seen = told(|| {
        let first = options(&name).open().unwrap();
        live(&first).set(1.0);
        Segment::remove(&name).unwrap();
        let missing = options(&name).attach().open().err();
        assert!(matches!(missing, Some(Error::NotFound(_))), "removed, and not made again: {missing:?}");
        let second = options(&name).open().unwrap();
        live(&second).set(2.0);
        Segment::remove(&name).unwrap();
        // By another process, as here by hand.
        std::fs::rename(&other, &name).unwrap();
        let third = options(&name).attach().open().unwrap();
        [first, second, third]
            .map(|s| {
                let sum = s.gauge("live", "", GaugeMode::LiveSum).register().unwrap();
                sum.inc();
                samples(&page(&s))["live"].to_string()
            })
            .join(" ")
    });
    assert_eq!(seen, "2 3 1");
}

/// Its name, and what does it to the process.
type Hindrance = (&'static str, fn(&Directory));

/// What a process can be kept from, after it has the segment.
fn hindrances() -> Vec<Hindrance> {
    let mut all: Vec<Hindrance> = vec![
        ("no descriptor free", |_| leave_no_descriptor()),
        ("opening denied", |_| deny(&opening_calls(), libc::EACCES)),
        ("no /proc", |_| assert!(hide_proc())),
    ];
    if runs_as_root("setuid and chroot before opening by name") {
        all.push(("setuid", |_| become_nobody()));
        all.push(("chroot", |d| change_root(d)));
        all.push(("chroot and setuid", |d| {
            change_root(d);
            become_nobody();
        }));
        all.push(("chroot, where the directory is there too", |d| {
            change_root(d);
            std::fs::create_dir_all(format!("/{}", d.0.display())).unwrap();
        }));
        all.push(("a directory that may not be entered", |d| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&d.0, std::fs::Permissions::from_mode(0o700)).unwrap();
            become_nobody();
        }));
    } else {
        all.pop();
    }
    all
}

#[test]
fn a_worker_finds_its_masters_mapping_by_name() {
    for (what, hinder) in hindrances() {
        for mode in [0o600, 0o640] {
            let directory = Directory::new("worker");
            let name = directory.name("segment");
            let master = || {
                let segment = options(&name).mode(mode).open().unwrap();
                segment.counter("c", "").register().unwrap().inc();
                let mut worker = Worker::start(|inside| {
                    hinder(&directory);
                    for options in [options(&name), options(&name).attach()] {
                        options.open().unwrap().counter("c", "").register().unwrap().inc();
                    }
                    let reader = Reader::open(&name).unwrap();
                    assert!(reader.is_current() && options(&name).open().unwrap().is_current());
                    inside.say(samples(&text(&reader.render(Format::Text)))["c_total"]);
                });
                let seen = worker.hear();
                worker.join();
                seen
            };
            assert_eq!(told(master), "3", "{what}, mode {mode:o}");
        }
    }
}

#[test]
fn a_relative_path_is_that_of_the_directory_it_was_used_in() {
    let directory = Directory::new("relative");
    std::fs::create_dir_all(directory.0.join("other/run")).unwrap();
    std::fs::create_dir(directory.0.join("run")).unwrap();
    symlink(directory.0.join("run"), directory.0.join("link")).unwrap();
    let seen = told(|| {
        std::env::set_current_dir(&directory.0).unwrap();
        let segment = options("run/segment").open().unwrap();
        let reader = Reader::open("link/segment").unwrap();
        std::env::set_current_dir(directory.0.join("other")).unwrap();
        assert!(segment.is_current() && reader.is_current(), "as for daemons, which go to /");
        assert_eq!(segment.path().unwrap(), directory.0.join("run/segment"));
        let other = options("run/segment").open().unwrap();
        live(&other).set(2.0);
        live(&segment).set(1.0);
        format!("{} {}", samples(&page(&segment))["live"], samples(&page(&other))["live"])
    });
    assert_eq!(seen, "1 2", "elsewhere the same words are another segment");
}

#[test]
fn a_worker_may_write_the_path_without_its_links() {
    if !runs_as_root("a_worker_may_write_the_path_without_its_links") {
        return;
    }
    let directory = Directory::new("links");
    std::fs::create_dir(directory.0.join("real")).unwrap();
    symlink(directory.0.join("real"), directory.0.join("link")).unwrap();
    let seen = told(|| {
        let segment = options(&directory.name("link/segment")).open().unwrap();
        told(|| {
            change_root(&directory);
            become_nobody();
            let again = options(&directory.name("real/segment")).attach().open().unwrap();
            again.path() == segment.path()
        })
    });
    assert_eq!(seen, "true");
}

#[test]
fn a_worker_in_another_root_is_not_given_what_was_removed() {
    if !runs_as_root("a_worker_in_another_root_is_not_given_what_was_removed") {
        return;
    }
    let directory = Directory::new("worker");
    let name = directory.name("segment");
    let refused = told(|| {
        let segment = options(&name).open().unwrap();
        Segment::remove(&name).unwrap();
        assert!(!segment.is_current());
        told(|| {
            change_root(&directory);
            options(&name).attach().open().is_err() && !segment.is_current()
        })
    });
    assert_eq!(refused, "true");
}

#[test]
fn a_reader_closes_only_its_own_descriptor() {
    use std::os::fd::AsRawFd;
    let directory = Directory::new("descriptor");
    let (name, host) = (directory.name("segment"), directory.name("host"));
    told(|| options(&name).open().is_ok());
    std::fs::write(&host, "the host's").unwrap();
    for same_file in [false, true] {
        let worker = Worker::start(|inside| {
            let reader = Reader::open(&name).unwrap();
            let before = reader.render(Format::Text);
            close_descriptors(inside);
            // The host's own files, under the numbers that are free now; also the segment's own
            // file.
            let path = if same_file { &name } else { &host };
            let files: Vec<_> = (0..20).map(|_| std::fs::File::open(path).unwrap()).collect();
            assert_eq!(text(&reader.render(Format::Text)), text(&before));
            drop(reader);
            for file in &files {
                let open = file.metadata().is_ok();
                assert!(open, "descriptor {} was the host's", file.as_raw_fd());
            }
        });
        worker.join();
    }
}
