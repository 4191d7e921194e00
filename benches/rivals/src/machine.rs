//! The machine: processors, clocks, memory that processes share, the memory of a process.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The processors to measure on: the first and the last that this process may use.
pub fn processors() -> [usize; 2] {
    // SAFETY: a zeroed set is an empty one.
    let mut set = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: a set of this size.
    unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    // SAFETY: indices below the set's size.
    let allowed: Vec<usize> = (0..1024).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect();
    [*allowed.first().unwrap_or(&0), *allowed.last().unwrap_or(&0)]
}

/// How many processors there may ever be, which decides how many per-CPU cells a segment has.
pub fn possible_processors() -> usize {
    std::fs::read_to_string("/sys/devices/system/cpu/possible")
        .ok()
        .and_then(|text| text.trim().rsplit(['-', ',']).next()?.parse::<usize>().ok())
        .map_or(1, |last| last + 1)
}

/// Keeps this thread on one processor.
pub fn pin(cpu: usize) {
    // SAFETY: a zeroed set is an empty one.
    let mut set = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: an index below the set's size; a set of this size.
    unsafe {
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Memory that children share, zeroed.
pub fn shared<T>() -> &'static T {
    // SAFETY: fresh memory of the kernel, zeroed, aligned to a page, never unmapped; `T` is made of
    // atomics.
    unsafe {
        let at = libc::mmap(
            std::ptr::null_mut(),
            size_of::<T>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert!(at != libc::MAP_FAILED, "no memory");
        &*at.cast()
    }
}

/// Waits until the word is no longer `old`, asleep; across processes too.
pub fn wait(word: &AtomicU32, old: u32) {
    while word.load(SeqCst) == old {
        // SAFETY: the word outlives the call; a timeout, in case a wake-up is lost with a process.
        unsafe {
            let second = libc::timespec { tv_sec: 1, tv_nsec: 0 };
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, old, &second);
        }
    }
}

/// Wakes the processes that wait for the word.
pub fn wake(word: &AtomicU32) {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// How long a processor is slow after it has slept: an idle vCPU loses its core to other tenants,
/// which leave the core slowly.
pub const DROWSY: Duration = Duration::from_millis(1);

/// Spins for this time.
pub fn wake_up() {
    let end = Instant::now() + DROWSY;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Runs the body in a forked child, which ends with it. The child dies with its parent.
pub fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs the body, and exits without going back.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: a signal for this process.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: ends the child, with no clean-up of what is the parent's.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        pid => pid,
    }
}

/// Waits for a child to end.
pub fn join(pid: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: a child of ours.
    unsafe { libc::waitpid(pid, &mut status, 0) == pid && status == 0 }
}

/// Ends a child that waits for work.
pub fn kill(pid: libc::pid_t) {
    // SAFETY: a child of ours, not waited for yet.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    join(pid);
}

/// Runs the body in a child of its own, so that it begins with a clean heap, and gives what it
/// returns.
pub fn apart<const N: usize>(body: impl FnOnce() -> [f64; N]) -> [f64; N] {
    let words: &[std::sync::atomic::AtomicU64; 16] = shared();
    let child = fork(|| {
        for (word, value) in words.iter().zip(body()) {
            word.store(value.to_bits(), SeqCst);
        }
    });
    assert!(join(child), "a child failed");
    std::array::from_fn(|i| f64::from_bits(words[i].load(SeqCst)))
}

/// Bytes that the C allocator has given out, its own overhead included. Rust's is the same.
pub fn heap() -> f64 {
    // SAFETY: no arguments.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}

/// A value in kB of a file in /proc/self, in bytes.
pub fn proc_bytes(file: &str, key: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).map_or(f64::NAN, |kb| kb * 1024.0)
}

fn usage(who: libc::c_int) -> libc::rusage {
    // SAFETY: a zeroed structure, which the call fills.
    unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(who, &mut usage);
        usage
    }
}

/// Page faults of this process so far that needed no disk.
pub fn faults() -> f64 {
    usage(libc::RUSAGE_SELF).ru_minflt as f64
}

/// How often the kernel has taken the processor away from this thread.
pub fn preempted() -> i64 {
    usage(libc::RUSAGE_THREAD).ru_nivcsw
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of this thread in nanoseconds, without the time that other threads take. Costs a
/// system call.
pub fn processor_time() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds of a clock that is the same in all processes.
pub fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of the processor that the body takes; for bodies of ten microseconds and more.
pub fn time(body: impl FnOnce()) -> f64 {
    let start = processor_time();
    body();
    (processor_time() - start) as f64
}

/// Nanoseconds until the body is through.
pub fn wall(body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    start.elapsed().as_nanos() as f64
}

/// The number of rounds, for a quick run or a full one.
pub fn rounds(quick: usize, full: usize) -> usize {
    if is_full() {
        full
    } else {
        quick
    }
}

pub fn is_full() -> bool {
    std::env::var("BENCH_FULL").is_ok_and(|full| full != "0" && !full.is_empty())
}

/// How long one contestant runs before the next: all of a round see the same machine, and the
/// kernel's scheduler seldom gives the processor to another task within so short a time.
pub const SLICE: Duration = Duration::from_millis(2);
