//! New segments: a file that is linked into place when it is complete, or a sealed memfd.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::file::{c_path, last, Descriptor, ProcFd};
use super::grant::{fits_file_limit, HUGETLBFS_MAGIC, RAMFS_MAGIC, TMPFS_MAGIC};
use super::locks::hold;
use super::LinuxBacking;
use crate::os::random::random;
use crate::shm::mapping::access::Access;
use crate::shm::mapping::account::Given;
use crate::shm::mapping::Backing;
use crate::Error;

/// A complete file that has no name yet.
pub(crate) struct Unpublished {
    pub(crate) backing: LinuxBacking,
    temporary: Option<Temporary>,
}

/// What became of a name.
pub(crate) enum Published {
    /// The name leads to the new file.
    Done(LinuxBacking),
    /// Another process was first.
    Taken,
    /// A nameless file cannot be given a name here. One that has a temporary name can.
    NoWay,
}

/// A file's name for now, where it needs one. It goes with this value.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// How to make a file.
pub(crate) struct Make<'a> {
    pub(crate) size: u64,
    /// Bytes that are granted at once.
    pub(crate) first: u64,
    pub(crate) access: &'a Access,
    pub(crate) allow_disk: bool,
    /// Under a temporary name, though the file system may have nameless files.
    pub(crate) named: bool,
}

pub(crate) fn create(path: &Path, make: &Make) -> Result<Unpublished, Error> {
    let directory = match path.parent() {
        Some(d) if !d.as_os_str().is_empty() => d.to_path_buf(),
        _ => PathBuf::from("."),
    };
    check_directory(&directory, make.allow_disk)?;
    let (file, temporary) = unseen(&directory, path, make.named)?;
    let file = Descriptor::new(file, path)?;
    give_away(&file, make.access)?;
    resize(&file, make.size)?;
    // No other process knows it yet: from its first moment on it has a user.
    hold(&file);
    let backing = LinuxBacking::map(file, make.size, true, Some(path.to_path_buf()))?;
    if !backing.reserve(0, make.first) {
        return Err(Error::no_space(&format!("creating {}", path.display())));
    }
    Ok(Unpublished { backing, temporary })
}

/// Gives a new file its mode, group and owner.
fn give_away(file: &File, access: &Access) -> Result<(), Error> {
    // The mode comes first: afterwards the file may be another user's. It is set by itself because
    // the umask applies to open(). SAFETY: an own descriptor.
    if unsafe { libc::fchmod(file.as_raw_fd(), access.mode as libc::mode_t) } != 0 {
        return Err(Error::system("setting the segment's mode", last()));
    }
    // The group comes first: a process that has given away a file may not change its group.
    for (given, group) in [(&access.group, true), (&access.owner, false)] {
        let Some(given) = given else { continue };
        let id = if group { given.group()? } else { given.user()? };
        let (owner, group) = if group { (u32::MAX, id) } else { (id, u32::MAX) };
        // SAFETY: an own descriptor; the greatest number leaves what it stands for.
        if unsafe { libc::fchown(file.as_raw_fd(), owner, group) } != 0 {
            return Err(not_given(given, owner == u32::MAX, id, last()));
        }
    }
    Ok(())
}

fn not_given(given: &Given, group: bool, id: u32, e: io::Error) -> Error {
    let what = if group { "group" } else { "user" };
    let rule = match (e.raw_os_error(), group) {
        (Some(libc::EPERM), true) => "a process without root's rights may give its files only to groups that it is in",
        (Some(libc::EPERM), false) => "only a process with root's rights may give its files to another user",
        (Some(libc::EINVAL), _) => "the number means nothing in this user namespace",
        _ => return Error::system(format!("{given}: giving the segment to {what} {id}"), e),
    };
    Error::Permission(format!("{given}: giving the segment to {what} {id} failed ({e}): {rule}"))
}

fn check_directory(directory: &Path, allow_disk: bool) -> Result<(), Error> {
    let c = c_path(directory)?;
    // SAFETY: an all-zero statfs is a valid value to be filled in.
    let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated path and a local.
    if unsafe { libc::statfs(c.as_ptr(), &raw mut fs) } != 0 {
        let e = last();
        return Err(match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Error::InvalidArgument(format!(
                "the directory {} does not exist; mount a tmpfs there or set SHMETRICS_DIR to one",
                directory.display()
            )),
            _ => Error::system(format!("looking at {}", directory.display()), e),
        });
    }
    #[allow(clippy::unnecessary_cast)] // its type differs by architecture and C library
    let kind = fs.f_type as i64;
    if !allow_disk && ![TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC].contains(&kind) {
        return Err(Error::NotTmpfs(directory.to_path_buf()));
    }
    Ok(())
}

