//! `shmetrics rm`: takes segments' names away; their memory goes with the last process that holds it.

use std::io::{self, Write};

use shmetrics::{Error, Reader, Segment};

use crate::census;
use crate::failure::{Failure, Outcome};
use crate::show::{clean, counted};

pub(crate) fn run(names: &[String]) -> Outcome {
    let mut failed = false;
    for name in names {
        match remove(name) {
            Ok(line) => writeln!(io::stdout(), "{line}").map_err(Failure::Output)?,
            Err(e) => {
                Failure::Segment(e).complain();
                failed = true;
            }
        }
    }
    if failed {
        return Err(Failure::Reported);
    }
    Ok(())
}

fn remove(name: &str) -> Result<String, Error> {
    let inspection = match Reader::open(name).map(|reader| reader.inspect()) {
        // A path may lead anywhere: only segments are removed by it.
        Err(e @ (Error::NotASegment { .. } | Error::Permission(_))) if name.contains('/') => return Err(e),
        // By its name a broken one can be removed too, there is only less to tell about it.
        found => found,
    };
    Segment::remove(name)?;
    let name = clean(name);
    let Ok(inspection) = inspection else {
        return Ok(format!("removed {name}, which could not be read"));
    };
    let series = counted(census::series(&inspection), "series", "series");
    Ok(match census::alive(&inspection) {
        0 => format!("removed {name}: {series}"),
        alive => {
            let holders = counted(alive, "live process keeps", "live processes keep");
            format!("removed {name}: {series}; {holders} writing to it, unseen, until restarted")
        }
    })
}
