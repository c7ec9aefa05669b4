//! Herds on real processes and a real server: what they cost with more processes, callers and keys.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::figure::{Curve, Figure};
use crate::adapter::Adapter;
use crate::rounds::median;
use crate::server::Facts;
use crate::squad::Squad;
use crate::strategy::Kind;

/// How long a query takes.
const TAKES: Duration = Duration::from_millis(100);

const OURS: Kind = Kind::Memolock(Adapter::RedisRs);

/// Strategies that are compared where it costs little time.
const KINDS: [Kind; 4] = [OURS, Kind::Polling, Kind::Coalescing, Kind::Unprotected];

/// What a herd cost, medians of some.
struct Cost {
    commands: f64,
    queries: f64,
    /// Bytes received and sent by the server.
    bytes: f64,
    /// Milliseconds of the server's processor.
    cpu: f64,
    /// Milliseconds of the slowest caller over the query.
    late: f64,
}

/// Callers of each process.
const EACH: u32 = 100;

pub(super) async fn by_processes(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let steps: &[u32] = match stage.quick {
        true => &[1, 4],
        false => &[1, 2, 4, 8, 16, 32],
    };
    let mut curves = Curves::new();
    for kind in KINDS {
        curves.begin(kind);
        for &processes in steps {
            let mut squad =
                Squad::muster(stage.program, processes, kind, stage.server.url(), TAKES).await?;
            let cost = cost(stage, &mut squad, processes * EACH, 1).await?;
            curves.add(processes, &cost);
        }
    }
    let about = |what: &str| {
        format!(
            "{EACH} callers in each of the processes want one key at once, which nobody has; a query of the database takes \
             {} ms. {what}",
            TAKES.as_millis()
        )
    };
    let figure = |name, title: &str, what: &str, y, curves| Figure {
        name,
        title: title.into(),
        about: about(what),
        x: "processes",
        y,
        curves,
    };
    Ok(vec![
        figure(
            "processes-commands",
            "Commands for one key, by processes",
            "Commands that all clients sent together.",
            "commands",
            curves.commands,
        ),
        figure(
            "processes-queries",
            "Queries of the database, by processes",
            "Queries by all processes together.",
            "queries",
            curves.queries,
        ),
        figure(
            "processes-bytes",
            "Bytes on the wire, by processes",
            "Bytes that the server received and sent, as INFO has them, less what the question itself costs.",
            "bytes",
            curves.bytes,
        ),
        figure(
            "processes-cpu",
            "Processor time of the server, by processes",
            "used_cpu_user and used_cpu_sys of INFO, from before the herd to after it.",
            "ms",
            curves.cpu,
        ),
    ])
}

pub(super) async fn by_callers(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let steps: &[u32] = match stage.quick {
        true => &[10, 1_000],
        false => &[10, 100, 1_000, 10_000, 100_000],
    };
    let mut curves = Curves::new();
    for kind in KINDS {
        let mut squad = Squad::muster(stage.program, 1, kind, stage.server.url(), TAKES).await?;
        curves.begin(kind);
        for &callers in steps {
            // A hundred thousand of the others keep a server busy for very long.
            if callers <= 10_000 || kind == OURS {
                curves.add(callers, &cost(stage, &mut squad, callers, 1).await?);
            }
        }
    }
    let figure = |name, title: &str, what: &str, y, curves| Figure {
        name,
        title: title.into(),
        about: format!("Callers in one process want one key at once, which nobody has. {what}"),
        x: "callers",
        y,
        curves,
    };
    Ok(vec![
        figure(
            "callers-commands",
            "Commands for one key, by callers",
            "Commands that the client sent.",
            "commands",
            curves.commands,
        ),
        figure(
            "callers-late",
            "The slowest caller, by callers",
            "Milliseconds that the slowest of them took beyond the 100 ms of the query.",
            "ms",
            curves.late,
        ),
    ])
}

