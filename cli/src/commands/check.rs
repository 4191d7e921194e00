//! `shmetrics check`: the faults of a segment, found by comparing each record with the format.

use std::io::{self, Write};

use clap::Args;
use shmetrics::Reader;

use crate::common::args::SegmentArg;
use crate::common::failure::{Failure, Outcome};
use crate::common::format::{clean, counted};
use crate::common::json::{Json, Object};
use crate::common::source::check_whole;

#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    segment: SegmentArg,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CheckArgs) -> Outcome {
    let name = args.segment.name();
    let reader = Reader::open(&name)?;
    let faults = reader.verify();
    check_whole(&reader, &name)?;
    let mut out = io::stdout().lock();
    if args.json {
        let object = Object::default().field("name", &name).field("sound", faults.is_empty());
        let object = Json::from(object.field("faults", Json::list(&faults)));
        writeln!(out, "{object}").map_err(Failure::Output)?;
    } else if faults.is_empty() {
        writeln!(out, "sound").map_err(Failure::Output)?;
    } else {
        for fault in &faults {
            writeln!(out, "{}", clean(fault)).map_err(Failure::Output)?;
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let faults = counted(faults.len() as u64, "fault", "faults");
    Err(Failure::Said(format!(
        "the segment is damaged: {faults}; remove it, and restart its processes to make a new one"
    )))
}
