//! Names and passwords, against bcrypt hashes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::prelude::{Engine, BASE64_STANDARD};
use subtle::ConstantTimeEq;

/// What an unknown name's password is compared with, so that its answer takes as long as that of a known one.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// Who may ask.
#[derive(Default)]
pub(super) struct Users {
    hashes: HashMap<String, String>,
    /// The last right password of each: a hash takes a tenth of a second, and scrapers come every few.
    right: Mutex<HashMap<String, Vec<u8>>>,
}

impl Users {
    pub(super) fn new(hashes: HashMap<String, String>) -> Self {
        Users { hashes, right: Mutex::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this password was right before.
    pub(super) fn knows(&self, name: &str, password: &[u8]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(name).is_some_and(|known| known.ct_eq(password).into())
    }

    /// Whether it is right. Takes a while.
    pub(super) fn verify(&self, name: &str, password: &[u8]) -> bool {
        let hash = self.hashes.get(name);
        let right = bcrypt::verify(password, hash.map_or(NOBODY, String::as_str)).unwrap_or(false) && hash.is_some();
        if right {
            let mut known = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(name.to_owned(), password.to_vec());
        }
        right
    }
}

/// Name and password of an `Authorization` header.
pub(super) fn credentials(header: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = bytes.iter().position(|b| *b == b':')?;
    Some((String::from_utf8(bytes[..colon].to_vec()).ok()?, bytes[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords() {
        let hash = bcrypt::hash("s3cret:x", 4).unwrap();
        let users = Users::new([("ann".to_owned(), hash)].into());
        assert!(!users.knows("ann", b"s3cret:x"));
        assert!(!users.verify("ann", b"s3cret") && !users.verify("bob", b"s3cret:x") && !users.verify("", b""));
        assert!(users.verify("ann", b"s3cret:x") && users.knows("ann", b"s3cret:x"));
        assert!(!users.knows("ann", b"s3cret") && !users.knows("bob", b"s3cret:x"));
        assert!(NOBODY.parse::<bcrypt::HashParts>().is_ok());
    }

    #[test]
    fn headers() {
        let of = |text: &str| credentials(&format!("Basic {}", BASE64_STANDARD.encode(text)));
        assert_eq!(of("ann:a:b"), Some(("ann".to_owned(), b"a:b".to_vec())));
        assert_eq!(of("ann:"), Some(("ann".to_owned(), Vec::new())));
        assert_eq!(of("ann"), None);
        for bad in ["", "Basic", "Basic ???", "Bearer YTpi", "basic"] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
        assert_eq!(credentials("bAsIc YTpi"), Some(("a".to_owned(), b"b".to_vec())));
    }
}
