//! `shmetrics render`: one page on standard output.

use std::io::{self, Write};

use shmetrics::{Cursor, Reader};

use crate::args::RenderArgs;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(args: &RenderArgs) -> Outcome {
    let reader = Reader::open(&args.segment.name())?;
    let cursor = reader.cursor(args.exposition()).only(args.names.iter().cloned());
    stream(cursor, &mut io::stdout().lock()).map_err(Failure::Output)
}

/// Writes the page piece by piece: a large one never stands in memory as a whole.
fn stream(mut cursor: Cursor<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut piece = Vec::with_capacity(64 << 10);
    loop {
        let more = cursor.fill(&mut piece);
        out.write_all(&piece)?;
        piece.clear();
        if !more {
            return out.flush();
        }
    }
}
