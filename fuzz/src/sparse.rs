//! A real segment file on a file system without a free page, with a scribbled header, slots, index
//! and records.
//!
//! The file is sparse: a touch of what was never granted is a SIGBUS there. Readers run in this
//! process. Writers run in a forked child, because a writer's mapping stays for the life of the
//! process; the parent reports how the child ended.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use shmetrics::{Error, Exposition, Format, GaugeMode, Options, Reader, Segment};

use crate::file::{path, PAGE};
use crate::input::Input;
use crate::wrong::wrong;
use common::fork;
use common::victim::{word, Everything, Field, Map};

const MAX_SIZE: usize = 4 << 20;

/// The size of the file system.
const SIZE: usize = 1 << 20;

/// The most bytes of a page for each byte that a reader may read, and how often it may read the
/// granted memory: see `docs/reliability.md`.
const PAGE_FACTOR: usize = 600;
const TIMES: usize = 4;

/// The library's own families, which need no memory of the segment.
const OWN: usize = 64 << 10;

/// A page is read to its end for some inputs, and else so far.
const LONG: usize = 1 << 20;

/// The header's fields that lead somewhere, or say how much there is.
const HEADER: [&str; 12] = [
    "WATERMARK",
    "INDEX_BITS",
    "INDEX_TARGET",
    "ARENA_TAIL",
    "FAMILY_HEAD",
    "FAMILY_TAIL",
    "FAMILY_PENDING",
    "INDEX_CURSOR",
    "PER_CPU_TAIL",
    "SLOTS_HIGH",
    "ARENA_REACHABLE",
    "TOTAL_SIZE",
];

/// The same of records.
const LINKS: [&str; 9] = ["NEXT", "HEAD", "TAIL", "OVERFLOW", "TEXT_LEN", "HELP_LEN", "RECORD_LEN", "PER_CPU", "VALUE"];

struct Stage {
    name: String,
    file: File,
    /// What takes all the file system's free pages. `None`: the segment is on a file system that is
    /// not full.
    ballast: Option<File>,
    ballast_len: u64,
    sound: Vec<u8>,
    /// The parts of the file that have memory: up to the index' end, and the records.
    granted: [Range<usize>; 2],
    blocks: u64,
    used: [Range<usize>; 4],
    header: Vec<Field>,
    links: Vec<Field>,
    fields: Vec<Field>,
    families: usize,
}

/// Mounts a small file system that only this thread and its children see.
fn mount(at: &Path) -> bool {
    let at = CString::new(at.to_str().expect("the path is UTF-8")).expect("a path without NUL");
    let size = CString::new(format!("size={SIZE}")).expect("no NUL");
    let (private, tmpfs) = (libc::MS_REC | libc::MS_PRIVATE, c"tmpfs".as_ptr());
    // SAFETY: plain calls with NUL-terminated strings. The mounts are those of a namespace of its
    // own.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()) == 0
            && libc::mount(tmpfs, at.as_ptr(), tmpfs, 0, size.as_ptr().cast()) == 0
    }
}

/// What processes have made of the segment, one after another.
fn fill(name: &str) {
    for process in 1..=2 {
        fork(|| {
            let options = Options::new().name(name).max_size(MAX_SIZE as u64).max_processes(64);
            let segment = options.open().expect("the segment");
            segment.set_identity(process);
            Everything::register(&segment).expect("there is room").update(u64::from(process));
            let sets = segment.counter("more", "Some help.").labels(["n"]).register().expect("there is room");
            (0..20).for_each(|n| sets.with([&n.to_string()]).inc());
            sets.remove(["3"]);
        })
        .join();
    }
}

fn allocate(file: &File, mode: i32, range: Range<usize>) {
    if !range.is_empty() {
        let (at, len) = (range.start as libc::off_t, range.len() as libc::off_t);
        // SAFETY: a plain call with an own descriptor.
        let r = unsafe { libc::fallocate(file.as_raw_fd(), mode, at, len) };
        assert_eq!(r, 0, "fallocate: {}", std::io::Error::last_os_error());
    }
}

fn blocks(file: &File) -> u64 {
    file.metadata().expect("an open file").blocks()
}

