//! Readers: read-only mappings of segments that other processes write to.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use super::collectors::collect;
use super::format::exposition::{Exposition, Format};
use super::inspect::{inspect, processes, Inspection, ProcessInfo};
use super::page::builder::Page;
use super::page::segments::SEGMENT;
use super::source::{LastUpdate, Looks, Source};
use super::verify::verify;
use crate::os::host::Undisturbed;
use crate::process::Token;
use crate::shm::layout::Regions;
use crate::shm::mapping::{Backing, Owner};
use crate::shm::memory::Mapped;
use crate::{Error, Segment};

/// A view of a segment for rendering it: from any process, mapped read-only, and never in a
/// writer's way.
///
/// Nothing in the segment is trusted: a reader survives any bytes, and leaves out (and counts) what
/// is damaged.
pub struct Reader {
    memory: Mapped,
    regions: Regions,
    backing: Held,
    /// The file, if the reader has mapped it itself.
    own_path: Option<PathBuf>,
    looks: Looks,
}

/// More than a page takes of the process' memory, but for its text.
pub(crate) const MEMORY_TO_RENDER: usize = 256 << 10;

/// The owner of the mapping.
enum Held {
    Own(ManuallyDrop<Box<dyn Backing>>),
    Writer(Segment),
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Held::Own(backing) = self {
            // To close a file is a cancellation point.
            let _undisturbed = Undisturbed::new();
            // SAFETY: it is dropped here alone, and `self` goes.
            unsafe { ManuallyDrop::drop(backing) };
        }
    }
}

impl Held {
    fn get(&self) -> &dyn Backing {
        match self {
            Held::Own(backing) => &***backing,
            Held::Writer(segment) => &*segment.inner.backing,
        }
    }
}

impl Reader {
    /// Attaches to the segment of this name, read-only. A process that may not open the file, but
    /// has the segment mapped for counting, reads that mapping: such as a worker that has given up
    /// its privileges.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Permission`], [`Error::NotASegment`], [`Error::WrongVersion`],
    /// [`Error::System`].
    #[cfg(target_os = "linux")]
    pub fn open(name: &str) -> Result<Reader, Error> {
        use crate::segment::known;
        use crate::shm::{header, mapping};
        let _undisturbed = Undisturbed::new();
        Error::unless_memory(crate::segment::open::MEMORY_TO_OPEN)?;
        let path = mapping::path_of(name)?;
        let file = match mapping::linux::open(&path, false) {
            Ok(Some(file)) => file,
            // This process may not open it, or has another root by now, but has it mapped.
            failed => match (known::by_path(&path), failed) {
                (Some(inner), _) => return Ok(Segment { inner }.reader()),
                (None, Err(e)) => return Err(e),
                (None, _) => return Err(Error::NotFound(path)),
            },
        };
        let regions = header::check(&file, &path)?;
        let backing = mapping::linux::LinuxBacking::map(file, regions.total, false, Some(path.clone()))?;
        header::check_memory(&backing, &regions, &path)?;
        // SAFETY: the header has been checked, and the backing stays in the reader.
        let memory = unsafe { header::view(&backing, &regions) };
        Ok(Reader {
            memory,
            regions,
            backing: Held::Own(ManuallyDrop::new(Box::new(backing))),
            own_path: Some(mapping::paths::absolute(&path)),
            looks: Looks::default(),
        })
    }

    /// Attaches to the segment of this name.
    #[cfg(not(target_os = "linux"))]
    pub fn open(name: &str) -> Result<Reader, Error> {
        Ok(crate::Options::new().name(name).attach().open()?.reader())
    }

