//! The picture: ten thousand callers, one key; what each strategy does to the database and to the slowest caller.

use std::time::Duration;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Serialize;

use super::Stage;
use super::chart::COLOURS;
use crate::squad::Squad;
use crate::strategy::Kind;

/// How long a query takes.
const TAKES: Duration = Duration::from_millis(100);

/// What one strategy did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rival {
    pub(super) strategy: String,
    pub(super) callers: u32,
    pub(super) processes: u32,
    pub(super) queries: u64,
    pub(super) commands: u64,
    pub(super) errors: u64,
    pub(super) median_ms: f64,
    pub(super) slowest_ms: f64,
    /// Beyond the query.
    pub(super) late_ms: f64,
}

pub(super) async fn measure(stage: &Stage<'_>) -> Result<Vec<Rival>> {
    let (callers, processes, repeats) = match stage.quick {
        true => (400, 2, 1),
        false => (10_000, 8, 3),
    };
    let mut rivals = Vec::new();
    for kind in Kind::ALL {
        let mut squad =
            Squad::muster(stage.program, processes, kind, stage.server.url(), TAKES).await?;
        // Half a minute each: one is enough.
        let repeats = if kind == Kind::Queueing { 1 } else { repeats };
        let mut runs = Vec::new();
        for _ in 0..repeats {
            let herd = squad.herd(callers, 1).await?;
            let millis = |percent| herd.latency(percent).as_secs_f64() * 1e3;
            runs.push(Rival {
                strategy: kind.to_string(),
                callers,
                processes,
                queries: herd.queries,
                commands: herd.commands,
                errors: herd.errors,
                median_ms: millis(50),
                slowest_ms: millis(100),
                late_ms: millis(100) - TAKES.as_secs_f64() * 1e3,
            });
        }
        rivals.push(middle(runs).ok_or_else(|| anyhow!("no runs"))?);
    }
    Ok(rivals)
}

/// The run whose slowest caller is the middle one.
fn middle(mut runs: Vec<Rival>) -> Option<Rival> {
    runs.sort_by(|a, b| a.slowest_ms.total_cmp(&b.slowest_ms));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

const WIDTH: u32 = 860;
const ROW: i32 = 34;
const HEAD: i32 = 84;
/// Where the bars of both halves begin, and how long the longest is.
const LEFT: [i32; 2] = [220, 560];
const LONGEST: f64 = 210.0;

pub(super) fn draw(rivals: &[Rival]) -> Result<String> {
    let mut svg = String::new();
    let height = HEAD + ROW * rivals.len() as i32 + 16;
    let root = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
    sketch(rivals, &root).map_err(|error| anyhow!("cannot draw the strategies: {error}"))?;
    drop(root);
    Ok(svg)
}

type Sheet<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn sketch(rivals: &[Rival], root: &Sheet<'_>) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let (callers, processes) = rivals
        .first()
        .map_or((0, 0), |rival| (rival.callers, rival.processes));
    let style = |size: u32, hpos| {
        let font = ("sans-serif", size).into_text_style(root);
        font.pos(Pos::new(hpos, VPos::Center))
    };
    let title = format!(
        "{callers} callers in {processes} processes want one key that nobody has; a query takes {} ms",
        TAKES.as_millis()
    );
    let middle = (WIDTH / 2) as i32;
    root.draw_text(&title, &style(17, HPos::Center), (middle, 24))?;
    let heads = [
        "queries of the database",
        "slowest caller, beyond the query",
    ];
    for (head, left) in heads.iter().zip(LEFT) {
        root.draw_text(head, &style(14, HPos::Left), (left, 60))?;
    }
    let halves: [Vec<f64>; 2] = [
        rivals.iter().map(|rival| rival.queries as f64).collect(),
        rivals.iter().map(|rival| rival.late_ms).collect(),
    ];
    for (index, rival) in rivals.iter().enumerate() {
        let y = HEAD + ROW * index as i32 + ROW / 2;
        let colour = COLOURS[usize::from(!rival.strategy.starts_with("memolock"))];
        let name = style(14, HPos::Right);
        root.draw_text(&rival.strategy, &name, (LEFT[0] - 12, y))?;
        for (half, left) in halves.iter().zip(LEFT) {
            let length = length(half[index], half);
            let corners = [(left, y - 10), (left + length, y + 10)];
            root.draw(&Rectangle::new(corners, colour.filled()))?;
        }
        let label = |left: i32, half: usize| left + length(halves[half][index], &halves[half]) + 6;
        let failed = match rival.errors {
            0 => String::new(),
            errors => format!(", {errors} gave up"),
        };
        let late = format!("{:.0} ms{failed}", rival.late_ms);
        let figure = style(14, HPos::Left);
        let queries = rival.queries.to_string();
        root.draw_text(&queries, &figure, (label(LEFT[0], 0), y))?;
        root.draw_text(&late, &figure, (label(LEFT[1], 1), y))?;
    }
    root.present()?;
    Ok(())
}

/// The bar's length: by the logarithm, as the figures are orders of magnitude apart; one is not nothing.
fn length(figure: f64, all: &[f64]) -> i32 {
    let weight = |figure: f64| (1.0 + figure.max(0.0)).log10();
    let most = all.iter().copied().fold(1.0, f64::max);
    (weight(figure) / weight(most) * LONGEST * 0.8).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rival(strategy: &str, queries: u64, slowest_ms: f64) -> Rival {
        Rival {
            strategy: strategy.into(),
            callers: 10,
            processes: 2,
            queries,
            commands: 5,
            errors: 0,
            median_ms: 1.0,
            slowest_ms,
            late_ms: slowest_ms - 100.0,
        }
    }

    #[test]
    fn the_middle_run_counts() {
        let runs = [130.0, 110.0, 120.0].map(|slowest| rival("a", 1, slowest));
        assert_eq!(middle(runs.into()).unwrap().slowest_ms, 120.0);
        assert_eq!(middle(vec![]), None);
    }

    #[test]
    fn the_picture_names_all_and_its_bars_are_ordered() {
        let rivals = [
            rival("no protection", 10_000, 900.0),
            rival("memolock", 1, 112.0),
        ];
        let svg = draw(&rivals).unwrap();
        for word in ["no protection", "memolock", "10000", "800 ms", "12 ms"] {
            assert!(svg.contains(word), "{word}: {svg}");
        }
        let all = [10_000.0, 1.0];
        assert!(length(1.0, &all) > 0 && length(1.0, &all) < length(10_000.0, &all));
    }
}
