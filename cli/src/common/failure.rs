//! Why a verb could not do its work: one sentence for standard error.

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
    /// A sentence of the verb.
    Said(String),
    /// The verb has already complained, item by item.
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

    /// Says it on standard error, whose own loss is nobody's failure.
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
