//! What loses counts: a section that the kernel does not know of, and locked instructions in a cell
//! that others write in restartable sequences.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{has_rseq, heat};
use common::{fork, note, Name, Shared};

/// Reads, adds and writes as in a section, but an interruption goes unnoticed.
fn plainly(cells: &Shared) {
    let [count, sum] = [cells[0].load(Relaxed), cells[1].load(Relaxed)];
    let sum = f64::from_bits(sum) + 1.0;
    cells[1].store(sum.to_bits(), Relaxed);
    cells[0].store(count + 1, Relaxed);
}

#[test]
fn the_same_without_a_section_loses() {
    const WORKERS: u64 = 4;
    const ROUND: u64 = 20_000_000;
    let cells = Shared::new(2);
    let mut done = 0;
    // Preemption hits the window now and then.
    for _ in 0..200 {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                fork(|| {
                    stay_on_the_first_cpu();
                    (0..ROUND).for_each(|_| plainly(&cells));
                })
            })
            .collect();
        workers.into_iter().for_each(common::Child::join);
        done += WORKERS * ROUND;
        if cells.get(0) < done {
            return note(&format!("control: {} of {done} lost without a section", done - cells.get(0)));
        }
    }
    panic!("nothing of {done} was lost: the tests would not see it");
}

/// All threads run on one CPU, so they share the CPU's cell.
fn stay_on_the_first_cpu() {
    // SAFETY: a set of CPUs is plain bits.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed);
        let first = (0..1024).find(|cpu| libc::CPU_ISSET(*cpu, &allowed)).unwrap_or(0);
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(first, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

#[test]
fn locked_instructions_in_the_same_cell_lose() {
    let name = Name::new("percpu");
    let segment = name.open();
    // SAFETY: a plain call.
    if !has_rseq(&segment) || unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } < 2 {
        return note("skipped: mixing locked instructions with restartable sequences (it takes rseq and two CPUs)");
    }
    let counter = segment.counter("jobs", "").register().unwrap();
    heat(&counter);
    let cells = Raw::open(&name).per_cpu_of_the_only_counter(segment.reader().inspect().cpus);
    const EACH: u64 = 5_000_000;
    let mut expected = counter.get() as u64;
    for _ in 0..200 {
        let mixer = fork(|| {
            for _ in 0..EACH / cells.len() as u64 {
                cells.iter().for_each(|cell| {
                    cell.fetch_add(1, Relaxed);
                });
            }
        });
        (0..EACH).for_each(|_| counter.inc());
        mixer.join();
        expected += EACH + EACH / cells.len() as u64 * cells.len() as u64;
        let lost = expected - counter.get() as u64;
        if lost > 0 {
            return note(&format!("control: {lost} of {expected} lost by mixing"));
        }
    }
    panic!("nothing of {expected} was lost: the tests would not see it");
}

/// A segment's words, without the library; mapped for good.
struct Raw(*const u8);

impl Raw {
    fn open(name: &Name) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(name.path()).unwrap();
        let len = file.metadata().unwrap().len() as usize;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping where the system likes it.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Raw(at.cast())
    }

    fn half(&self, at: u64) -> u64 {
        // SAFETY: within the segment, at an offset of `docs/format.md`, where no process writes
        // meanwhile.
        u64::from(unsafe { self.0.add(at as usize).cast::<u32>().read_volatile() })
    }

    /// The cells of the first family's series without labels, one for each CPU.
    fn per_cpu_of_the_only_counter(&self, cpus: u32) -> Vec<&'static AtomicU64> {
        let [arena_at, per_cpu_stride, family_head, overflow, cells] = [112, 136, 280, 56, 20];
        let series = 16 * self.half(16 * self.half(family_head) + overflow);
        let cells = self.half(series + cells);
        assert_ne!(cells, 0, "it has per-CPU cells");
        let first = self.half(arena_at) + 8 * cells;
        let at = |cpu| first + u64::from(cpu) * self.half(per_cpu_stride);
        // SAFETY: the per-CPU cells, by the format; the mapping stays.
        (0..cpus).map(|cpu| unsafe { &*self.0.add(at(cpu) as usize).cast::<AtomicU64>() }).collect()
    }
}
