//! The errors of the library, each with what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Why a call could not be done, as a sentence that says what to do about it.
///
/// Only set-up calls return errors: opening, registering, removing. Updates never fail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument is out of its range.
    InvalidArgument(String),
    /// A metric, label or segment name, or a unit, that no exposition (or file system) could carry.
    InvalidName(String),
    /// No segment has this name.
    NotFound(PathBuf),
    /// The directory of the segments does not exist.
    NoDirectory(PathBuf),
    /// `create_new` met a segment of this name.
    AlreadyExists(PathBuf),
    /// The file system refused, or the file is another user's.
    Permission(String),
    /// The directory is not on a memory file system.
    NotTmpfs(PathBuf),
    /// The file is no shmetrics segment, or a damaged one.
    NotASegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The segment has a layout this library does not read.
    WrongVersion {
        /// The file.
        path: PathBuf,
        /// The segment's major and minor layout version.
        found: (u16, u16),
        /// This library's.
        supported: (u16, u16),
    },
    /// The file system (or a resource limit) has no room for the segment.
    NoSpace(String),
    /// The segment has reached its maximum size or its series limit.
    Full(String),
    /// The segment is damaged: remove it, and let the application create it again.
    Corrupt(String),
    /// A family of this name exists with another type, labels, buckets, mode or unit; or names
    /// clash.
    Conflict(String),
    /// This machine or backend cannot do it.
    Unsupported(String),
    /// The process has no memory for the call (see `ulimit -v`, and the container's limit). Nothing
    /// was done.
    NoMemory,
    /// The system refused a call for another reason.
    System {
        /// What was being done.
        doing: String,
        /// The system's answer.
        reason: String,
        /// Its number (`errno`), if it has one.
        errno: Option<i32>,
    },
}

impl Error {
    /// An error unless the allocator has so many bytes.
    pub(crate) fn unless_memory(bytes: usize) -> Result<(), Self> {
        if crate::os::host::has_memory(bytes) {
            Ok(())
        } else {
            Err(Error::NoMemory)
        }
    }

    #[allow(clippy::needless_pass_by_value)] // the last use of every answer
    pub(crate) fn system(doing: impl Into<String>, source: std::io::Error) -> Self {
        let doing = doing.into();
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Error::Permission(format!(
                "{doing}: {source}; run as the segment's owner, or create it with a wider mode"
            )),
            Some(libc::EROFS) => Error::Permission(format!(
                "{doing}: {source}; mount it writable, or set SHMETRICS_DIR to a tmpfs that is"
            )),
            Some(libc::ENOSPC | libc::EDQUOT) => Error::no_space(&doing),
            Some(libc::EFBIG) => Error::NoSpace(format!("{doing}: the file size limit is too small (see `ulimit -f`)")),
            errno => Error::System { doing, reason: source.to_string(), errno },
        }
    }

    pub(crate) fn no_space(doing: &str) -> Self {
        Error::NoSpace(format!(
            "{doing}: the memory file system is full; in a container give it more with `docker run --shm-size` \
             (or an `emptyDir` of medium Memory), or set a smaller maximum size"
        ))
    }

    pub(crate) fn name(what: &str, name: &str, rule: &str) -> Self {
        Error::InvalidName(format!("{what} {:?}: {rule}", shortened(name)))
    }
}

/// A name for a message: its beginning, if it is long. What is wrong with it stands behind it, and
/// a buffer for messages may be short.
pub(crate) fn shortened(name: &str) -> std::borrow::Cow<'_, str> {
    const SHOWN: usize = 80;
    if name.len() <= SHOWN {
        return name.into();
    }
    let end = (0..=SHOWN).rev().find(|&i| name.is_char_boundary(i)).unwrap_or(0);
    format!("{}... ({} bytes)", &name[..end], name.len()).into()
}

/// A text that needs no memory.
pub(crate) const NO_MEMORY: &str =
    "the process has no memory for this call: raise its limit (`ulimit -v`, or the container's), or free some";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidArgument(s)
            | Error::InvalidName(s)
            | Error::Permission(s)
            | Error::NoSpace(s)
            | Error::Full(s)
            | Error::Corrupt(s)
            | Error::Conflict(s)
            | Error::Unsupported(s) => f.write_str(s),
            Error::NoMemory => f.write_str(NO_MEMORY),
            Error::NotFound(p) => {
                write!(f, "there is no segment at {}; start the application that creates it, or check the name", p.display())
            }
            Error::NoDirectory(p) => write!(
                f,
                "there is no directory {}; create it, or set SHMETRICS_DIR to the directory of the application's segments",
                p.display()
            ),
            Error::AlreadyExists(p) => {
                write!(f, "a segment exists at {}; attach to it, or remove it with `shmetrics rm`", p.display())
            }
            Error::NotTmpfs(p) => write!(
                f,
                "{} is not on a memory file system (tmpfs), where updates would wait for a disk; \
                 use a directory such as /dev/shm, or allow disks in the options",
                p.display()
            ),
            Error::NotASegment { path, reason } => {
                write!(f, "{} is not a shmetrics segment: {reason}", path.display())
            }
            Error::WrongVersion { path, found, supported } => write!(
                f,
                "the segment at {} has layout version {}.{}, this library reads {}.x; use the library that made it, or another segment name \
                 (such as SHMETRICS_SEGMENT=app-v2); if no process uses it any more, remove it with `shmetrics rm`",
                path.display(), found.0, found.1, supported.0
            ),
            Error::System { doing, reason, .. } => write!(f, "{doing}: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
