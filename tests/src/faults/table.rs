//! Rows as a table, in Markdown, as documents have it.

use std::fmt;

use super::Row;

/// What the cells are.
pub(super) const HEAD: [&str; 8] = [
    "fault",
    "adapter",
    "callers saw, from the strike to the recovery",
    "longest call over its compute",
    "the holder's value",
    "the waiter got",
    "recovered after",
    "reconnects",
];

/// The table.
#[derive(Default)]
pub struct Table {
    lines: Vec<[String; 8]>,
}

impl Table {
    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        self.lines.push(row.cells());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = HEAD.map(str::len);
        for line in &self.lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.len());
            }
        }
        print(f, &HEAD.map(str::to_owned), widths)?;
        print(f, &widths.map(|width| "-".repeat(width)), widths)?;
        let mut before = "";
        for line in &self.lines {
            let mut line_shown = line.clone();
            if line[0] == before {
                line_shown[0].clear();
            }
            before = &line[0];
            print(f, &line_shown, widths)?;
        }
        Ok(())
    }
}

fn print(f: &mut fmt::Formatter<'_>, cells: &[String; 8], widths: [usize; 8]) -> fmt::Result {
    for (cell, width) in cells.iter().zip(widths) {
        write!(f, "| {cell:width$} ")?;
    }
    writeln!(f, "|")
}
