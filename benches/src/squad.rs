//! Several processes of one strategy: started, let loose together, and added up.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use memolock_testkit::unique_tag;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::strategy::Kind;
use crate::wire::{Order, Share, Word};

/// Processes of one strategy. Dropping it ends them.
pub struct Squad {
    workers: Vec<Worker>,
}

/// What came of a herd, over all processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Herd {
    /// Queries of the database.
    pub queries: u64,
    /// Commands sent by all processes.
    pub commands: u64,
    /// Commands sent by the process that sent the most.
    pub busiest: u64,
    /// Callers that got an error or a wrong value.
    pub errors: u64,
    /// One of the errors.
    pub example: Option<String>,
    /// How long each caller took, sorted.
    latencies: Vec<u64>,
}

struct Worker {
    child: Child,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
}

impl Squad {
    /// Starts `processes` of them, each of which is `program worker`, and has them connect.
    ///
    /// # Errors
    /// If one cannot be started, or cannot connect.
    pub async fn muster(
        program: &Path,
        processes: u32,
        kind: Kind,
        url: &str,
        takes: Duration,
    ) -> Result<Self> {
        let workers = (0..processes).map(|_| Worker::start(program));
        let mut squad = Self {
            workers: workers.collect::<Result<_>>()?,
        };
        let url = url.to_owned();
        squad.order(&Order::Open { kind, url, takes }).await?;
        squad.all(|word| matches!(word, Word::Opened)).await?;
        Ok(squad)
    }

    /// Lets so many callers loose on so many fresh keys, all at once.
    ///
    /// # Errors
    /// If a process fails. A caller that does is counted.
    pub async fn herd(&mut self, callers: u32, keys: u32) -> Result<Herd> {
        let tag = unique_tag("herd");
        let ids: Vec<_> = (0..keys).map(|key| format!("{tag}-{key}")).collect();
        let processes = self.workers.len() as u32;
        for (worker, process) in self.workers.iter_mut().zip(0..) {
            let even = callers / processes + u32::from(process < callers % processes);
            let ids = ids.clone();
            worker.order(&Order::Park { callers: even, ids }).await?;
        }
        self.all(|word| matches!(word, Word::Parked)).await?;
        self.order(&Order::Go).await?;
        let mut herd = Herd::default();
        for worker in &mut self.workers {
            match worker.word().await? {
                Word::Done(share) => herd.add(*share),
                other => bail!("a process answered {other:?} when it was to serve its callers"),
            }
        }
        herd.latencies.sort_unstable();
        Ok(herd)
    }

    /// Has the first process take the lease of `id`, and compute until it is killed.
    pub(crate) async fn hold(&mut self, id: &str, lease: Duration) -> Result<()> {
        let id = id.to_owned();
        let worker = self.workers.first_mut().context("an empty squad")?;
        worker.order(&Order::Hold { id, lease }).await?;
        match worker.word().await? {
            Word::Holding => Ok(()),
            other => bail!("a process answered {other:?} when it was to hold a lease"),
        }
    }

    /// Kills every process with SIGKILL, and waits until they are gone.
    pub(crate) async fn kill(mut self) -> Result<()> {
        for worker in &mut self.workers {
            worker.child.kill().await?;
        }
        Ok(())
    }

    async fn order(&mut self, order: &Order) -> Result<()> {
        for worker in &mut self.workers {
            worker.order(order).await?;
        }
        Ok(())
    }

    async fn all(&mut self, expected: fn(&Word) -> bool) -> Result<()> {
        for worker in &mut self.workers {
            let word = worker.word().await?;
            if !expected(&word) {
                bail!("a process answered {word:?}");
            }
        }
        Ok(())
    }
}

impl Worker {
    fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        let piped = command.arg("worker").stdin(Stdio::piped());
        let started = piped.stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = started.with_context(|| format!("cannot start {}", program.display()))?;
        let (orders, words) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            child,
            orders: orders.context("it has no stdin")?,
            words: BufReader::new(words.context("it has no stdout")?).lines(),
        })
    }

    async fn order(&mut self, order: &Order) -> Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        Ok(self.orders.write_all(&line).await?)
    }

    async fn word(&mut self) -> Result<Word> {
        let line = self.words.next_line().await?;
        match serde_json::from_str(&line.context("a process has ended")?)? {
            Word::Failed(why) => bail!("a process failed: {why}"),
            word => Ok(word),
        }
    }
}

impl Herd {
    fn add(&mut self, share: Share) {
        self.queries += share.queries;
        self.commands += share.commands;
        self.busiest = self.busiest.max(share.commands);
        self.errors += share.errors;
        self.example = self.example.take().or(share.example);
        self.latencies.extend(share.latencies);
    }

    /// The latency that `percent` of the callers did not exceed (nearest rank).
    #[must_use]
    pub fn latency(&self, percent: u64) -> Duration {
        let rank = (self.latencies.len() as u64 * percent).div_ceil(100).max(1);
        let micros = self.latencies.get(rank as usize - 1);
        Duration::from_micros(micros.copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let mut herd = Herd::default();
        let share = |queries, commands, latencies: &[u64]| Share {
            queries,
            commands,
            latencies: latencies.to_vec(),
            ..Share::default()
        };
        herd.add(share(1, 3, &[5, 1]));
        herd.add(Share {
            errors: 2,
            example: Some("late".into()),
            ..share(0, 9, &[3])
        });
        herd.latencies.sort_unstable();
        assert_eq!((herd.queries, herd.commands, herd.busiest), (1, 12, 9));
        assert_eq!((herd.errors, herd.example.as_deref()), (2, Some("late")));
        let micros = [50, 99, 100].map(|percent| herd.latency(percent).as_micros());
        assert_eq!(micros, [3, 5, 5]);
    }

    #[test]
    fn nobody_is_not_late() {
        assert_eq!(Herd::default().latency(99), Duration::ZERO);
    }
}
