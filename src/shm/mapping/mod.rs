//! Where a segment's bytes come from: a file on tmpfs, a sealed memfd, or the portable backend.

pub(crate) mod access;
pub(crate) mod account;
#[cfg(target_os = "linux")]
pub(crate) mod attendance;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
pub(crate) mod paths;
#[cfg(all(fuzzing, feature = "portable"))]
pub(crate) mod plain;
#[cfg(any(feature = "portable", not(target_os = "linux")))]
pub(crate) mod portable;

use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use super::grants::Grants;
use crate::Error;

/// The memory of one segment in this process. The defaults are those of memory without a file.
pub(crate) trait Backing: Send + Sync {
    /// The first mapped byte, page-aligned.
    fn base(&self) -> NonNull<u8>;
    /// Mapped bytes.
    fn len(&self) -> u64;
    /// Makes the bytes from `from` to `to` safe to touch. `false`: there is no memory for them.
    /// Makes only calls that a signal handler may make, and keeps `errno`.
    fn reserve(&self, from: u64, to: u64) -> bool {
        from <= to && to <= self.len()
    }
    /// The parts of the memory that are known to be granted, for views of it. Their address stays
    /// the same when this value is moved.
    fn grants(&self) -> &Grants;
    /// Whether each of these bytes is locked by another open description (see `process::slots`).
    /// `None`: cannot tell.
    fn are_locked(&self, bytes: &[u64]) -> Option<Vec<bool>> {
        bytes.iter().map(|at| self.is_locked(*at)).collect()
    }
    /// Whether this byte is. Allocates nothing.
    fn is_locked(&self, byte: u64) -> Option<bool> {
        _ = byte;
        None
    }
    /// An open file description of the file that is this process' own, by a descriptor that the
    /// caller closes. Allocates nothing. `None`: the system does not give one.
    fn describe(&self) -> Option<i32> {
        None
    }
    /// Whether the descriptor leads to this memory's file.
    fn is_ours(&self, descriptor: i32) -> bool {
        _ = descriptor;
        false
    }
    /// Whether there are byte locks at all.
    fn has_locks(&self) -> bool {
        false
    }
    /// Bytes of memory in use.
    fn resident(&self) -> u64 {
        self.len()
    }
    /// Whether `path` still names this memory.
    fn is_named(&self, path: &Path) -> bool {
        _ = path;
        true
    }
    /// Whether any process has the memory open for writing. `None`: cannot tell.
    fn is_in_use(&self) -> Option<bool> {
        None
    }
    /// How many processes do, where the header has this word about them. `None`: cannot tell.
    fn attached(&self, word: [u64; 2]) -> Option<u32> {
        _ = word;
        None
    }
    /// Whether `path`, by which the memory was opened, still leads to it. `None`: cannot tell, as
    /// in a process that has changed its root directory since.
    fn is_led_to(&self, path: &Path) -> Option<bool> {
        _ = path;
        None
    }
    /// The owner of the file.
    fn owner(&self) -> Option<Owner> {
        None
    }
    /// What tells this memory from others in one process.
    fn id(&self) -> (u64, u64);
    /// Whether it is known to have no name any more. What cannot be told is not known.
    fn is_removed(&self) -> bool {
        false
    }
    /// Whether the file was truncated below a reader, which reads zeros since then.
    fn is_lost(&self) -> bool {
        false
    }
    /// Gives the memory and the descriptor back, for good. The addresses stay mapped, to zeros of
    /// this process alone, as views of them may still be used.
    fn discard(&self) {}
    /// A descriptor to hand to other processes, if there is one.
    fn descriptor(&self) -> Option<i32> {
        None
    }
}

/// The owner of a segment's file, and its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
    /// The permission bits, such as `0o640`.
    pub mode: u32,
}

pub(crate) const DEFAULT_DIRECTORY: &str = "/dev/shm";
/// Plain names live under this prefix.
pub(crate) const PREFIX: &str = "shmetrics-";

pub(crate) fn directory() -> PathBuf {
    crate::os::environment::var_os("SHMETRICS_DIR")
        .filter(|d| !d.is_empty())
        .map_or_else(|| DEFAULT_DIRECTORY.into(), PathBuf::from)
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
