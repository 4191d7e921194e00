//! A damaged header leads neither readers nor writers into holes of the sparse file, even on a file
//! system without a free page, where touching a hole is fatal.

use std::ffi::CString;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::truncation::look;
use common::file::Bytes;
use common::{fork, Child};
use shmetrics::{Format, GaugeMode, Native, Options, Reader, Segment};

const WATERMARK: u64 = 256;
const INDEX_BITS: u64 = 264;
const INDEX_TARGET: u64 = 268;
const ARENA_AT: u64 = 112;
const ARENA_TAIL: u64 = 320;
const FAMILY_HEAD: u64 = 280;
const INDEX_AT: u64 = 96;
/// The offset in a family's record.
const STORE: u64 = 276;

/// Runs `f` in a child, with a directory on a file system of so many bytes that only the child
/// sees.
fn on_small_tmpfs(bytes: u64, f: impl FnOnce(&Path)) {
    let directory = common::Directory::within(&std::env::temp_dir(), "holes");
    let path = directory.0.clone();
    fork(move || {
        let at = CString::new(path.to_str().unwrap()).unwrap();
        let size = CString::new(format!("size={bytes}")).unwrap();
        let (private, tmpfs) = (libc::MS_REC | libc::MS_PRIVATE, c"tmpfs".as_ptr());
        // SAFETY: plain calls with NUL-terminated strings. The mounts are this child's.
        let mounted = unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()) == 0
                && libc::mount(tmpfs, at.as_ptr(), tmpfs, 0, size.as_ptr().cast()) == 0
        };
        if mounted {
            f(&path);
        } else {
            eprintln!("skipped: to mount a file system takes root");
        }
    })
    .join();
}

/// Takes all of the file system's free memory.
fn fill(directory: &Path) {
    let mut file = std::fs::File::create(directory.join("ballast")).unwrap();
    let page = [1; 4096];
    while file.write_all(&page).is_ok() {}
}

struct Scene {
    name: String,
    file: Bytes,
}

impl Scene {
    /// A segment with a few families, on a file system that has nothing left.
    fn new(directory: &Path) -> (Self, Segment) {
        let path: PathBuf = directory.join("segment");
        let name = path.to_str().unwrap().to_owned();
        let segment = Options::new().name(&name).max_size(16 << 20).open().unwrap();
        let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
        (0..100).for_each(|n| sets.with([&n.to_string()]).inc());
        segment.histogram("native", "").native(Native::schema(3)).register().unwrap().observe(1.0);
        segment.gauge("sum", "", GaugeMode::LiveSum).register().unwrap().set(1.0);
        fill(directory);
        let file = Bytes::of(&path);
        (Scene { name, file }, segment)
    }

    /// All that a reader does, by a mapping that is new.
    fn read(&self) {
        let Ok(reader) = Reader::open(&self.name) else { return };
        look(&reader);
    }
}

/// All that a writer does.
fn write(segment: &Segment, round: u32) {
    let Ok(sets) = segment.counter("sets", "").labels(["n"]).register() else { return };
    (0..3000).for_each(|n| sets.with([&format!("{round} {n}")]).inc());
    let _ = segment.counter(&format!("family{round}"), "").register();
    if let Ok(native) = segment.histogram("native", "").native(Native::schema(3)).register() {
        (-30..30).for_each(|e| native.observe(2f64.powi(e)));
    }
    if let Ok(sum) = segment.gauge("sum", "", GaugeMode::LiveSum).register() {
        sum.set(2.0);
    }
    look(&segment.reader());
    sets.clear();
}

/// Does these scribbles, and lets readers and writers go on.
fn survive(scribbles: &[(u64, Vec<u8>)]) {
    on_small_tmpfs(2 << 20, |directory| {
        let (scene, segment) = Scene::new(directory);
        let reader = Reader::open(&scene.name).unwrap();
        look(&reader);
        for (at, bytes) in scribbles {
            scene.file.write(*at, bytes);
        }
        look(&reader);
        scene.read();
        write(&segment, 1);
        scene.read();
        // A process that has not seen the segment before.
        let name = scene.name.clone();
        fork(move || {
            if let Ok(segment) = Options::new().name(&name).separate_mapping(true).open() {
                write(&segment, 2);
            }
        })
        .join();
    });
}

fn wide(n: u64) -> Vec<u8> {
    n.to_ne_bytes().to_vec()
}

fn narrow(n: u32) -> Vec<u8> {
    n.to_ne_bytes().to_vec()
}

#[test]
fn a_watermark_beyond_what_is_granted() {
    for claim in [16 << 20, (16 << 20) - 4096, 4 << 20, u64::MAX] {
        survive(&[(WATERMARK, wide(claim))]);
        // A link into the hole.
        survive(&[(WATERMARK, wide(claim)), (FAMILY_HEAD, narrow((3 << 20) / 16))]);
        survive(&[(WATERMARK, wide(claim)), (ARENA_TAIL, wide(3 << 20))]);
    }
}

#[test]
fn an_index_beyond_what_is_granted() {
    for bits in [13, 17, 18, 31, u32::MAX] {
        survive(&[(INDEX_BITS, narrow(bits)), (INDEX_TARGET, narrow(bits))]);
        survive(&[(INDEX_BITS, narrow(bits))]);
        survive(&[(INDEX_TARGET, narrow(bits))]);
    }
}

