//! A segment as this process has it: the memory, the backing, and the process' part in it. All that
//! stands above holds it.
//!
//! * `options`: where a segment is, and what it may do; `open`: opens, creates and removes segments
//! * `known`: the segments that this process has open; `const_labels`: a segment's own labels
//! * `clock`: the segment's time; `tables`: series by index, for typed label sets

mod clock;
pub(crate) mod const_labels;
pub(crate) mod known;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod tables;

use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed},
};

use crate::os::host::Undisturbed;
use crate::process::{Attached, Process, Refusal};
use crate::shm::arena::Arena;
use crate::shm::index::Index;
use crate::shm::layout;
use crate::shm::layout::{entry, header};
use crate::shm::mapping::Backing;
use crate::shm::memory::{Mapped, Memory};
use crate::shm::pair::Pair;
use crate::shm::percpu::{self, PerCpuCells};
use crate::shm::state::{Generation, State};
use crate::Error;

/// One application's metrics, shared by all its processes.
///
/// A `Segment` is a cheap copy of a reference to a mapping that lives as long as the process. It is
/// valid in every thread and in forked children.
#[derive(Clone, Copy)]
pub struct Segment {
    pub(crate) inner: &'static Inner,
}

/// A segment as this process has mapped it for writing.
pub(crate) struct Inner {
    pub(crate) memory: Mapped,
    pub(crate) per_cpu: PerCpuCells,
    pub(crate) backing: Box<dyn Backing>,
    pub(crate) process: Process,
    pub(crate) path: Option<PathBuf>,
    pub(crate) regions: layout::Regions,
    pub(crate) seed: u64,
    /// The revision of this process' registrations: see `Options::revision`. Children inherit it.
    revision: AtomicU64,
    /// When this process last found no room for cells of a gauge, in milliseconds of the segment's
    /// time.
    pub(crate) cells_refused_ms: AtomicU64,
    /// Whether it may be discarded before the process ends.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(crate) scratch: bool,
    /// Series by index, of typed label sets.
    pub(crate) tables: tables::Tables,
}

impl Inner {
    pub(crate) fn index(&self) -> Index<'_, Mapped> {
        Index::of(&self.memory, &self.regions)
    }

    pub(crate) fn arena(&self) -> Arena<'_> {
        Arena { memory: &self.memory, backing: &*self.backing }
    }

    /// See `percpu::ask`.
    pub(crate) fn ask_for_per_cpu(&self, record: u64, bytes: u64, n: u64) {
        percpu::ask(&self.per_cpu, &self.arena(), record, bytes, n);
    }

    /// See `percpu::ask_together`.
    pub(crate) fn ask_for_per_cpu_together(&self, places: &[(u64, u32)], bytes: u64, n: u64) {
        percpu::ask_together(&self.per_cpu, &self.arena(), places, bytes, n);
    }

    /// See `percpu::ask_for_generation`.
    #[cold]
    #[inline(never)]
    pub(crate) fn ask_for_per_cpu_of_generation(&self, word: u64, generation: Generation, bytes: u64) {
        percpu::ask_for_generation(&self.per_cpu, &self.arena(), word, generation, bytes);
    }

    /// Adds to one of the header's own counts.
    pub(crate) fn count(&self, field: u64) {
        self.memory.count(field);
    }

    /// Changes a pair {tag, value} of a series. Of the tag, `new` makes what it has besides the
    /// generation. In any other generation nothing changes, and the update is counted as stale.
    #[inline(always)]
    pub(crate) fn update_tagged(&self, pair: Pair<'_>, generation: Generation, new: impl Fn([u64; 2]) -> [u64; 2]) {
        let changed = pair.update(|seen| match new(seen) {
            _ if generation.is_over(seen[0]) => Err(()),
            [rest, value] => Ok([generation.tag() | rest, value]),
        });
        if changed.is_err() {
            self.count(header::STALE_UPDATES);
        }
    }

    /// What processes' registrations need of it.
    pub(crate) fn attached(&self) -> Attached<'_> {
        Attached { memory: &self.memory, backing: &*self.backing, regions: &self.regions }
    }

    /// Whether the series that was in this record in that generation has been removed. Hosts ask
    /// before each update.
    #[inline(always)]
    pub(crate) fn is_over(&self, record: u64, generation: Generation) -> bool {
        // Acquire pairs with the Release of every change: the record may be used again by now.
        match self.memory.known_u32(record + entry::STATE) {
            Some(word) => State(word.load(Acquire)).is_after(generation),
            None => self.is_over_far(record, generation),
        }
    }

    /// The same of a record that another process has made since this one last looked.
    #[cold]
    #[inline(never)]
    fn is_over_far(&self, record: u64, generation: Generation) -> bool {
        State(self.memory.load32(record + entry::STATE, Acquire)).is_after(generation)
    }

    /// The revision that this process' registrations belong to.
    pub(crate) fn revision(&self) -> u64 {
        // Relaxed: a number of its own.
        self.revision.load(Relaxed)
    }
}

