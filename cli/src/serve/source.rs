//! The segment behind the pages: opened when first wanted, kept while it is current, followed when replaced.

use std::sync::{Arc, Mutex, PoisonError};

use shmetrics::{Error, Reader};

use crate::failure::note;
use crate::show::clean;

pub(super) struct Source {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reader: Option<Arc<Reader>>,
    /// Why there was none the last time, so that it is said once and not at each scrape.
    problem: Option<String>,
}

impl Source {
    /// Looks for the segment once. Not to find it is no failure; a name that none can ever have is.
    pub(super) fn new(name: String) -> Result<Self, Error> {
        if let Err(e @ (Error::InvalidName(_) | Error::InvalidArgument(_))) = Reader::open(&name) {
            return Err(e);
        }
        let source = Source { name, state: Mutex::default() };
        // Says what it finds.
        let _ = source.reader();
        Ok(source)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The segment that has the name now. Blocks for a few system calls.
    pub(super) fn reader(&self) -> Result<Arc<Reader>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = &state.reader {
            if reader.is_current() {
                return Ok(Arc::clone(reader));
            }
        }
        // Its memory should not outlive its name on our account.
        state.reader = None;
        match Reader::open(&self.name) {
            Ok(reader) => {
                note(format_args!("serving segment {}", clean(&self.name)));
                let reader = Arc::new(reader);
                *state = State { reader: Some(Arc::clone(&reader)), problem: None };
                Ok(reader)
            }
            Err(e) => {
                let problem = e.to_string();
                if state.problem.as_ref() != Some(&problem) {
                    note(format_args!("waiting for a segment: {problem}"));
                    state.problem = Some(problem);
                }
                Err(e)
            }
        }
    }
}
