//! A page before it is read: what it shows, and how it is written.

use std::io::{self, Read, Write};

use super::cursor::Cursor;
use super::filter::Filter;
use super::segments::{Part, Segments};
use crate::expose::external::ExternalFamily;
use crate::expose::format::exposition::{Exposition, Format};
use crate::expose::points::Points;
use crate::expose::source::Source;
use crate::os::host::Undisturbed;
use crate::text::escaping::Escaping;

/// A page that is not read yet: made by [`Reader::page`](crate::Reader::page),
/// [`Reader::join`](crate::Reader::join) and [`Segment::page`](crate::Segment::page).
///
/// Set the options, and then read the page: whole ([`render`](Page::render),
/// [`render_to`](Page::render_to), [`render_to_string`](Page::render_to_string)), piece by piece
/// ([`cursor`](Page::cursor)), or as values ([`points`](Page::points)).
///
/// ```
/// use shmetrics::{Format, Options};
/// let segment = Options::new().anonymous().open()?;
/// segment.counter("jobs", "Jobs.").register()?.inc();
/// segment.counter("mails", "Mails.").register()?.inc();
/// let page = segment.page(Format::Text).only(["jobs_total"]).render_to_string()?;
/// assert_eq!(page, "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Page<'a> {
    segments: Segments<'a>,
    exposition: Exposition,
    filter: Filter,
    external: Vec<ExternalFamily>,
    is_per_process: bool,
}

impl<'a> Page<'a> {
    pub(in crate::expose) fn new(exposition: Exposition) -> Self {
        let (segments, filter, external) = (Segments::default(), Filter::default(), Vec::new());
        Page { segments, exposition, filter, external, is_per_process: false }
    }

    /// Adds a segment. Of several, the library's own families have a label with the name.
    pub(in crate::expose) fn add_segment(&mut self, source: Source<'a>, label: Option<(&str, &str)>, name: &str) {
        let _undisturbed = Undisturbed::new();
        self.segments.parts.push(Part::new(source, label, name));
    }

    pub(crate) fn set_exposition(&mut self, exposition: Exposition) {
        self.exposition = exposition;
    }

    pub(crate) fn add_name(&mut self, name: &str) {
        self.filter.add(name.to_owned());
    }

    /// Shows only the families that have samples of these names (or are called so), as scrapers ask
    /// for by `name[]`. The families are shown whole. A name may be as it was registered, or as the
    /// page shows it. Further calls add names.
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        names.into_iter().for_each(|name| self.filter.add(name.into()));
        self
    }

    /// Adds a family that is in no segment, before those of the library. If a family of a segment
    /// has the same name, or a family that was added before, the page leaves this one out and
    /// counts it in `shmetrics_conflicts`.
    pub fn with(mut self, family: ExternalFamily) -> Self {
        self.external.push(family);
        self
    }

    /// Shows one sample for each process, with the label `pid`, of gauges that merge the values of
    /// processes.
    ///
    /// ```
    /// use shmetrics::{Format, GaugeMode, Options};
    /// let segment = Options::new().anonymous().open()?;
    /// segment.gauge("busy", "Requests in progress.", GaugeMode::LiveSum).register()?.set(2.0);
    /// let point = segment.page(Format::Text).per_process().points().next().unwrap();
    /// assert_eq!(point.labels, [("pid".to_owned(), std::process::id().to_string())]);
    /// # Ok::<(), shmetrics::Error>(())
    /// ```
    pub fn per_process(mut self) -> Self {
        self.is_per_process = true;
        self
    }

    /// Renders the page.
    pub fn render(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * 1024);
        self.cursor().render(&mut out, usize::MAX);
        out
    }

    /// Renders the page into a writer, in pieces of about 32 KiB.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn render_to(self, out: &mut impl Write) -> io::Result<()> {
        let mut cursor = self.cursor();
        let mut piece = Vec::with_capacity(64 * 1024);
        while cursor.fill(&mut piece) {
            out.write_all(&piece)?;
            piece.clear();
        }
        Ok(())
    }

    /// Renders the page as text.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] in [`Format::Protobuf`], which is no text.
    pub fn render_to_string(self) -> io::Result<String> {
        let mut page = String::with_capacity(64 * 1024);
        self.cursor().read_to_string(&mut page)?;
        Ok(page)
    }

    /// Begins to read the page piece by piece.
    pub fn cursor(self) -> Cursor<'a> {
        Cursor::new(self.segments, self.exposition, self.filter, self.external, self.is_per_process)
    }

    /// The series of the page as values, for callers that translate them. The format does not
    /// matter. Names are as they were registered.
    ///
    /// ```
    /// use shmetrics::{Format, Options, PointValue};
    /// let segment = Options::new().anonymous().open()?;
    /// segment.counter("jobs", "Jobs.").labels(["kind"]).register()?.with(["mail"]).inc();
    /// let point = segment.page(Format::Text).points().next().unwrap();
    /// assert_eq!((point.family.name.as_str(), &point.value), ("jobs", &PointValue::Whole(1)));
    /// assert_eq!(point.labels, [("kind".to_owned(), "mail".to_owned())]);
    /// # Ok::<(), shmetrics::Error>(())
    /// ```
    pub fn points(mut self) -> Points<'a> {
        self.exposition = Exposition::new(Format::OpenMetrics).with_escaping(Escaping::AllowUtf8);
        Points::new(self.cursor())
    }
}

impl std::fmt::Debug for Page<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").field("exposition", &self.exposition).finish_non_exhaustive()
    }
}
