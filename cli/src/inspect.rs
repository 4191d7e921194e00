//! `shmetrics inspect`: what a segment holds, how full it is, and who is attached.

use std::io::{self, Write};

use shmetrics::{FamilyInfo, Inspection, ProcessInfo, Reader};

use crate::args::InspectArgs;
use crate::census;
use crate::failure::{Failure, Outcome};
use crate::show::{age, bar, bytes, clean, count, counted, percent, utc};
use crate::table::{Align, Table};

const BAR_WIDTH: usize = 30;

pub(crate) fn run(args: &InspectArgs) -> Outcome {
    let reader = Reader::open(&args.segment.name())?;
    if args.check {
        return check(&reader);
    }
    let inspection = reader.inspect();
    report(&inspection, &mut io::stdout().lock()).map_err(Failure::Output)
}

fn check(reader: &Reader) -> Outcome {
    let findings = reader.check();
    let mut out = io::stdout().lock();
    if findings.is_empty() {
        return writeln!(out, "sound").map_err(Failure::Output);
    }
    for finding in &findings {
        writeln!(out, "{}", clean(finding)).map_err(Failure::Output)?;
    }
    let findings = counted(findings.len() as u64, "finding", "findings");
    Err(Failure::Said(format!(
        "the segment is damaged: {findings}; remove it, and restart its processes to make a new one"
    )))
}

fn report(i: &Inspection, out: &mut impl Write) -> io::Result<()> {
    let (major, minor) = i.layout;
    writeln!(out, "segment    {}", clean(&i.name))?;
    let file = i.path.as_ref().map_or("none".into(), |path| path.to_string_lossy());
    writeln!(out, "file       {}", clean(&file))?;
    writeln!(out, "layout     {major}.{minor}")?;
    writeln!(out, "created    {}, {} ago", utc(i.created), age(i.created))?;
    writeln!(out, "boot       {}", clean(&i.boot_id))?;
    let filled = bar(i.used, i.ceiling, BAR_WIDTH);
    let share = percent(i.used, i.ceiling);
    writeln!(out, "memory     {filled} {share}: {} used of {}", bytes(i.used), bytes(i.ceiling))?;
    writeln!(out, "resident   {}", bytes(i.resident))?;
    writeln!(out, "series     {}", count(census::series(i)))?;
    let (series, registrations, updates) = (i.refused_series, i.refused_families, i.rejected_updates);
    writeln!(
        out,
        "refused    {} look-ups, {} registrations, {} updates",
        count(series),
        count(registrations),
        count(updates)
    )?;
    writeln!(out, "lost       {} leaked, {} corrupt", bytes(i.leaked), counted(i.corrupt, "family", "families"))?;
    let lanes = bytes(i.lane_bytes);
    writeln!(out, "lanes      {}, {}, {lanes}", i.lane_kind, counted(i.lane_cpus.into(), "CPU", "CPUs"))?;
    section(out, "families", &i.families, families)?;
    section(out, "processes", &i.processes, processes)
}

fn section<T>(out: &mut impl Write, title: &str, items: &[T], table: impl Fn(&[T]) -> Table) -> io::Result<()> {
    if items.is_empty() {
        return writeln!(out, "\nno {title}");
    }
    writeln!(out, "\n{}", table(items).to_string().trim_end())
}

fn families(families: &[FamilyInfo]) -> Table {
    let mut table = Table::new(&[
        ("FAMILY", Align::Left),
        ("TYPE", Align::Left),
        ("MODE", Align::Left),
        ("LABELS", Align::Left),
        ("SERIES", Align::Right),
        ("REFUSED", Align::Right),
    ]);
    for family in families {
        let labels = if family.labels.is_empty() { "-".to_owned() } else { family.labels.join(",") };
        table.row(&[
            family.name.clone(),
            family.kind.to_owned(),
            family.mode.unwrap_or("-").to_owned(),
            labels,
            count(family.series),
            count(family.refused),
        ]);
    }
    table
}

fn processes(processes: &[ProcessInfo]) -> Table {
    let mut table = Table::new(&[
        ("SLOT", Align::Right),
        ("PID", Align::Right),
        ("IDENTITY", Align::Right),
        ("STATE", Align::Left),
        ("ATTACHED", Align::Left),
    ]);
    for process in processes {
        table.row(&[
            process.slot.to_string(),
            process.pid.to_string(),
            process.identity.to_string(),
            if process.alive { "alive" } else { "dead" }.to_owned(),
            format!("{} ago", age(process.attached)),
        ]);
    }
    table
}
