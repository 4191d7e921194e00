//! What the machine allows: loops around one instruction or two.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use crate::contest::work;
use crate::contest::{no_series, Contestant, Row, Sharing, Work};
use crate::input::INPUT;

/// The floor that all ratios are to.
pub const XADD: &str = "lock xadd";
const AMONG_OTHERS: &str = "lock xadd and ten nops";
/// The cost of a call into any C library.
pub const CALL: &str = "a C call that does nothing";
/// Floors for one worker: the cost of the loop around an update.
pub const AROUND: [&str; 2] = [AMONG_OTHERS, CALL];

#[repr(align(128))]
#[derive(Default)]
struct Word(AtomicU64);

#[repr(align(128))]
#[derive(Default)]
struct Pair {
    count: AtomicU64,
    sum: AtomicU64,
}

/// Not atomic, as an `inc` on a variable: with two threads it counts wrong, and shows what a shared
/// line costs.
fn plain(row: Row) -> Option<Work> {
    let word = Arc::new(Word::default());
    match row {
        Row::Inc => work!(|_i| word.0.store(word.0.load(Relaxed) + 1, Relaxed)),
        Row::GaugeSet => work!(|i| word.0.store((i as f64).to_bits(), Relaxed)),
        _ => None,
    }
}

fn xadd(_: Row) -> Option<Work> {
    let word = Arc::new(Word::default());
    work!(|_i| word.0.fetch_add(1, Relaxed))
}

/// The same in a loop of more than nine instructions. On some of Intel's processors a locked one
/// takes a third longer in such a loop, whatever the others are.
fn xadd_among_others(row: Row) -> Option<Work> {
    if row != Row::Inc {
        return None;
    }
    let word = Arc::new(Word::default());
    work!(|_i| {
        word.0.fetch_add(1, Relaxed);
        // SAFETY: does nothing.
        unsafe { std::arch::asm!(".rept 10", "nop", ".endr", options(nomem, nostack, preserves_flags)) }
    })
}

/// {count, sum} of the value's bucket, by one 16-byte compare-and-swap each; no bound is compared.
fn pair(row: Row) -> Option<Work> {
    if row != Row::Observe || !std::arch::is_x86_feature_detected!("cmpxchg16b") {
        return None;
    }
    let pairs: Arc<Vec<Pair>> = Arc::new((0..15).map(|_| Pair::default()).collect());
    work!(|i| {
        let value = INPUT.value(i);
        // SAFETY: the processor has the instruction.
        unsafe { add(&pairs[value as usize], value) }
    })
}

/// # Safety
/// The processor has `cmpxchg16b`.
#[inline(always)]
unsafe fn add(pair: &Pair, value: f64) {
    let (mut count, mut sum) = (pair.count.load(Relaxed), pair.sum.load(Relaxed));
    loop {
        let (new_count, new_sum) = (count + 1, f64::from_bits(sum) + value);
        let swapped: u64;
        // SAFETY: 16 bytes of atomics, aligned to 128. rbx, which the compiler keeps for itself, is
        // exchanged in and out.
        unsafe {
            std::arch::asm!(
                "xchg rbx, rsi",
                "lock cmpxchg16b xmmword ptr [rdi]",
                "mov rbx, rsi",
                "sete sil",
                in("rdi") pair, inout("rsi") new_count => swapped, in("rcx") new_sum.to_bits(),
                inout("rax") count, inout("rdx") sum,
                options(nostack),
            );
        }
        if swapped as u8 != 0 {
            return;
        }
    }
}

pub fn all() -> Vec<Contestant> {
    let floor = |name, work| Contestant { name, sharing: Sharing::Threads, note: "", work, series: no_series };
    vec![
        floor("plain load and store", plain),
        floor(XADD, xadd),
        floor(AMONG_OTHERS, xadd_among_others),
        floor("16-byte compare-and-swap", pair),
    ]
}
