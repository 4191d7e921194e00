//! The segments behind the pages. A segment is opened at its first use, stays open while it is
//! current, and is opened again after it was replaced.

use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use shmetrics::{Error, Exposition, ExternalFamily, Listing, Page, Reader};
use wildmatch::WildMatch;

use crate::common::failure::Failure;
use crate::common::format::clean;
use crate::common::log::{log, Level, Limit};
use crate::common::owners::{raise_descriptor_limit, Owners};
use crate::common::stem;

/// The maximum number of segments that patterns select. Each needs a descriptor and a mapping.
const MOST: usize = 256;

/// The part of the descriptors that these segments may take. Connections and pages need some too.
const DESCRIPTORS: usize = 2;

/// The segments that the command line asks for, by name and by pattern.
pub(crate) struct Sources {
    named: Vec<Arc<Source>>,
    /// Patterns. They also select segments that appear later.
    patterns: Vec<WildMatch>,
    /// The users whose segments patterns select.
    owners: Owners,
    found: Mutex<BTreeMap<String, Found>>,
    /// What was left out at the last read. A change is logged once.
    ignored: Mutex<Ignored>,
    /// The maximum number of segments that patterns select.
    most: usize,
    /// The last problem of the directory.
    problem: Mutex<Option<String>>,
    labelled: bool,
    /// Logs segments that come and go; `None` logs nothing.
    journal: Option<Journal>,
}

/// Log lines at a limited rate: files that come and go do not fill the log.
#[derive(Default)]
struct Journal(Mutex<Limit>);

impl Journal {
    /// The lines of a period at most. Each segment of an exporter that starts has one.
    const MOST: usize = 2 * MOST;
    const PERIOD: Duration = Duration::from_secs(600);

    fn say(&self, level: Level, line: impl std::fmt::Display) {
        match self.0.lock().admit(Self::MOST, Self::PERIOD) {
            None => {}
            Some(0) => log(level, line),
            Some(n) => log(level, format_args!("{line} (and {n} lines about segments were left out)")),
        }
    }
}

/// How long the page shows a segment as missing that a pattern has selected before. A few scrapes
/// see that the segment is gone.
const MISSED: Duration = Duration::from_secs(300);

/// How long a segment is not read whose file was truncated during a page. Its owner could do the
/// same at each page.
const DISTRUSTED: Duration = Duration::from_secs(60);

/// The sentence for a segment whose file was truncated while it was read.
fn truncated(name: &str) -> String {
    format!("the file of segment {} was truncated while it was read", clean(name))
}

/// An error if the file was truncated while the reader read it: what was read may be wrong.
pub(crate) fn check_whole(reader: &Reader, name: &str) -> Result<(), Failure> {
    if reader.is_truncated() {
        return Err(Failure::Said(truncated(name)));
    }
    Ok(())
}

/// A segment that a pattern has found.
struct Found {
    source: Arc<Source>,
    /// The last time that the name existed.
    at: Instant,
    /// The position of the owner in the order of precedence.
    rank: usize,
    /// The time of the file's creation, if the file system knows the time.
    made: Option<SystemTime>,
}

/// The number of files that a pattern matches and that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ignored {
    /// Files of other users.
    others: usize,
    /// Files beyond the maximum number.
    beyond: usize,
    /// Files whose names no segment can have.
    misnamed: usize,
}

impl Ignored {
    fn all(self) -> usize {
        self.others + self.beyond + self.misnamed
    }
}

/// The open segments at one time.
pub(crate) struct Reading {
    readers: Vec<(Arc<Reader>, String)>,
    labelled: bool,
    /// The segments that cannot be read, each with the reason.
    missing: Vec<(String, String)>,
    /// The problem of the directory that the patterns are matched in.
    problem: Option<String>,
    /// The number of files that were left out; `None` without a pattern.
    ignored: Option<usize>,
}

impl Sources {
    /// Opens the segments once, and logs each. A segment that does not exist is no failure; a name
    /// that no segment can have is one. A name with `*` or `?` and without a slash is a pattern.
    pub(crate) fn new(given: Vec<String>, owners: Owners, labelled: bool) -> Result<Self, Error> {
        let sources = Self::quiet(given, owners, labelled)?;
        let sources = Sources { journal: Some(Journal::default()), ..sources };
        // Logs the segments that exist now.
        let _ = sources.read();
        Ok(sources)
    }

