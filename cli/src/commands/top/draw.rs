//! The screen: a title, a banner if something is wrong, the table, help, and the keys.

use std::collections::VecDeque;
use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::Frame;
use shmetrics::Kind;

use super::app::{App, Column, Row};
use crate::common::format::{clean, count, counted, scaled, Unit};
use crate::common::live::{has_rate, Family, Series, TREND};

const KEYS: &str = " q quit  / filter  Enter open  a all  < > sort by  r reverse  s sort again  w per process  p pause";
const BARS: [char; 8] =
    ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
/// Cells of the name at least; columns that leave less are not shown.
const NAME: u16 = 28;
const NUMBER: u16 = 10;

struct Field {
    title: &'static str,
    column: Option<Column>,
    width: u16,
}

const fn field(title: &'static str, column: Column) -> Field {
    Field { title, column: Some(column), width: NUMBER }
}

/// The fields, in the order of the screen.
const FIELDS: [Field; 7] = [
    field("VALUE", Column::Value),
    field("/s", Column::Now),
    field("/s 10 s", Column::Ten),
    field("/s 60 s", Column::Sixty),
    field("50 %", Column::Median),
    field("99 %", Column::P99),
    Field { title: "TREND", column: None, width: TREND as u16 / 2 },
];

/// The fields that a narrow screen leaves out, in this order.
const LEFT_OUT: [usize; 6] = [6, 3, 4, 2, 5, 1];

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let (area, buffer) = (frame.area(), frame.buffer_mut());
    if area.height < 6 || area.width < 20 {
        line(buffer, area, 0, "shmetrics top: the terminal is too small", Style::new());
        return;
    }
    line(buffer, area, 0, &title(app), Style::new().add_modifier(Modifier::BOLD));
    let mut y = 1;
    if let Some(banner) = &app.banner {
        let color = if banner.is_loss { Color::Red } else { Color::Yellow };
        let style = Style::new().fg(Color::Black).bg(color);
        // A low screen keeps its lines for the table.
        let most = if area.height < 16 { 3 } else { 4 };
        for part in wrapped(&banner.with_runbook(), usize::from(area.width), most) {
            line(buffer, area, y, &format!("{part:<width$}", width = usize::from(area.width)), style);
            y += 1;
        }
    }
    let fields = fields(area.width);
    header(app, buffer, area, y, &fields);
    y += 1;
    let below = 2;
    app.height = usize::from(area.height.saturating_sub(y + below));
    app.scroll();
    for (at, row) in app.rows.iter().enumerate().skip(app.top).take(app.height) {
        table_row(app, *row, at == app.selected, buffer, area, y, &fields);
        y += 1;
    }
    if app.rows.is_empty() {
        let text =
            if app.filter.is_empty() { "  no metrics yet" } else { "  no metric matches the filter (Esc clears it)" };
        line(buffer, area, y, text, Style::new());
    }
    line(buffer, area, area.height - 2, &help(app), Style::new().fg(Color::Cyan));
    let keys = if app.is_typing {
        format!(" filter: {}_   Enter keeps it, Esc clears it", clean(&app.filter))
    } else {
        KEYS.to_owned()
    };
    line(buffer, area, area.height - 1, &keys, Style::new().add_modifier(Modifier::REVERSED));
}

fn title(app: &App) -> String {
    let families = &app.model.families;
    let series: usize = families.iter().map(Family::len).sum();
    let mut title = format!(
        "shmetrics top: {}   {}, {}",
        clean(&app.names),
        counted(families.len() as u64, "family", "families"),
        counted(series as u64, "series", "series")
    );
    if !app.filter.is_empty() {
        title = title + "   filter " + &clean(&app.filter);
    }
    if app.is_per_process {
        title += "   per process";
    }
    if app.is_paused {
        title += "   PAUSED";
    }
    // A large segment is read in turns.
    let age = app.model.oldest().as_secs_f64();
    if !app.is_paused && age > 1.5 {
        let _ = write!(title, "   values up to {age:.1} s old");
    }
    title
}

fn fields(width: u16) -> Vec<&'static Field> {
    let mut shown = [true; FIELDS.len()];
    let used =
        |shown: &[bool]| -> u16 { FIELDS.iter().zip(shown).filter(|(_, s)| **s).map(|(f, _)| f.width + 1).sum() };
    for out in LEFT_OUT {
        if used(&shown) + NAME > width {
            shown[out] = false;
        }
    }
    FIELDS.iter().zip(shown).filter(|(_, shown)| *shown).map(|(field, _)| field).collect()
}

fn header(app: &App, buffer: &mut Buffer, area: Rect, y: u16, fields: &[&Field]) {
    let style = Style::new().add_modifier(Modifier::REVERSED);
    line(buffer, area, y, &" ".repeat(usize::from(area.width)), style);
    let mark = |column: Option<Column>| match (column == Some(app.sort), app.is_descending) {
        (false, _) => "",
        (true, true) => "\u{2193}",
        (true, false) => "\u{2191}",
    };
    line(buffer, area, y, &format!("  METRIC{}", mark(Some(Column::Name))), style);
    let mut x = area.width;
    for field in fields.iter().rev() {
        x -= field.width + 1;
        let text = format!("{}{}", mark(field.column), field.title);
        right(buffer, area, x, y, field.width, &text, style);
    }
}

