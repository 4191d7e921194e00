//! Sound segments, damaged in some places.
//!
//! The input is a list of changes, most of them to fields that `docs/format.md` names. What was
//! changed is put back afterwards, so that an input costs little.

use std::cell::RefCell;
use std::time::Duration;

use shmetrics::{GaugeMode, Options, Segment};

use crate::file::{path, Mapped, PAGE};
use crate::input::Input;
use crate::look::{Look, Outcome};
use crate::wrong::wrong;
use common::fork;
use common::victim::{self, word, Everything, Field, Map};

struct Stage {
    file: Mapped,
    sound: Vec<u8>,
    /// Where the header's fields, the slots and the records are; all else is unused.
    used: [std::ops::Range<usize>; 3],
    fields: Vec<Field>,
    /// What links lead to.
    records: Vec<u32>,
    families: usize,
}

type Fill = fn(&Segment, u32) -> Result<(), shmetrics::Error>;

/// Small segments, which are looked at in microseconds, and one with all that a segment can hold.
const FILLS: [Fill; 7] = [counters, gauges, cells, overflowing_cells, histograms, removed, everything];

fn counters(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
    segment.counter("plain", "Help with a \\ and a\nline break.").register()?.add(f64::from(process) + 0.5);
    let sets = segment.counter("sets_bytes", "").unit("bytes").max_series(2).labels(["a", "b"]).register()?;
    ["x", "\"\\\n", "too many"].iter().for_each(|v| sets.with([v, "y"]).inc_by(1 << 44));
    Ok(())
}

fn gauges(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
    let shared = segment.gauge("g", "", GaugeMode::Shared).labels(["l"]).register()?;
    shared.with(["x"]).set(-0.5);
    shared.with(["é"]).set(f64::from(process));
    segment.gauge("recent", "", GaugeMode::MostRecent).register()?.set(f64::NAN);
    Ok(())
}

fn cells(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
    for mode in [GaugeMode::All, GaugeMode::Sum, GaugeMode::Min] {
        segment.gauge(&format!("g_{mode}"), "", mode).register()?.set(f64::from(process) + 0.5);
    }
    Ok(())
}

fn overflowing_cells(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
    let max = segment.gauge("max", "", GaugeMode::LiveAll).max_series(1).labels(["l"]).register()?;
    ["x", "too many"].iter().for_each(|v| max.with([v]).set(f64::from(process)));
    // The removed record serves the next label set.
    max.remove(["x"]);
    max.with(["y"]).set(0.5);
    segment.gauge("recent", "", GaugeMode::LiveMostRecent).register()?.set(1e300);
    Ok(())
}

fn histograms(segment: &Segment, _: u32) -> Result<(), shmetrics::Error> {
    let h = segment.histogram("h_seconds", "").unit("seconds").buckets(&[-1.0, 0.1, 1e6]).labels(["l"]).register()?;
    [0.05, 0.5, 1e7].iter().for_each(|v| h.with(["x"]).observe(*v));
    segment.histogram("bare", "No labels, no buckets.").buckets(&[]).register()?.observe(1.0);
    Ok(())
}

/// Label sets that came and went.
fn removed(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
    let sets = segment.counter("c", "").labels(["l"]).register()?;
    let h = segment.histogram("h", "").buckets(&[1.0]).labels(["l"]).register()?;
    let idle = segment.gauge("idle", "", GaugeMode::Shared).labels(["l"]);
    let idle = idle.expire_after(Duration::from_secs(9)).register()?;
    for v in ["a", "b", "c", "a longer one than these"] {
        sets.with([v]).inc();
        h.with([v]).observe(0.5);
        idle.with([v]).set(f64::from(process));
    }
    for v in ["a", "c", "a longer one than these"] {
        sets.remove([v]);
        idle.remove([v]);
    }
    h.clear();
    // The new label sets use the records of the removed ones.
    sets.with(["d"]).inc();
    h.with(["d"]).observe(2.0);
    segment.expire();
    Ok(())
}

