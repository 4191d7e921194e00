//! The commands with their help, and the text of the manual.

use clap::{Parser, Subcommand};

use crate::commands::check::CheckArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::list::ListArgs;
use crate::commands::manual::ShellArg;
use crate::commands::push::PushArgs;
use crate::commands::render::RenderArgs;
use crate::commands::rm::RmArgs;
use crate::commands::serve::ServeArgs;
use crate::commands::top::TopArgs;

const MANUAL: &str = "\
EXAMPLES:
  shmetrics list                          list the segments
  shmetrics render shop                   print the page that a scraper gets
  shmetrics serve shop                    serve http://127.0.0.1:9464/metrics for Prometheus
  shmetrics serve shop cron               serve two services on one page
  shmetrics inspect ./run/shop.segment    a name with a slash is a path

ENVIRONMENT:
  SHMETRICS_SEGMENT  the segment if no NAME is given; otherwise: default
  SHMETRICS_DIR      the directory of segments; otherwise: /dev/shm

FILES:
  $SHMETRICS_DIR/shmetrics-NAME           the segment NAME

EXIT STATUS:
  0  success, also if the reader of the output closed it early
  1  failure; one sentence on standard error tells the reason, and what to do
  2  the command line is wrong";

/// Prometheus metrics for prefork servers, in one shared-memory segment.
///
/// The workers of an application keep their metrics in a segment of shared memory. This command
/// reads such segments from outside: it lists, prints, serves and explains them. The command maps
/// segments read-only and takes no lock, so it cannot disturb the application or wait for it.
#[derive(Parser)]
#[command(name = "shmetrics", version, after_long_help = MANUAL, verbatim_doc_comment, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the segments, with their size, series and live processes
    ///
    /// Prints one line for each segment of the directory ($SHMETRICS_DIR, otherwise /dev/shm). SIZE
    /// is the memory that the segment takes now. PROCESSES is the number of processes that have the
    /// segment open for counting, with or without per-process gauges; 1+ if the system does not
    /// tell the number. UPDATED is the last time that a value changed. To find this time, the
    /// command reads the values twice, a moment apart, and compares them with the last page that a
    /// process of the application rendered. "in the last 3 h" means that no such page tells more. A
    /// segment that cannot be read is listed with the reason. The command lists segments of other
    /// users, except root's, only by name; --owner makes the command read them.
    #[command(verbatim_doc_comment)]
    List(ListArgs),

    /// Print a segment's metrics as a scraper gets them
    ///
    /// The command writes the page piece by piece, with each series as of the moment when the
    /// command reads it. This works while the application runs, and after it has ended.
    #[command(verbatim_doc_comment)]
    Render(RenderArgs),

    /// Serve the metrics of one or several segments over HTTP
    ///
    /// The server waits for a segment that does not exist yet, and follows a segment that is
    /// removed and created anew. So you can start the server before the application, and keep it
    /// over restarts. The server prints its address on standard output once it accepts connections.
    /// SIGTERM and SIGINT end it after the current answers.
    ///
    /// Several segments make one page, with the label `segment` on every series. The page omits
    /// segments that do not exist. It adds a segment that matches a pattern when that segment
    /// appears, and shows shmetrics_serve_segment_up 0 for five minutes after it disappeared.
    ///
    ///   /metrics      the page, as text, OpenMetrics or protobuf, as the Accept header asks, with
    ///                 gzip if the client accepts it; ?name[]=NAME (repeatable) selects families.
    ///                 503 and the reason while there is no segment, and if the page is not ready
    ///                 within X-Prometheus-Scrape-Timeout-Seconds
    ///   /-/healthy    200 as long as this process serves
    ///   /-/ready      200 if the segment can be read and a process has it open for counting;
    ///                 otherwise 503 and the reason. /metrics then still has the last values
    ///   /             a page for people: the segments, and a live table of the metrics
    ///
    /// Use --web.config.file for encryption and passwords: tls_server_config and basic_auth_users
    /// as in Prometheus' own servers, for all paths. A changed file, certificate or key takes
    /// effect at the next connection, or at SIGHUP. A wrong one is refused, and the previous one
    /// stays. A file that turns off encryption, passwords, the check of client certificates or
    /// another protection is refused too: that takes a restart. Without the file, listen on the
    /// loopback interface.
    /// SIGHUP then does nothing. A signal that is ignored at the start, as by nohup, stays ignored.
    #[command(verbatim_doc_comment)]
    Serve(Box<ServeArgs>),

    /// Push the metrics to a Pushgateway, or by OTLP to a collector
    ///
    /// Use this command if no scraper can reach the metrics: for jobs that end, and for machines
    /// behind others. It pushes once, or every --interval seconds until SIGTERM or SIGINT, and then
    /// a last time. A push that fails temporarily (no connection, no answer, 429, 502, 503, 504, of
    /// a Pushgateway also 500) is repeated after longer and longer pauses; with --interval, until
    /// the next push is due.
    ///
    ///   shmetrics push shop --gateway http://127.0.0.1:9091 --job shop --group instance=a
    ///   shmetrics push --gateway http://127.0.0.1:9091 --job shop --method delete
    ///   shmetrics push shop --otlp http://127.0.0.1:4318 --interval 15
    ///
    /// The exit status is 0 if the last push arrived, otherwise 1. With --interval, standard error
    /// has a line when pushes begin to fail, then at most one a minute, and a line when a push
    /// arrives again; the pushed page has shmetrics_push_pushes_total and more, and --textfile
    /// writes the same for node_exporter.
    #[command(verbatim_doc_comment)]
    Push(Box<PushArgs>),

    /// Show a segment's header, memory, families and processes
    ///
    /// OVERFLOW counts the look-ups that found their family or the segment full and returned the
    /// overflow series: raise the limit, or use fewer label values. The list of processes has the
    /// processes with per-process gauges, including dead processes whose gauges still count. The
    /// family of a counter has no _total in its name.
    #[command(verbatim_doc_comment)]
    Inspect(InspectArgs),

    /// Compare a segment with the format, and print its faults
    ///
    /// Prints "sound", or one line for each fault. The exit status is 1 if there is a fault. Remove
    /// a damaged segment, and restart its processes: they then create a new one.
    #[command(verbatim_doc_comment)]
    Check(CheckArgs),

    /// Watch the series of segments live: rates, values and percentiles
    ///
    /// On a terminal, the command draws a table and reads again every --interval. /s is the rate
    /// since the last read; "10 s" and "60 s" are averages. The percentiles cover the observations
    /// of the last 30 to 60 seconds. Rows keep their places until you sort again.
    ///
    ///   Up Down PgUp PgDn Home End   select a row         /      filter as you type; Esc clears
    ///   Enter, Space, Right, Left    open, close a family a      open or close all families
    ///   < >                          sort by the next one r s    reverse; sort again
    ///   w                            gauges per process   p q    pause; quit. Ctrl-Z suspends
    ///
    /// If the output is no terminal, or with --once, --iterations or --json, the command writes
    /// tables or objects one after the other. The series with the highest rates come first in a
    /// table.
    #[command(verbatim_doc_comment)]
    Top(TopArgs),

    /// Remove segments, without asking
    ///
    /// The name is removed at once, and the next start of the application creates a new segment
    /// with all counters at zero. Without --force, the command does not remove a segment that a
    /// process has open for counting: such processes would continue to count, unseen, until they
    /// are restarted. A damaged segment can be removed by its name. By a path, only segments are
    /// removed.
    #[command(verbatim_doc_comment)]
    Rm(RmArgs),

    /// Print a script that completes this command's arguments in a shell
    ///
    ///   shmetrics completions bash > /usr/share/bash-completion/completions/shmetrics
    #[command(verbatim_doc_comment)]
    Completions { shell: ShellArg },

    /// Print this manual as a man page
    ///
    ///   shmetrics man > /usr/local/share/man/man1/shmetrics.1
    #[command(verbatim_doc_comment)]
    Man,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