fn table_row(app: &App, row: Row, is_selected: bool, buffer: &mut Buffer, area: Rect, y: u16, fields: &[&Field]) {
    let family = &app.model.families[row.family];
    let series = row.series.map(|at| &family.series[at]);
    let is_gone = family.len() == 0 || series.is_some_and(|series| !family.is_there(series));
    let mut style = Style::new();
    if is_gone {
        style = style.add_modifier(Modifier::DIM);
    }
    if is_selected {
        style = style.add_modifier(Modifier::REVERSED);
        line(buffer, area, y, &" ".repeat(usize::from(area.width)), style);
    }
    let name = match (series, &family.series[..]) {
        (Some(series), _) => format!("    {}", series.text()),
        (None, [only]) => format!("  {}{}", family.name(), only.text()),
        (None, _) => {
            let mark = if family.is_open { '\u{25be}' } else { '\u{25b8}' };
            format!("{mark} {}  ({} series)", family.name(), count(family.len() as u64))
        }
    };
    let mut x = area.width;
    let cells = cells(family, series.or_else(|| family.series.first().filter(|_| family.series.len() == 1)), is_gone);
    for field in fields.iter().rev() {
        x -= field.width + 1;
        let at = FIELDS.iter().position(|one| std::ptr::eq(one, *field) || one.title == field.title);
        right(buffer, area, x, y, field.width, &cells[at.unwrap_or(0)], style);
    }
    buffer.set_stringn(area.x, area.y + y, &name, usize::from(x), style);
}

/// The text of each field. `series`: the only one that the row is about.
fn cells(family: &Family, series: Option<&Series>, is_gone: bool) -> [String; 7] {
    let none = || "-".to_owned();
    if is_gone {
        return ["gone".to_owned(), none(), none(), none(), none(), none(), String::new()];
    }
    let unit = family.unit();
    let rates = family.rates(series);
    let rate_unit = if unit == Unit::Bytes && family.info.kind == Kind::Counter { unit } else { Unit::None };
    let rate = |i: usize| rates.map_or_else(none, |rates| scaled(rates[i], rate_unit));
    let percentile = |share| family.percentile(series, share).map_or_else(none, |value| scaled(value, unit));
    let amount = family.amount(series);
    let value = match series.and_then(|series| family.states(series)) {
        Some(states) => states,
        None if has_rate(&family.info) && family.info.kind != Kind::Counter => scaled(amount, Unit::None),
        // The sum of gauges is marked as one.
        None if series.is_none() && family.info.kind != Kind::Counter => format!("\u{3a3} {}", scaled(amount, unit)),
        None => scaled(amount, unit),
    };
    let trend = match series {
        Some(series) if family.series.len() > 1 => &series.trend,
        _ => &family.trend,
    };
    [value, rate(0), rate(1), rate(2), percentile(0.5), percentile(0.99), sparkline(trend)]
}

/// Two heights a cell become one; the tallest has a full cell.
fn sparkline(trend: &VecDeque<f64>) -> String {
    let pairs: Vec<f64> = trend.iter().copied().collect::<Vec<_>>().chunks(2).map(|two| two[two.len() - 1]).collect();
    let most = pairs.iter().copied().fold(0.0, f64::max);
    let bar = |height: f64| {
        let step = if most > 0.0 { (height.max(0.0) / most * 7.0).round() } else { 0.0 };
        BARS[(step as usize).min(7)]
    };
    pairs.into_iter().map(bar).collect()
}

fn help(app: &App) -> String {
    let Some(row) = app.rows.get(app.selected) else { return String::new() };
    let family = &app.model.families[row.family];
    let kind = format!("{:?}", family.info.kind).to_lowercase();
    let unit = if family.info.unit.is_empty() { String::new() } else { format!(" in {}", clean(&family.info.unit)) };
    format!(" {} ({kind}{unit}): {}", family.name(), clean(&family.info.help))
}

fn line(buffer: &mut Buffer, area: Rect, y: u16, text: &str, style: Style) {
    if y < area.height {
        buffer.set_stringn(area.x, area.y + y, text, usize::from(area.width), style);
    }
}

/// At the right end of a field; what is too long loses its end.
fn right(buffer: &mut Buffer, area: Rect, x: u16, y: u16, width: u16, text: &str, style: Style) {
    let text: String = text.chars().take(usize::from(width)).collect();
    let blank = width - (text.chars().count() as u16).min(width);
    buffer.set_stringn(area.x + x + blank, area.y + y, &text, usize::from(width), style);
}

/// The words of a text in lines of this width, at most so many.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() + 1 > width {
            lines.push(String::new());
        }
        let line = lines.last_mut().map_or_else(String::new, std::mem::take);
        if let Some(last) = lines.last_mut() {
            *last = format!("{line} {word}");
        }
    }
    lines.truncate(most);
    lines
}
