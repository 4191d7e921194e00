//! Names and passwords, checked against bcrypt hashes.

use std::collections::HashMap;

use base64::prelude::{Engine, BASE64_STANDARD};
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

/// The cost of the dummy hash if there are no users. Then the time of an answer tells nothing.
const COST: u32 = 10;

/// The users that may log in.
#[derive(Default)]
pub(super) struct Users {
    hashes: HashMap<String, String>,
    /// The hash that the password of an unknown user is compared with. It belongs to no password
    /// and has the highest cost of all, so the time of the answer does not tell which names exist.
    dummy: String,
}

impl Users {
    pub(super) fn new(hashes: HashMap<String, String>) -> Self {
        let cost = |hash: &String| Some(hash.parse::<bcrypt::HashParts>().ok()?.get_cost());
        let cost = hashes.values().filter_map(cost).max().unwrap_or(COST);
        Users { dummy: dummy(cost), hashes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this password was accepted before.
    pub(super) fn knows(&self, remembered: &Remembered, name: &str, password: &[u8]) -> bool {
        self.hashes.get(name).is_some_and(|hash| remembered.has(name, hash, password))
    }

    /// Whether the password is right. This takes a while.
    pub(super) fn verify(&self, remembered: &Remembered, name: &str, password: &[u8]) -> bool {
        let hash = self.hashes.get(name);
        let is_right = bcrypt::verify(password, hash.unwrap_or(&self.dummy)).unwrap_or(false);
        match hash {
            Some(hash) if is_right => {
                remembered.keep(name, hash, password);
                true
            }
            _ => false,
        }
    }
}

/// A hash of this cost that belongs to no password.
fn dummy(cost: u32) -> String {
    const LETTERS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = [0; 51];
    // Without random bytes, the hash still belongs to no known password.
    let _ = SystemRandom::new().fill(&mut random);
    let letters: String = random.iter().map(|b| LETTERS[usize::from(b & 63)] as char).collect();
    // The last letters of the salt and of the hash hold fewer bits.
    let (salt, hash) = letters.split_at(21);
    format!("$2y${cost:02}${salt}.{hash}.")
}

/// The last accepted password of each name: bcrypt takes a tenth of a second, and scrapers come
/// every few seconds. A digest under a key of this process is stored instead of the password. It is
/// valid for the hash that the password was compared with.
pub(super) struct Remembered {
    key: hmac::Key,
    tags: Mutex<HashMap<String, hmac::Tag>>,
}

impl Remembered {
    pub(super) fn new() -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Remembered { key: key.map_err(|_| "the system has no random numbers")?, tags: Mutex::default() })
    }

    fn tag(&self, hash: &str, password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // A hash contains no NUL.
        for part in [hash.as_bytes(), b"\0", password] {
            context.update(part);
        }
        context.sign()
    }

    fn has(&self, name: &str, hash: &str, password: &[u8]) -> bool {
        let asked = self.tag(hash, password);
        let tags = self.tags.lock();
        tags.get(name).is_some_and(|known| known.as_ref().ct_eq(asked.as_ref()).into())
    }

    fn keep(&self, name: &str, hash: &str, password: &[u8]) {
        let tag = self.tag(hash, password);
        self.tags.lock().insert(name.to_owned(), tag);
    }

    /// Forgets users that were removed.
    pub(super) fn retain(&self, users: &Users) {
        let mut tags = self.tags.lock();
        tags.retain(|name, _| users.hashes.contains_key(name));
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
        let seen = Remembered::new().unwrap();
        assert!(!users.knows(&seen, "ann", b"s3cret:x"));
        let is_right = |name, password: &[u8]| users.verify(&seen, name, password);
        assert!(!is_right("ann", b"s3cret") && !is_right("bob", b"s3cret:x") && !is_right("", b""));
        assert!(is_right("ann", b"s3cret:x") && users.knows(&seen, "ann", b"s3cret:x"));
        assert!(!users.knows(&seen, "ann", b"s3cret") && !users.knows(&seen, "bob", b"s3cret:x"));
        // A right password is known over a reload, as long as its hash is the same.
        let again = Users::new(users.hashes.clone());
        assert!(again.knows(&seen, "ann", b"s3cret:x"));
        let changed = Users::new([("ann".to_owned(), bcrypt::hash("s3cret:x", 4).unwrap())].into());
        assert!(!changed.knows(&seen, "ann", b"s3cret:x"));
        seen.retain(&Users::default());
        assert!(!again.knows(&seen, "ann", b"s3cret:x"));
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_the_dearest_known_one() {
        let hashes = [("a".to_owned(), bcrypt::hash("x", 4).unwrap()), ("b".to_owned(), bcrypt::hash("x", 6).unwrap())];
        let users = Users::new(hashes.into());
        assert_eq!(users.dummy.parse::<bcrypt::HashParts>().unwrap().get_cost(), 6);
        // An error would be an answer at once.
        assert!(!bcrypt::verify(b"x", &users.dummy).unwrap());
        assert_ne!(users.dummy, Users::new(users.hashes.clone()).dummy);
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

    #[test]
    fn any_header_is_a_name_and_a_password_or_nothing() {
        let right = format!("Basic {}", BASE64_STANDARD.encode("ann:s3cret"));
        crate::common::variants::each(&[right.as_bytes(), b"Basic Og==", b"Bearer x"], 3000, |header| {
            let Ok(header) = std::str::from_utf8(header) else { return };
            if let Some((name, password)) = credentials(header) {
                let pair = [name.as_bytes(), b":", &password].concat();
                assert_eq!(BASE64_STANDARD.decode(header.split_once(' ').unwrap().1.trim()).unwrap(), pair);
            }
        });
    }
}
