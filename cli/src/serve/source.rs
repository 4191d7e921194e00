//! The segments behind the pages: opened when first wanted, kept while current, followed when replaced.

use std::sync::{Arc, Mutex, PoisonError};

use shmetrics::{Cursor, Error, Exposition, Reader};

use crate::failure::note;
use crate::show::clean;

/// All that is on a page.
pub(super) struct Sources {
    each: Vec<Source>,
    labelled: bool,
    created: bool,
}

/// The segments that are there, at one time.
pub(super) struct Reading {
    readers: Vec<(Arc<Reader>, String)>,
    labelled: bool,
    missing: Option<String>,
}

impl Sources {
    /// Looks for the segments once. Not to find one is no failure; a name that none can ever have is.
    pub(super) fn new(names: Vec<String>, labelled: bool, created: bool) -> Result<Self, Error> {
        let each = names.into_iter().map(Source::new).collect::<Result<_, _>>()?;
        Ok(Sources { each, labelled, created })
    }

    pub(super) fn created(&self) -> bool {
        self.created
    }

    pub(super) fn names(&self) -> String {
        self.each.iter().map(Source::name).collect::<Vec<_>>().join(", ")
    }

    /// The segments that are there. An error, which says why, if there is none.
    pub(super) fn read(&self) -> Result<Reading, String> {
        let (mut readers, mut missing) = (Vec::new(), None);
        for source in &self.each {
            match source.reader() {
                Ok(reader) => readers.push((reader, source.name().to_owned())),
                Err(e) => missing = missing.or_else(|| Some(e.to_string())),
            }
        }
        match missing {
            Some(problem) if readers.is_empty() => Err(problem),
            missing => Ok(Reading { readers, labelled: self.labelled && self.each.len() > 1, missing }),
        }
    }
}

impl Reading {
    pub(super) fn cursor(&self, exposition: Exposition) -> Cursor<'_> {
        match &self.readers[..] {
            [(reader, _)] if !self.labelled => reader.cursor(exposition),
            several => {
                let parts: Vec<_> = several.iter().map(|(reader, name)| (&**reader, name.as_str())).collect();
                Reader::join(&parts, self.labelled, exposition)
            }
        }
    }

    /// Why one of the segments is not there.
    pub(super) fn missing(&self) -> Option<String> {
        self.missing.clone()
    }
}

struct Source {
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
    fn new(name: String) -> Result<Self, Error> {
        if let Err(e @ (Error::InvalidName(_) | Error::InvalidArgument(_))) = Reader::open(&name) {
            return Err(e);
        }
        let source = Source { name, state: Mutex::default() };
        // Says what it finds.
        let _ = source.reader();
        Ok(source)
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// The segment that has the name now. Blocks for a few system calls.
    fn reader(&self) -> Result<Arc<Reader>, Error> {
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
