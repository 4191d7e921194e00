//! The users whose segments are read without being named. In a directory that all users can write
//! to, any user can create files with the names of segments.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{getrlimit, setrlimit, Resource};
use shmetrics::Error;

/// The users whose segments are read.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    /// In the order of precedence: the user of this process, root, the named users.
    users: Vec<u32>,
    any: bool,
}

impl Default for Owners {
    fn default() -> Self {
        Owners { users: vec![rustix::process::geteuid().as_raw(), 0], any: false }
    }
}

impl Owners {
    /// Adds users as the command line names them: by number, by name, or `any` for all.
    pub(crate) fn with(named: &[String]) -> Result<Self, Error> {
        let mut owners = Self::default();
        for name in named {
            match name.parse() {
                _ if name == "any" => owners.any = true,
                Ok(user) => owners.users.push(user),
                Err(_) => owners.users.push(user_called(name)?),
            }
        }
        Ok(owners)
    }

    /// The position of a user in the order of precedence; `None` if the user's segments are not
    /// read.
    pub(crate) fn rank(&self, user: u32) -> Option<usize> {
        let known = self.users.iter().position(|known| *known == user);
        known.or_else(|| self.any.then_some(self.users.len()))
    }

    /// The position of a file's owner. `Err`: the owner, whose segments are not read. `None`: the
    /// file does not exist.
    pub(crate) fn rank_of(&self, path: &Path) -> Option<Result<usize, u32>> {
        let user = fs::symlink_metadata(path).ok()?.uid();
        Some(self.rank(user).ok_or(user))
    }
}

/// Raises the limit of open files to the maximum, because each open segment needs a descriptor.
/// Returns the limit.
pub(crate) fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        // With the old limit, fewer segments are read, and each missing one is reported.
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit.current = before;
        }
    }
    limit.current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The name of a user or a group in `/etc/passwd` or `/etc/group`; the number if it has none.
pub(crate) fn name_in(file: &str, id: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let is_it = |line: &&str| line.split(':').nth(2) == Some(&id.to_string());
    let line = text.lines().find(is_it).and_then(|line| line.split(':').next());
    line.map_or_else(|| id.to_string(), str::to_owned)
}

/// Why a file of another user is not read.
pub(crate) fn not_read(user: u32) -> String {
    let name = name_in("/etc/passwd", user);
    format!("it belongs to the user {name} and is not read; --owner {name} takes it")
}

fn user_called(name: &str) -> Result<u32, Error> {
    let unknown =
        || Error::InvalidArgument(format!("--owner {name}: there is no such user in /etc/passwd; give a number"));
    let passwd = fs::read_to_string("/etc/passwd").map_err(|_| unknown())?;
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let found = lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?);
    found.ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_root_come_first_and_others_only_if_named() {
        let own = rustix::process::geteuid().as_raw();
        let named = |names: &[&str]| Owners::with(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let usual = Owners::default();
        assert_eq!((usual.rank(own), usual.rank(4711)), (Some(0), None));
        assert!(usual.rank(0).is_some());
        assert_eq!(named(&["4711"]).unwrap().rank(4711), Some(2));
        assert_eq!(named(&["any"]).unwrap().rank(4711), Some(2));
        assert_eq!(named(&["root"]).unwrap().rank(4711), None);
        let error = named(&["no such user"]).unwrap_err().to_string();
        assert!(error.contains("--owner no such user"), "{error}");
        assert!(not_read(0).contains("user root"));
    }
}
