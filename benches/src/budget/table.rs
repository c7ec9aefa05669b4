//! The table: budget, what, limit, measured, share of the limit, met or not.

use super::Verdict;
use super::row::{Limit, Row, Unit};

const HEAD: [&str; 7] = [
    "budget", "what", "limit", "measured", "of limit", "", "remarks",
];

/// Which columns are figures, and stand to the right.
const RIGHT: [bool; 7] = [false, false, true, true, true, false, false];

const FOOT: &str = "\
of limit: 100 % is just met, less is better, whichever way the limit goes.
Throughput: both sides by turns in one run; the median of the rounds' ratios, with the least and the most.
Times: the median of all repeats, with the worst. Counts: the worst of all repeats.";

pub(super) fn table(verdict: &Verdict) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    let mut before = "";
    for row in &verdict.rows {
        lines.push(cells(row, row.budget == before));
        before = row.budget;
    }
    let widths: Vec<_> = (0..HEAD.len())
        .map(|column| {
            lines
                .iter()
                .map(|cells| cells[column].chars().count())
                .max()
        })
        .map(|widest| widest.unwrap_or(0))
        .collect();
    let mut text = format!("{}\n{}\n\n", verdict.headline(), verdict.machine.line());
    for (number, cells) in lines.iter().enumerate() {
        text.push_str(line(cells, &widths).trim_end());
        text.push('\n');
        if number == 0 {
            let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&rules.join("  "));
            text.push('\n');
        }
    }
    text.push('\n');
    if verdict.quick {
        text.push_str("A quick run: it shows that everything works, and little about speed.\n");
    }
    text + FOOT + "\n"
}

fn cells(row: &Row, again: bool) -> [String; 7] {
    let limit = row.limit.figure().map(|limit| {
        let sign = row.limit.sign();
        format!("{sign} {}", figure(limit, row.unit))
    });
    let measured = row.measured.map(|measured| figure(measured, row.unit));
    let ratio = row
        .of_limit()
        .map(|ratio| format!("{:.0} %", ratio * 100.0));
    let met = match (row.limit, row.is_met()) {
        (Limit::None, _) => "",
        (_, true) => "met",
        (_, false) => "MISSED",
    };
    [
        if again { "" } else { row.budget }.to_owned(),
        row.what.clone(),
        limit.unwrap_or_default(),
        measured.unwrap_or_else(|| "not there yet".to_owned()),
        ratio.unwrap_or_default(),
        met.to_owned(),
        row.note.clone(),
    ]
}

fn figure(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{figure:.0}"),
        Unit::Times => format!("{figure:.2} x"),
        Unit::Millis => format!("{figure:.1} ms"),
        Unit::Bytes => format!("{figure:.0} B"),
    }
}

fn line(cells: &[String; 7], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).zip(RIGHT);
    let padded: Vec<_> = padded
        .map(|((cell, width), right)| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        })
        .collect();
    padded.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    fn verdict(rows: Vec<Row>) -> Verdict {
        let machine = Machine {
            cpu: "A".into(),
            cores: 2,
            kernel: "6".into(),
            server: "Redis 7".into(),
            load: Some(0.5),
        };
        Verdict {
            machine,
            quick: false,
            rows,
        }
    }

    #[test]
    fn a_row_says_what_was_and_what_should_be() {
        let rows = vec![
            Row::new("B1", "a hit", Limit::AtMost(0.75), Unit::Times, None),
            Row::new("B4", "computes", Limit::Exactly(1.0), Unit::Count, 1.0),
            Row::new("B4", "slowest", Limit::AtMost(20.0), Unit::Millis, 10.0).note("worst 30"),
        ];
        let table = verdict(rows).table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "1 of 3 limits missed", "{table}");
        assert!(lines[3].starts_with("budget  what"), "{table}");
        assert!(lines[5].starts_with("B1      a hit"), "{table}");
        assert!(lines[5].ends_with("MISSED"), "{table}");
        assert!(lines[5].contains("not there yet"), "{table}");
        assert!(
            lines[6].contains("= 1") && lines[6].ends_with("100 %  met"),
            "{table}"
        );
        // The name of a budget stands once.
        assert!(lines[7].starts_with("        slowest"), "{table}");
        assert!(
            lines[7].contains("<= 20.0 ms        10.0 ms      50 %  met     worst 30"),
            "{table}"
        );
    }

    #[test]
    fn without_a_miss_all_are_met() {
        let met = Row::new("B4", "computes", Limit::Exactly(1.0), Unit::Count, 1.0);
        let free = Row::new("B7", "a thing", Limit::None, Unit::Bytes, 3.0);
        let verdict = verdict(vec![met, free]);
        assert!(verdict.is_met());
        assert!(verdict.table().starts_with("all 1 limits are met\n"));
    }
}
