//! Runs an update on one processor, or on two at the same time: by a second thread, or by a second
//! process.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contest::{Sharing, Work};
use crate::machine::{self, SLICE};

/// The messages between the first worker and the second.
#[derive(Default)]
struct Control {
    /// Rises with each order.
    order: AtomicU32,
    state: AtomicU32,
    which: AtomicUsize,
    chunk: AtomicUsize,
    ops: AtomicU64,
    ns: AtomicU64,
    wall: AtomicU64,
    undisturbed: AtomicU64,
}

const ORDERED: u32 = 0;
const READY: u32 = 1;
const GO: u32 = 2;
const STOP: u32 = 3;
const DONE: u32 = 4;

/// The result of a slice.
#[derive(Clone, Copy, Default)]
pub struct Slice {
    pub ops: u64,
    /// The slice's nanoseconds: of processor time, if another thread disturbed it.
    pub ns: u64,
    /// Nanoseconds from the beginning to the end.
    pub wall: u64,
    /// Whether no other thread had the processor meanwhile. Waiting for a lock is part of the time,
    /// and no disturbance.
    pub undisturbed: bool,
}

impl Slice {
    pub fn each(self) -> f64 {
        self.ns as f64 / self.ops.max(1) as f64
    }
}

/// Updates until `stop` returns true.
fn run(work: &Work, chunk: usize, mut stop: impl FnMut() -> bool) -> Slice {
    let (preempted, start, processor, mut ops) = (machine::preempted(), Instant::now(), machine::processor_time(), 0);
    while !stop() {
        work(ops, chunk);
        ops += chunk;
    }
    let (processor, wall) = (machine::processor_time() - processor, start.elapsed().as_nanos() as u64);
    let undisturbed = machine::preempted() == preempted;
    Slice { ops: ops as u64, ns: if undisturbed { wall } else { processor }, wall, undisturbed }
}

/// Updates for this duration.
pub fn run_for(work: &Work, chunk: usize, duration: Duration) -> Slice {
    let end = Instant::now() + duration;
    run(work, chunk, || Instant::now() >= end)
}

/// How many updates take about 20 microseconds. The clock is read after each chunk of them.
pub fn chunk(work: &Work) -> usize {
    let mut chunk = 16;
    loop {
        work(0, chunk); // also warms up
        if chunk >= 1 << 20 || machine::time(|| work(0, chunk)) >= 20e3 {
            return chunk;
        }
        chunk *= 2;
    }
}

fn second(control: &Control, works: &[Option<Work>]) {
    let mut order = 0;
    loop {
        machine::wait(&control.order, order);
        order = control.order.load(SeqCst);
        let Some(Some(work)) = works.get(control.which.load(SeqCst)) else { return };
        let chunk = control.chunk.load(SeqCst);
        machine::wake_up();
        control.state.store(READY, SeqCst);
        while control.state.load(SeqCst) == READY {
            std::hint::spin_loop();
        }
        let slice = run(work, chunk, || control.state.load(SeqCst) == STOP);
        control.ops.store(slice.ops, SeqCst);
        control.ns.store(slice.ns, SeqCst);
        control.wall.store(slice.wall, SeqCst);
        control.undisturbed.store(slice.undisturbed.into(), SeqCst);
        control.state.store(DONE, SeqCst);
    }
}

/// The second workers, a thread and a process. They sleep between slices.
pub struct Pair {
    works: Arc<Vec<Option<Work>>>,
    thread: &'static Control,
    process: &'static Control,
    child: libc::pid_t,
}

impl Pair {
    /// From here on, the index of a work stands for it. This call forks, so no other thread may run
    /// yet.
    pub fn new(works: Vec<Option<Work>>) -> Pair {
        let [first, last] = machine::processors();
        let works = Arc::new(works);
        let (thread, process): (&'static Control, &'static Control) = (machine::shared(), machine::shared());
        let child = machine::fork(|| {
            machine::pin(last);
            second(process, &works);
        });
        let theirs = Arc::clone(&works);
        std::thread::spawn(move || {
            machine::pin(last);
            second(thread, &theirs);
        });
        machine::pin(first);
        Pair { works, thread, process, child }
    }

    /// One slice by one worker.
    pub fn alone(&self, which: usize, chunk: usize) -> [Slice; 1] {
        [run_for(self.works[which].as_ref().expect("work"), chunk, SLICE)]
    }

    /// One slice by two workers at the same time.
    pub fn both(&self, which: usize, chunk: usize, sharing: Sharing) -> [Slice; 2] {
        let control = match sharing {
            Sharing::Threads => self.thread,
            Sharing::Processes => self.process,
        };
        control.which.store(which, SeqCst);
        control.chunk.store(chunk, SeqCst);
        control.state.store(ORDERED, SeqCst);
        control.order.fetch_add(1, SeqCst);
        machine::wake(&control.order);
        while control.state.load(SeqCst) != READY {
            std::hint::spin_loop();
        }
        control.state.store(GO, SeqCst);
        let mine = run_for(self.works[which].as_ref().expect("work"), chunk, SLICE);
        control.state.store(STOP, SeqCst);
        while control.state.load(SeqCst) != DONE {
            std::hint::spin_loop();
        }
        let [ops, ns, wall, undisturbed] =
            [&control.ops, &control.ns, &control.wall, &control.undisturbed].map(|word| word.load(SeqCst));
        // A worker that came late has not run beside the first for long enough.
        let together = wall.abs_diff(mine.wall) < mine.wall / 5;
        [mine, Slice { ops, ns, wall, undisturbed: undisturbed != 0 && together }]
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        machine::kill(self.child);
    }
}
