//! What a loop of pushes tells about itself: metrics on the pages that it pushes, the same metrics
//! in a file for node_exporter, and log lines at a limited rate.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use shmetrics::{Error, ExternalFamily};

use crate::common::format::{counted, unix};
use crate::common::log::{log, Level};
use crate::common::source::Reading;

/// The minimum time between two lines about failures.
const QUIET: Duration = Duration::from_secs(60);
/// The minimum time between two lines about one failure that stays.
const QUIET_IF_SAME: Duration = Duration::from_secs(600);

/// The result of the pushes so far.
#[derive(Default)]
pub(super) struct Status {
    succeeded: u64,
    failed: u64,
    /// When a push last arrived.
    success: Option<SystemTime>,
    /// The segments that the last page left out.
    missing: usize,
    lines: Lines,
    file_lines: Lines,
    missing_lines: Lines,
    dropped_lines: Lines,
}

/// The line about series that a push has left out.
pub(super) fn dropped(series: u64) -> String {
    format!("{} have a type that OTLP does not have", counted(series, "series", "series"))
}

/// A family, with its samples: the value of the label `result`, if it has one, and the value.
struct Family {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    samples: Vec<(Option<&'static str>, f64)>,
}

impl Status {
    fn families(&self) -> [Family; 3] {
        let gauge = |name, help, value| Family { name, help, is_counter: false, samples: vec![(None, value)] };
        [
            Family {
                name: "shmetrics_push_pushes",
                help: "Pushes that are done, each with its retries.",
                is_counter: true,
                samples: vec![(Some("success"), self.succeeded as f64), (Some("failure"), self.failed as f64)],
            },
            gauge(
                "shmetrics_push_last_success_timestamp_seconds",
                "Unix time when a push last arrived; 0 if none has.",
                self.success.map_or(0.0, unix),
            ),
            gauge(
                "shmetrics_push_segments_missing",
                "Segments that the last page left out, because they could not be read.",
                self.missing as f64,
            ),
        ]
    }

    /// For a page: the state before the page is pushed.
    pub(super) fn external_families(&self) -> Result<Vec<ExternalFamily>, Error> {
        let external = |family: &Family| {
            let new = if family.is_counter { ExternalFamily::counter } else { ExternalFamily::gauge };
            family.samples.iter().try_fold(new(family.name, family.help)?, |external, (result, value)| {
                external.sample(result.map(|result| ("result", result)).as_slice(), *value)
            })
        };
        self.families().iter().map(external).collect()
    }

    /// Notes which segments the page of a push has.
    pub(super) fn read(&mut self, reading: &Reading) {
        let missing = reading.all_missing();
        self.missing = missing.len();
        match missing.first() {
            Some((_, problem)) => self.missing_lines.failed(problem, |line| {
                log(
                    Level::Warn,
                    format_args!("a push lacks {}: {line}", counted(missing.len() as u64, "segment", "segments")),
                );
            }),
            None => self.missing_lines.succeeded(|_| log(Level::Info, "pushing all segments again")),
        }
    }

    /// Notes how many series the receiver could not take.
    pub(super) fn dropped(&mut self, series: u64) {
        match series {
            0 => self.dropped_lines.succeeded(|_| {}),
            n => self.dropped_lines.failed(&dropped(n), |line| log(Level::Warn, line)),
        }
    }

    /// Notes the result of a push, and logs a failure, and the success after it.
    pub(super) fn pushed(&mut self, done: &Result<(), String>) {
        match done {
            Ok(()) => {
                self.succeeded += 1;
                self.success = Some(SystemTime::now());
                self.lines.succeeded(|unsaid| match unsaid {
                    0 => log(Level::Info, "pushed again"),
                    n => log(Level::Info, format_args!("pushed again ({n} more failures since this was last said)")),
                });
            }
            Err(problem) => {
                self.failed += 1;
                self.lines.failed(problem, |line| log(Level::Warn, format_args!("not pushed: {line}")));
            }
        }
    }

    /// Replaces the file. The labels tell the files of several loops apart.
    pub(super) fn write(&mut self, textfile: &Textfile) {
        match textfile.replace(&self.text(&textfile.labels)) {
            Ok(()) => self.file_lines.succeeded(|_| log(Level::Info, "the textfile is written again")),
            Err(e) => self.file_lines.failed(&format!("{}: {e}", textfile.path.display()), |line| {
                log(Level::Warn, format_args!("the textfile is not written: {line}"));
            }),
        }
    }

