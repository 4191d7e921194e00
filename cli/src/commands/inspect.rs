//! `shmetrics inspect`: the contents of a segment, its fill level and its processes.

use std::io::{self, Write};

use clap::Args;
use shmetrics::{FamilyInfo, GaugeMode, Inspection, LastUpdate, ProcessInfo, Reader};

use crate::common::args::SegmentArg;
use crate::common::failure::{Failure, Outcome};
use crate::common::format::{age, bar, bytes, clean, count, counted, percent, unix, utc};
use crate::common::json::{Json, Object};
use crate::common::source::check_whole;
use crate::common::summary;
use crate::common::table::{Align, Table};

const BAR_WIDTH: usize = 30;

#[derive(Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    segment: SegmentArg,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InspectArgs) -> Outcome {
    let name = args.segment.name();
    let reader = Reader::open(&name)?;
    let inspection = reader.inspect();
    let update = summary::last_updates(&[&reader]).into_iter().next().flatten();
    check_whole(&reader, &name)?;
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", json(&inspection, update)).map_err(Failure::Output);
    }
    report(&inspection, update, &mut out).map_err(Failure::Output)
}

fn json(i: &Inspection, update: Option<LastUpdate>) -> Json {
    let family = |family: &FamilyInfo| {
        Object::default()
            .field("name", &family.name)
            .field("type", family.kind.as_str())
            .field("mode", family.mode.map(GaugeMode::as_str))
            .field("labels", Json::list(&family.labels))
            .field("series", family.series)
            .field("max_series", family.max_series)
            .field("overflow_lookups", family.overflow_lookups)
            .field("bundle", family.bundle.as_deref())
    };
    let process = |process: &ProcessInfo| {
        Object::default()
            .field("slot", process.slot)
            .field("pid", process.pid)
            .field("identity", process.identity)
            .field("alive", process.alive)
            .field("attached", unix(process.attached))
    };
    summary::json(i, update)
        .field("layout", format!("{}.{}", i.layout.0, i.layout.1))
        .field("boot_id", &i.boot_id)
        .field("leaked_bytes", i.leaked)
        .field("corrupt_families", i.corrupt)
        .field("overflow_lookups", i.overflow_lookups)
        .field("failed_registrations", i.failed_registrations)
        .field("rejected_updates", i.rejected_updates)
        .field("per_cpu_kind", i.per_cpu_kind)
        .field("cpus", i.cpus)
        .field("per_cpu_bytes", i.per_cpu_bytes)
        .field("families", Json::list(i.families.iter().map(family)))
        .field("processes", Json::list(i.processes.iter().map(process)))
        .into()
}

/// Whether processes have the segment open, and how many.
fn in_use(i: &Inspection) -> String {
    match (i.in_use, i.attached) {
        (Some(false), _) => "no: no process has it open for counting".to_owned(),
        (Some(true), Some(n)) => format!("by {}", counted(n.into(), "process", "processes")),
        (Some(true), None) => "by processes; the system does not tell how many".to_owned(),
        (None, _) => "the system does not tell".to_owned(),
    }
}

fn report(i: &Inspection, update: Option<LastUpdate>, out: &mut impl Write) -> io::Result<()> {
    let (major, minor) = i.layout;
    writeln!(out, "segment    {}", clean(&i.name))?;
    let file = i.path.as_ref().map_or("none".into(), |path| path.to_string_lossy());
    writeln!(out, "file       {}", clean(&file))?;
    if let Some(owner) = i.owner {
        writeln!(out, "owner      {}, mode {:04o}", clean(&summary::owner(owner)), owner.mode)?;
    }
    writeln!(out, "in use     {}", in_use(i))?;
    writeln!(out, "updated    {}", summary::updated(update))?;
    writeln!(out, "layout     {major}.{minor}")?;
    writeln!(out, "created    {}, {} ago", utc(unix(i.created)), age(i.created))?;
    writeln!(out, "boot       {}", clean(&i.boot_id))?;
    let filled = bar(i.used, i.max_size, BAR_WIDTH);
    let share = percent(i.used, i.max_size);
    writeln!(out, "memory     {filled} {share}: {} used of {}", bytes(i.used), bytes(i.max_size))?;
    writeln!(out, "resident   {}", bytes(i.resident))?;
    writeln!(out, "series     {}", count(summary::series(i)))?;
    let (series, registrations, updates) = (i.overflow_lookups, i.failed_registrations, i.rejected_updates);
    writeln!(
        out,
        "refused    {} look-ups, {} registrations, {} updates",
        count(series),
        count(registrations),
        count(updates)
    )?;
    writeln!(out, "lost       {} leaked, {} corrupt", bytes(i.leaked), counted(i.corrupt, "family", "families"))?;
    let per_cpu = bytes(i.per_cpu_bytes);
    writeln!(out, "per-CPU    {}, {}, {per_cpu}", i.per_cpu_kind, counted(i.cpus.into(), "CPU", "CPUs"))?;
    section(out, "families", &i.families, families)?;
    section(out, "processes with gauges of their own", &i.processes, processes)
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
        ("OVERFLOW", Align::Right),
    ]);
    for family in families {
        let labels = if family.labels.is_empty() { "-".to_owned() } else { family.labels.join(",") };
        table.row(&[
            family.name.clone(),
            family.kind.to_string(),
            family.mode.map_or("-", GaugeMode::as_str).to_owned(),
            labels,
            count(family.series),
            count(family.overflow_lookups),
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