impl Stage {
    fn new() -> Self {
        let directory = PathBuf::from(path("sparse"));
        std::fs::create_dir(&directory).expect("a new directory");
        let full = mount(&directory);
        if !full {
            eprintln!("skipped: a full file system (to mount one takes root): touches of holes are not fatal here");
        }
        let name = directory.join("segment").to_str().expect("the path is UTF-8").to_owned();
        fill(&name);
        let file = OpenOptions::new().read(true).write(true).open(&name).expect("the segment's file");
        let ballast = full.then(|| File::create(directory.join("ballast")).expect("one more file"));
        if let Some(mut ballast) = ballast.as_ref() {
            while ballast.write_all(&[1; PAGE]).is_ok() {}
        }
        let ballast_len = ballast.as_ref().map_or(0, |file| file.metadata().expect("an open file").len());
        let mut sound = vec![0; MAX_SIZE];
        file.read_exact_at(&mut sound, 0).expect("all of the file");

        let map = Map::new();
        let header = |field, size| word(&sound, map.at("header", field), size);
        let index_at = header("INDEX_AT", 8);
        let index_end = index_at + (8 << header("INDEX_TARGET", 4));
        let (slots_at, arena_at) = (header("SLOTS_AT", 8), header("ARENA_AT", 8));
        let granted = [0..index_end, arena_at..header("WATERMARK", 8)];
        let used = [0..676, slots_at..slots_at + 256, index_at..index_end, arena_at..header("ARENA_TAIL", 8)];
        let fields = map.fields(&sound);
        let families = fields.iter().filter(|f| f.what.starts_with("RECORD_LEN of ")).count();
        let of = |names: &[&str], header: bool| -> Vec<Field> {
            let named = |f: &&Field| {
                let (field, rest) = f.what.split_once(" of ").unwrap_or((&f.what, ""));
                names.contains(&field) && (rest == "the header") == header
            };
            let mut found: Vec<Field> = fields.iter().filter(named).cloned().collect();
            found.sort_by_key(|f| names.iter().position(|name| f.what.starts_with(&format!("{name} of "))));
            found
        };
        let (header, links) = (of(&HEADER, true), of(&LINKS, false));
        assert_eq!(header.len(), HEADER.len());
        assert!(links.len() > 50 && families > 5, "the segment has everything");
        let blocks = blocks(&file);
        let granted_bytes = granted.iter().map(|range| range.len() as u64).sum::<u64>();
        assert!(granted.iter().all(|range| range.end % PAGE == 0) && granted_bytes == blocks * 512, "{granted:?}");
        let (ballast_len, name) = (ballast_len / PAGE as u64 * PAGE as u64, name);
        Stage { name, file, ballast, ballast_len, sound, granted, blocks, used, header, links, fields, families }
    }