impl Segment {
    /// The file, unless the segment is anonymous.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// Whether the segment's name still leads to it: it has not been removed or replaced. True also
    /// where a process cannot tell, as after `chroot`, and for anonymous segments.
    pub fn is_current(&self) -> bool {
        let _undisturbed = Undisturbed::new();
        let inner = self.inner;
        inner.path.as_deref().is_none_or(|path| inner.backing.is_led_to(path) != Some(false))
    }

    /// Gives this process a number of its own for the `pid` label of per-process gauges, such as
    /// the worker number that stays the same when a worker is replaced. Call it in the worker,
    /// before its first gauge update; processes forked from this one have to choose their own.
    pub fn set_identity(&self, identity: u32) {
        self.inner.process.set_identity(identity);
    }

    /// Takes a slot for this process' values in per-process gauges now, instead of at its first
    /// update of such a gauge. Call it before a filter denies system calls, or to learn why a slot
    /// cannot be taken. Repeated calls do nothing. Forked children take slots of their own. The
    /// call is async-signal-safe.
    ///
    /// # Errors
    /// [`Error::Full`]: `max_processes` processes take part already. [`Error::System`]: the system
    /// denies both what a process needs for it: to open the segment's file once more, and to make a
    /// System V shared memory segment. [`Error::Conflict`]: other threads of this process were
    /// forking or registering all the time; try again.
    pub fn attach_process(&self) -> Result<(), Error> {
        let inner = self.inner;
        match inner.process.attach(&inner.attached()) {
            Ok(_) => Ok(()),
            Err(Refusal::Full) => Err(Error::Full(format!(
                "{} processes take part in the segment's per-process gauges, as many as max_processes allows",
                inner.regions.slots_count
            ))),
            Err(Refusal::NoProof(error)) => Err(Error::system(
                "taking part in per-process gauges: the segment's file cannot be opened again, and a System V shared memory \
                 segment cannot be made",
                std::io::Error::from_raw_os_error(error),
            )),
            Err(Refusal::Busy) => {
                Err(Error::Conflict("other threads of this process are forking or registering all the time".into()))
            }
        }
    }

    /// Takes this process out of the segment's per-process gauges, as its death would. It takes
    /// part again with its next update of one, as a new process.
    ///
    /// The call is for hosts that end without exiting, and for mappings of
    /// [`Options::separate_mapping`](crate::Options::separate_mapping). No other host needs it.
    /// Updates of such gauges by other threads at this moment may be lost.
    pub fn detach_process(&self) {
        self.inner.process.detach(&self.inner.attached());
    }

    /// For hooks that tell of a child's death, which other libraries want called. You never need
    /// it: the kernel tells which processes live, so nothing is marked, and no call harms a living
    /// process. Returns whether no living process with this pid (in the caller's PID namespace) has
    /// gauges of its own here.
    pub fn mark_dead(&self, pid: u32) -> bool {
        self.inner.process.is_gone(&self.inner.attached(), pid)
    }

    /// The descriptor of the segment's memory, for passing an anonymous segment on by other means
    /// than fork. `None`: the host has closed it, the backend has none, or the segment is for a
    /// [test](crate::testing::Scratch).
    #[cfg(unix)]
    pub fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        if self.inner.scratch {
            return None;
        }
        // SAFETY: open (`descriptor` has just looked), and the library's for the life of the
        // process, unless the host closes what is not its own.
        self.inner.backing.descriptor().map(|fd| unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) })
    }
}

/// Two are equal if they are one mapping, as every opening of one segment in a process is.
impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.inner, other.inner)
    }
}

impl Eq for Segment {}

impl std::hash::Hash for Segment {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.inner).hash(state);
    }
}

// A panic interrupts nothing that another update would find half done.
impl std::panic::UnwindSafe for Inner {}
impl std::panic::RefUnwindSafe for Inner {}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
