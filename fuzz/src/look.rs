//! Reading a segment that may be damaged: what must be true of every page whatever the bytes are.

use shmetrics::{Error, Format, Reader};

use crate::input::Input;

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

/// Damage may blow a page up: a segment's size times the most lines of a series bounds it, which is more than anyone waits
/// for here.
const LONG: usize = 256 << 10;

/// The sample that differs from page to page, and that all else stands before.
const LAST: &[u8] = b"# HELP shmetrics_render_seconds ";

/// What a page without damage says, not far from its end.
const SOUND: &[u8] = b"\nshmetrics_corrupt_records 0\n";

/// Opens the file, renders it in one piece and in many, and inspects it.
pub(crate) fn read(path: &str, input: &mut Input<'_>) -> Outcome {
    let reader = match Reader::open(path) {
        Ok(reader) => reader,
        Err(Error::NotASegment { .. } | Error::WrongVersion { .. } | Error::Unsupported(_)) => return Outcome::Refused,
        Err(e) => panic!("{e:?}: not for what is in the file"),
    };
    let granules = std::fs::metadata(path).expect("the file is there").len() as usize / 16;
    let inspection = reader.inspect();
    assert!(inspection.families.len() <= granules && inspection.processes.len() <= 1 << 15);
    let Some(pieces) = in_pieces(&reader, input) else { return Outcome::Long };
    let whole = reader.render(Format::Text);
    let (whole, pieces) = (before_the_time(&whole), before_the_time(&pieces));
    assert!(whole == pieces, "the page is another in pieces: {} and {} bytes", whole.len(), pieces.len());
    Outcome::Read {
        families: inspection.families.len(),
        damaged: !has(&whole[whole.len().saturating_sub(4096)..], SOUND),
    }
}

/// The page through a cursor, with buffers of a size that the input chooses. `None`: it is too long.
fn in_pieces(reader: &Reader, input: &mut Input<'_>) -> Option<Vec<u8>> {
    let mut cursor = reader.cursor(Format::Text);
    let mut page = Vec::new();
    match input.pick(&[4096, 0, 100, 17, 1000, 40_000, 1]) {
        0 => while page.len() <= LONG && cursor.fill(&mut page) {},
        piece => {
            let mut buffer = vec![0xff; piece];
            while page.len() <= LONG {
                // Small pieces of a large page say nothing new, and take long.
                if page.len() > piece << 12 {
                    buffer.resize(4096, 0xff);
                }
                let n = cursor.read(&mut buffer);
                assert!(n == buffer.len() || n == 0 || ends(&buffer[..n]), "a short piece that is not the last");
                page.extend_from_slice(&buffer[..n]);
                if n == 0 {
                    break;
                }
            }
        }
    }
    (page.len() <= LONG).then_some(page)
}

fn ends(piece: &[u8]) -> bool {
    piece.ends_with(b"\n")
}

fn has(page: &[u8], what: &[u8]) -> bool {
    page.windows(what.len()).any(|w| w == what)
}

/// The page up to the one number that changes; asserts that it is complete.
fn before_the_time(page: &[u8]) -> &[u8] {
    let at = page.windows(LAST.len()).rposition(|w| w == LAST).expect("a page ends with the library's own families");
    let lines: Vec<&[u8]> = page[at..].split(|b| *b == b'\n').collect();
    assert_eq!(lines.len(), 4, "HELP, TYPE and a sample end a page");
    &page[..at]
}
