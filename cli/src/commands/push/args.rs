//! The arguments of `shmetrics push`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::common::args::{seconds, MetricsArg, SegmentsArg};

#[derive(Args)]
#[command(group = ArgGroup::new("where").required(true).args(["gateway", "otlp"]))]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(crate) segments: SegmentsArg,

    /// URL of a Pushgateway, such as http://127.0.0.1:9091
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,

    /// URL of an OTLP/HTTP receiver, such as http://127.0.0.1:4318 [default path: /v1/metrics]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,

    /// Pushgateway: job of the group [default: the name of the first segment]
    #[arg(long, value_name = "JOB", conflicts_with = "otlp")]
    pub(crate) job: Option<String>,

    /// Pushgateway: label of the group, such as instance=a; repeatable
    #[arg(long = "group", value_name = "LABEL=VALUE", value_parser = pair, conflicts_with = "otlp")]
    pub(crate) groups: Vec<(String, String)>,

    /// Pushgateway: operation on the group
    #[arg(long, value_enum, default_value_t = Method::Put, conflicts_with = "otlp")]
    pub(crate) method: Method,

    /// Pushgateway: push protobuf instead of text
    #[arg(long, conflicts_with = "otlp")]
    pub(crate) protobuf: bool,

    /// OTLP: resource attribute, such as service.name=shop; repeatable
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "gateway")]
    pub(crate) attributes: Vec<(String, String)>,

    /// Push every SECONDS seconds until a signal; without it, once
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) interval: Option<Duration>,

    /// With --interval: write the results of the pushes to a file for node_exporter
    #[arg(long, value_name = "FILE", requires = "interval")]
    pub(crate) textfile: Option<PathBuf>,

    /// Maximum time for an answer, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) timeout: Duration,

    /// Maximum number of retries of a push that fails temporarily
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) retries: u32,

    #[command(flatten)]
    pub(crate) only: MetricsArg,

    /// Omit the label `segment`; of equal series in several segments, push the first
    #[arg(long)]
    pub(crate) no_segment_label: bool,

    /// Basic authentication: name
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(crate) user: Option<String>,

    /// Basic authentication: file with the password
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,

    /// Header for each request, such as 'X-Scope-OrgID: a'; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,

    /// File with more headers, one per line; for secrets, because all users see a command line
    #[arg(long, value_name = "FILE")]
    pub(crate) header_file: Option<PathBuf>,

    /// Bearer authentication: file with the token
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) bearer_token_file: Option<PathBuf>,

    /// https: file with the client's certificate in PEM
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub(crate) cert_file: Option<PathBuf>,

    /// https: file with the private key of the client's certificate in PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,

    /// https: file with trusted certificates in PEM, instead of the system's certificates
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// Replace all metrics of the group
    Put,
    /// Replace the pushed families, and keep the other families
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
    let (name, value) = header_line(text)?;
    if SECRET.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("all users of this machine see the command line; use --header-file or --bearer-token-file".into());
    }
    Ok((name, value))
}

/// Headers whose value is a secret.
const SECRET: [&str; 6] = ["authorization", "proxy-authorization", "cookie", "api-key", "x-api-key", "x-auth-token"];

/// A header as it is written.
pub(super) fn header_line(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write it as `NAME: VALUE`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
