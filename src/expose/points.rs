//! A page as values, one series after another.

use std::collections::VecDeque;

use super::format::exposition::{Exposition, Format};
use super::page::cursor::Cursor;
use super::values::Point;
use crate::text::escaping::Escaping;

/// The series of a page, one after another: made by [`Cursor::points`].
///
/// As on a page, each series is of the moment it is read; only some hundred are held at a time. The
/// library's own families come last.
#[derive(Debug)]
pub struct Points<'a> {
    cursor: Cursor<'a>,
    ready: VecDeque<Point>,
}

impl<'a> Cursor<'a> {
    /// With one sample for each process, with the label `pid`, of gauges that merge the values of
    /// processes. To be called before the page is begun.
    ///
    /// ```
    /// use shmetrics::{Format, GaugeMode, Options};
    /// let segment = Options::new().anonymous().open()?;
    /// segment.gauge("busy", "Requests in progress.", GaugeMode::LiveSum).register()?.set(2.0);
    /// let point = segment.cursor(Format::Text).per_process().points().next().unwrap();
    /// assert_eq!(point.labels, [("pid".to_owned(), std::process::id().to_string())]);
    /// # Ok::<(), shmetrics::Error>(())
    /// ```
    #[must_use]
    pub fn per_process(mut self) -> Self {
        self.separate_processes();
        self
    }

    /// The same series as values instead of a page, for callers that translate them. The format
    /// does not matter. Names are as they were registered. To be called before the page is begun.
    ///
    /// ```
    /// use shmetrics::{Format, Options, PointValue};
    /// let segment = Options::new().anonymous().open()?;
    /// segment.counter("jobs", "Jobs.").labels(["kind"]).register()?.with(["mail"]).inc();
    /// let point = segment.cursor(Format::Text).points().next().unwrap();
    /// assert_eq!((point.family.name.as_str(), &point.value), ("jobs", &PointValue::Whole(1)));
    /// assert_eq!(point.labels, [("kind".to_owned(), "mail".to_owned())]);
    /// # Ok::<(), shmetrics::Error>(())
    /// ```
    #[must_use]
    pub fn points(mut self) -> Points<'a> {
        self.gather();
        self.set_exposition(Exposition::new(Format::OpenMetrics).with_escaping(Escaping::AllowUtf8));
        Points { cursor: self, ready: VecDeque::new() }
    }
}

impl Iterator for Points<'_> {
    type Item = Point;

    fn next(&mut self) -> Option<Point> {
        while self.ready.is_empty() {
            if !self.cursor.gather_more(&mut self.ready) {
                return self.ready.pop_front();
            }
        }
        self.ready.pop_front()
    }
}
