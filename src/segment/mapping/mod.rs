//! Where a segment's bytes come from: a file on tmpfs, a sealed memfd, or the portable backend.

#[cfg(target_os = "linux")]
pub(crate) mod linux;
#[cfg(all(fuzzing, feature = "portable"))]
pub(crate) mod plain;
#[cfg(any(feature = "portable", not(target_os = "linux")))]
pub(crate) mod portable;

use std::path::{Path, PathBuf};
use std::ptr::NonNull;

#[cfg(target_os = "linux")]
use super::layout::PAGE;
use crate::Error;

/// The memory of one segment in this process.
pub(crate) trait Backing: Send + Sync {
    /// The first mapped byte, page-aligned.
    fn base(&self) -> NonNull<u8>;
    /// Mapped bytes.
    fn len(&self) -> u64;
    /// Makes the bytes from `from` to `to` safe to touch. `false`: there is no memory for them. Makes only calls that a signal
    /// handler may make, and keeps `errno`.
    fn reserve(&self, from: u64, to: u64) -> bool;
    /// Whether each of these bytes is locked by another open description (see `process::slots`). `None`: cannot tell.
    fn are_locked(&self, bytes: &[u64]) -> Option<Vec<bool>>;
    /// Locks the first of these bytes that nobody has locked, through a description of its own, for as long as what is
    /// returned with the byte is held.
    fn lock_first(&self, bytes: &mut dyn Iterator<Item = u64>) -> Option<(u64, Hold)>;
    /// Whether there are byte locks at all.
    fn has_locks(&self) -> bool;
    /// Gives up what `lock_first` returned in this process; `inherited`: in one that this one was forked from.
    fn unlock(&self, hold: Hold, inherited: bool);
    /// Bytes of memory in use.
    fn resident(&self) -> u64;
    /// Whether `path` still names this memory.
    fn is_named(&self, path: &Path) -> bool;
    /// What tells this memory from others in one process.
    fn id(&self) -> (u64, u64);
    /// Whether it is known to have no name any more. What cannot be told is not known.
    fn is_removed(&self) -> bool {
        false
    }
    /// A descriptor to hand to other processes, if there is one.
    fn descriptor(&self) -> Option<i32>;
}

/// What keeps a byte locked: a page mapped through the lock's description, which no other process inherits and no host
/// closes; or, where that cannot be, the descriptor. In 37 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold(pub(crate) u64);

impl Hold {
    pub(crate) const BITS: u32 = 37;
    pub(crate) const NOTHING: Hold = Hold(0);

    #[cfg(target_os = "linux")]
    fn page(address: usize) -> Self {
        Hold((address as u64 / PAGE) << 1 | 1)
    }

    #[cfg(target_os = "linux")]
    fn descriptor(fd: i32) -> Self {
        Hold((fd as u64 + 1) << 1)
    }

    #[cfg(target_os = "linux")]
    fn as_page(self) -> Option<usize> {
        (self.0 & 1 == 1).then_some((self.0 >> 1) as usize * PAGE as usize)
    }

    #[cfg(target_os = "linux")]
    fn as_descriptor(self) -> Option<i32> {
        (self.0 & 1 == 0 && self.0 != 0).then_some((self.0 >> 1) as i32 - 1)
    }
}

pub(crate) const DEFAULT_DIRECTORY: &str = "/dev/shm";
/// Plain names live under this prefix.
pub(crate) const PREFIX: &str = "shmetrics-";

pub(crate) fn directory() -> PathBuf {
    crate::environment::var_os("SHMETRICS_DIR")
        .filter(|d| !d.is_empty())
        .map_or_else(|| DEFAULT_DIRECTORY.into(), PathBuf::from)
}

/// Whether a path is that of a plain name.
#[cfg(target_os = "linux")]
pub(crate) fn is_in_directory(path: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
    name.is_some_and(|name| !name.is_empty()) && absolute(path).parent() == Some(&*absolute(&directory()))
}

/// The file of a segment: `NAME` in the directory, or a path if it has a slash.
pub(crate) fn path_of(name: &str) -> Result<PathBuf, Error> {
    if name.is_empty() {
        return Err(Error::name("segment name", name, "it is empty; give a name such as \"shop\" or a path on tmpfs"));
    }
    // Long names first: they are not to be copied.
    let path = name.contains('/');
    if path && name.len() > 4095 {
        return Err(Error::name("segment path", name, "it is too long for the file system"));
    }
    if !path && name.len() + PREFIX.len() > 255 {
        return Err(Error::name("segment name", name, "it is longer than 245 bytes"));
    }
    if name.contains('\0') {
        return Err(Error::name("segment name", name, "it holds a NUL byte"));
    }
    if path {
        let path = PathBuf::from(name);
        match path.file_name() {
            None => return Err(Error::name("segment path", name, "it does not end in a file name")),
            Some(file) if file.len() > 255 => {
                return Err(Error::name("segment path", name, "it is too long for the file system"))
            }
            Some(_) => return Ok(path),
        }
    }
    if name.starts_with('.') || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:@".contains(&b)) {
        return Err(Error::name("segment name", name, "use letters, digits and . _ - : @, not starting with a dot"));
    }
    Ok(directory().join(format!("{PREFIX}{name}")))
}
