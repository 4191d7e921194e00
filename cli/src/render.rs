//! `shmetrics render`: one page on standard output.

use std::io::{self, Write};

use shmetrics::{Format, Reader};

use crate::failure::{Failure, Outcome};

pub(crate) fn run(name: &str) -> Outcome {
    let reader = Reader::open(name)?;
    stream(&reader, &mut io::stdout().lock()).map_err(Failure::Output)
}

/// Writes the page piece by piece: a large one never stands in memory as a whole.
fn stream(reader: &Reader, out: &mut impl Write) -> io::Result<()> {
    let mut cursor = reader.cursor(Format::Text);
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
