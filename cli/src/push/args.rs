//! The command line of `shmetrics push`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::args::seconds;

#[derive(Args)]
#[command(group = ArgGroup::new("where").required(true).args(["gateway", "otlp"]))]
pub(crate) struct PushArgs {
    /// Names, paths or patterns such as 'web-*' [default: $SHMETRICS_SEGMENT, else default]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// A user whose segments patterns take, too: a name, a number, any; repeatable
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Vec<String>,

    /// A Pushgateway, as http://127.0.0.1:9091
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,

    /// A receiver of OTLP over HTTP, as http://127.0.0.1:4318 [default path: /v1/metrics]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,

    /// Pushgateway: the group's job [default: the first segment's name]
    #[arg(long, value_name = "JOB", conflicts_with = "otlp")]
    pub(crate) job: Option<String>,

    /// Pushgateway: a label of the group, such as instance=a; may be given several times
    #[arg(long = "group", value_name = "LABEL=VALUE", value_parser = pair, conflicts_with = "otlp")]
    pub(crate) groups: Vec<(String, String)>,

    /// Pushgateway: what to do with the group
    #[arg(long, value_enum, default_value_t = Method::Put, conflicts_with = "otlp")]
    pub(crate) method: Method,

    /// Pushgateway: as protobuf instead of text
    #[arg(long, conflicts_with = "otlp")]
    pub(crate) protobuf: bool,

    /// OTLP: a resource attribute, such as service.name=shop; may be given several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "gateway")]
    pub(crate) attributes: Vec<(String, String)>,

    /// Push again and again, each so many seconds, until a signal; without it, once
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) interval: Option<Duration>,

    /// What an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) timeout: Duration,

    /// How often a push is tried again that failed for now
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) retries: u32,

    /// Only the family with samples of this name; may be given several times
    #[arg(long = "name", value_name = "SAMPLE")]
    pub(crate) only: Vec<String>,

    /// Of several segments, series without the label `segment`; of equal ones the first is pushed
    #[arg(long)]
    pub(crate) no_segment_label: bool,

    /// Basic authentication: the name
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) user: Option<String>,

    /// Basic authentication: a file with the password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,

    /// A header for each request, such as 'X-Scope-OrgID: a'; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,

    /// Of https: whom to trust, in PEM, instead of the system's certificates
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Replace all that is in the group
    Put,
    /// Replace the families that are pushed, and keep the others
    Post,
    /// Remove the group; no segment is needed
    Delete,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() {
        return Err("there is no name before `=`".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
