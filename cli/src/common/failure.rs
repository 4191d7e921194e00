//! Why a command failed: one sentence for standard error.

use std::fmt;
use std::io;

use crate::common::log::{log, Level};

pub(crate) type Outcome = Result<(), Failure>;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The library's own sentence.
    Segment(shmetrics::Error),
    /// Standard output could not be written.
    Output(io::Error),
    /// The system refused something else.
    System { doing: String, source: io::Error },
    /// The command's own sentence.
    Said(String),
    /// The command has already reported each item.
    Reported,
}

impl Failure {
    pub(crate) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Failure::System { doing, source }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Writes the sentence to standard error. Errors of this write are ignored.
    pub(crate) fn complain(&self) {
        if !matches!(self, Failure::Reported) {
            log(Level::Error, self);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Segment(e) => write!(f, "{e}"),
            Failure::Output(e) => write!(f, "cannot write to standard output: {e}"),
            Failure::System { doing, source } => write!(f, "{doing}: {source}"),
            Failure::Said(sentence) => f.write_str(sentence),
            Failure::Reported => f.write_str("some items failed"),
        }
    }
}

impl From<shmetrics::Error> for Failure {
    fn from(e: shmetrics::Error) -> Self {
        Failure::Segment(e)
    }
}
