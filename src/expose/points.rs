//! A page as values, one series after another.

use std::collections::VecDeque;

use super::page::cursor::Cursor;
use super::values::Point;

/// The series of a page, one after another: made by [`Page::points`](crate::Page::points).
///
/// As on a page, each series is of the moment it is read; only some hundred are held at a time. The
/// library's own families come last.
#[derive(Debug)]
pub struct Points<'a> {
    cursor: Cursor<'a>,
    ready: VecDeque<Point>,
}

impl<'a> Points<'a> {
    pub(super) fn new(mut cursor: Cursor<'a>) -> Self {
        cursor.gather();
        Points { cursor, ready: VecDeque::new() }
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
