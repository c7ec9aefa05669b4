//! Simulated fleets of up to 10,000 processes: the real client and its machine, each with a table of its own, around
//! one embedded store, on one thread and a clock that stands still while anybody has something to do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use memolock::codec::Text;
use memolock::memory::MemoryBackend;
use memolock::{Backend, Memolock};

use super::figure::{Curve, Figure};

/// What one simulated herd did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Computes in the whole fleet.
    pub(super) computes: u64,
    /// Commands by the whole fleet.
    pub(super) commands: u64,
    /// Processes that were told the value by a notification.
    pub(super) told: u64,
}

/// Callers in each process.
const CALLERS: usize = 4;

pub(super) async fn by_processes(quick: bool) -> Result<Vec<Figure>> {
    let fleets: &[usize] = match quick {
        true => &[1, 10, 100],
        false => &[1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000],
    };
    let mut commands = Curve::new("commands by each process");
    let mut told = Curve::new("processes told by one notification");
    let mut computes = Curve::new("computes");
    for &processes in fleets {
        let seen = tokio::task::spawn_blocking(move || herd(processes)).await??;
        let x = processes as f64;
        computes.points.push((x, seen.computes as f64));
        commands
            .points
            .push((x, seen.commands as f64 / processes as f64));
        if seen.told > 0 {
            told.points.push((x, seen.told as f64));
        }
    }
    Ok(vec![Figure {
        name: "fleet",
        title: "Simulated fleets: one key that nobody has".into(),
        about: format!(
            "{CALLERS} callers in each process want one key at once; a compute takes 100 ms of simulated time. Counted by \
             the embedded store, exactly, and the same in every run: the real client and state machine over it, all \
             processes on one thread. What a process costs does not depend on how many there are; what a notification \
             costs the server does, and is one message to each process that waits."
        ),
        x: "processes",
        y: "count",
        curves: vec![told, commands, computes],
    }])
}

/// One herd, in a runtime of its own.
pub(super) fn herd(processes: usize) -> Result<Seen> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let store: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let mut fleet = Vec::new();
        for _ in 0..processes {
            let builder = Memolock::<String>::builder("fleet", Arc::clone(&store));
            fleet.push(builder.codec(Text).build().await?);
        }
        let before = store.stats().commands;
        let call = |memolock: &Memolock<String, Text>| {
            let memolock = memolock.clone();
            tokio::spawn(async move {
                let compute = |_| async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok::<_, String>("the value".to_owned())
                };
                memolock.get_or_compute("the-key", compute).await
            })
        };
        let calls: Vec<_> = fleet
            .iter()
            .flat_map(|memolock| (0..CALLERS).map(move |_| call(memolock)))
            .collect();
        for caller in calls {
            let value = caller.await.context("a caller panicked")??;
            ensure!(*value == "the value", "another value");
        }
        let stats = fleet.iter().map(Memolock::stats);
        let (computes, told) = stats.fold((0, 0), |(computes, told), stats| {
            (computes + stats.computes, told + stats.awaited)
        });
        let commands = store.stats().commands - before;
        if computes != 1 {
            bail!("{computes} computes of one key");
        }
        Ok(Seen {
            computes,
            commands,
            told,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_computes_once_and_its_processes_cost_the_same() {
        let (one, many) = (herd(1).unwrap(), herd(50).unwrap());
        assert_eq!((one.computes, one.told), (1, 0));
        assert_eq!((many.computes, many.told), (1, 49));
        assert_eq!(many, herd(50).unwrap(), "it is the same in every run");
        assert!(many.commands <= 8 * 50, "{many:?}");
    }
}
