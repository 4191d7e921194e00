//! What a path leads to, told by device and inode.

use std::path::{Path, PathBuf};

/// A device and an inode.
pub(crate) type Id = (u64, u64);

/// The root of this process.
#[cfg(target_os = "linux")]
pub(crate) fn root() -> Option<Id> {
    id_of(Path::new("/"))
}

#[cfg(unix)]
pub(crate) fn id_of(path: &Path) -> Option<Id> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

#[cfg(not(unix))]
pub(crate) fn id_of(_: &Path) -> Option<Id> {
    None
}

/// The path from the root, as it is written: symbolic links stay.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
