//! The command line, and its manual.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shmetrics::{Escaping, Exposition, Format};

use crate::manual::ShellArg;
use crate::push::PushArgs;
use crate::serve::Address;

const MANUAL: &str = "\
EXAMPLES:
  shmetrics demo                          see it at work, with nothing else to set up
  shmetrics list                          which segments are there?
  shmetrics render shop                   the page a scraper would get
  shmetrics serve shop                    http://127.0.0.1:9464/metrics for Prometheus
  shmetrics serve shop cron               two services on one page
  shmetrics inspect ./run/shop.segment    a name with a slash is a path

ENVIRONMENT:
  SHMETRICS_SEGMENT  the segment when no NAME is given; without it: default
  SHMETRICS_DIR      where segments live; without it: /dev/shm
  SHMETRICS_MODE     the file mode of the segment that `demo` makes, such as 0640; without it: 0600
  SHMETRICS_OWNER    its owner, a name or a number; without it: the caller
  SHMETRICS_GROUP    its group, a name or a number; without it: the caller's

FILES:
  $SHMETRICS_DIR/shmetrics-NAME           the segment NAME

EXIT STATUS:
  0  done, also when the reader of the output left early
  1  it could not be done; one sentence on standard error says why, and what to do
  2  the command line is wrong";

/// Prometheus metrics for prefork servers, in one shared-memory segment.
///
/// An application's workers keep their metrics in a segment of shared memory. This command
/// looks at such segments from outside: it lists, prints, serves and explains them. It maps
/// them read-only and takes no lock, so it cannot disturb the application, nor be held up by it.
#[derive(Parser)]
#[command(name = "shmetrics", version, after_long_help = MANUAL, verbatim_doc_comment, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the segments, with their size, series and live processes
    ///
    /// One line per segment of the directory ($SHMETRICS_DIR, else /dev/shm). SIZE is the memory it
    /// takes now. PROCESSES are those that have it open for counting, with or without gauges of
    /// their own; 1+ if the system does not tell how many. UPDATED is the last time that a value
    /// changed: the values are looked at twice, a moment apart, and compared with those of the last
    /// page that a process of the application rendered. "in the last 3 h" means that no such page
    /// tells more. A segment that cannot be read is listed with the reason. Segments of users other
    /// than the own one and root are named, and not read unless --owner says so.
    #[command(verbatim_doc_comment)]
    List(ListArgs),

    /// Print a segment's metrics as a scraper would get them
    ///
    /// The page is written piece by piece, each series as of the moment it is read. Works while
    /// the application runs, and after it has died.
    #[command(verbatim_doc_comment)]
    Render(RenderArgs),

    /// Serve the metrics of one or several segments over HTTP
    ///
    /// Waits for a segment if it is not there yet, and follows it when it is removed and
    /// created anew, so it can be started before the application and outlive its restarts.
    /// The address is printed on standard output once connections are accepted; SIGTERM and
    /// SIGINT end it after the answers under way.
    ///
    /// Several segments make one page, with the label `segment` on every series. Those that are
    /// not there are left out; those that match a pattern are added when they come, and have
    /// shmetrics_serve_segment_up 0 for five minutes after they went.
    ///
    ///   /metrics      the page, as text, OpenMetrics or protobuf, whatever the Accept header
    ///                 asks for, and gzip if it may; ?name[]=NAME (repeatable) for some families
    ///                 only. 503 and the reason while there is no segment, and when the page is
    ///                 not ready within X-Prometheus-Scrape-Timeout-Seconds
    ///   /-/healthy    200 as long as this process serves
    ///   /-/ready      200 if the segment can be read and a process has it open for counting, else
    ///                 503 and the reason; the page stays, with the last values
    ///   /             a small page that links the others
    ///
    /// Encryption and passwords are those of --web.config.file: tls_server_config and
    /// basic_auth_users as in Prometheus' own servers, for all paths. A changed file, certificate or
    /// key is in force from the next connection on, or from SIGHUP on; a wrong one is refused and
    /// the one before kept. Without the file, listen on the loopback interface.
    #[command(verbatim_doc_comment)]
    Serve(Box<ServeArgs>),

    /// Push the metrics to a Pushgateway, or by OTLP to a collector
    ///
    /// For what no scraper reaches: jobs that end, and machines behind others. Once, or every
    /// --interval seconds until SIGTERM or SIGINT, with a last push then. A push that fails for now
    /// (no connection, no answer, 429, 502, 503, 504, of a Pushgateway 500) is tried again, after
    /// longer and longer pauses; with --interval, until the next is due.
    ///
    ///   shmetrics push shop --gateway http://127.0.0.1:9091 --job shop --group instance=a
    ///   shmetrics push --gateway http://127.0.0.1:9091 --job shop --method delete
    ///   shmetrics push shop --otlp http://127.0.0.1:4318 --interval 15
    ///
    /// The exit status is 0 if the (last) push has arrived, else 1.
    #[command(verbatim_doc_comment)]
    Push(Box<PushArgs>),

    /// Show a segment's header, memory, families and processes
    ///
    /// REFUSED counts the look-ups that found their family or the segment full and got the
    /// overflow series instead: raise the limit, or use fewer label values. The processes are
    /// those with gauges of their own, the dead ones as long as their gauges still matter. A
    /// counter's family has no _total in its name.
    #[command(verbatim_doc_comment)]
    Inspect(InspectArgs),

    /// Watch a segment's series: how fast they count, and what they are
    ///
    /// Drawn again each --interval; where the output is no terminal, written. The series that count
    /// most come first. RATE is per second since the last time. VALUE is a counter's total, a
    /// gauge's value, the number of a histogram's observations, a state's name; MEAN, 50% and 99%
    /// are of the observations since the last time, as far as the buckets tell.
    #[command(verbatim_doc_comment)]
    Top(TopArgs),

    /// Remove segments, without asking
    ///
    /// The name is gone at once, and the next start of the application creates a new segment
    /// with all counters at zero. A segment that a process has open for counting is not removed
    /// without --force: its processes would go on writing to it, unseen, until they are
    /// restarted. A broken segment is removed by its name; by a path nothing is removed but
    /// segments.
    #[command(verbatim_doc_comment)]
    Rm(RmArgs),

    /// Watch workers count together while some of them are killed
    ///
    /// Starts worker processes that share one segment and pretend to answer requests. Every
    /// now and then one is killed with SIGKILL in the middle of its work and replaced; you may
    /// kill some yourself. Each worker keeps a ledger through a pipe, a byte before and a byte
    /// after each request. At the end (Ctrl-C, or --seconds) the metrics are compared with the
    /// ledgers, kind by kind: every finished request must be counted, and nothing may be counted
    /// besides but requests that a kill cut short. The exit status is 1 if they disagree.
    ///
    /// The segment is called demo-PID and removed at the end. Look at it from another terminal
    /// with `shmetrics render demo-PID`.
    #[command(verbatim_doc_comment)]
    Demo(DemoArgs),

    /// Print what completes this command's arguments in a shell
    ///
    ///   shmetrics completions bash > /usr/share/bash-completion/completions/shmetrics
    #[command(verbatim_doc_comment)]
    Completions { shell: ShellArg },

    /// Print this manual as a page for man
    ///
    ///   shmetrics man > /usr/local/share/man/man1/shmetrics.1
    #[command(verbatim_doc_comment)]
    Man,

    #[command(hide = true)]
    DemoWorker { name: String },
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// Write a JSON list with an object for each segment
    #[arg(long)]
    pub(crate) json: bool,

    /// Read this user's segments, too: a name, a number, any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) segment: SegmentArg,

    /// Write a JSON object
    #[arg(long, conflicts_with = "check")]
    pub(crate) json: bool,

    /// Name what is wrong with the segment instead; exit status 1 if anything is
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args)]
pub(crate) struct SegmentArg {
    /// The segment's name, or path if it has a slash [default: $SHMETRICS_SEGMENT, else default]
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl SegmentArg {
    pub(crate) fn name(&self) -> String {
        let set = |name: &String| !name.is_empty();
        let named = self.name.clone().or_else(|| std::env::var("SHMETRICS_SEGMENT").ok().filter(set));
        named.unwrap_or_else(|| "default".to_owned())
    }
}

#[derive(Args)]
pub(crate) struct RenderArgs {
    #[command(flatten)]
    pub(crate) segment: SegmentArg,

