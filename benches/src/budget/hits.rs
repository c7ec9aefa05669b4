//! B1 to B3: hits in the process, through the server, and on one hot key.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Limit, Row, Stage, Unit};
use crate::adapter::Adapter;
use crate::hits::{Ours, RawFred, RawRedis};
use crate::near::{Moka, Near};
use crate::rounds::{Comparison, Draw, Effort, Work, compare, throughput};

const KEYS: usize = 1_000;

/// B1: a hit in the near cache, against moka's.
pub(super) async fn near(stage: &Stage) -> Result<Vec<Row>> {
    let ours = Near::open(stage.server.url(), KEYS).await?;
    let theirs = Moka::open(KEYS).await;
    let mut rows = Vec::new();
    for (tasks, who) in [(1, "1 task"), (2, "2 threads")] {
        let before = ours.asked();
        let found = sides(stage.effort, &ours, &theirs, tasks, Draw::Any).await?;
        ensure!(ours.asked() == before, "some of them were no near hits");
        // Times are the inverse of throughputs, which count sweeps.
        let time = |sweeps: f64| tasks as f64 / sweeps / KEYS as f64 * 1e9;
        let (near, moka) = (time(found.ours), time(found.theirs));
        let what = format!("time of a near hit to that of moka's get, {who}");
        let row = Row::new(
            "B1",
            what,
            Limit::AtMost(0.75),
            Unit::Times,
            1.0 / found.ratio,
        );
        let (least, most) = (1.0 / found.most, 1.0 / found.least);
        let note = format!("{near:.0} against {moka:.0} ns; {least:.2} to {most:.2}");
        rows.push(row.note(note));
    }
    Ok(rows)
}

/// B2: a hit through the server, against the raw client's GET. Any task takes any key, on both sides; and, to see
/// what a hit costs by itself, without a limit: with keys of its own for each task, so that nothing coalesces.
pub(super) async fn through(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for adapter in Adapter::SERVED {
        for tasks in [1, 64, 512] {
            let found = against_raw(stage, adapter, KEYS, tasks, Draw::Any).await?;
            let what = format!("hits to the raw client's GETs, {adapter}, {tasks} tasks");
            let row = Row::new("B2", what, Limit::AtLeast(0.85), Unit::Times, found.ratio);
            rows.push(row.note(spread(&found)));
        }
        for tasks in [64, 512] {
            let found = against_raw(stage, adapter, KEYS, tasks, Draw::Own).await?;
            let what =
                format!("the same, no key asked for twice at once, {adapter}, {tasks} tasks");
            let row = Row::new("B2", what, Limit::None, Unit::Times, found.ratio);
            rows.push(row.note(spread(&found)));
        }
    }
    Ok(rows)
}

/// B3: hits on one hot key, which coalesce, against the raw client's GETs.
pub(super) async fn hot(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for adapter in Adapter::SERVED {
        let found = against_raw(stage, adapter, 1, 512, Draw::Any).await?;
        let what = format!("hits to the raw client's GETs, one key, {adapter}, 512 tasks");
        let row = Row::new("B3", what, Limit::AtLeast(3.0), Unit::Times, found.ratio);
        rows.push(row.note(spread(&found)));
    }
    Ok(rows)
}

async fn against_raw(
    stage: &Stage,
    adapter: Adapter,
    keys: usize,
    tasks: usize,
    draw: Draw,
) -> Result<Comparison> {
    let url = stage.server.url();
    let ours = Ours::open(adapter, url, keys).await?;
    match adapter {
        Adapter::Fred => {
            let theirs = RawFred::open(url, &ours).await?;
            sides(stage.effort, &ours, &theirs, tasks, draw).await
        }
        _ => {
            let theirs = RawRedis::open(url, &ours).await?;
            sides(stage.effort, &ours, &theirs, tasks, draw).await
        }
    }
}

async fn sides(
    effort: Effort,
    ours: &impl Work,
    theirs: &impl Work,
    tasks: usize,
    draw: Draw,
) -> Result<Comparison> {
    let window: Duration = effort.window;
    compare(
        effort.rounds,
        || throughput(ours, tasks, draw, window),
        || throughput(theirs, tasks, draw, window),
    )
    .await
}

fn spread(found: &Comparison) -> String {
    let Comparison {
        least,
        most,
        ours,
        theirs,
        ..
    } = found;
    let (ours, theirs) = (ours / 1e3, theirs / 1e3);
    format!("{ours:.0} against {theirs:.0} k/s; {least:.2} to {most:.2}")
}
