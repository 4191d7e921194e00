//! A sound segment, damaged in some places.
//!
//! The input is a list of changes, most of them to fields that `docs/format.md` names. What was changed is put back
//! afterwards, so that an input costs little.

use std::cell::RefCell;

use shmetrics::{GaugeMode, Options, Segment};

use crate::common::fork;
use crate::file::{path, Mapped};
use crate::input::Input;
use crate::look::{read, Outcome};
use crate::victim::{self, word, Everything, Field, Map};
use crate::WRONG;

struct Stage {
    file: Mapped,
    sound: Vec<u8>,
    /// Where the header's fields, the slots and the records are; all else is unused.
    used: [std::ops::Range<usize>; 3],
    fields: Vec<Field>,
    /// What links lead to.
    records: Vec<u32>,
}

/// All that a segment can hold, beyond what the hostile tests have.
fn fill(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
    Everything::register(segment)?.update(u64::from(process));
    for mode in [
        GaugeMode::All,
        GaugeMode::LiveSum,
        GaugeMode::Min,
        GaugeMode::LiveMin,
        GaugeMode::Max,
        GaugeMode::LiveMostRecent,
    ] {
        segment.gauge(&format!("more_{mode}"), "", mode).register()?.set(f64::from(process) + 0.5);
    }
    let help = "Help with a \\ and a\nline break.";
    let many = segment.counter("many_bytes", help).unit("bytes").labels(["n", "long_label_name"]).register()?;
    for n in 0..40 {
        many.with([&n.to_string(), &"é\"".repeat(n)]).inc_by(1 << n);
    }
    let set = segment.gauge("set", "", GaugeMode::Shared).max_series(1).labels(["l"]).register()?;
    set.with(["kept"]).set(-0.5);
    set.with(["too many"]).set(f64::NAN);
    let bounds: Vec<f64> = (1..=20).map(f64::from).collect();
    let times =
        segment.histogram("times_seconds", "").unit("seconds").buckets(&bounds).labels(["a", "b"]).register()?;
    (0..30).for_each(|n| times.with(["x", ["y", "z"][n % 2]]).observe(n as f64));
    segment.histogram("bare", "No labels, no buckets.").buckets(&[]).register()?.observe(1.0);
    Ok(())
}

/// The file of a segment that processes have used, one after another and two at a time.
fn build(path: &str) -> Vec<u8> {
    let options = Options::new().name(path).ceiling(victim::CEILING).max_processes(64);
    let work = |process: u32| {
        let segment = options.open().expect("the segment");
        segment.set_identity(process);
        fill(&segment, process).expect("there is room");
    };
    for process in 1..=3 {
        fork(|| {
            work(process);
            if process < 3 {
                // It finds its parent alive, and takes a slot of its own.
                fork(|| work(process + 10)).join();
            }
        })
        .join();
    }
    let bytes = std::fs::read(path).expect("the segment's file");
    std::fs::remove_file(path).expect("the segment's file can go");
    bytes
}

impl Stage {
    fn new() -> Self {
        let map = Map::new();
        let mut sound = build(&path("image"));
        let header = |sound: &[u8], field| word(sound, map.at("header", field), 8);
        let slots_at = header(&sound, "SLOTS_AT");
        // This process, which holds the first slot's lock, plays its holder: one lives, the others are dead.
        let pid = slots_at + map.at("slot", "WORD");
        sound[pid..pid + 4].copy_from_slice(&std::process::id().to_ne_bytes());
        let mut file = Mapped::new(path("mutated"), sound.len());
        file.bytes().copy_from_slice(&sound);
        lock(&file.path, slots_at);

        let fields = map.fields(&sound);
        let of = |what: &str| fields.iter().filter(|f| f.what.starts_with(what)).map(|f| f.at as u32 / 16).collect();
        let mut records: Vec<u32> = of("NEXT of ");
        records.extend::<Vec<u32>>(of("OWNER of "));
        let arena_at = header(&sound, "ARENA_AT");
        let used = [0..416, slots_at..slots_at + 256, arena_at..header(&sound, "ARENA_TAIL")];
        let stage = Stage { file, sound, used, fields, records };
        assert!(stage.fields.len() > 1000 && stage.records.len() > 100, "the segment has everything");
        stage
    }

    /// Reads one change from the input: where, and the bytes.
    fn change(&self, input: &mut Input<'_>) -> (usize, Vec<u8>) {
        if input.one_in(4) {
            let range = self.used[input.below(3)].clone();
            let at = range.start + usize::from(input.word()) * 8 % range.len() + input.below(8);
            let n = 1 + input.below(16);
            let mut bytes = input.bytes(n).to_vec();
            bytes.truncate(self.sound.len() - at);
            return (at, bytes);
        }
        let field = &self.fields[usize::from(input.word()) % self.fields.len()];
        let size = field.size.min(8);
        let now = word(&self.sound, field.at, size) as u64;
        let other = |input: &mut Input<'_>| usize::from(input.word());
        let value = match input.below(6) {
            0 => input.long(),
            1 => u64::from(input.byte()),
            2 => now.wrapping_add_signed(i64::from(input.byte() as i8)),
            3 => u64::from(self.records[other(input) % self.records.len()]),
            4 => {
                let other = &self.fields[other(input) % self.fields.len()];
                word(&self.sound, other.at, other.size.min(8)) as u64
            }
            _ => {
                let ends = [1u64 << 32, u64::MAX, 1 << 63, 0xffff_fff0, self.sound.len() as u64, 0x7fff, 0x400, 16];
                input.pick(&ends).wrapping_sub(u64::from(input.byte()))
            }
        };
        (field.at, value.to_ne_bytes()[..size].to_vec())
    }
}

/// Locks a byte for as long as the process lives, as the holder of a slot does.
fn lock(path: &str, at: usize) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect(path);
    let fd = std::os::fd::IntoRawFd::into_raw_fd(file);
    // SAFETY: all zeros is a valid value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    (lock.l_start, lock.l_len) = (at as libc::off_t, 1);
    // SAFETY: an own descriptor, and a local.
    let locked = unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) };
    assert_eq!(locked, 0, "lock: {}", std::io::Error::last_os_error());
}

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

const MOST_CHANGES: usize = 16;

/// Runs the target.
pub fn run(input: &[u8]) {
    STAGE.with_borrow_mut(|stage| {
        let mut input = Input::new(input);
        let how = input.byte();
        let mut changes = Vec::new();
        while !input.is_empty() && changes.len() < MOST_CHANGES {
            changes.push(stage.change(&mut input));
        }
        let bytes = stage.file.bytes();
        for (at, new) in &changes {
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        let outcome = read(&stage.file.path, &mut Input::new(&[how]));
        let bytes = stage.file.bytes();
        for (at, new) in &changes {
            bytes[*at..at + new.len()].copy_from_slice(&stage.sound[*at..at + new.len()]);
        }
        if changes.is_empty() {
            let families = stage.fields.iter().filter(|f| f.what.starts_with("RECORD_LEN of ")).count();
            assert_eq!(outcome, Outcome::Read { families, damaged: false }, "the sound segment");
        }
        assert!(
            !(WRONG && matches!(outcome, Outcome::Read { damaged: true, .. })),
            "the wrong rule: no damage is found"
        );
    });
}
