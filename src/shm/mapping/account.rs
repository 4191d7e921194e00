//! Users and groups, by number or by name.

use crate::Error;

/// A user or a group: a number, or a name that the system knows.
///
/// A name is looked up while a segment is opened, through the C library (`getpwnam_r`,
/// `getgrnam_r`), which may read files or ask a directory service. Text of digits alone is a
/// number, and needs no look-up.
///
/// ```
/// let account: shmetrics::Account = "www-data".into();
/// assert_ne!(account, shmetrics::Account::from(33));
/// assert_eq!(shmetrics::Account::from("33"), shmetrics::Account::from(33));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account(Which);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Which {
    Id(u32),
    Name(String),
}

impl From<u32> for Account {
    fn from(id: u32) -> Self {
        Account(Which::Id(id))
    }
}

impl From<&str> for Account {
    fn from(text: &str) -> Self {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(id) if digits => Account(Which::Id(id)),
            _ => Account(Which::Name(text.to_owned())),
        }
    }
}

impl From<String> for Account {
    fn from(text: String) -> Self {
        Account::from(text.as_str())
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Which::Id(id) => write!(f, "{id}"),
            Which::Name(name) => write!(f, "{}", crate::error::shortened(name)),
        }
    }
}

/// An account and where it was given, for messages: `SHMETRICS_GROUP=shop`, or `the option
/// owner=shop`.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) account: Account,
    pub(crate) from: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AccountKind {
    User,
    Group,
}

impl Given {
    pub(crate) fn new(account: Account, from: &'static str) -> Self {
        Given { account, from }
    }

    /// The user's number.
    pub(crate) fn user(&self) -> Result<u32, Error> {
        self.id(AccountKind::User)
    }

    /// The group's number.
    pub(crate) fn group(&self) -> Result<u32, Error> {
        self.id(AccountKind::Group)
    }

    fn id(&self, kind: AccountKind) -> Result<u32, Error> {
        let what = if kind == AccountKind::User { "user" } else { "group" };
        let name = match &self.account.0 {
            // The calls take this number for "leave it as it is".
            Which::Id(u32::MAX) => return Err(self.bad(&format!("{} is no {what}'s number", u32::MAX))),
            Which::Id(id) => return Ok(*id),
            Which::Name(name) => name,
        };
        if name.is_empty() {
            return Err(self.bad(&format!("it is empty; give a {what}'s name or number, or do not set it")));
        }
        if name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.bad(&format!("the number is too large for a {what}'s")));
        }
        match look_up(kind, name) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(self.bad(&format!("there is no {what} of this name; give one that exists, or a number"))),
            Err(e) => Err(self.bad(&format!("looking up the {what} failed ({e}); give its number"))),
        }
    }

    fn bad(&self, reason: &str) -> Error {
        Error::InvalidArgument(format!("{self}: {reason}"))
    }
}

impl std::fmt::Display for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.from, self.account)
    }
}

#[cfg(unix)]
fn look_up(kind: AccountKind, name: &str) -> std::io::Result<Option<u32>> {
    /// More than any sensible entry takes.
    const MOST: usize = 1 << 20;
    /// No system has longer names, and not every directory service takes any length.
    const LONGEST: usize = 255;
    let Ok(name) = std::ffi::CString::new(name) else { return Ok(None) };
    if name.as_bytes().len() > LONGEST {
        return Ok(None);
    }
    let mut buffer = vec![0; 4096];
    loop {
        let (status, id) = match kind {
            AccountKind::User => {
                // SAFETY: an all-zero passwd is a valid value to be filled in.
                let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
                let mut found = std::ptr::null_mut();
                // SAFETY: a NUL-terminated name, locals, and a buffer as long as it says.
                let status = unsafe {
                    libc::getpwnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
                };
                (status, (!found.is_null()).then_some(entry.pw_uid))
            }
            AccountKind::Group => {
                // SAFETY: an all-zero group is a valid value to be filled in.
                let mut entry: libc::group = unsafe { std::mem::zeroed() };
                let mut found = std::ptr::null_mut();
                // SAFETY: as above.
                let status = unsafe {
                    libc::getgrnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
                };
                (status, (!found.is_null()).then_some(entry.gr_gid))
            }
        };
        match status {
            // A name may be told to be missing by any of these (getpwnam(3)).
            0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(id),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < MOST => buffer.resize(buffer.len() * 4, 0),
            status => return Err(std::io::Error::from_raw_os_error(status)),
        }
    }
}

#[cfg(not(unix))]
fn look_up(_: AccountKind, _: &str) -> std::io::Result<Option<u32>> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given {
        Given::new(text.into(), "SHMETRICS_GROUP")
    }

    #[test]
    fn names_and_numbers_are_understood() {
        assert_eq!(given("root").user().unwrap(), 0);
        assert_eq!(given("root").group().unwrap(), 0);
        assert_eq!(given("0033").group().unwrap(), 33);
        assert_eq!(given("4294967294").user().unwrap(), 4_294_967_294);
    }

    #[test]
    fn what_is_no_account_is_an_error_that_says_where_it_was_given() {
        for (bad, reason) in [
            ("", "it is empty"),
            ("no such group", "there is no group of this name"),
            ("-1", "there is no group of this name"),
            ("4294967295", "is no group's number"),
            ("4294967296", "the number is too large"),
            ("a\0b", "there is no group of this name"),
        ] {
            let error = given(bad).group().unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
            assert!(error.to_string().starts_with("SHMETRICS_GROUP="), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        let long = given(&"x".repeat(1 << 20)).group().unwrap_err().to_string();
        assert!(long.len() < 300 && long.contains("there is no group of this name"), "{long}");
    }
}
