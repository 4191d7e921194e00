//! The table for an output that is no terminal.

use crate::common::format::{clean, counted};
use crate::common::live::{Family, Model, Series};
use crate::common::table::{Align, Table};

/// The series with the highest rates, as many as this.
const ROWS: usize = 25;

pub(super) fn table(model: &Model, names: &str, problem: Option<&str>) -> String {
    let mut all: Vec<(&Family, &Series)> =
        model.families.iter().flat_map(|family| family.series.iter().map(move |series| (family, series))).collect();
    all.retain(|(family, series)| family.is_there(series));
    let mut text = format!("shmetrics top: {}, {}", clean(names), counted(all.len() as u64, "series", "series"));
    if let Some(problem) = problem {
        text = text + "; " + &clean(problem);
    }
    text.push_str("\n\n");
    let rate = |series: &Series| series.rates.get().map_or(-1.0, |rates| rates[0]);
    let title = |(family, series): &(&Family, &Series)| format!("{}{}", family.name(), series.text());
    // Labels compare without a text of them, which takes long to make for each of many series.
    all.sort_by(|a, b| {
        let names = || (&a.0.info.name, &a.1.labels).cmp(&(&b.0.info.name, &b.1.labels));
        rate(b.1).total_cmp(&rate(a.1)).then_with(names)
    });
    let right = |title| (title, Align::Right);
    let mut table = Table::new(&[
        right("RATE"),
        right("10 S"),
        right("60 S"),
        right("VALUE"),
        right("50%"),
        right("99%"),
        ("SERIES", Align::Left),
    ]);
    for (family, series) in all.iter().take(ROWS) {
        let none = || "-".to_owned();
        let rate = |i: usize| series.rates.get().map_or_else(none, |rates| number(rates[i]));
        let percentile = |share| family.percentile(Some(series), share).map_or_else(none, number);
        table.row(&[
            rate(0),
            rate(1),
            rate(2),
            family.states(series).unwrap_or_else(|| number(series.amount())),
            percentile(0.5),
            percentile(0.99),
            title(&(*family, *series)),
        ]);
    }
    text + &table.to_string()
}

/// A number with four figures.
fn number(v: f64) -> String {
    let size = v.abs();
    if v.fract().abs() <= 0.0 && size < 1e15 || v.is_infinite() {
        return format!("{v}");
    }
    match size {
        s if !(1e-4..1e15).contains(&s) => format!("{v:.3e}"),
        s if s >= 1000.0 => format!("{v:.0}"),
        s if s >= 1.0 => format!("{v:.2}"),
        _ => format!("{v:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        let numbers = [0.0, 17.0, -1.5, 0.012_345, 123_456.7, 1e-9, f64::INFINITY].map(number);
        assert_eq!(numbers, ["0", "17", "-1.50", "0.01235", "123457", "1.000e-9", "inf"]);
    }
}
