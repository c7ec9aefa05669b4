//! The page about the figures: what was measured, on which machine, and every number in a table.

use std::fmt::Write;

use super::Data;
use super::figure::{Figure, short};
use super::sizes::crossing;

pub(super) fn page(data: &Data) -> String {
    let mut text = String::from("# Cost as it grows\n\n");
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "Made by `cargo xtask report`, which measures all of it again; do not edit. [data.json](data.json) has the \
         figures.\n\nMachine: {}. All clients run on it too.",
        data.machine.line()
    );
    if data.quick {
        text.push_str("\nA quick run: it shows that everything works, and little else.\n");
    }
    rivals(&mut text, data);
    for figure in &data.figures {
        section(&mut text, figure);
        if figure.name == "sizes" {
            crossings(&mut text, figure);
        }
    }
    text
}

fn rivals(text: &mut String, data: &Data) {
    let heading = data.rivals.first().map_or(String::new(), |rival| {
        let (callers, processes) = (rival.callers, rival.processes);
        format!("{callers} callers, one key, {processes} processes")
    });
    let _ = writeln!(
        text,
        "\n## {heading}\n\n![{heading}](rivals.svg)\n\nBars are logarithmic. Every strategy has one connection a \
         process; the run with the middle slowest caller of three, one run for lock and sleep.\n\n\
         | strategy | queries | commands | median ms | slowest ms | gave up |\n|---|--:|--:|--:|--:|--:|"
    );
    for rival in &data.rivals {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {:.0} | {} |",
            rival.strategy,
            rival.queries,
            rival.commands,
            rival.median_ms,
            rival.slowest_ms,
            rival.errors
        );
    }
}

fn section(text: &mut String, figure: &Figure) {
    let Figure {
        name, title, about, ..
    } = figure;
    let _ = writeln!(
        text,
        "\n## {title}\n\n![{title}]({name}.svg)\n\n{about}\n\n<details><summary>figures</summary>\n"
    );
    let names: Vec<_> = figure.curves.iter().map(|curve| &*curve.name).collect();
    let _ = writeln!(text, "| {} | {} |", figure.x, names.join(" | "));
    let _ = writeln!(text, "|--:|{}", "--:|".repeat(names.len()));
    for x in figure.steps() {
        let cells = figure.curves.iter();
        let cells: Vec<_> = cells
            .map(|curve| curve.at(x).map_or(String::new(), short))
            .collect();
        let _ = writeln!(text, "| {} | {} |", short(x), cells.join(" | "));
    }
    text.push_str("\n</details>\n");
}

/// What the curves of [`super::sizes`] say, which are pairs: with the value, and without.
fn crossings(text: &mut String, figure: &Figure) {
    text.push('\n');
    for pair in figure.curves.chunks_exact(2) {
        let (within, apart) = (&pair[0], &pair[1]);
        let (_, fan) = within.name.rsplit_once(", ").unwrap_or(("", &within.name));
        let _ = match crossing(within, apart) {
            Some(bytes) => writeln!(
                text,
                "* {fan}: from {} bytes on, the largest size measured included, the short notice is faster.",
                short(bytes)
            ),
            None => writeln!(
                text,
                "* {fan}: the value in the notification is faster at the largest size measured; a short notice wins nothing."
            ),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::figure::Curve;
    use crate::machine::Machine;

    #[test]
    fn the_page_has_every_figure_and_its_numbers() {
        let curve = |name: &str, points: &[(f64, f64)]| Curve {
            name: name.into(),
            points: points.to_vec(),
        };
        let figure = Figure {
            name: "sizes",
            title: "By size".into(),
            about: "How it was done.".into(),
            x: "bytes",
            y: "ms",
            curves: vec![
                curve("value, 1 waiter", &[(100.0, 1.0), (1e6, 3.0)]),
                curve("notice, 1 waiter", &[(100.0, 2.0), (1e6, 2.5)]),
            ],
        };
        let machine = Machine {
            cpu: "A".into(),
            cores: 2,
            kernel: "6".into(),
            server: "Redis 7".into(),
            load: None,
        };
        let page = page(&Data {
            machine,
            quick: false,
            rivals: vec![],
            figures: vec![figure],
        });
        for line in [
            "![By size](sizes.svg)",
            "How it was done.",
            "| bytes | value, 1 waiter | notice, 1 waiter |",
            "| 100 | 1 | 2 |",
            "| 1M | 3 | 2.5 |",
            "* 1 waiter: from 1M bytes on, the largest size measured included, the short notice is faster.",
        ] {
            assert!(page.lines().any(|has| has == line), "{line}: {page}");
        }
    }
}
