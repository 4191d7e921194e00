//! Opening, creating and removing segments.

use super::options::{self, How, Options};
use super::{const_labels, known, Inner, Segment};
use crate::os::host::Undisturbed;
use crate::process::Process;
use crate::shm::layout::{header as h, INDEX_MIN_BITS};
use crate::shm::mapping;
use crate::shm::mapping::access::Access;
use crate::shm::mapping::Backing;
use crate::shm::pair;
use crate::shm::percpu::PerCpuCells;
use crate::shm::{header, layout};
use crate::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// More than opening a segment takes of the process' memory: texts of paths, a page of the header,
/// and what is kept.
pub(crate) const MEMORY_TO_OPEN: usize = 128 << 10;

impl Options {
    /// Opens the segment.
    ///
    /// The mapping lives as long as the process: handles are plain copies that can never dangle, in
    /// any thread, signal handler or forked child. Opening the same segment again in one process
    /// gives the same mapping, from any thread and by any path. A forked child has its parent's
    /// mappings. It gets them also where it could not open the file itself: after it changed its
    /// user or its root, without `/proc`, or without a free descriptor.
    ///
    /// # Errors
    /// Every [`Error`] but `Full`.
    pub fn open(&self) -> Result<Segment, Error> {
        open(self)
    }
}

impl Inner {
    /// # Safety
    /// As for `header::view`.
    unsafe fn adopt(
        backing: Box<dyn Backing>,
        regions: layout::Regions,
        path: Option<PathBuf>,
        options: &Options,
    ) -> Box<Inner> {
        // SAFETY: the mapping lives in `backing`, next to this value; else the caller's promise.
        let memory = unsafe { header::view(&*backing, &regions) };
        let inner = Box::new(Inner {
            memory,
            per_cpu: PerCpuCells::new(&memory, options.per_cpu_plan().rseq),
            process: Process::new(&*backing),
            path: path.map(|path| mapping::paths::absolute(&path)),
            regions,
            seed: memory.get64(h::SEED),
            revision: AtomicU64::new(0),
            // Not fresh at any time that a segment has.
            cells_refused_ms: AtomicU64::new(1 << 63),
            scratch: options.scratch,
            tables: super::tables::Tables::new(),
            backing,
        });
        inner.settle_clock();
        inner.revision.store(options.revision_at(inner.time_ns()), Relaxed);
        inner
    }
}

impl Segment {
    /// Creates or attaches the segment of this name with the default [`Options`].
    pub fn open(name: &str) -> Result<Segment, Error> {
        Options::new().name(name).open()
    }

    /// Removes a segment's name, whether or not processes have it open. Those go on with the
    /// memory, unseen: `is_current` is false in them, and [`Segment::next_warning`] says so. The
    /// next `open` of the name makes a new segment. See also [`Segment::remove_if_unused`] and
    /// [`Segment::is_in_use`].
    ///
    /// Only segments are removed, of any layout version. By its plain name also a damaged file is:
    /// what lies in the directory of segments and is named like one is taken for one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotASegment`], [`Error::Permission`], [`Error::System`].
    pub fn remove(name: &str) -> Result<(), Error> {
        let _undisturbed = Undisturbed::new();
        let path = mapping::path_of(name)?;
        #[cfg(not(target_os = "linux"))]
        if !name.contains('/') {
            return remove_portable(name);
        }
        #[cfg(target_os = "linux")]
        if name.contains('/') {
            check_is_segment(&path)?;
        }
        options::remove(&path)
    }

    /// Removes a segment's name, but only if no process has it open for counting. Returns whether
    /// it did; false also if there is none. The segment must belong to a user whom this process
    /// trusts: itself, root, or one of `$SHMETRICS_TRUST`.
    ///
    /// # Errors
    /// [`Error::Permission`], [`Error::NotASegment`], [`Error::System`].
    #[cfg(target_os = "linux")]
    pub fn remove_if_unused(name: &str) -> Result<bool, Error> {
        let _undisturbed = Undisturbed::new();
        let path = mapping::path_of(name)?;
        let Some(file) = mapping::linux::open(&path, true)? else { return Ok(false) };
        mapping::linux::check_owner(&file, &path, &Options::new().access()?)?;
        match header::check(&file, &path) {
            Ok(_) | Err(Error::WrongVersion { .. }) => Ok(mapping::linux::remove_if_unused(&file, &path)),
            Err(e) => Err(e),
        }
    }

