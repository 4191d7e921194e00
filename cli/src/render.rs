//! `shmetrics render`: one page on standard output.

use std::io::{self, IsTerminal, Write};

use shmetrics::{Cursor, Reader};

use crate::args::RenderArgs;
use crate::failure::{Failure, Outcome};
use crate::show::clean_lines;

pub(crate) fn run(args: &RenderArgs) -> Outcome {
    let reader = Reader::open(&args.segment.name())?;
    let cursor = reader.cursor(args.exposition()).only(args.names.iter().cloned());
    let mut out = io::stdout().lock();
    let is_terminal = out.is_terminal();
    stream(cursor, &mut out, is_terminal).map_err(Failure::Output)
}

/// Writes the page piece by piece: a large one never stands in memory as a whole. A terminal gets
/// no character that drives it.
fn stream(mut cursor: Cursor<'_>, out: &mut impl Write, is_terminal: bool) -> io::Result<()> {
    let mut piece = Vec::with_capacity(64 << 10);
    loop {
        let more = cursor.fill(&mut piece);
        if is_terminal {
            out.write_all(clean_lines(&String::from_utf8_lossy(&piece)).as_bytes())?;
        } else {
            out.write_all(&piece)?;
        }
        piece.clear();
        if !more {
            return out.flush();
        }
    }
}
