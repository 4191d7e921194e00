//! Who may use a segment: its mode, owner and group, and the users who are trusted.

use super::account::Given;
use crate::Error;

/// The mode of a new segment, unless it is chosen.
pub(crate) const DEFAULT_MODE: u32 = 0o600;

/// Who may use a new segment, and whose segments may be used, as asked for. Names are not looked up
/// yet: what is not needed may well not be there, as in a changed root.
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