    /// As `new`, without log lines.
    pub(crate) fn quiet(given: Vec<String>, owners: Owners, labelled: bool) -> Result<Self, Error> {
        let most = MOST.min(raise_descriptor_limit() / DESCRIPTORS).max(1);
        let (mut named, mut patterns) = (Vec::<Arc<Source>>::new(), Vec::new());
        for name in given {
            if name.contains(['*', '?']) && !name.contains('/') {
                patterns.push(WildMatch::new(&name));
            } else if !named.iter().any(|source| source.name == name) {
                named.push(Arc::new(Source::new(name)?));
            }
        }
        let labelled = labelled && (named.len() > 1 || !patterns.is_empty());
        Ok(Sources {
            named,
            patterns,
            owners,
            found: Mutex::default(),
            ignored: Mutex::default(),
            most,
            problem: Mutex::default(),
            labelled,
            journal: None,
        })
    }

    pub(crate) fn names(&self) -> String {
        let names = self.named.iter().map(|source| source.name.clone());
        names.chain(self.patterns.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
    }

    /// The segments that exist now. An error with the reason if there is none.
    pub(crate) fn read(&self) -> Result<Reading, String> {
        let (mut readers, mut missing) = (Vec::new(), Vec::new());
        let (matching, ignored, problem) = self.matching();
        // Named segments do not depend on the directory.
        if let Some(problem) = &problem {
            self.complain(problem);
        }
        for (source, is_found) in
            self.named.iter().map(|source| (source, false)).chain(matching.iter().map(|source| (source, true)))
        {
            match source.reader(self.journal.as_ref(), &self.owners) {
                // The file may have been replaced since the directory was read.
                Ok(reader) if is_found && !self.is_trusted(&reader) => {}
                Ok(reader) => readers.push((reader, source.name.clone())),
                Err(problem) => missing.push((source.name.clone(), problem)),
            }
        }
        if readers.is_empty() {
            let problem = problem.or_else(|| missing.into_iter().next().map(|(_, problem)| problem));
            return Err(problem.unwrap_or_else(|| match ignored.others + ignored.beyond {
                0 => format!("there is no segment called {}", self.names()),
                n => format!("there is no segment called {}; {n} of other users are not read (--owner)", self.names()),
            }));
        }
        let ignored = (!self.patterns.is_empty()).then_some(ignored.all());
        stem::relabel(&mut readers, &mut missing);
        Ok(Reading { readers, labelled: self.labelled, missing, problem, ignored })
    }

    fn is_trusted(&self, reader: &Reader) -> bool {
        reader.owner().is_some_and(|owner| self.owners.rank(owner.user).is_some())
    }

    /// Logs what was left out.
    fn tell(&self, ignored: Ignored) {
        let Some(journal) = &self.journal else { return };
        for (n, what) in [
            (ignored.misnamed, "files whose names no segment can have".to_owned()),
            (ignored.others, "segments of other users (--owner NAME takes a user's)".to_owned()),
            (ignored.beyond, format!("segments beyond the first {}", self.most)),
        ] {
            if n > 0 {
                journal.say(Level::Warn, format_args!("ignoring {n} {what}"));
            }
        }
    }

    /// Logs the problem of the directory once.
    fn complain(&self, problem: &str) {
        let mut before = self.problem.lock();
        if let Some(journal) = self.journal.as_ref().filter(|_| before.as_deref() != Some(problem)) {
            journal.say(Level::Warn, format_args!("segments that come are not seen: {problem}"));
            *before = Some(problem.to_owned());
        }
    }

    /// The segments that the patterns select now, and the problem of the directory. The order is:
    /// this user's segments, root's, those of the named users; in each group by age, then by name.
    /// A new segment cannot take precedence by its name. If the directory cannot be read, the known
    /// segments stay.
    fn matching(&self) -> (Vec<Arc<Source>>, Ignored, Option<String>) {
        if self.patterns.is_empty() {
            return (Vec::new(), Ignored::default(), None);
        }
        let (mut ignored, begin) = (Ignored::default(), Instant::now());
        let mut found = self.found.lock();
        found.retain(|_, found| found.at.elapsed() < MISSED);
        let (listed, problem) = match shmetrics::list() {
            Ok(listed) => (listed, None),
            Err(e) => (Vec::new(), Some(e.to_string())),
        };
        for Listing { name, path, .. } in listed {
            let wanted = self.patterns.iter().any(|pattern| pattern.matches(&name));
            let is_named = self.named.iter().any(|source| source.name == name);
            if !wanted || is_named {
                continue;
            }
            let rank = match self.owners.rank_of(&path) {
                Some(Ok(rank)) => rank,
                Some(Err(_)) => {
                    ignored.others += 1;
                    continue;
                }
                None => continue,
            };
            let found = match found.entry(name) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let Ok(source) = Source::new(new.key().clone()) else {
                        ignored.misnamed += 1;
                        continue;
                    };
                    new.insert(Found { source: Arc::new(source), at: Instant::now(), rank, made: None })
                }
            };
            let made = std::fs::symlink_metadata(&path).and_then(|meta| meta.created()).ok();
            (found.at, found.rank, found.made) = (Instant::now(), rank, made);
        }
        let mut sources: Vec<_> = found.iter().collect();
        // If there are too many segments, those that are gone are forgotten first.
        sources.sort_by_key(|(name, found)| (found.at < begin, found.rank, found.made, name.as_str()));
        let mut sources: Vec<_> = sources.into_iter().map(|(_, found)| Arc::clone(&found.source)).collect();
        drop(found);
        ignored.beyond = sources.len().saturating_sub(self.most);
        sources.truncate(self.most);
        let mut before = self.ignored.lock();
        if std::mem::replace(&mut *before, ignored) != ignored {
            self.tell(ignored);
        }
        (sources, ignored, problem)
    }
}