/// All that a segment can hold, beyond what the hostile tests have.
fn everything(segment: &Segment, process: u32) -> Result<(), shmetrics::Error> {
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
fn build(path: &str, fill: Fill) -> Vec<u8> {
    let options = Options::new().name(path).max_size(victim::MAX_SIZE).max_processes(64);
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
    fn new(fill: Fill) -> Self {
        let map = Map::new();
        let mut sound = build(&path("image"), fill);
        let header = |sound: &[u8], field| word(sound, map.at("header", field), 8);
        // No more memory than records need: a read beyond it kills the process.
        let end = header(&sound, "ARENA_TAIL").next_multiple_of(PAGE);
        sound.truncate(end);
        for field in ["TOTAL_SIZE", "ARENA_END", "WATERMARK"] {
            let at = map.at("header", field);
            sound[at..at + 8].copy_from_slice(&end.to_ne_bytes());
        }
        // So short a segment has no cells for each CPU, and its header says so: they take at most
        // an eighth of the records' memory.
        let [cpus, stride] = ["CPUS", "PER_CPU_STRIDE"].map(|field| word(&sound, map.at("header", field), 4));
        if cpus * stride > (end - header(&sound, "ARENA_AT")) / 8 {
            let kind = map.at("header", "PER_CPU_KIND");
            sound[kind..kind + 4].fill(0);
        }
        // The holder of the first slot lives: it is in another PID namespace, and the byte of its
        // slot in the file is locked. The other slots have no holder.
        let slots_at = header(&sound, "SLOTS_AT");
        let count = word(&sound, map.at("header", "SLOTS_HIGH"), 4);
        let mut put = |slot: usize, field, value: &[u8]| {
            let at = slots_at + slot * 64 + map.at("slot", field);
            sound[at..at + value.len()].copy_from_slice(value);
        };
        put(0, "PID_NAMESPACE", &1u64.to_ne_bytes());
        (1..count).for_each(|slot| put(slot, "WORD", &0u32.to_ne_bytes()));
        let mut file = Mapped::new(path("mutated"), sound.len());
        file.bytes().copy_from_slice(&sound);
        lock(&file.path, slots_at);

        let fields = map.fields(&sound);
        let of = |what: &str| fields.iter().filter(|f| f.what.starts_with(what)).map(|f| f.at as u32 / 16).collect();
        let mut records: Vec<u32> = of("NEXT of ");
        records.extend::<Vec<u32>>(of("OWNER of "));
        let families = fields.iter().filter(|f| f.what.starts_with("RECORD_LEN of ")).count();
        let arena_at = header(&sound, "ARENA_AT");
        let used = [0..676, slots_at..slots_at + 256, arena_at..header(&sound, "ARENA_TAIL")];
        assert!(fields.len() > 100 && records.len() > 3 && families > 0, "the segment has everything");
        Stage { file, sound, used, fields, records, families }
    }

    /// Reads one change from the input: where, and the bytes.
    fn change(&self, input: &mut Input<'_>) -> Change {
        if input.one_in(4) {
            let range = self.used[input.below(3)].clone();
            let at = range.start + usize::from(input.word()) * 8 % range.len() + input.below(8);
            let n = 1 + input.below(16);
            return Change::new(at, input.bytes(n.min(self.sound.len() - at)));
        }
        let field = &self.fields[usize::from(input.word()) % self.fields.len()];
        // One word of a field of several words.
        let (at, size) = match field.size {
            size @ 0..=8 => (field.at, size),
            size => (field.at + 4 * input.below(size / 4 - 1), 8),
        };
        let now = word(&self.sound, at, size) as u64;
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
        Change::new(at, &value.to_ne_bytes()[..size])
    }

    fn run(&mut self, how: u8, input: &mut Input<'_>, look: &Look) {
        let mut changes = [Change::default(); MOST_CHANGES];
        let mut count = 0;
        while !input.is_empty() && count < MOST_CHANGES {
            changes[count] = self.change(input);
            count += 1;
        }
        let (len, changes) = (self.sound.len(), &changes[..count]);
        let bytes = self.file.bytes();
        changes.iter().for_each(|change| bytes[change.range()].copy_from_slice(change.bytes()));
        let outcome = look.read(&self.file, len, &mut Input::new(&[how]), count == 0);
        let bytes = self.file.bytes();
        changes.iter().for_each(|change| bytes[change.range()].copy_from_slice(&self.sound[change.range()]));
        if count == 0 {
            assert_eq!(outcome, Outcome::Read { families: self.families, damaged: false }, "the sound segment");
        }
        assert!(
            !(wrong() && matches!(outcome, Outcome::Read { damaged: true, .. })),
            "the wrong rule: no damage is found"
        );
    }
}

/// Bytes that take the place of others.
#[derive(Clone, Copy, Default)]
struct Change {
    at: usize,
    len: usize,
    bytes: [u8; 16],
}

impl Change {
    fn new(at: usize, from: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..from.len()].copy_from_slice(from);
        Change { at, len: from.len(), bytes }
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.at..self.at + self.len
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
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
    static STAGES: RefCell<Vec<Stage>> = RefCell::new(FILLS.map(Stage::new).into());
}

const MOST_CHANGES: usize = 16;

/// Runs the target.
pub fn run(input: &[u8]) {
    STAGES.with_borrow_mut(|stages| {
        let look = Look::new(input);
        let mut input = Input::new(input);
        let how = usize::from(input.byte());
        // The one with everything takes long: seldom.
        let (last, pieces) = (stages.len() - 1, how / 8);
        let which = if how >= 252 { last } else { how % 8 % last };
        stages[which].run(pieces as u8, &mut input, &look);
    });
}