#[test]
fn a_watermark_that_rises_by_what_the_index_falls() {
    on_small_tmpfs(4 << 20, |directory| {
        let (scene, segment) = Scene::new(directory);
        std::fs::remove_file(directory.join("ballast")).unwrap();
        let sets = segment.counter("many", "").labels(["n"]).register().unwrap();
        (0..12_000).for_each(|n| sets.with([&n.to_string()]).inc());
        fill(directory);
        let bits = scene.file.get32(INDEX_BITS);
        assert!(bits > 12, "{bits}");
        let granted = scene.file.get(WATERMARK);
        let more = (8 << bits) - (8 << 12);
        // The file has as many blocks as this takes, and not there.
        scene.file.put32(INDEX_BITS, 12);
        scene.file.put32(INDEX_TARGET, 12);
        scene.file.put(WATERMARK, granted + more);
        scene.file.put32(FAMILY_HEAD, ((granted + more / 2) / 16) as u32);
        scene.read();
        write(&segment, 1);
    });
}

/// Between the index' end and the records: memory that only the index gets, when it doubles.
#[test]
fn links_of_families_into_what_the_index_may_get() {
    for (readers, beyond) in [(true, 0), (true, 1 << 16), (false, 0), (false, 1 << 16)] {
        on_small_tmpfs(2 << 20, |directory| {
            let (scene, segment) = Scene::new(directory);
            let reader = Reader::open(&scene.name).unwrap();
            let bits = scene.file.get32(INDEX_BITS);
            let hole = scene.file.get(INDEX_AT) + (8 << bits) + beyond;
            assert!(hole + 512 < scene.file.get(ARENA_AT));
            let family = scene.file.link(FAMILY_HEAD);
            scene.file.put32(family + STORE, (hole / 16) as u32);
            if readers {
                look(&reader);
                scene.read();
            }
            write(&segment, 1);
        });
    }
}

#[test]
fn a_sparse_file_without_slots() {
    on_small_tmpfs(2 << 20, |directory| {
        let (scene, _) = Scene::new(directory);
        let mut header = vec![0; 4096];
        scene.file.0.read_exact_at(&mut header, 0).unwrap();
        std::fs::remove_file(directory.join("ballast")).unwrap();
        let path = directory.join("sparse");
        let sparse = std::fs::File::create(&path).unwrap();
        sparse.set_len(16 << 20).unwrap();
        sparse.write_all_at(&header, 0).unwrap();
        fill(directory);
        let error = Reader::open(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("holes"), "{error}");
        assert!(Options::new().name(path.to_str().unwrap()).open().is_err());
    });
}

/// Readers and new processes come at any moment of the growth, and believe each watermark.
#[test]
fn growth_is_believed_at_any_moment() {
    let name = common::Name::new("growth");
    let segment = name.options().max_size(64 << 20).open().unwrap();
    let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
    let growers: Vec<_> = (0..2)
        .map(|p| {
            let name = name.0.clone();
            fork(move || {
                let segment = Options::new().name(&name).separate_mapping(true).open().unwrap();
                let sets = segment.counter("sets", "").labels(["n"]).register().unwrap();
                (0..20_000).for_each(|n| sets.with([&format!("{p} {n} and some more text")]).inc());
            })
        })
        .collect();
    let kept = name.reader();
    let mut growers: Vec<Child> = growers;
    while !growers.iter_mut().all(Child::has_ended) {
        for reader in [&kept, &name.reader()] {
            let page = String::from_utf8(reader.render(Format::Text)).unwrap();
            assert!(page.contains("\nshmetrics_corrupt_records 0\n"), "{}", common::text(page.as_bytes()).len());
        }
        sets.with(["x"]).inc();
    }
    let page = common::samples(&common::text(&kept.render(Format::Text)));
    assert_eq!(page.len(), 40_001);
    assert!(kept.verify().is_empty());
    // The start of the records, to be sure that the test means what it says.
    let file = Bytes::of(name.path());
    assert!(file.get(WATERMARK) > file.get(ARENA_AT) + (2 << 20));
}

/// A copy leaves out what was granted and never written, as `cp` does.
#[test]
fn a_sparse_copy_is_read_in_full() {
    let directory = common::Directory::new("copy");
    let name = directory.name("segment");
    let segment = Options::new().name(&name).max_size(64 << 20).open().unwrap();
    let family = segment.counter("c", "").labels(["n"]).register().unwrap();
    // Past the doubling of the index, which is half empty then.
    (0..6000).for_each(|i| family.with([&i.to_string()]).inc());
    let copy = directory.name("copy");
    let (from, to) = (std::fs::File::open(&name).unwrap(), std::fs::File::create(&copy).unwrap());
    to.set_len(from.metadata().unwrap().len()).unwrap();
    let mut page = [0; 4096];
    for at in (0..from.metadata().unwrap().len()).step_by(4096) {
        from.read_exact_at(&mut page, at).unwrap();
        if page != [0; 4096] {
            to.write_all_at(&page, at).unwrap();
        }
    }
    let text = |name: &str| {
        let page = String::from_utf8(Reader::open(name).unwrap().render(Format::Text)).unwrap();
        page.lines().filter(|line| line.starts_with("c_total")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(text(&copy).len(), 6000);
    assert_eq!(text(&copy), text(&name));
}