impl Reading {
    pub(crate) fn page(&self, exposition: impl Into<Exposition>) -> Page<'_> {
        match &self.readers[..] {
            [(reader, _)] if !self.labelled => reader.page(exposition),
            several => {
                let parts: Vec<_> = several.iter().map(|(reader, name)| (&**reader, name.as_str())).collect();
                Reader::join(&parts, self.labelled, exposition)
            }
        }
    }

    /// The sentence for the case that no process has any of the segments open.
    pub(crate) fn unused(&self) -> Option<String> {
        let is_unused = self.readers.iter().all(|(reader, _)| reader.is_in_use() == Some(false));
        is_unused.then(|| {
            let names: Vec<&str> = self.readers.iter().map(|(_, name)| name.as_str()).collect();
            format!("no process has segment {} open: the page shows the last values", names.join(", "))
        })
    }

    /// An error if the file of a segment was truncated while it was read: what was read may be
    /// wrong. The next read leaves the segment out.
    pub(crate) fn check_whole(&self) -> Result<(), String> {
        let lost = self.readers.iter().find(|(reader, _)| reader.is_truncated());
        lost.map_or(Ok(()), |(_, name)| Err(truncated(name)))
    }

    /// The reason why one of the segments is missing.
    pub(crate) fn missing(&self) -> Option<String> {
        self.problem.clone().or_else(|| self.missing.first().map(|(_, problem)| problem.clone()))
    }

    /// The segments that cannot be read, each with the reason.
    pub(crate) fn all_missing(&self) -> &[(String, String)] {
        &self.missing
    }

    /// The segments by the value of the label `segment`, with their names. Without the label, all
    /// segments are in one group with an empty name.
    pub(crate) fn groups(&self) -> BTreeMap<String, Vec<(&str, &Reader)>> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for (reader, name) in &self.readers {
            let label = if self.labelled { name.clone() } else { String::new() };
            groups.entry(label).or_default().push((name.as_str(), &**reader));
        }
        groups
    }

    /// The segments with their names, in the order of the page.
    pub(crate) fn segments(&self) -> Vec<(&str, &Reader)> {
        self.readers.iter().map(|(reader, name)| (name.as_str(), &**reader)).collect()
    }

    /// The family with the number of segments that a pattern has left out.
    pub(crate) fn left_out(&self) -> Result<Option<ExternalFamily>, Error> {
        let Some(ignored) = self.ignored else { return Ok(None) };
        let help = "Files that a pattern matches and that were not read: of other users, too many, or with a name that no segment has.";
        Ok(Some(ExternalFamily::gauge("shmetrics_serve_segments_ignored", help)?.sample(&[], ignored as f64)?))
    }

    /// The family that tells which segments exist.
    pub(crate) fn up(&self) -> Result<ExternalFamily, Error> {
        let mut up = ExternalFamily::gauge(
            "shmetrics_serve_segment_up",
            "1: the segment is on this page. 0: there is none that can be read.",
        )?;
        for (_, name) in &self.readers {
            up = up.sample(&[("segment", name)], 1.0)?;
        }
        for (name, _) in &self.missing {
            up = up.sample(&[("segment", name)], 0.0)?;
        }
        Ok(up)
    }
}