/// A new file that no process looks for: nameless, or with a temporary name.
fn unseen(directory: &Path, path: &Path, named: bool) -> Result<(File, Option<Temporary>), Error> {
    let failed = |e| Error::system(format!("creating a segment in {}", directory.display()), e);
    if !named {
        let c = c_path(directory)?;
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { libc::open(c.as_ptr(), libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC, 0o600) };
        if fd >= 0 {
            // SAFETY: a descriptor just opened, owned by nothing else.
            return Ok((unsafe { File::from_raw_fd(fd) }, None));
        }
        let e = last();
        if !matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT | libc::EINVAL)) {
            return Err(failed(e));
        }
    }
    // A name of its own, and not a longer one: file systems have a limit.
    let name = path.file_name().unwrap_or_default().as_bytes();
    let short = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
    let temporary = directory.join(format!(".{short}.{}.{:x}", std::process::id(), random()));
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(&temporary).map(|f| (f, Some(Temporary(Some(temporary))))).map_err(failed)
}

impl Unpublished {
    /// Gives the complete file its name.
    pub(crate) fn publish(self, path: &Path) -> Result<Published, Error> {
        let to = c_path(path)?;
        let Some(mut temporary) = self.temporary else {
            return match link(&self.backing.file, &to) {
                Ok(()) => Ok(Published::Done(self.backing)),
                Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(Published::Taken),
                // What is really wrong is found out under a temporary name.
                Err(_) => Ok(Published::NoWay),
            };
        };
        let from = c_path(temporary.0.as_deref().unwrap_or(path))?;
        match rename(&from, &to) {
            Ok(()) => {
                temporary.0 = None;
                Ok(Published::Done(self.backing))
            }
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(Published::Taken),
            Err(e) => Err(Error::system(format!("publishing {}", path.display()), e)),
        }
    }
}

/// Links a nameless file into place.
fn link(file: &File, to: &CString) -> io::Result<()> {
    let proc = ProcFd::new(file.as_raw_fd());
    let from = proc.path();
    // SAFETY: NUL-terminated paths.
    let by_proc =
        unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW) };
    if by_proc == 0 {
        return Ok(());
    }
    let e = last();
    if e.raw_os_error() == Some(libc::EEXIST) {
        return Err(e);
    }
    // Without /proc. Before Linux 6.10 only for processes that may read any file
    // (CAP_DAC_READ_SEARCH). SAFETY: an own descriptor, and NUL-terminated paths.
    let by_descriptor =
        unsafe { libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_EMPTY_PATH) };
    if by_descriptor == 0 {
        return Ok(());
    }
    Err(last())
}

/// Gives a file another name, unless that is taken.
fn rename(from: &CString, to: &CString) -> io::Result<()> {
    // By its number: Rust's copy of musl lacks this call, and glibc has had it only since 2.28.
    // SAFETY: NUL-terminated paths.
    let renamed = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::c_long::from(libc::AT_FDCWD),
            from.as_ptr(),
            libc::c_long::from(libc::AT_FDCWD),
            to.as_ptr(),
            libc::c_long::from(libc::RENAME_NOREPLACE),
        )
    };
    if renamed == 0 {
        return Ok(());
    }
    let e = last();
    if !matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EPERM)) {
        return Err(e);
    }
    // A file system, or a filter, without the call. For a moment the file has both names.
    // SAFETY: NUL-terminated paths.
    if unsafe { libc::link(from.as_ptr(), to.as_ptr()) } != 0 {
        return Err(last());
    }
    // SAFETY: a NUL-terminated path. If it stays, it is a name too many.
    unsafe { libc::unlink(from.as_ptr()) };
    Ok(())
}

pub(crate) fn anonymous(size: u64, first: u64) -> Result<LinuxBacking, Error> {
    let flags = libc::c_long::from(libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
    // By its number: glibc has had this call only since 2.27. SAFETY: a NUL-terminated name.
    let made = unsafe { libc::syscall(libc::SYS_memfd_create, c"shmetrics".as_ptr(), flags) };
    let fd = RawFd::try_from(made).unwrap_or(-1);
    if fd < 0 {
        return Err(Error::system("creating an anonymous segment", last()));
    }
    // SAFETY: a descriptor just made, with no other owner.
    let file = unsafe { File::from_raw_fd(fd) };
    resize(&file, size)?;
    // No process can truncate the file below a reader, so no reader gets a SIGBUS.
    // SAFETY: an own descriptor.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL) } != 0 {
        return Err(Error::system("sealing the anonymous segment", last()));
    }
    hold(&file);
    let file = Descriptor::new(file, Path::new("memfd"))?;
    let backing = LinuxBacking::map(file, size, true, None)?;
    if backing.reserve(0, first) {
        Ok(backing)
    } else {
        Err(Error::no_space("creating an anonymous segment"))
    }
}

fn resize(file: &File, size: u64) -> Result<(), Error> {
    if !fits_file_limit(size) {
        return Err(Error::NoSpace(format!(
            "the file size limit (`ulimit -f`) is below the segment's maximum size of {size} bytes; raise it or set a smaller maximum size"
        )));
    }
    file.set_len(size).map_err(|e| Error::system("sizing the segment", e))
}
