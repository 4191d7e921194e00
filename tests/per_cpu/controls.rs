//! What loses counts: a section that the kernel does not know of, and locked instructions in a cell
//! that others write in restartable sequences.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{has_rseq, heat};
use common::file::Raw;
use common::{fork, fork_many, join_all, note, Name, Shared};

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
        let workers = fork_many(WORKERS as usize, |_| {
            stay_on_the_first_cpu();
            (0..ROUND).for_each(|_| plainly(&cells));
        });
        join_all(workers);
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
    let cells = per_cpu_of_the_only_counter(Raw::of(name.path()), segment.reader().inspect().cpus);
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

/// The cells of the first family's series without labels, one for each CPU.
fn per_cpu_of_the_only_counter(memory: Raw, cpus: u32) -> Vec<&'static AtomicU64> {
    let [arena_at, per_cpu_stride, family_head, overflow, cells] = [112, 136, 280, 56, 20];
    let series = memory.link(memory.link(family_head) + overflow);
    let cells = memory.half(series + cells).load(Relaxed) as usize;
    assert_ne!(cells, 0, "it has per-CPU cells");
    let first = memory.word(arena_at).load(Relaxed) as usize + 8 * cells;
    let stride = memory.half(per_cpu_stride).load(Relaxed) as usize;
    (0..cpus as usize).map(|cpu| memory.word(first + cpu * stride)).collect()
}
