//! Reading a segment that may be damaged: what must be true of every page whatever the bytes are.

use std::io::Read;

use shmetrics::{Cursor, Error, Exposition, Format, Reader};

use crate::file::Mapped;
use crate::input::Input;
use crate::page::check_end;

/// What came of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused,
    /// A page so long that it was not read to its end.
    Long,
    Read {
        families: usize,
        damaged: bool,
    },
}

/// Damage may blow a page up: a segment's size times the most lines of a series bounds it, which is
/// more than anyone waits for here.
const LONG: usize = 64 << 10;

/// The sample that differs from page to page, and that all else stands before.
const LAST: &[u8] = b"# HELP shmetrics_render_seconds ";

/// What a page without damage says, so many lines before its end: there is the time after it.
const SOUND: (usize, &[u8]) = (3, b"shmetrics_corrupt_records 0");

/// How thoroughly to look. What takes long is done for some inputs only: which, hangs on the input
/// alone.
pub(crate) struct Look(u64);

impl Look {
    pub(crate) fn new(input: &[u8]) -> Self {
        let (head, tail) = (&input[..input.len().min(24)], &input[input.len().saturating_sub(24)..]);
        let fold = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = head.iter().chain(tail).fold(input.len() as u64 ^ 0xcbf2_9ce4_8422_2325, fold);
        Look(hash ^ hash >> 32)
    }

    /// True for one of so many inputs: a power of two.
    fn one_in(&self, n: u64) -> bool {
        self.0 & (n - 1) == 0
    }

    /// As a file, as other processes have it, or as memory of this process. Without the engine,
    /// always as a file.
    fn at_file(&self) -> bool {
        cfg!(not(fuzzing)) || self.one_in(4096)
    }

    /// Reads the first `len` bytes of the mapping: renders them, in pieces or as a whole, inspects
    /// and checks them. `sound`: nothing may be found wrong.
    pub(crate) fn read(&self, mapped: &Mapped, len: usize, input: &mut Input<'_>, sound: bool) -> Outcome {
        let reader = match self.open(mapped, len) {
            Ok(reader) => reader,
            Err(Error::NotASegment { .. } | Error::WrongVersion { .. } | Error::Unsupported(_)) => {
                return Outcome::Refused
            }
            Err(e) => panic!("{e:?}: not for what is in the file"),
        };
        let inspection = reader.inspect();
        assert!(inspection.families.len() <= len / 16 && inspection.processes.len() <= 1 << 15);
        let page = in_pieces(reader.page(Format::Text).cursor(), input);
        // It pauses when something is wrong, but with the engine (`quick`).
        if sound || self.one_in(if cfg!(fuzzing) { 64 } else { 128 }) {
            let findings = reader.verify();
            assert!(!sound || findings.is_empty(), "{findings:?}");
        }
        let Some(page) = page else { return Outcome::Long };
        let (before, damaged) = ends_well(&page);
        if sound || self.one_in(16) {
            let whole = reader.render(Format::Text);
            let (whole, _) = ends_well(&whole);
            assert!(whole == before, "the page is another in pieces: {} and {} bytes", whole.len(), before.len());
        }
        if sound || self.one_in(4) {
            other_formats(&reader);
        }
        Outcome::Read { families: inspection.families.len(), damaged }
    }

    fn open(&self, mapped: &Mapped, len: usize) -> Result<Reader, Error> {
        #[cfg(fuzzing)]
        if !self.at_file() {
            // SAFETY: whole pages, mapped until the process' end.
            return unsafe { Reader::over(mapped.base(), len as u64) };
        }
        debug_assert!(self.at_file());
        mapped.file.set_len(len as u64).expect("the file takes its length");
        Reader::open(&mapped.path)
    }

    /// Gives the file its length back; what was cut off is 0 now.
    pub(crate) fn done(&self, mapped: &Mapped, len: usize) {
        if self.at_file() {
            mapped.file.set_len(len as u64).expect("the file can be as long as it was");
        }
    }
}

/// The other formats read the same, but write it by other means.
fn other_formats(reader: &Reader) {
    for (number, format) in [(2, Format::OpenMetrics), (3, Format::OpenMetrics2), (4, Format::Protobuf)] {
        check_end(number, &reader.render(Exposition::new(format).with_created(true)));
    }
}

/// The page through a cursor, with buffers of a size that the input chooses. `None`: it is too
/// long.
fn in_pieces(mut cursor: Cursor<'_>, input: &mut Input<'_>) -> Option<Vec<u8>> {
    let mut page = Vec::with_capacity(8 << 10);
    match input.pick(&[0, 40_000, 0, 1000, 0, 0, 100, 0, 17, 0, 0, 1, 0, 0, 0, 0]) {
        0 => while page.len() <= LONG && cursor.fill(&mut page) {},
        piece => {
            let mut buffer = vec![0xff; piece];
            while page.len() <= LONG {
                // Small pieces of a large page say nothing new, and take long.
                if page.len() > piece << 9 {
                    buffer.resize(4096, 0xff);
                }
                let n = cursor.read(&mut buffer).expect("a cursor never fails");
                assert!(n == buffer.len() || n == 0 || buffer[..n].ends_with(b"\n"), "a short piece is not the last");
                page.extend_from_slice(&buffer[..n]);
                if n == 0 {
                    break;
                }
            }
        }
    }
    (page.len() <= LONG).then_some(page)
}

/// The page up to the one number that changes, and whether the page tells of damage; asserts that
/// it is complete.
fn ends_well(page: &[u8]) -> (&[u8], bool) {
    let lines = page.strip_suffix(b"\n").expect("lines end").rsplit(|b| *b == b'\n');
    let (mut end, mut sound) = (page.len(), None);
    for (i, line) in lines.take(SOUND.0 + 1).enumerate() {
        if i <= 2 {
            end -= line.len() + 1;
        }
        assert!(i != 2 || line.starts_with(LAST), "HELP, TYPE and a sample end a page");
        if i == SOUND.0 {
            sound = Some(line == SOUND.1);
        }
    }
    (&page[..end], !sound.expect("a page ends with the library's own families"))
}
