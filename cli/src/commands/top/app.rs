//! The state of the live table: its rows in their order, the filter and the selected row. Keys
//! change it.

use std::cmp::Ordering;
use std::collections::HashSet;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::common::live::banner::Banner;
use crate::common::live::{Family, Model, Series};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Value,
    Now,
    Ten,
    Sixty,
    Median,
    P99,
}

impl Column {
    pub(super) const ALL: [Column; 7] =
        [Column::Name, Column::Value, Column::Now, Column::Ten, Column::Sixty, Column::Median, Column::P99];
}

/// A family, or one of its series: their places in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) family: usize,
    pub(super) series: Option<usize>,
}

/// What a key asks for beyond a change of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Suspend,
    /// Read with, or without, the values of each process.
    Reread,
}

// Each is a switch of its own.
#[allow(clippy::struct_excessive_bools)]
pub(super) struct App {
    pub(super) names: String,
    pub(super) model: Model,
    pub(super) banner: Option<Banner>,
    /// Families and the series of open families, in the order of the last sort.
    pub(super) rows: Vec<Row>,
    order: Vec<usize>,
    pub(super) selected: usize,
    pub(super) top: usize,
    /// Rows that fit on the screen.
    pub(super) height: usize,
    pub(super) sort: Column,
    pub(super) is_descending: bool,
    pub(super) filter: String,
    pub(super) is_typing: bool,
    pub(super) is_per_process: bool,
    pub(super) is_paused: bool,
    /// The user has moved or sorted: rows stay where they are.
    is_touched: bool,
    reads: u32,
    /// The number of places for rows, at the last update of the rows.
    places: usize,
}

impl App {
    pub(super) fn new(names: String) -> Self {
        App {
            names,
            model: Model::default(),
            banner: None,
            rows: Vec::new(),
            order: Vec::new(),
            selected: 0,
            top: 0,
            height: 1,
            sort: Column::Now,
            is_descending: true,
            filter: String::new(),
            is_typing: false,
            is_per_process: false,
            is_paused: false,
            is_touched: false,
            reads: 0,
            places: 0,
        }
    }