    /// Whether any process has the segment of this name open for counting: a forked child, a
    /// stopped process and this process count, readers do not.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Permission`], [`Error::NotASegment`] if it is no regular file,
    /// [`Error::System`]; [`Error::Unsupported`] where the file system has no locks.
    #[cfg(target_os = "linux")]
    pub fn is_in_use(name: &str) -> Result<bool, Error> {
        let _undisturbed = Undisturbed::new();
        let path = mapping::path_of(name)?;
        let Some(file) = mapping::linux::open(&path, false)? else { return Err(Error::NotFound(path)) };
        mapping::linux::is_in_use(&file).ok_or_else(|| {
            Error::Unsupported(format!("the file system of {} does not tell whether it is in use", path.display()))
        })
    }
}

fn open(options: &Options) -> Result<Segment, Error> {
    let _undisturbed = Undisturbed::new();
    Error::unless_memory(MEMORY_TO_OPEN)?;
    if !pair::supported() {
        return Err(Error::Unsupported("this processor has no 16-byte compare-and-swap (cmpxchg16b)".into()));
    }
    let labels = const_labels::text(&options.labels)?;
    let how = options.how()?;
    let max_size = options.checked_max_size()?;
    // An anonymous segment has no file, and so no access rights.
    let access = if how == How::Anonymous { Access::of_this_process() } else { options.access()? };
    let segment = if options.portable || cfg!(not(target_os = "linux")) {
        open_portable(options, how, max_size, &labels)?
    } else {
        open_native(options, how, &access, max_size, &labels)?
    };
    // A segment that was mapped before gets the revision too: this is an opening of its own.
    segment.inner.revision.store(options.revision_at(segment.inner.time_ns()), Relaxed);
    let its = const_labels::text_in(&segment.inner.memory);
    if !labels.is_empty() && its != labels.as_bytes() {
        let its = String::from_utf8_lossy(&its);
        return Err(Error::Conflict(format!("the segment was made with the labels {{{its}}}, not {{{labels}}}")));
    }
    Ok(segment)
}

/// Whether a new segment with these regions has room for the first records.
fn check_room(regions: &layout::Regions) -> Result<(), Error> {
    if regions.has_room() {
        return Ok(());
    }
    let (max_size, processes) = (regions.total, regions.slots_count);
    Err(Error::InvalidArgument(format!(
        "a maximum size of {max_size} bytes is too small for {processes} processes: make it at least {} bytes, or `max_processes` smaller",
        layout::Regions::least_max_size(processes)
    )))
}

