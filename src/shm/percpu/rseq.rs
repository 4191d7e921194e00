//! Restartable sequences: changing this CPU's own cell without a lock prefix, and without losing
//! an update of another thread that runs on this CPU before or after.
//!
//! A section begins with one store that tells the kernel of it (`rseq_cs`, in an area that glibc
//! registers for each thread), and ends with one instruction that changes the cell. If the thread
//! is preempted, migrated, signalled or single-stepped between the two, the kernel sends it to the
//! abort address, and nothing has been changed. So all sections that reach that instruction on one
//! CPU reached it one after the other. The way the area is found is glibc's (since 2.35); the
//! contract is that of Linux' `rseq(2)`, by Mathieu Desnoyers.
//!
//! We never register anything, and write nothing but `rseq_cs`. It is cleared after each section,
//! so that the code may be unmapped.

/// Where the area of each thread is, from its thread pointer. `None`: this process has none, or the
/// calling thread's is not in use: another C library, an older one, one that was told not to
/// (`GLIBC_TUNABLES=glibc.pthread.rseq=0`), or a kernel or emulator without it.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) fn area() -> Option<isize> {
    // SAFETY: glibc's public symbols, of these types, which never change once the program runs;
    // looked up by name, as other C libraries do not have them.
    let offset = unsafe {
        let offset = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()).cast::<isize>();
        let size = libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_size".as_ptr()).cast::<u32>();
        // The size is 0 if glibc has not registered.
        if offset.is_null() || size.is_null() || *size == 0 {
            return None;
        }
        *offset
    };
    // SAFETY: the area exists, though a thread's may be unregistered.
    (unsafe { cpu(offset) } < 1 << 31).then_some(offset)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
pub(crate) fn area() -> Option<isize> {
    None
}

/// The CPU the thread runs on, or did just now. Of a thread that is not registered it is more than
/// any CPU's number.
///
/// # Safety
/// `area` is what [`area`] gave.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(crate) unsafe fn cpu(area: isize) -> u32 {
    let cpu: u32;
    // SAFETY: `cpu_id` of the thread's area, which is there for as long as the thread (the caller's
    // promise).
    unsafe {
        std::arch::asm!("mov {cpu:e}, dword ptr fs:[{area} + 4]", cpu = out(reg) cpu, area = in(reg) area,
            options(nostack, readonly, preserves_flags));
    }
    cpu
}

/// The instructions around a section. `$body` begins by reading the CPU into `{c}` and ends with
/// the one that commits, with `{c}` not 0; it may leave for `65f`. In the end `{c}` is 0 if the
/// section was not completed.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
macro_rules! section {
    ([$($body:literal,)*], $($operands:tt)*) => {
        std::arch::asm!(
            // struct rseq_cs: version, flags, start, length, abort.
            ".pushsection .data.rel.ro.shmetrics_rseq, \"aw\"",
            ".balign 32",
            "22:",
            ".long 0, 0",
            ".quad 33f, 44f - 33f, 55f",
            ".popsection",
            "lea {c}, [rip + 22b]",
            // The section begins behind this store: an interruption before it has happened finds
            // nothing to abort.
            "mov qword ptr fs:[{area} + 8], {c}",
            "33:",
            $($body,)*
            "44:",
            "66:",
            "mov qword ptr fs:[{area} + 8], 0",
            ".pushsection .text.unlikely.shmetrics_rseq, \"ax\"",
            // The signature that the kernel wants in front of an abort address, as an operand of
            // ud1.
            ".byte 0x0f, 0xb9, 0x3d",
            ".long 0x53053053",
            "55:",
            "65:",
            "xor {c:e}, {c:e}",
            "jmp 66b",
            ".popsection",
            $($operands)*
            options(nostack),
        )
    };
}

/// Adds `n` to the cell of the CPU that runs this. False: nothing was changed, because it was
/// interrupted, the thread is not registered, the CPU has no cell, or its cell is full: a cell
/// never reaches 2^63.
///
/// # Safety
/// `area` is what [`area`] gave. `CPUS` bytes behind `per_cpu` is a number of CPUs, in 4 bytes. `8
/// * cell` bytes behind `cells` is the cell of CPU 0. The cells of so many CPUs are mapped for
/// writing, `1 << SHIFT` bytes apart, and are changed by no other means than this function.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(crate) unsafe fn add<const SHIFT: u32, const CPUS: usize>(
    area: isize,
    per_cpu: *const u8,
    cells: *mut u8,
    cell: u32,
    n: u64,
) -> bool {
    let at: usize;
    // SAFETY: the caller's promise. Registers are declared; the flags are not preserved.
    unsafe {
        section!(
            [
                "mov {c:e}, dword ptr fs:[{area} + 4]",
                // A process that was moved to another machine may run on a CPU for which there is
                // no cell. Of a thread that is not registered the number is at least 2^31 as an
                // unsigned one.
                "cmp {c:e}, dword ptr [{per_cpu} + {cpus}]",
                "jae 65f",
                "shl {c}, {shift}",
                "add {c}, {cells}",
                // Intel's processors hand a store's value to the next load without delay, if both
                // have an address in one register: 1.5 ns an update, and 2.7 with an index, or by
                // one `add` to memory.
                "lea {c}, [{c} + 8 * {cell}]",
                "add {n}, qword ptr [{c}]",
                // A cell with this bit set is full: it would wrap sooner or later.
                "js 65f",
                "mov qword ptr [{c}], {n}",
            ],
            c = out(reg) at, area = in(reg) area, per_cpu = in(reg) per_cpu, cells = in(reg) cells,
            cell = in(reg) u64::from(cell), n = inout(reg) n => _, shift = const SHIFT, cpus = const CPUS,
        );
    }
    at != 0
}

