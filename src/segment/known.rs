//! The segments that this process has mapped, so that it never maps one twice: a second mapping
//! would be a second process in per-process gauges.

use std::path::{Path, PathBuf};

use super::Inner;
use crate::os::grow_list::GrowList;
#[cfg(target_os = "linux")]
use crate::shm::mapping::paths::root;
use crate::shm::mapping::paths::{absolute, id_of, Id};

/// A mapping, and a path by which it was opened.
struct Entry {
    inner: &'static Inner,
    name: Option<Name>,
}

struct Name {
    path: PathBuf,
    /// The same without symbolic links.
    resolved: Option<PathBuf>,
    /// The process' root when the path was used, and the directory of the file.
    root: Option<Id>,
    directory: Option<Id>,
}

static KNOWN: GrowList<Entry> = GrowList::new();

impl Name {
    fn new(path: &Path) -> Self {
        let path = absolute(path);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let resolved = std::fs::canonicalize(directory).ok().zip(path.file_name()).map(|(d, file)| d.join(file));
        Name { root: id_of(Path::new("/")), directory: id_of(directory), resolved, path }
    }

    /// Whether an absolute path is this one, as it is written.
    #[cfg(target_os = "linux")]
    fn is(&self, path: &Path) -> bool {
        self.path == path || self.resolved.as_deref() == Some(path)
    }
}

/// Makes a new mapping known. If another thread has mapped the same memory meanwhile, this mapping
/// goes, and the other one is returned.
pub(super) fn insert(inner: Box<Inner>, path: Option<&Path>) -> &'static Inner {
    let id = inner.backing.id();
    let raw = Box::into_raw(inner);
    // SAFETY: from a box. It stays for ever, unless it is freed below, where no entry refers to it.
    let inner = unsafe { &*raw };
    let entry = Entry { inner, name: path.map(Name::new) };
    match KNOWN.add_unless(entry, |known| known.inner.backing.id() == id).map_err(|(known, _)| known) {
        Ok(_) => inner,
        Err(known) => {
            // SAFETY: from a box above; the entry with the only other reference has not been added
            // and is gone.
            drop(unsafe { Box::from_raw(raw) });
            known.inner
        }
    }
}

/// The mapping of this memory, if the process has one. Notes the path by which it is being opened.
#[cfg(target_os = "linux")]
pub(super) fn by_id(id: Id, path: &Path) -> Option<&'static Inner> {
    let inner = KNOWN.iter().map(|e| e.inner).find(|i| i.backing.id() == id)?;
    let same = |entry: &Entry, path: &Path| {
        std::ptr::eq(entry.inner, inner) && entry.name.as_ref().is_some_and(|n| n.path == path)
    };
    let whole = absolute(path);
    if !KNOWN.iter().any(|e| same(e, &whole)) {
        let _ = KNOWN.add_unless(Entry { inner, name: Some(Name::new(path)) }, |known| same(known, &whole));
    }
    Some(inner)
}

/// The mapping that the process has of what a path leads to. Nothing is opened, so this also works
/// for a process that may not open the file any more.
///
/// Where the path cannot be followed from here (for want of permission, or since the process has
/// another root by now), the mapping is the one that was opened by this path. A path that leads
/// nowhere, or elsewhere, has none.
#[cfg(target_os = "linux")]
pub(crate) fn by_path(path: &Path) -> Option<&'static Inner> {
    use std::os::unix::fs::MetadataExt;
    // Without any mapping, as in most processes that open one, nothing is asked.
    KNOWN.iter().next()?;
    match std::fs::symlink_metadata(path) {
        Ok(meta) => by_id((meta.dev(), meta.ino()), path),
        Err(e) => {
            let path = absolute(path);
            let named = |e: &'static Entry| e.name.as_ref().filter(|n| n.is(&path)).map(|n| (e.inner, n));
            let (inner, name) = KNOWN.iter().find_map(named)?;
            let removed = match e.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => !name.is_out_of_sight(),
                _ => false,
            };
            (!removed && !inner.backing.is_removed()).then_some(inner)
        }
    }
}

#[cfg(target_os = "linux")]
impl Name {
    /// Whether the directory of the file is not where it was: this process has another root, or
    /// something else is mounted there.
    fn is_out_of_sight(&self) -> bool {
        let other = |path: &Path, then: Option<Id>| id_of(path).is_some_and(|now| then != Some(now));
        root() != self.root || self.path.parent().is_some_and(|d| other(d, self.directory))
    }
}
