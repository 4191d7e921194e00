//! Whose segments are read where a name was not given: in a directory that everybody may write to,
//! anybody may leave files that are named like segments.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{getrlimit, setrlimit, Resource};
use shmetrics::Error;

/// The users whose segments are taken.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    /// In the order of precedence: this process' own user, root, then those that were named.
    users: Vec<u32>,
    any: bool,
}

impl Default for Owners {
    fn default() -> Self {
        Owners { users: vec![rustix::process::geteuid().as_raw(), 0], any: false }
    }
}

impl Owners {
    /// With users as they are named on the command line: by number, by name, or `any` for all.
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

    /// Where the user stands in the order of precedence; `None` if nothing of that user's is taken.
    pub(crate) fn rank(&self, user: u32) -> Option<usize> {
        let known = self.users.iter().position(|known| *known == user);
        known.or_else(|| self.any.then_some(self.users.len()))
    }

    /// The same of a file; `Err`: the user that it belongs to, and whose it is not to be. A file
    /// that is gone is nobody's.
    pub(crate) fn rank_of(&self, path: &Path) -> Option<Result<usize, u32>> {
        let user = fs::symlink_metadata(path).ok()?.uid();
        Some(self.rank(user).ok_or(user))
    }
}

/// Each segment that is open takes a descriptor: so as many may be open as the system lets.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        // With the old one fewer are read, and that is said.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Why a file of another user is not read.
pub(crate) fn not_read(user: u32) -> String {
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|passwd| {
        let mut users = passwd.lines().map(|line| line.split(':'));
        users.find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1)? == user.to_string()).then(|| name.to_owned())
        })
    });
    let name = name.unwrap_or_else(|| user.to_string());
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
