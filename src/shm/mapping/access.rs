//! Access to a segment: its mode, owner and group, and the users that are trusted.

use super::account::Given;
use crate::Error;

/// The mode of a new segment, unless it is chosen.
pub(crate) const DEFAULT_MODE: u32 = 0o600;

/// The access that the options ask for: to a new segment, and to segments of other users. Names are
/// not looked up yet: a name that is not needed may be missing, as in a changed root.
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) owner: Option<Given>,
    pub(crate) group: Option<Given>,
    pub(crate) trusted: Vec<Given>,
}

impl Access {
    /// For this process' user alone.
    pub(crate) fn of_this_process() -> Self {
        Access { mode: DEFAULT_MODE, owner: None, group: None, trusted: Vec::new() }
    }

    /// Whether a segment of this user may be used for counting: see
    /// [`Options::trust_owner`](crate::Options::trust_owner).
    pub(crate) fn is_trusted(&self, user: u32) -> Result<bool, Error> {
        for given in self.owner.iter().chain(&self.trusted) {
            if given.user()? == user {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