#[cfg(target_os = "linux")]
fn open_native(options: &Options, how: How, access: &Access, max_size: u64, labels: &str) -> Result<Segment, Error> {
    use crate::shm::mapping::linux::{self, Published};
    let regions = layout::Regions::plan(max_size, options.max_processes);
    // What is granted before the segment is seen: everything fixed, the smallest index, the first
    // arena extent.
    let first = regions.index_at + (8 << INDEX_MIN_BITS);
    let prepare = |backing: &linux::LinuxBacking| -> Result<(), Error> {
        let arena_end = (regions.arena_at + layout::EXTENT).min(regions.total);
        if !backing.reserve(regions.arena_at, arena_end) {
            return Err(Error::no_space("creating the segment"));
        }
        let (per_cpu, short) = (options.per_cpu_plan(), options.checked_short_bounds()?);
        // SAFETY: new memory of `total` bytes, backed below `first`, known to no other process.
        unsafe { header::initialise(backing, &regions, arena_end, options.max_series, labels, per_cpu, short) };
        if options.scratch {
            backing.attend_uncounted();
        } else {
            backing.attend();
        }
        Ok(())
    };
    if how == How::Anonymous {
        check_room(&regions)?;
        let backing = linux::anonymous(regions.total, first)?;
        prepare(&backing)?;
        // SAFETY: just initialised.
        let inner = unsafe { Inner::adopt(Box::new(backing), regions, None, options) };
        let inner = if options.scratch { Box::leak(inner) } else { known::insert(inner, None) };
        return Ok(Segment { inner });
    }
    let path = options.path()?;
    if how != How::CreateNew && !options.separate_mapping {
        if let Some(inner) = known::by_path(&path) {
            return Ok(Segment { inner });
        }
    }
    let mut named = false;
    // Between our look and our link another process may create or remove the name; each round is
    // its progress.
    for _ in 0..1000 {
        if how != How::CreateNew {
            if let Some(file) = linux::open(&path, true)? {
                linux::check_owner(&file, &path, access)?;
                if how == How::Attach || !removed_as_unused(options, &file, &path)? {
                    match attach_native(options, file, &path)? {
                        Some(segment) => return Ok(segment),
                        None => continue,
                    }
                }
            }
            if how == How::Attach {
                return Err(Error::NotFound(path));
            }
        }
        check_room(&regions)?;
        let make = linux::Make { size: regions.total, first, access, allow_disk: options.allow_disk, named };
        let unpublished = linux::create(&path, &make)?;
        prepare(&unpublished.backing)?;
        match unpublished.publish(&path)? {
            Published::Done(backing) => {
                // SAFETY: just initialised.
                let inner = unsafe { Inner::adopt(Box::new(backing), regions, Some(path.clone()), options) };
                return Ok(Segment { inner: keep(inner, &path, options) });
            }
            Published::Taken if how == How::CreateNew => return Err(Error::AlreadyExists(path)),
            Published::Taken => {}
            Published::NoWay => named = true,
        }
    }
    Err(Error::Conflict(format!("{} keeps being created and removed by others", path.display())))
}

/// Keeps a mapping for the life of the process.
#[cfg(target_os = "linux")]
fn keep(inner: Box<Inner>, path: &Path, options: &Options) -> &'static Inner {
    if options.separate_mapping {
        Box::leak(inner)
    } else {
        known::insert(inner, Some(path))
    }
}

/// Makes room for a new segment, if that is asked for and no process uses the old one. Memory is
/// never wiped in place: a process that has it mapped after all goes on with it.
#[cfg(target_os = "linux")]
fn removed_as_unused(options: &Options, file: &std::fs::File, path: &Path) -> Result<bool, Error> {
    if !options.reset_if_unused || mapped(file, path)?.is_some() {
        return Ok(false);
    }
    match header::check(file, path) {
        Ok(_) | Err(Error::WrongVersion { .. }) => Ok(mapping::linux::remove_if_unused(file, path)),
        Err(e) => Err(e),
    }
}

/// The segment, if this process has it mapped.
#[cfg(target_os = "linux")]
fn mapped(file: &std::fs::File, path: &Path) -> Result<Option<Segment>, Error> {
    use std::os::unix::fs::MetadataExt;
    let meta = file.metadata().map_err(|e| Error::system("looking at the segment", e))?;
    Ok(known::by_id((meta.dev(), meta.ino()), path).map(|inner| Segment { inner }))
}

/// `Ok(None)`: the file is, or is about to be, no longer what the name means.
#[cfg(target_os = "linux")]
fn attach_native(options: &Options, file: mapping::linux::Descriptor, path: &Path) -> Result<Option<Segment>, Error> {
    use crate::shm::mapping::linux;
    if let Some(segment) = mapped(&file, path)?.filter(|_| !options.separate_mapping) {
        return Ok(Some(segment));
    }
    let regions = header::check(&file, path)?;
    if !linux::hold(&file) {
        // Three system calls of another process, unless it is stopped.
        std::thread::sleep(std::time::Duration::from_millis(1));
        return Ok(None);
    }
    if !linux::is_named(&file, path) {
        return Ok(None);
    }
    let backing = linux::LinuxBacking::map(file, regions.total, true, Some(path.to_path_buf()))?;
    header::check_memory(&backing, &regions, path)?;
    backing.attend();
    // SAFETY: the header has been checked.
    let inner = unsafe { Inner::adopt(Box::new(backing), regions, Some(path.to_path_buf()), options) };
    Ok(Some(Segment { inner: keep(inner, path, options) }))
}

