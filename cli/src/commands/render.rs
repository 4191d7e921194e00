//! `shmetrics render`: one page on standard output.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use shmetrics::{Cursor, Escaping, Exposition, Format, Reader};

use crate::common::args::{MetricsArg, SegmentArg};
use crate::common::failure::{Failure, Outcome};
use crate::common::format::clean_lines;
use crate::common::source::check_whole;

#[derive(Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    pub(crate) segment: SegmentArg,

    /// Format of the page
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    format: FormatArg,

    #[command(flatten)]
    only: MetricsArg,

    /// Add _created samples, in OpenMetrics 1.0.0
    #[arg(long)]
    created: bool,

    /// Form of names that scrapers before Prometheus 3 cannot read
    #[arg(long, value_enum, default_value_t = EscapingArg::Underscores)]
    escaping: EscapingArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum EscapingArg {
    /// Replace each character that is not plain by _
    Underscores,
    /// Replace . by _dot_, _ by __, and other characters that are not plain by __
    Dots,
    /// Add U__ in front, and write other characters as _CODE POINT_
    Values,
    /// Keep names, in quotes; text 0.0.4 has no quotes and gets underscores
    #[value(name = "allow-utf-8")]
    AllowUtf8,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    /// Prometheus' text format 0.0.4
    Text,
    /// Prometheus' text format 1.0.0
    #[value(name = "text-1.0.0")]
    Text1,
    /// OpenMetrics 1.0.0
    Openmetrics,
    /// OpenMetrics 2.0.0, the release candidate
    #[value(name = "openmetrics-2.0.0")]
    Openmetrics2,
    /// Length-delimited protobuf messages
    Protobuf,
}

impl RenderArgs {
    pub(crate) fn exposition(&self) -> Exposition {
        let format = match self.format {
            FormatArg::Text => Format::Text,
            FormatArg::Text1 => Format::Text1,
            FormatArg::Openmetrics => Format::OpenMetrics,
            FormatArg::Openmetrics2 => Format::OpenMetrics2,
            FormatArg::Protobuf => Format::Protobuf,
        };
        let escaping = match self.escaping {
            EscapingArg::Underscores => Escaping::Underscores,
            EscapingArg::Dots => Escaping::Dots,
            EscapingArg::Values => Escaping::Values,
            EscapingArg::AllowUtf8 => Escaping::AllowUtf8,
        };
        Exposition::new(format).with_escaping(escaping).with_created(self.created)
    }
}

pub(crate) fn run(args: &RenderArgs) -> Outcome {
    let name = args.segment.name();
    let reader = Reader::open(&name)?;
    let cursor = reader.page(args.exposition()).only(args.only.metrics.iter().cloned()).cursor();
    let mut out = io::stdout().lock();
    let is_terminal = out.is_terminal();
    stream(cursor, || check_whole(&reader, &name), &mut out, is_terminal)
}

/// Writes the page piece by piece, so that a large page is never in memory as a whole. Each piece
/// is checked before it is written. On a terminal, control characters are escaped.
fn stream(mut cursor: Cursor<'_>, check: impl Fn() -> Outcome, out: &mut impl Write, is_terminal: bool) -> Outcome {
    let mut piece = Vec::with_capacity(64 << 10);
    loop {
        let more = cursor.fill(&mut piece);
        check()?;
        if is_terminal {
            out.write_all(clean_lines(&String::from_utf8_lossy(&piece)).as_bytes()).map_err(Failure::Output)?;
        } else {
            out.write_all(&piece).map_err(Failure::Output)?;
        }
        piece.clear();
        if !more {
            return out.flush().map_err(Failure::Output);
        }
    }
}
