//! Aligned tables without borders, which `awk` can read.

use std::fmt;

use crate::common::format::clean;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

pub(crate) struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        Table {
            align: columns.iter().map(|&(_, align)| align).collect(),
            rows: vec![columns.iter().map(|&(title, _)| title.to_owned()).collect()],
        }
    }

    /// Adds a row. Cells may come from a segment, which is not trusted to leave the terminal alone.
    pub(crate) fn row<const N: usize>(&mut self, cells: &[String; N]) {
        debug_assert_eq!(N, self.align.len(), "a row has one cell per column");
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.align.len()).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&self.align).zip(&widths);
            let padded = cells.map(|((cell, align), &width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right), ("", Align::Left)]);
        table.row(&["a".into(), "1".into(), String::new()]);
        table.row(&["öäü-é".into(), "12345".into(), "x".into()]);
        assert_eq!(table.to_string(), "NAME    SIZE\na          1\nöäü-é  12345  x\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(&[("NAME", Align::Left)]);
        table.row(&["evil\x1b[2J\nname".into()]);
        assert_eq!(table.to_string(), "NAME\nevil\\u{1b}[2J\\nname\n");
    }
}