    /// How the page is written
    #[arg(long, value_enum, default_value_t = FormatArg::Text)]
    format: FormatArg,

    /// Only the family with samples of this name; may be given several times
    #[arg(long = "name", value_name = "SAMPLE")]
    pub(crate) names: Vec<String>,

    /// With _created samples, in OpenMetrics 1.0.0
    #[arg(long)]
    created: bool,

    /// What becomes of names that scrapers before Prometheus 3 cannot read
    #[arg(long, value_enum, default_value_t = EscapingArg::Underscores)]
    escaping: EscapingArg,
}

#[derive(Clone, Copy, ValueEnum)]
enum EscapingArg {
    /// Each such character becomes _
    Underscores,
    /// . becomes _dot_, _ becomes __, and others __
    Dots,
    /// U__ in front, and each such character its code point between underscores
    Values,
    /// They stay, in quotes; not in text 0.0.4, which cannot have them
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

// Switches of a command line are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Names, paths or patterns such as 'web-*' [default: $SHMETRICS_SEGMENT, else default]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// All segments of the directory, as the pattern '*'
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// A user whose segments patterns take, too: a name, a number, any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,

    /// Where to listen (port 0: a free one), unix:PATH, or systemd; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    pub(crate) listen: Vec<Address>,

    /// Encryption and passwords: a file in the format of Prometheus' own servers
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub(crate) web_config: Option<PathBuf>,