    /// Reads one change from the input: where, and the bytes.
    fn change(&self, input: &mut Input<'_>) -> (usize, Vec<u8>) {
        let some = |fields: &[Field], input: &mut Input<'_>| {
            let field = &fields[usize::from(input.word()) % fields.len()];
            match field.size {
                size @ 0..=8 => (field.at, size),
                // One word of a field of several words.
                size => (field.at + 4 * input.below(size / 4 - 1), 8),
            }
        };
        let (at, size) = match input.below(8) {
            0 => {
                let range = self.used[input.below(self.used.len())].clone();
                let at = range.start + usize::from(input.word()) * 8 % range.len() + input.below(8);
                let n = 1 + input.below(16);
                return (at, input.bytes(n).to_vec());
            }
            1..=3 => {
                let field = &self.header[input.below(self.header.len())];
                (field.at, field.size)
            }
            4 | 5 => some(&self.links, input),
            _ => some(&self.fields, input),
        };
        let now = word(&self.sound, at, size) as u64;
        // An offset, or a link, which has 4 bytes.
        let place = |at: usize| if size == 4 { at / 16 } else { at } as u64;
        let value = match input.below(8) {
            0 => input.long(),
            1 => u64::from(input.byte()),
            2 => now.wrapping_add_signed(i64::from(input.byte() as i8)),
            3 => {
                // What was never granted.
                let holes = [self.granted[0].end..self.granted[1].start, self.granted[1].end..MAX_SIZE];
                let hole = holes[1 - input.below(2)].clone();
                place(hole.start + usize::from(input.word()) * 64 % hole.len().max(1))
            }
            4 => {
                let other = some(&self.links, input);
                word(&self.sound, other.0, other.1) as u64
            }
            5 => place(some(&self.links, input).0 & !15),
            6 => now.wrapping_shl(u32::from(input.byte() % 33)),
            _ => {
                let ends = [1 << 32, u64::MAX, 1 << 63, 0xffff_fff0, MAX_SIZE as u64, 0xffff, 0x400, 16];
                input.pick(&ends).wrapping_sub(u64::from(input.byte()))
            }
        };
        (at, value.to_ne_bytes()[..size].to_vec())
    }

    /// Writes the bytes, where the file has memory for them.
    fn put(&self, changes: &[(usize, Vec<u8>)]) {
        for (at, bytes) in changes {
            self.file.write_all_at(bytes, *at as u64).expect("granted memory");
        }
    }

    fn restore(&self, changes: &[(usize, Vec<u8>)], all: bool) {
        if !all {
            let sound = |(at, bytes): &(usize, Vec<u8>)| (*at, self.sound[*at..at + bytes.len()].to_vec());
            self.put(&changes.iter().map(sound).collect::<Vec<_>>());
        }
        if all || blocks(&self.file) != self.blocks {
            let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            allocate(&self.file, hole, self.granted[0].end..self.granted[1].start);
            allocate(&self.file, hole, self.granted[1].end..MAX_SIZE);
            for range in &self.granted {
                self.file.write_all_at(&self.sound[range.clone()], range.start as u64).expect("granted memory");
            }
            if let Some(ballast) = &self.ballast {
                allocate(ballast, 0, 0..self.ballast_len as usize);
            }
            assert_eq!(blocks(&self.file), self.blocks, "the file is as it was");
        }
    }

    /// The longest page that is right for a file with this memory.
    fn bound(&self) -> usize {
        OWN + (self.granted[0].len() + self.granted[1].len()) * TIMES * PAGE_FACTOR
    }

    /// All that a reader does. `deep`: what takes long, too.
    fn look(&self, reader: &Reader, deep: u8, sound: bool) {
        let formats = [Format::Text, Format::OpenMetrics, Format::OpenMetrics2, Format::Protobuf];
        // All of them for some inputs only.
        let some = usize::from(deep % 8);
        for format in formats.into_iter().enumerate().filter(|(i, _)| *i == some || some > 3).map(|(_, format)| format)
        {
            let (mut cursor, mut len) = (reader.page(Exposition::new(format).with_created(true)).cursor(), 0);
            let mut buffer = [0; 16 << 10];
            while len <= LONG || deep % 32 == 31 {
                let n = cursor.read(&mut buffer).expect("a cursor never fails");
                if n == 0 {
                    break;
                }
                len += n;
                assert!(len <= self.bound(), "{format:?}: the page passes {} bytes", self.bound());
            }
        }
        let inspection = reader.inspect();
        assert!(!sound || inspection.families.len() == self.families, "{} families", inspection.families.len());
        reader.processes();
        reader.page(Format::Text).points().take(50_000).count();
        // It pauses when something is wrong, but with the engine (`quick`).
        if sound || deep % if cfg!(fuzzing) { 8 } else { 128 } == 1 {
            let findings = reader.verify();
            assert!(!sound || findings.is_empty(), "{findings:?}");
        }
    }

    fn reader(&self) -> Option<Reader> {
        match Reader::open(&self.name) {
            Ok(reader) => Some(reader),
            Err(Error::NotASegment { .. } | Error::WrongVersion { .. } | Error::Unsupported(_)) => None,
            Err(e) => panic!("{e:?}: not for the bytes of a file"),
        }
    }

    /// A writer in a process of its own: one that has the segment open already when it is
    /// scribbled, or opens it then.
    fn write(&self, changes: &[(usize, Vec<u8>)], early: bool) {
        in_child("a writer", || {
            let open = || Options::new().name(&self.name).attach().separate_mapping(true).open();
            let before = early.then(|| open().expect("the segment is sound"));
            if let Some(segment) = &before {
                work(segment, 1);
            }
            self.put(changes);
            if let Some(segment) = &before {
                work(segment, 2);
            } else if let Ok(segment) = open() {
                work(&segment, 2);
            }
        });
    }

    /// The wrong rule: what is below the watermark that the header tells can be touched.
    fn believe_the_watermark(&self) {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, self.header[0].at as u64).expect("the header");
        let end = (u64::from_ne_bytes(bytes) as usize).min(MAX_SIZE);
        in_child("a reader that believes the watermark", || {
            let (protection, fd) = (libc::PROT_READ, self.file.as_raw_fd());
            // SAFETY: a new mapping where the system likes it, for the child's life; reads within
            // it. That one may be fatal is what this shows.
            unsafe {
                let base = libc::mmap(std::ptr::null_mut(), MAX_SIZE, protection, libc::MAP_SHARED, fd, 0);
                assert_ne!(base, libc::MAP_FAILED);
                for at in (self.granted[1].start..end).step_by(PAGE) {
                    std::ptr::read_volatile(base.cast::<u8>().add(at));
                }
            }
        });
        assert_eq!(blocks(&self.file), self.blocks, "a reader has filled a hole");
    }

    fn run(&self, input: &[u8]) {
        let mut input = Input::new(input);
        let (how, deep) = (input.byte(), input.byte());
        let (early, writes) = (how & 1 == 1, how & 14 == 14);
        let mut changes = Vec::new();
        while !input.is_empty() && changes.len() < MOST_CHANGES {
            changes.push(self.change(&mut input));
        }
        changes.retain(|(at, bytes)| self.granted.iter().any(|g| g.start <= *at && at + bytes.len() <= g.end));
        let sound = changes.is_empty();

        let before = early.then(|| self.reader().expect("the segment is sound"));
        if let Some(reader) = before.as_ref().filter(|_| deep & 3 == 3) {
            self.look(reader, 0, true);
        }
        self.put(&changes);
        if wrong() {
            self.believe_the_watermark();
        }
        match before {
            Some(reader) => self.look(&reader, deep, sound),
            None => match self.reader() {
                Some(reader) => self.look(&reader, deep, sound),
                None => assert!(!sound, "the sound segment is refused"),
            },
        }
        if writes {
            // Some pages are free, in some inputs: memory can be granted, but not all that a
            // scribble asks for.
            if let Some(ballast) = &self.ballast {
                let pages = [0, 0, 0, 1, 3, 12, 60, 120][usize::from(how >> 5)];
                ballast.set_len(self.ballast_len - pages * PAGE as u64).expect("a file can be cut");
            }
            self.restore(&changes, false);
            self.write(&changes, early);
            if let Some(reader) = self.reader() {
                self.look(&reader, 0, false);
            }
        }
        self.restore(&changes, writes);
    }
}

