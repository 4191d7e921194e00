//! The arguments of `shmetrics serve`.

use std::path::PathBuf;

use clap::Args;

use super::listen::Address;
use crate::common::args::names;

// The switches of the command line are independent of each other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Names, paths or patterns such as 'web-*' [default: $SHMETRICS_SEGMENT, or default]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// All segments of the directory, like the pattern '*'
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Patterns also select the segments of this user: a name, a number, or any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,

    /// Address to listen on (port 0: a free port), unix:PATH, or systemd; repeatable
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    pub(crate) listen: Vec<Address>,

    /// File with encryption and passwords, in the format of Prometheus' own servers
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub(crate) web_config: Option<PathBuf>,

    /// Maximum number of pages in transfer to clients, which bounds the memory
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_pages: u16,

    /// Omit the label `segment`; of equal series in several segments, show the first
    #[arg(long)]
    pub(crate) no_segment_label: bool,

    /// Add process_* of all counting processes together, and of each process
    #[arg(long)]
    pub(crate) process_metrics: bool,

    /// Add _created samples, in OpenMetrics 1.0.0
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
