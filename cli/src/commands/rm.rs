//! `shmetrics rm`: removes the names of segments. The memory is freed when the last process unmaps
//! it.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use shmetrics::{Error, Inspection, Reader, Segment};

use crate::common::failure::{Failure, Outcome};
use crate::common::format::{clean, counted};
use crate::common::processes::writers;
use crate::common::summary;

#[derive(Args)]
pub(crate) struct RmArgs {
    /// Names of the segments, or paths if they have a slash
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// Also remove segments that processes have open: these processes continue to count, unseen
    #[arg(long)]
    pub(crate) force: bool,
}

/// Processes named in a refusal.
const NAMED: usize = 8;

pub(crate) fn run(args: &RmArgs) -> Outcome {
    let (mut failed, mut said) = (false, Ok(()));
    for name in &args.names {
        match remove(name, args.force) {
            // A reader that leaves, or a full disk, does not keep the other segments in place.
            Ok(line) => said = said.and(writeln!(io::stdout(), "{line}")),
            Err(failure) => {
                failure.complain();
                failed = true;
            }
        }
    }
    if failed {
        return Err(Failure::Reported);
    }
    said.map_err(Failure::Output)
}

fn remove(name: &str, force: bool) -> Result<String, Failure> {
    let inspection = match Reader::open(name).map(|reader| reader.inspect()) {
        // A path may lead anywhere: only segments are removed by it.
        Err(e @ (Error::NotASegment { .. } | Error::Permission(_))) if name.contains('/') => return Err(e.into()),
        Err(e @ (Error::InvalidName(_) | Error::InvalidArgument(_))) => return Err(e.into()),
        // By its name a broken one can be removed too, there is only less to tell about it.
        found => found,
    };
    if force {
        Segment::remove(name)?;
    } else {
        remove_if_unused(name, inspection.as_ref().ok())?;
    }
    let name = clean(name);
    let Ok(inspection) = inspection else {
        return Ok(format!("removed {name}, which could not be read"));
    };
    let series = counted(summary::series(&inspection), "series", "series");
    Ok(match (inspection.attached, inspection.in_use) {
        (Some(n @ 1..), _) => {
            let holders = counted(n.into(), "live process keeps", "live processes keep");
            format!("removed {name}: {series}; {holders} writing to it, unseen, until restarted")
        }
        (None, Some(true)) => {
            format!("removed {name}: {series}; live processes keep writing to it, unseen, until restarted")
        }
        _ => format!("removed {name}: {series}"),
    })
}

fn remove_if_unused(name: &str, inspection: Option<&Inspection>) -> Result<(), Failure> {
    // In one step with the question, where this user may: no process opens it in between.
    if matches!(Segment::remove_if_unused(name), Ok(true)) {
        return Ok(());
    }
    match Segment::is_in_use(name) {
        Ok(true) => Err(Failure::Said(refusal(name, inspection))),
        Err(e @ Error::NotFound(_)) => Err(e.into()),
        // Unused, or nothing that a process can count in.
        Ok(false) | Err(Error::NotASegment { .. }) => Ok(Segment::remove(name)?),
        Err(e) => Err(Failure::Said(format!(
            "{} is not removed, as the system does not tell whether processes have it open ({e}); give --force to remove it anyhow",
            clean(name)
        ))),
    }
}

/// Why a segment in use is not removed.
fn refusal(name: &str, inspection: Option<&Inspection>) -> String {
    let path = inspection.and_then(|i| i.path.as_deref());
    let seen = path.map(|path: &Path| writers(path)).unwrap_or_default();
    let number = match inspection.and_then(|i| i.attached) {
        Some(n) => counted(n.into(), "process has", "processes have"),
        None => "processes have".to_owned(),
    };
    let mut named: Vec<String> = seen.iter().take(NAMED).map(|(pid, what)| format!("{pid} {}", clean(what))).collect();
    if seen.len() > NAMED {
        named.push(format!("and {} more", seen.len() - NAMED));
    }
    let named = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    format!(
        "{} is not removed: {number} it open{named}, and would count on unseen; stop them first, or give --force",
        clean(name)
    )
}