/// All that a writer does. What fails because the segment is damaged or full, fails.
fn work(segment: &Segment, round: u64) {
    if let Ok(everything) = Everything::register(segment) {
        everything.update(round);
    }
    if let Ok(sets) = segment.counter("more", "Some help.").labels(["n"]).register() {
        (0..20).for_each(|n| sets.with([&n.to_string()]).inc());
        (0..80).for_each(|n| sets.with([&format!("new {round} {n}")]).inc());
        sets.remove(["5"]);
        if round == 2 {
            sets.clear();
        }
    }
    let _ = segment.counter(&format!("family{round}"), "Registered late.").register().map(|c| c.inc());
    let _ = segment.gauge(&format!("gauge{round}"), "", GaugeMode::LiveSum).register().map(|g| g.set(1.0));
    segment.render(Format::Text);
}

/// Runs `f` in a child, and panics with the signal or status if that does not end well.
fn in_child(what: &str, f: impl FnOnce()) {
    let status = fork(|| {
        for signal in [libc::SIGBUS, libc::SIGSEGV, libc::SIGABRT, libc::SIGILL, libc::SIGFPE, libc::SIGALRM] {
            // SAFETY: a plain call. The engine's handlers are for its own process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        // SAFETY: a plain call. A signal ends a process that hangs.
        unsafe { libc::alarm(15) };
        f();
    })
    .wait();
    assert!(!libc::WIFSIGNALED(status), "{what} died by signal {}", libc::WTERMSIG(status));
    assert_eq!(status, 0, "{what} ended with another status than 0: a panic, most likely");
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

const MOST_CHANGES: usize = 16;

/// Runs the target.
pub fn run(input: &[u8]) {
    STAGE.with_borrow(|stage| {
        // What a failed input has left behind goes too.
        if std::mem::replace(&mut *LEFT.lock().expect("plain"), true) {
            stage.restore(&[], true);
        }
        stage.run(input);
        *LEFT.lock().expect("plain") = false;
    });
}

/// Whether the last input did not get to its end.
static LEFT: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
