//! `shmetrics list`: the segments of the directory. A damaged segment is listed with the reason.

use std::io::{self, Write};

use clap::Args;
use shmetrics::{Error, Inspection, LastUpdate, Reader};

use crate::common::failure::{Failure, Outcome};
use crate::common::format::{bytes, count};
use crate::common::json::{Json, Object};
use crate::common::log::{log, Level};
use crate::common::owners::{not_read, raise_descriptor_limit, Owners};
use crate::common::source::check_whole;
use crate::common::summary;
use crate::common::table::{Align, Table};

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Print a JSON list with an object for each segment
    #[arg(long)]
    pub(crate) json: bool,

    /// Also read the segments of this user: a name, a number, or any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,
}

/// A segment, or the reason why it cannot be read.
type Found = Result<(Inspection, Option<LastUpdate>), String>;

pub(crate) fn run(args: &ListArgs) -> Outcome {
    raise_descriptor_limit();
    let (mut opened, owners) = (Vec::new(), Owners::with(&args.owner)?);
    for listing in shmetrics::list()? {
        if let Some(Err(user)) = owners.rank_of(&listing.path) {
            opened.push((listing.name, Err(Error::Permission(not_read(user)))));
            continue;
        }
        match Reader::open(&listing.path.to_string_lossy()) {
            // The segment was removed after the directory was read.
            Err(Error::NotFound(_)) => {}
            found => opened.push((listing.name, found)),
        }
    }
    let readers: Vec<&Reader> = opened.iter().filter_map(|(_, found)| found.as_ref().ok()).collect();
    let mut updates = summary::last_updates(&readers).into_iter();
    let mut segments: Vec<(String, Found)> = Vec::new();
    for (name, found) in opened {
        let found = found.map_err(|e| e.to_string()).and_then(|reader| {
            let (update, inspection) = (updates.next().flatten(), reader.inspect());
            check_whole(&reader, &name).map_err(|e| e.to_string())?;
            Ok((inspection, update))
        });
        segments.push((name, found));
    }
    if args.json {
        segments.sort_by(|(a, _), (b, _)| a.cmp(b));
        return writeln!(io::stdout().lock(), "{}", json(&segments)).map_err(Failure::Output);
    }
    if segments.is_empty() {
        log(Level::Info, "there are no segments here; an application creates one when it starts");
        return Ok(());
    }
    segments.sort_by(|(a, _), (b, _)| a.cmp(b));
    write!(io::stdout().lock(), "{}", table(&segments)).map_err(Failure::Output)
}

fn json(segments: &[(String, Found)]) -> Json {
    Json::list(segments.iter().map(|(name, found)| match found {
        Ok((i, update)) => summary::json(i, *update),
        Err(e) => Object::default().field("name", name).field("problem", e),
    }))
}

fn table(segments: &[(String, Found)]) -> Table {
    let problems = segments.iter().any(|(_, found)| found.is_err());
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("SIZE", Align::Right),
        ("SERIES", Align::Right),
        ("PROCESSES", Align::Right),
        ("OWNER", Align::Left),
        ("MODE", Align::Right),
        ("UPDATED", Align::Left),
        (if problems { "PROBLEM" } else { "" }, Align::Left),
    ]);
    for (name, found) in segments {
        let none = || "-".to_owned();
        let [size, series, processes, owner, mode, updated, problem] = match found {
            Ok((i, update)) => [
                bytes(i.resident),
                count(summary::series(i)),
                summary::attached(i),
                i.owner.map_or_else(none, summary::owner),
                i.owner.map_or_else(none, |owner| format!("{:04o}", owner.mode)),
                summary::updated(*update),
                String::new(),
            ],
            Err(e) => [none(), none(), none(), none(), none(), none(), e.clone()],
        };
        table.row(&[name.clone(), size, series, processes, owner, mode, updated, problem]);
    }
    table
}