/// An error unless the path leads to a segment, of whatever version.
#[cfg(target_os = "linux")]
fn check_is_segment(path: &Path) -> Result<(), Error> {
    let Some(file) = mapping::linux::open(path, false)? else { return Err(Error::NotFound(path.to_path_buf())) };
    match header::check(&file, path) {
        Ok(_) | Err(Error::WrongVersion { .. } | Error::Unsupported(_)) => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_native(options: &Options, how: How, _: &Access, max_size: u64, labels: &str) -> Result<Segment, Error> {
    open_portable(options, how, max_size, labels)
}

#[cfg(not(any(feature = "portable", not(target_os = "linux"))))]
fn open_portable(_: &Options, _: How, _: u64, _: &str) -> Result<Segment, Error> {
    Err(Error::Unsupported("the portable backend is not built in; enable the crate's feature `portable`".into()))
}

#[cfg(any(feature = "portable", not(target_os = "linux")))]
fn open_portable(options: &Options, how: How, max_size: u64, labels: &str) -> Result<Segment, Error> {
    use crate::shm::mapping::portable::PortableBacking;
    options.check_portable()?;
    if how == How::Anonymous {
        return Err(Error::Unsupported("the portable backend has no anonymous segments; give a name".into()));
    }
    let name = options.resolved_name()?.into_owned();
    mapping::path_of(&name)?;
    if name.contains('/') {
        return Err(Error::name("segment name", &name, "the portable backend takes plain names only"));
    }
    let regions = layout::Regions::plan(max_size, options.max_processes);
    for _ in 0..200 {
        if how != How::CreateNew {
            if let Some(backing) = PortableBacking::open(&name)? {
                match header::check_bytes(&backing, Path::new(&name)) {
                    Ok(regions) => {
                        // SAFETY: the header has been checked.
                        let inner = unsafe { Inner::adopt(Box::new(backing), regions, None, options) };
                        return Ok(Segment { inner: Box::leak(inner) });
                    }
                    // This backend cannot publish a complete file: its maker may be at work. The
                    // magic comes last.
                    Err(Error::NotASegment { .. }) => {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                        continue;
                    }
                    Err(e) => return Err(e),
                }
            }
            if how == How::Attach {
                return Err(Error::NotFound(name.into()));
            }
        }
        check_room(&regions)?;
        match PortableBacking::create(&name, regions.total)? {
            Some(backing) => {
                let short = options.checked_short_bounds()?;
                // As if it were granted in pieces: other processes compare what is claimed with the
                // file's blocks.
                let arena_end = (regions.arena_at + layout::EXTENT).min(regions.total);
                // SAFETY: new memory of `total` bytes; no process uses it before its magic is
                // there.
                unsafe {
                    header::initialise(
                        &backing,
                        &regions,
                        arena_end,
                        options.max_series,
                        labels,
                        options.per_cpu_plan(),
                        short,
                    );
                };
                // SAFETY: just initialised.
                let inner = unsafe { Inner::adopt(Box::new(backing), regions, None, options) };
                return Ok(Segment { inner: Box::leak(inner) });
            }
            None if how == How::CreateNew => return Err(Error::AlreadyExists(name.into())),
            None => {}
        }
    }
    Err(header::unfinished(Path::new(&name)))
}

/// Removes a segment of the portable backend. On Linux its memory is a file like any segment's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn remove_portable(name: &str) -> Result<(), Error> {
    mapping::portable::PortableBacking::remove(name)
}