    /// Pages that may be on their way to clients, which bounds the memory they take
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_pages: u16,

    /// Of several segments, series without the label `segment`; of equal ones the first is shown
    #[arg(long)]
    pub(crate) no_segment_label: bool,

    /// With process_* of the processes that count, summed and for each
    #[arg(long)]
    pub(crate) process_metrics: bool,

    /// With _created samples, in OpenMetrics 1.0.0
    #[arg(long)]
    pub(crate) created: bool,
}

impl ServeArgs {
    pub(crate) fn names(&self) -> Vec<String> {
        if self.all {
            return vec!["*".to_owned()];
        }
        names(&self.names)
    }
}

/// Those that are given, or the usual one.
pub(crate) fn names(given: &[String]) -> Vec<String> {
    if given.is_empty() {
        return vec![SegmentArg { name: None }.name()];
    }
    given.to_vec()
}

#[derive(Args)]
pub(crate) struct TopArgs {
    /// Names, paths or patterns such as 'web-*' [default: $SHMETRICS_SEGMENT, else default]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// A user whose segments patterns take, too: a name, a number, any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub(crate) interval: Duration,

    /// End after so many looks; without it, at Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) looks: Option<u32>,

    /// Only the family with samples of this name; may be given several times
    #[arg(long = "name", value_name = "SAMPLE")]
    pub(crate) only: Vec<String>,
}

/// A time on the command line.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|e| e.to_string())?;
    let most = 1e6;
    if !(0.01..=most).contains(&seconds) {
        return Err(format!("give seconds from 0.01 to {most}"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[derive(Args)]
pub(crate) struct RmArgs {
    /// The segments' names, or paths if they have a slash
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// Remove also what processes have open: they count on, unseen
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// How many workers run at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) workers: u8,

    /// Stop after so many seconds; without it, run until Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: Option<u32>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
