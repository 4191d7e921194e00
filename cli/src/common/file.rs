//! Small files that the command line or a configuration names.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The maximum size of a file.
const MOST: u64 = 4 << 20;

/// The contents of a regular file of limited size. Another file could block the command.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    // With this flag, opening a FIFO does not wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file of at most 4 MiB"));
    }
    read_limited(file)
}

/// The contents of a file of limited size. Waits for the end of a pipe.
pub(crate) fn read_limited(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.take(MOST + 1).read_to_end(&mut bytes)? as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has more than 4 MiB"));
    }
    Ok(bytes)
}

/// A stamp of a file. Another file, or a changed one, has another stamp.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stamp(Option<([u64; 3], [i64; 4])>);

impl Stamp {
    /// Follows symbolic links: secrets are often replaced by a changed link.
    pub(crate) fn of(path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok();
        // Includes the time of the last change of the mode: an unreadable file may be readable now.
        Stamp(meta.map(|m| ([m.dev(), m.ino(), m.len()], [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_regular_files_are_read() {
        let path = std::env::temp_dir().join(format!("shmetrics-file-test-{}", std::process::id()));
        std::fs::write(&path, b"text").expect("writes");
        assert_eq!(read_regular(&path).expect("reads"), b"text");
        std::fs::write(&path, vec![b'a'; MOST as usize + 1]).expect("writes");
        assert!(read_regular(&path).is_err());
        std::fs::remove_file(&path).expect("removes");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("makes a FIFO");
        for other in [&*path, Path::new("/dev/zero"), Path::new("/")] {
            assert!(read_regular(other).is_err(), "{}", other.display());
        }
        std::fs::remove_file(&path).expect("removes");
        assert!(read_limited(io::repeat(0)).is_err());
    }
}
