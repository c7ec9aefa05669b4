//! The page about the figures: what was measured, on which machine, and every number in a table.

use std::fmt::Write;

use super::Data;
use super::figure::{Figure, short};
use super::sizes::crossing;

pub(super) fn page(data: &Data) -> String {
    let mut text = format!("# Performance: {}\n\n", data.budgets.headline());
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "`cargo xtask report` measures all of this again and writes this page, its pictures and \
         [the figures as JSON](performance/data.json); do not edit it. `cargo bench -p memolock-benches` has the single \
         operations, by criterion.\n\nMachine: {}. All clients run on it too.",
        data.machine.line()
    );
    if data.quick {
        text.push_str("\nA quick run: it shows that everything works, and little else.\n");
    }
    rivals(&mut text, data);
    let _ = writeln!(
        text,
        "\n## Budgets\n\nWhat must hold, and what was measured. `cargo xtask bench` prints this table alone, and fails if \
         a limit is missed.\n\n```text\n{}```",
        data.budgets.table()
    );
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
        "\n## {heading}\n\n![{heading}](performance/rivals.svg)\n\nNobody has the value; a query of the database takes \
         100 ms. Every strategy has one connection a process, and the same client.\n\n\
         * *No protection*: a GET, and who finds nothing asks the database.\n\
         * *In-process only*: moka's `try_get_with` around that. It knows of no other process, now or later.\n\
         * *Lock and sleep*: all queue for a lock, with naps of 100 ms, and look again when they have it; who waits 30 s \
         gives up.\n\
         * *SET NX, polling*: who gets the lock asks the database, the others look again every 50 ms. Who looked just \
         before the value came, and locks just after, asks again.\n\n\
         Of three runs, the one with the middle slowest caller; of lock and sleep there is one run. Bars are \
         logarithmic.\n\n\
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
        "\n## {title}\n\n![{title}](performance/{name}.svg)\n\n{about}\n\n<details><summary>figures</summary>\n"
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
                "* {fan}: from {} bytes on, up to the largest size measured, the short notice is faster by a tenth or more.",
                short(bytes)
            ),
            None => writeln!(
                text,
                "* {fan}: there is no size from which on a short notice is faster by a tenth or more."
            ),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Verdict;
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
        let budgets = Verdict {
            machine: machine.clone(),
            quick: false,
            rows: vec![],
        };
        let page = page(&Data {
            machine,
            budgets,
            quick: false,
            rivals: vec![],
            figures: vec![figure],
        });
        assert!(page.starts_with("# Performance: all 0 limits are met\n"));
        for line in [
            "![By size](performance/sizes.svg)",
            "How it was done.",
            "all 0 limits are met",
            "| bytes | value, 1 waiter | notice, 1 waiter |",
            "| 100 | 1 | 2 |",
            "| 1M | 3 | 2.5 |",
            "* 1 waiter: from 1M bytes on, up to the largest size measured, the short notice is faster by a tenth or more.",
        ] {
            assert!(page.lines().any(|has| has == line), "{line}: {page}");
        }
    }
}