    fn text(&self, labels: &[(&str, String)]) -> String {
        let mut text = String::new();
        for family in self.families() {
            let (suffix, kind) = if family.is_counter { ("_total", "counter") } else { ("", "gauge") };
            let name = format!("{}{suffix}", family.name);
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (result, value) in &family.samples {
                let result = result.map(|result| ("result", result.to_owned()));
                let all = labels.iter().cloned().chain(result);
                let all: Vec<_> = all.map(|(label, value)| format!("{label}=\"{}\"", escaped(&value))).collect();
                let _ = writeln!(text, "{name}{{{}}} {value}", all.join(","));
            }
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// The file for the textfile collector of node_exporter.
pub(super) struct Textfile {
    path: PathBuf,
    labels: Vec<(&'static str, String)>,
}

impl Textfile {
    pub(super) fn new(path: &Path, url: String, segments: String) -> io::Result<Self> {
        let textfile = Textfile { path: path.to_path_buf(), labels: vec![("segments", segments), ("url", url)] };
        textfile.check().map(|()| textfile)
    }

    /// An error if something stands there that is no file: the rename would replace a device such
    /// as /dev/null for all programs of the machine.
    fn check(&self) -> io::Result<()> {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| !meta.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file, and would be replaced"));
        }
        Ok(())
    }

    /// Writes a file beside it and renames that file: a reader gets the old text or the new one.
    fn replace(&self, text: &str) -> io::Result<()> {
        self.check()?;
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let beside = self.path.with_file_name(format!(".{name}.{}", std::process::id()));
        let write = || {
            // A file of this name can only be left over from a killed process.
            let _ = fs::remove_file(&beside);
            let mut file = File::create_new(&beside)?;
            // node_exporter runs as another user.
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(text.as_bytes())?;
            fs::rename(&beside, &self.path)
        };
        write().inspect_err(|_| _ = fs::remove_file(&beside))
    }
}

/// The lines about one kind of failure.
#[derive(Default)]
struct Lines {
    /// The last line, and the failure of that line.
    last: Option<(Instant, String)>,
    /// Whether the last line was about a failure.
    is_failing: bool,
    unsaid: u64,
}

impl Lines {
    fn failed(&mut self, problem: &str, say: impl FnOnce(&str)) {
        let quiet = |(at, before): &(Instant, String)| {
            at.elapsed() < if before == problem && self.is_failing { QUIET_IF_SAME } else { QUIET }
        };
        if self.last.as_ref().is_some_and(quiet) {
            self.unsaid += 1;
            return;
        }
        self.last = Some((Instant::now(), problem.to_owned()));
        self.is_failing = true;
        match std::mem::take(&mut self.unsaid) {
            0 => say(problem),
            n => say(&format!("{problem} (and {n} times more since this was last said)")),
        }
    }

    fn succeeded(&mut self, say: impl FnOnce(u64)) {
        if std::mem::take(&mut self.is_failing) {
            say(std::mem::take(&mut self.unsaid));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_text_has_all_states() {
        let mut status = Status::default();
        let labels = [("segments", "a\"\\\n".to_owned())];
        assert!(status.text(&labels).contains("last_success_timestamp_seconds{segments=\"a\\\"\\\\\\n\"} 0\n"));
        status.pushed(&Err("no".into()));
        status.pushed(&Ok(()));
        let text = status.text(&[("url", "u".into())]);
        assert!(text.contains("\nshmetrics_push_pushes_total{url=\"u\",result=\"failure\"} 1\n"), "{text}");
        assert!(
            text.starts_with("# HELP shmetrics_push_pushes_total ") && text.matches("# TYPE").count() == 3,
            "{text}"
        );
        assert_eq!(status.external_families().unwrap().len(), 3);
    }

    #[test]
    fn lines_are_few_however_a_gateway_answers() {
        let (mut lines, said) = (Lines::default(), RefCell::new(Vec::new()));
        let say = |line: &str| said.borrow_mut().push(line.to_owned());
        // Each answer differs, and each second push succeeds.
        for i in 0..100 {
            lines.failed(&format!("answer {i}"), say);
            lines.succeeded(|unsaid| say(&format!("again {unsaid}")));
        }
        assert_eq!(*said.borrow(), ["answer 0", "again 0"]);
        lines.last.as_mut().unwrap().0 -= QUIET;
        lines.failed("answer 100", say);
        assert_eq!(said.borrow()[2], "answer 100 (and 99 times more since this was last said)");
        lines.last.as_mut().unwrap().0 -= QUIET;
        lines.failed("answer 100", say);
        assert_eq!(said.borrow().len(), 3, "the same one is said less often");
        lines.succeeded(|unsaid| say(&format!("again {unsaid}")));
        assert_eq!(said.borrow()[3], "again 1");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = std::env::temp_dir().join(format!("shmetrics-textfile-test-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("a.prom");
        let textfile = Textfile::new(&path, "u".into(), "s".into()).unwrap();
        for text in ["one", "two"] {
            textfile.replace(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing stays beside it");
        fs::remove_file(&path).unwrap();
        // What is no file stays as it is: a link, a socket, a directory, and so a device.
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        assert!(textfile.replace("three").is_err());
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        fs::remove_file(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(textfile.replace("three").is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(textfile.replace("three").is_err());
        assert!(Textfile::new(&path, "u".into(), "s".into()).is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }
}