    /// Lets the readers that this process opens from here on survive a truncated file. Without it,
    /// the kernel kills a process (SIGBUS) that reads what the file's owner has just cut off.
    ///
    /// For programs that read and do nothing else, such as an exporter: it installs a handler of
    /// SIGBUS for the whole process. The handler puts zeros in the place of a reader's mapping, and
    /// leaves every other SIGBUS to the handler that was there before. Processes that count are not
    /// protected. After a page, ask [`is_truncated`](Self::is_truncated).
    ///
    /// # Errors
    /// [`Error::System`], [`Error::Unsupported`].
    pub fn survive_truncation() -> Result<(), Error> {
        #[cfg(target_os = "linux")]
        return crate::shm::mapping::linux::guard::install();
        #[cfg(not(target_os = "linux"))]
        Err(Error::Unsupported("reading a truncated segment is not survived on this system".into()))
    }

    /// Whether the file was truncated while this reader read it. What was read then may be wrong,
    /// and nothing more can be read: open the segment again. Always `false` without
    /// [`survive_truncation`](Self::survive_truncation).
    pub fn is_truncated(&self) -> bool {
        self.backing.get().is_lost()
    }

    /// A view of memory of this process, whose header is checked as a file's is: for fuzz targets.
    ///
    /// # Errors
    /// [`Error::NotASegment`], [`Error::WrongVersion`], [`Error::Unsupported`].
    ///
    /// # Safety
    /// `base` is page-aligned, and the `len` bytes there are readable for as long as the reader
    /// lives.
    #[cfg(all(fuzzing, feature = "portable"))]
    #[doc(hidden)]
    pub unsafe fn over(base: std::ptr::NonNull<u8>, len: u64) -> Result<Reader, Error> {
        use crate::shm::header;
        use crate::shm::mapping::plain::PlainBacking;
        // SAFETY: the caller's promise.
        let backing = unsafe { PlainBacking::new(base, len) };
        let regions = header::check_bytes(&backing, Path::new("memory"))?;
        // SAFETY: the header has been checked, and the backing stays in the reader.
        let memory = unsafe { header::view(&backing, &regions) };
        Ok(Reader {
            memory,
            regions,
            backing: Held::Own(ManuallyDrop::new(Box::new(backing))),
            own_path: None,
            looks: Looks::default(),
        })
    }

    /// Attaches to the segment that `$SHMETRICS_SEGMENT` names, else `default`.
    pub fn open_default() -> Result<Reader, Error> {
        Self::open(&crate::segment::options::default_name()?)
    }

    /// The file, unless the segment is anonymous.
    pub fn path(&self) -> Option<&Path> {
        match &self.backing {
            Held::Own(_) => self.own_path.as_deref(),
            Held::Writer(segment) => segment.path(),
        }
    }

    /// Whether the segment's name still leads to it, whole: it has not been removed or replaced,
    /// its file not cut off, and its header is not damaged. For a few system calls' price.
    pub fn is_current(&self) -> bool {
        let _undisturbed = Undisturbed::new();
        let Some(path) = self.path() else { return true };
        let backing = self.backing.get();
        backing.is_named(path) && crate::shm::header::check_bytes(backing, path).is_ok()
    }

    /// Whether any process has the segment open for counting, this one included; other readers do
    /// not count. `None` where the system cannot tell.
    pub fn is_in_use(&self) -> Option<bool> {
        let _undisturbed = Undisturbed::new();
        self.backing.get().is_in_use()
    }

    /// The number of processes that have the segment open for counting. Forked children and
    /// stopped processes count, readers do not. `None` if the system cannot tell: this process, or
    /// one that has the segment open, is in another IPC namespace or may not use System V shared
    /// memory.
    pub fn attached(&self) -> Option<u32> {
        let _undisturbed = Undisturbed::new();
        self.source().attached()
    }

    /// When a process last updated a metric. The call reads all values, as a page does, because
    /// updates store no time.
    ///
    /// The call compares the values with those of the look before: the last page of this reader,
    /// or of any process that may write to the segment. If the values differ, the update happened
    /// in between, and the result is the time now. An update that leaves all values as they were
    /// may be missed. The times of new label sets, new families and removals are exact to a tick
    /// of the clock. `None`: the segment is damaged.
    pub fn last_update(&self) -> Option<LastUpdate> {
        let _undisturbed = Undisturbed::new();
        let (source, page) = (self.source(), self.page(Format::Text));
        page.cursor().look().map(|look| source.last_update(&look))
    }

