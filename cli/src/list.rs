//! `shmetrics list`: the segments of the directory, the broken ones with what is wrong with them.

use std::io::{self, Write};

use shmetrics::{Error, Inspection, Reader};

use crate::census;
use crate::failure::{note, Failure, Outcome};
use crate::show::{bytes, count};
use crate::table::{Align, Table};

pub(crate) fn run() -> Outcome {
    let mut segments = Vec::new();
    for listing in shmetrics::list()? {
        match Reader::open(&listing.path.to_string_lossy()) {
            Ok(reader) => segments.push((listing.name, Ok(reader.inspect()))),
            // Removed since the directory was read.
            Err(Error::NotFound(_)) => {}
            Err(e) => segments.push((listing.name, Err(e))),
        }
    }
    if segments.is_empty() {
        note("there are no segments here; an application creates one, and `shmetrics demo` shows how it looks");
        return Ok(());
    }
    segments.sort_by(|(a, _), (b, _)| a.cmp(b));
    write!(io::stdout().lock(), "{}", table(&segments)).map_err(Failure::Output)
}

fn table(segments: &[(String, Result<Inspection, Error>)]) -> Table {
    let problems = segments.iter().any(|(_, found)| found.is_err());
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("SERIES", Align::Right),
        ("PROCESSES", Align::Right),
        (if problems { "PROBLEM" } else { "" }, Align::Left),
    ]);
    for (name, found) in segments {
        let [size, series, processes, problem] = match found {
            Ok(i) => [bytes(i.resident), count(census::series(i)), count(census::alive(i)), String::new()],
            Err(e) => ["-".into(), "-".into(), "-".into(), e.to_string()],
        };
        table.row(&[name.clone(), size, series, processes, problem]);
    }
    table
}