    /// Called after each read. Rows are sorted when the first rates are there; later only new rows
    /// are added.
    pub(super) fn refresh(&mut self) {
        self.reads += 1;
        if self.reads <= 2 && !self.is_touched {
            self.sort();
        } else if self.model.places() != self.places {
            self.update_rows();
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c' | 'd') => return Wish::Quit,
                KeyCode::Char('z') => return Wish::Suspend,
                _ => {}
            }
        }
        if self.is_typing {
            return self.type_filter(key.code);
        }
        let page = self.height.max(1);
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.set_filter(String::new()),
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected + 1),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(page)),
            KeyCode::PageDown => self.select(self.selected + page),
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX),
            KeyCode::Enter | KeyCode::Char(' ') => self.open(|is_open| !is_open),
            KeyCode::Right => self.open(|_| true),
            KeyCode::Left => self.open(|_| false),
            KeyCode::Char('a') => self.open_all(),
            KeyCode::Char('<' | ',') => self.sort_by(Column::ALL.len() - 1),
            KeyCode::Char('>' | '.') => self.sort_by(1),
            KeyCode::Char('r') => {
                self.is_descending = !self.is_descending;
                self.sort();
            }
            KeyCode::Char('s') => self.sort(),
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('w') => {
                self.is_per_process = !self.is_per_process;
                return Wish::Reread;
            }
            // For the test that a panic leaves the terminal as it was.
            #[cfg(debug_assertions)]
            KeyCode::F(12) => panic!("F12 was pressed"),
            _ => {}
        }
        Wish::Nothing
    }

    fn type_filter(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.set_filter(String::new());
            }
            KeyCode::Backspace => {
                let mut filter = self.filter.clone();
                filter.pop();
                self.set_filter(filter);
            }
            KeyCode::Char(c) => self.set_filter(format!("{}{c}", self.filter)),
            _ => {}
        }
        Wish::Nothing
    }

    fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.is_touched = true;
        self.update_rows();
    }

    fn select(&mut self, at: usize) {
        self.is_touched = true;
        self.selected = at.min(self.rows.len().saturating_sub(1));
        self.scroll();
    }

    /// Scrolls so that the selected row is on the screen.
    pub(super) fn scroll(&mut self) {
        let height = self.height.max(1);
        self.top = self.top.clamp((self.selected + 1).saturating_sub(height), self.selected);
        self.top = self.top.min(self.rows.len().saturating_sub(height));
    }

    fn open(&mut self, change: impl Fn(bool) -> bool) {
        self.is_touched = true;
        let Some(row) = self.rows.get(self.selected).copied() else { return };
        let family = &mut self.model.families[row.family];
        let was_open = family.is_open;
        family.is_open = change(was_open);
        if !was_open {
            self.sort_series(row.family);
        }
        self.update_rows();
        if let Some(at) = self.rows.iter().position(|found| found.family == row.family)
            && (!self.model.families[row.family].is_open || row.series.is_none())
        {
            self.select(at);
        }
    }

    /// Opens all families, or closes them if all are open.
    fn open_all(&mut self) {
        self.is_touched = true;
        let is_open = !self.model.families.iter().all(|family| family.is_open);
        self.model.families.iter_mut().for_each(|family| family.is_open = is_open);
        (0..self.model.families.len()).for_each(|at| self.sort_series(at));
        self.update_rows();
    }

    fn sort_by(&mut self, step: usize) {
        let at = Column::ALL.iter().position(|column| *column == self.sort).unwrap_or(0);
        self.sort = Column::ALL[(at + step) % Column::ALL.len()];
        self.is_descending = self.sort != Column::Name;
        self.is_touched = true;
        self.sort();
    }

    fn sort(&mut self) {
        let (column, is_descending) = (self.sort, self.is_descending);
        let directed = |order: Ordering| if is_descending { order.reverse() } else { order };
        let families = &self.model.families;
        let keys: Vec<f64> = families.iter().map(|family| key(family, None, column)).collect();
        let mut order: Vec<usize> = (0..families.len()).collect();
        order.sort_by(|a, b| {
            let by_name = families[*a].info.name.cmp(&families[*b].info.name);
            if column == Column::Name {
                return directed(by_name);
            }
            directed(keys[*a].total_cmp(&keys[*b])).then(by_name)
        });
        self.order = order;
        (0..self.model.families.len()).for_each(|at| self.sort_series(at));
        self.rows.clear();
        self.update_rows();
    }

    /// Sorts the series of an open family, and forgets those that are gone.
    fn sort_series(&mut self, at: usize) {
        let (column, is_descending) = (self.sort, self.is_descending);
        let family = &mut self.model.families[at];
        if !family.is_open {
            return;
        }
        family.forget_gone();
        // The column with the names sorts series by their labels alone.
        let by = |family: &Family, series: &Series| (column != Column::Name).then(|| key(family, Some(series), column));
        family.sort_series(is_descending, by);
    }

    /// The rows of the order, and those that have come since. The selected row stays selected.
    fn update_rows(&mut self) {
        self.places = self.model.places();
        let selected = self.rows.get(self.selected).copied();
        self.order.extend(self.order.len()..self.model.families.len());
        let filter = self.filter.to_lowercase();
        let (mut rows, mut text) = (Vec::new(), String::new());
        for at in &self.order {
            let family = &self.model.families[*at];
            let is_named = filter.is_empty() || family.name().to_lowercase().contains(&filter);
            let before = rows.len();
            rows.push(Row { family: *at, series: None });
            // A single series stands on the family's own row.
            let is_open = family.is_open || !is_named;
            if is_open && (family.series.len() > 1 || !is_named) {
                let found = family.series.iter().enumerate();
                let found = found.filter(|(_, series)| is_named || series.has(&filter, &mut text));
                rows.extend(found.map(|(series, _)| Row { family: *at, series: Some(series) }));
            }
            if !is_named && rows.len() == before + 1 {
                rows.pop();
            }
        }
        self.rows = rows;
        let at = selected.and_then(|selected| self.rows.iter().position(|row| *row == selected));
        self.selected = at.unwrap_or(self.selected).min(self.rows.len().saturating_sub(1));
        self.scroll();
    }

    /// The families with a row on the screen.
    pub(super) fn shown(&self) -> HashSet<usize> {
        self.rows.iter().skip(self.top).take(self.height).map(|row| row.family).collect()
    }

    /// Begins anew: the series are others.
    pub(super) fn reset(&mut self) {
        self.model = Model::default();
        (self.rows, self.order, self.reads) = (Vec::new(), Vec::new(), 0);
    }
}

/// The value that a column sorts a family by, or one of its series. What is not there sorts below
/// all numbers.
fn key(family: &Family, series: Option<&Series>, column: Column) -> f64 {
    let rate = |i: usize| family.rates(series).map(|rates| rates[i]);
    let key = match column {
        Column::Name => None,
        Column::Value => Some(family.amount(series)),
        Column::Now => rate(0),
        Column::Ten => rate(1),
        Column::Sixty => rate(2),
        Column::Median => family.percentile(series, 0.5),
        Column::P99 => family.percentile(series, 0.99),
    };
    key.unwrap_or(f64::NEG_INFINITY)
}