    /// The owner of the segment's file, and its mode.
    pub fn owner(&self) -> Option<Owner> {
        let _undisturbed = Undisturbed::new();
        self.backing.get().owner()
    }

    fn source(&self) -> Source<'_> {
        let (memory, own_slot, path) = (self.memory, self.token(), self.path());
        let looks = matches!(self.backing, Held::Own(_)).then_some(&self.looks);
        Source { memory, backing: self.backing.get(), own_slot, path, looks }
    }

    fn token(&self) -> Option<Token> {
        match &self.backing {
            Held::Own(_) => None,
            Held::Writer(segment) => segment.inner.process.token(),
        }
    }

    /// Begins a page.
    pub fn page(&self, exposition: impl Into<Exposition>) -> Page<'_> {
        if let Held::Writer(segment) = &self.backing {
            segment.expire();
        }
        let mut page = Page::new(exposition.into());
        page.add_segment(self.source(), None, "");
        page
    }

    /// Begins a page with several segments, such as those of a machine's services. Families of the
    /// same name are put together. The string beside each reader is the value of the label
    /// `segment`. If `labelled`, all series have this label; the library's own families always
    /// have it. Without the label, only the first of several series with the same labels is shown.
    /// A family that is of another type in an earlier segment is left out. `shmetrics_conflicts`
    /// counts both.
    pub fn join<'a>(parts: &[(&'a Reader, &str)], labelled: bool, exposition: impl Into<Exposition>) -> Page<'a> {
        let mut page = Page::new(exposition.into());
        for (reader, name) in parts {
            if let Held::Writer(segment) = &reader.backing {
                segment.expire();
            }
            page.add_segment(reader.source(), labelled.then_some((SEGMENT, *name)), name);
        }
        page
    }

    /// Renders a page: short for `page(exposition).render()`.
    pub fn render(&self, exposition: impl Into<Exposition>) -> Vec<u8> {
        self.page(exposition).render()
    }

    /// The damage in the segment, as sentences for people. The list is empty unless bytes of the
    /// segment were damaged. The segment may be in use; then the call takes a few looks.
    pub fn verify(&self) -> Vec<String> {
        verify(&self.memory, &self.regions)
    }

    /// The processes that have, or had, gauges of their own: a part of [`inspect`](Self::inspect),
    /// for less.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        let _undisturbed = Undisturbed::new();
        processes(&self.memory, self.backing.get(), self.token())
    }

    /// What is in the segment, for people.
    pub fn inspect(&self) -> Inspection {
        let _undisturbed = Undisturbed::new();
        inspect(&self.source())
    }
}

impl Segment {
    /// A view of this segment for rendering it.
    pub fn reader(&self) -> Reader {
        Reader {
            memory: self.inner.memory,
            regions: self.inner.regions,
            backing: Held::Writer(*self),
            own_path: None,
            looks: Looks::default(),
        }
    }

    /// Begins a page, with the families of the segment's [collectors](Segment::add_collector). The
    /// mapping stays, so the page may outlive this copy of the segment.
    pub fn page(&self, exposition: impl Into<Exposition>) -> Page<'static> {
        self.expire();
        let inner = self.inner;
        let (memory, own_slot, path) = (inner.memory, inner.process.token(), inner.path.as_deref());
        let mut page = Page::new(exposition.into());
        page.add_segment(Source { memory, backing: &*inner.backing, own_slot, path, looks: None }, None, "");
        collect(inner).into_iter().fold(page, Page::with)
    }

    /// Renders a page with the metrics of all processes: short for `page(exposition).render()`.
    pub fn render(&self, exposition: impl Into<Exposition>) -> Vec<u8> {
        self.page(exposition).render()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path()).finish_non_exhaustive()
    }
}