pub(super) async fn by_keys(stage: &Stage<'_>) -> Result<Vec<Figure>> {
    let (callers, steps): (u32, &[u32]) = match stage.quick {
        true => (1_000, &[1, 100]),
        false => (10_000, &[1, 10, 100, 1_000, 10_000]),
    };
    let mut curves = Curves::new();
    for adapter in Adapter::SERVED {
        let kind = Kind::Memolock(adapter);
        let mut squad = Squad::muster(stage.program, 2, kind, stage.server.url(), TAKES).await?;
        curves.begin(kind);
        for &keys in steps {
            let cost = cost(stage, &mut squad, callers, keys).await?;
            curves.add(keys, &cost);
        }
    }
    for curve in &mut curves.commands {
        for (keys, commands) in &mut curve.points {
            *commands /= *keys;
        }
    }
    Ok(vec![
        Figure {
            name: "keys-commands",
            title: "Commands for each key, by keys".into(),
            about: format!(
                "{callers} callers in two processes, dealt to so many keys, which nobody has. Commands that both clients \
                 sent, for each key."
            ),
            x: "keys",
            y: "commands a key",
            curves: curves.commands,
        },
        Figure {
            name: "keys-late",
            title: "The slowest caller, by keys".into(),
            about: "The same herds. Milliseconds that the slowest caller took beyond the 100 ms of the query.".into(),
            x: "keys",
            y: "ms",
            curves: curves.late,
        },
    ])
}

async fn cost(stage: &Stage<'_>, squad: &mut Squad, callers: u32, keys: u32) -> Result<Cost> {
    let herds = if stage.quick { 1 } else { 5 };
    let mut costs: [Vec<f64>; 5] = Default::default();
    for _ in 0..herds {
        let question = {
            let first = Facts::of(&stage.server).await?;
            Facts::of(&stage.server).await? - first
        };
        let before = Facts::of(&stage.server).await?;
        let herd = squad.herd(callers, keys).await?;
        let spent = Facts::of(&stage.server).await? - before - question;
        ensure!(herd.errors == 0, "a caller failed: {:?}", herd.example);
        let late = herd.latency(100).saturating_sub(TAKES);
        let figures = [
            herd.commands as f64,
            herd.queries as f64,
            (spent.received + spent.sent) as f64,
            spent.cpu.as_secs_f64() * 1e3,
            late.as_secs_f64() * 1e3,
        ];
        for (costs, figure) in costs.iter_mut().zip(figures) {
            costs.push(figure);
        }
    }
    let [commands, queries, bytes, cpu, late] = costs.map(|figures| median(&figures));
    Ok(Cost {
        commands,
        queries,
        bytes,
        cpu,
        late,
    })
}

/// One curve a strategy for each of the costs.
struct Curves {
    commands: Vec<Curve>,
    queries: Vec<Curve>,
    bytes: Vec<Curve>,
    cpu: Vec<Curve>,
    late: Vec<Curve>,
}

impl Curves {
    fn new() -> Self {
        let [commands, queries, bytes, cpu, late] = Default::default();
        Self {
            commands,
            queries,
            bytes,
            cpu,
            late,
        }
    }

    fn all(&mut self) -> [&mut Vec<Curve>; 5] {
        let Self {
            commands,
            queries,
            bytes,
            cpu,
            late,
        } = self;
        [commands, queries, bytes, cpu, late]
    }

    fn begin(&mut self, kind: Kind) {
        for curves in self.all() {
            curves.push(Curve::new(kind.to_string()));
        }
    }

    /// To the curves begun last.
    fn add(&mut self, x: u32, cost: &Cost) {
        let figures = [cost.commands, cost.queries, cost.bytes, cost.cpu, cost.late];
        for (curves, figure) in self.all().into_iter().zip(figures) {
            if let Some(curve) = curves.last_mut() {
                curve.points.push((f64::from(x), figure));
            }
        }
    }
}