struct Source {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reader: Option<Arc<Reader>>,
    /// The segment that a stem stands for.
    target: Option<String>,
    /// The last problem, so that each is logged once and not at each scrape.
    problem: Option<String>,
    /// When the file was last found to be truncated below a reader.
    truncated_at: Option<Instant>,
}

impl Source {
    fn new(name: String) -> Result<Self, Error> {
        if let Err(e @ (Error::InvalidName(_) | Error::InvalidArgument(_))) = Reader::open(&name) {
            return Err(e);
        }
        Ok(Source { name, state: Mutex::default() })
    }

    /// The segment that has the name now. Makes a few system calls.
    fn reader(&self, journal: Option<&Journal>, owners: &Owners) -> Result<Arc<Reader>, String> {
        let target = stem::is_one(&self.name).then(|| stem::current(&self.name, owners)).flatten();
        let mut state = self.state.lock();
        if state.reader.as_ref().is_some_and(|reader| reader.is_truncated()) {
            (state.reader, state.truncated_at) = (None, Some(Instant::now()));
        }
        if state.truncated_at.is_some_and(|at| at.elapsed() < DISTRUSTED) {
            let problem = format!("{}; it is not read for {} s", truncated(&self.name), DISTRUSTED.as_secs());
            state.tell(journal, &problem);
            return Err(problem);
        }
        if let Some(reader) = &state.reader
            && reader.is_current()
            && state.target == target
        {
            return Ok(Arc::clone(reader));
        }
        // An open mapping would keep the memory of a removed segment.
        state.reader = None;
        let name = target.as_deref().unwrap_or(&self.name);
        match Reader::open(name) {
            Ok(reader) => {
                if let Some(journal) = journal {
                    journal.say(Level::Info, format_args!("serving segment {}", clean(name)));
                }
                let reader = Arc::new(reader);
                *state = State { reader: Some(Arc::clone(&reader)), target, ..State::default() };
                Ok(reader)
            }
            Err(e) => {
                let problem = e.to_string();
                state.tell(journal, &problem);
                Err(problem)
            }
        }
    }
}

impl State {
    /// Logs a problem once.
    fn tell(&mut self, journal: Option<&Journal>, problem: &str) {
        if let Some(journal) = journal.filter(|_| self.problem.as_deref() != Some(problem)) {
            journal.say(Level::Warn, format_args!("waiting for a segment: {problem}"));
            self.problem = Some(problem.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use shmetrics::{Format, Segment};

    use super::*;

    #[test]
    fn a_segment_that_was_truncated_during_a_page_is_left_out() {
        Reader::survive_truncation().expect("there is a handler");
        let names =
            ["whole", "cut"].map(|what| format!("/dev/shm/.shmetrics-source-test-{}-{what}", std::process::id()));
        for name in &names {
            // A copy, as this process must not have the truncated file mapped for counting.
            let open = format!("{name}.open");
            let segment = shmetrics::Options::new().name(&open).max_size(1 << 20).open().expect("opens");
            segment.counter("jobs", "").register().expect("registers").inc();
            std::fs::copy(&open, name).expect("copies");
            Segment::remove(&open).expect("removes");
        }
        let sources = Sources::quiet(names.to_vec(), Owners::default(), true).expect("the names are right");
        let reading = sources.read().expect("both are there");
        assert!(reading.check_whole().is_ok() && reading.all_missing().is_empty());
        let file = std::fs::OpenOptions::new().write(true).open(&names[1]).expect("opens");
        let length = file.metadata().expect("has a length").len();
        file.set_len(0).expect("cuts off");
        let _ = reading.page(Format::Text).render();
        let problem = reading.check_whole().expect_err("the page is not to be believed");
        assert!(problem.contains(&names[1]) && problem.contains("truncated"), "{problem}");
        // Whole again, it is still not read: the owner may do the same again.
        file.set_len(length).expect("makes it long");
        for _ in 0..2 {
            let reading = sources.read().expect("one is there");
            assert_eq!(reading.segments().len(), 1);
            assert!(reading.all_missing()[0].1.contains("not read for 60 s"), "{:?}", reading.all_missing());
            assert!(reading.page(Format::Text).render().starts_with(b"# TYPE jobs"));
            assert!(reading.check_whole().is_ok());
        }
        for name in &names {
            std::fs::remove_file(name).expect("removes");
        }
    }
}
