//! A worker's own account of its work, kept where its death cannot touch it: in a pipe.
//!
//! Before anything is counted for a request, one byte with its kind goes down the pipe; after the
//! last metric call has returned, the same byte with the top bit set follows. What the kernel took
//! is not lost by a SIGKILL.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use super::traffic::KINDS;

const FINISHED: u8 = 0x80;

#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(super) struct Tally {
    pub(super) begun: [u64; KINDS],
    pub(super) finished: [u64; KINDS],
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        for kind in 0..KINDS {
            self.begun[kind] += other.begun[kind];
            self.finished[kind] += other.finished[kind];
        }
    }

    pub(super) fn begun_total(&self) -> u64 {
        self.begun.iter().sum()
    }

    pub(super) fn finished_total(&self) -> u64 {
        self.finished.iter().sum()
    }

    /// Begun and never finished.
    pub(super) fn cut_short(&self) -> u64 {
        self.begun_total().saturating_sub(self.finished_total())
    }
}

pub(super) struct Ledger<W>(pub(super) W);

impl<W: Write> Ledger<W> {
    pub(super) fn begin(&mut self, kind: usize) -> io::Result<()> {
        self.0.write_all(&[kind as u8])
    }

    pub(super) fn finish(&mut self, kind: usize) -> io::Result<()> {
        self.0.write_all(&[kind as u8 | FINISHED])
    }
}

/// Follows a ledger to its end, which is the end of the worker.
pub(super) fn follow(mut ledger: impl Read, tally: &Mutex<Tally>) -> io::Result<()> {
    let mut entries = [0; 4096];
    loop {
        let n = match ledger.read(&mut entries) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        for &entry in &entries[..n] {
            let kinds = if entry & FINISHED == 0 { &mut tally.begun } else { &mut tally.finished };
            match kinds.get_mut(usize::from(entry & !FINISHED)) {
                Some(count) => *count += 1,
                None => return Err(io::Error::new(io::ErrorKind::InvalidData, "not an entry of a ledger")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{follow, Ledger, Mutex, Tally};

    #[test]
    fn what_is_written_is_read() {
        let mut ledger = Ledger(Vec::new());
        for kind in [0, 4, 4] {
            ledger.begin(kind).expect("a vector takes it");
            ledger.finish(kind).expect("a vector takes it");
        }
        ledger.begin(2).expect("a vector takes it");
        let tally = Mutex::new(Tally::default());
        follow(ledger.0.as_slice(), &tally).expect("a good ledger");
        let expected = Tally { begun: [1, 0, 1, 0, 2], finished: [1, 0, 0, 0, 2] };
        assert_eq!(tally.into_inner().expect("nobody panicked"), expected);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        follow(&b"\x00hello"[..], &Mutex::default()).expect_err("letters are no entries");
    }
}
