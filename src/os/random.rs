//! Random numbers, and hash tables that are seeded by them.
//!
//! std's random numbers, and so its hash tables, panic where the system gives none: under a filter
//! that denies `getrandom`, in a root without `/dev/urandom`.

use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::clock::{boot_ns, now_ns};

/// std's, made by `default()`.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, Seeded>;
/// std's, made by `default()`.
pub(crate) type HashSet<T> = std::collections::HashSet<T, Seeded>;

/// Hashes with a seed of its own, so that no key is chosen to collide.
#[derive(Clone)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Seeded(random())
    }
}

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;
    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// A random number, for seeds and temporary names.
pub(crate) fn random() -> u64 {
    by_system().unwrap_or_else(made)
}

#[cfg(target_os = "linux")]
fn by_system() -> Option<u64> {
    const GRND_NONBLOCK: libc::c_uint = 1;
    let mut number = 0u64;
    // By its number: glibc has had this call only since 2.25. It does not wait for the system to
    // gather randomness after a boot. SAFETY: a local of this size.
    let got = unsafe { libc::syscall(libc::SYS_getrandom, &raw mut number, size_of::<u64>(), GRND_NONBLOCK) };
    (got == size_of::<u64>() as libc::c_long).then_some(number)
}

#[cfg(not(target_os = "linux"))]
fn by_system() -> Option<u64> {
    Some(std::hash::RandomState::new().build_hasher().finish())
}

/// A number of what differs between programs, processes and calls.
fn made() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut hasher = DefaultHasher::new();
    given().iter().for_each(|word| hasher.write_u64(*word));
    // Relaxed: a number of its own.
    for part in [CALLS.fetch_add(1, Relaxed), super::identity::pid().into(), boot_ns(), now_ns()] {
        hasher.write_u64(part);
    }
    hasher.finish()
}

/// The random bytes that the kernel gives each program when it starts it.
#[cfg(target_os = "linux")]
fn given() -> [u64; 2] {
    // SAFETY: a plain call, which reads what the kernel gave the process.
    let at = unsafe { libc::getauxval(libc::AT_RANDOM) };
    let bytes: *const [u64; 2] = std::ptr::with_exposed_provenance(at as usize);
    if bytes.is_null() {
        return [0, 0];
    }
    // SAFETY: 16 bytes, which stay for the life of the process.
    unsafe { bytes.read_unaligned() }
}

#[cfg(not(target_os = "linux"))]
fn given() -> [u64; 2] {
    [0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_from_each_other_whoever_gives_them() {
        for numbers in [random, made] {
            let all: HashSet<u64> = (0..1000).map(|_| numbers()).collect();
            assert_eq!(all.len(), 1000);
            let ones: u32 = all.iter().map(|number| number.count_ones()).sum();
            assert!((31_000..33_000).contains(&ones), "{ones} of 64,000 bits are set");
        }
    }
}