/// Counts 1 and adds `v` in the pair {count, sum} of the CPU that runs this, by one store. False:
/// as [`add`].
///
/// # Safety
/// As [`add`], of a pair aligned to 16. The processor has AVX: then such a store is one to all
/// readers (as in `Pair::load`).
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(crate) unsafe fn count<const SHIFT: u32, const CPUS: usize>(
    area: isize,
    per_cpu: *const u8,
    cells: *mut u8,
    cell: u64,
    v: f64,
) -> bool {
    let at: usize;
    // SAFETY: as in `add`.
    unsafe {
        section!(
            [
                "mov {c:e}, dword ptr fs:[{area} + 4]",
                "cmp {c:e}, dword ptr [{per_cpu} + {cpus}]",
                "jae 65f",
                "shl {c}, {shift}",
                "add {c}, {cells}",
                "lea {c}, [{c} + 8 * {cell}]",
                "movapd {pair}, xmmword ptr [{c}]",
                "movapd {sum}, {pair}",
                "unpckhpd {sum}, {sum}",
                "addsd {sum}, {v}",
                "paddq {pair}, {one}",
                "movlhps {pair}, {sum}",
                "movapd xmmword ptr [{c}], {pair}",
            ],
            c = out(reg) at, area = in(reg) area, per_cpu = in(reg) per_cpu, cells = in(reg) cells, cell = in(reg) cell,
            v = in(xmm_reg) v, one = in(xmm_reg) std::arch::x86_64::_mm_set_epi64x(0, 1), pair = out(xmm_reg) _,
            sum = out(xmm_reg) _, shift = const SHIFT, cpus = const CPUS,
        );
    }
    at != 0
}

/// As [`add`], to the cell at `at`, which is that of this CPU. False also if the thread runs on
/// another CPU.
///
/// # Safety
/// As [`add`], of the cell.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(crate) unsafe fn add_on(area: isize, cpu: u32, at: *mut u8, n: u64) -> bool {
    let done: usize;
    // SAFETY: the caller's promise. Registers are declared; the flags are not preserved.
    unsafe {
        section!(
            [
                "cmp {cpu:e}, dword ptr fs:[{area} + 4]",
                "jne 65f",
                "add {n}, qword ptr [{at}]",
                // A negative sum ends the sequence without a change, as in `add`.
                "js 65f",
                "mov qword ptr [{at}], {n}",
            ],
            c = out(reg) done, area = in(reg) area, cpu = in(reg) cpu, at = in(reg) at, n = inout(reg) n => _,
        );
    }
    done != 0
}

/// As [`count`], in the pair at `at`, which is that of this CPU. False also if the thread runs on
/// another CPU.
///
/// # Safety
/// As [`count`], of the pair.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[inline(always)]
pub(crate) unsafe fn count_on(area: isize, cpu: u32, at: *mut u8, v: f64) -> bool {
    let done: usize;
    // SAFETY: as in `add`.
    unsafe {
        section!(
            [
                "cmp {cpu:e}, dword ptr fs:[{area} + 4]",
                "jne 65f",
                "movapd {pair}, xmmword ptr [{at}]",
                "movapd {sum}, {pair}",
                "unpckhpd {sum}, {sum}",
                "addsd {sum}, {v}",
                "paddq {pair}, {one}",
                "movlhps {pair}, {sum}",
                "movapd xmmword ptr [{at}], {pair}",
            ],
            c = out(reg) done, area = in(reg) area, cpu = in(reg) cpu, at = in(reg) at, v = in(xmm_reg) v,
            one = in(xmm_reg) std::arch::x86_64::_mm_set_epi64x(0, 1), pair = out(xmm_reg) _, sum = out(xmm_reg) _,
        );
    }
    done != 0
}

/// A number that is not another thread's of this process, mostly, and costs no call: its thread
/// pointer.
#[inline(always)]
pub(crate) fn thread() -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
    {
        let thread: usize;
        // SAFETY: the first word of the thread's own block is its address (the ABI's TLS variant
        // II).
        unsafe {
            std::arch::asm!("mov {thread}, qword ptr fs:[0]", thread = out(reg) thread,
                options(nostack, readonly, preserves_flags));
        }
        thread
    }
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    {
        let thread: usize;
        // SAFETY: reads a register.
        unsafe {
            std::arch::asm!("mrs {thread}, tpidr_el0", thread = out(reg) thread,
                options(nostack, nomem, preserves_flags));
        }
        thread
    }
    #[cfg(not(all(
        target_os = "linux",
        any(all(target_arch = "x86_64", target_pointer_width = "64"), target_arch = "aarch64")
    )))]
    0
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
mod none {
    //! No area is ever found here, so none of these is ever called.

    #[inline(always)]
    pub(crate) unsafe fn add<const SHIFT: u32, const CPUS: usize>(
        _: isize,
        _: *const u8,
        _: *mut u8,
        _: u32,
        _: u64,
    ) -> bool {
        false
    }
    #[inline(always)]
    pub(crate) unsafe fn count<const SHIFT: u32, const CPUS: usize>(
        _: isize,
        _: *const u8,
        _: *mut u8,
        _: u64,
        _: f64,
    ) -> bool {
        false
    }
    #[inline(always)]
    pub(crate) unsafe fn cpu(_: isize) -> u32 {
        u32::MAX
    }
    #[inline(always)]
    pub(crate) unsafe fn add_on(_: isize, _: u32, _: *mut u8, _: u64) -> bool {
        false
    }
    #[inline(always)]
    pub(crate) unsafe fn count_on(_: isize, _: u32, _: *mut u8, _: f64) -> bool {
        false
    }
}
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
pub(crate) use none::{add, add_on, count, count_on, cpu};
