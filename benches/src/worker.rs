//! A worker: one process of a squad. It ends by itself when its squad is gone.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use memolock::Memolock;
use memolock::codec::Text;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::strategy::{Database, Kind, Strategy};
use crate::wire::{Order, Share, Word};

/// The tag under which a worker holds leases.
pub(crate) const HELD: &str = "held";

/// Obeys the orders on stdin until they end.
///
/// # Errors
/// If its squad cannot be told what went wrong.
pub async fn serve() -> Result<()> {
    let mut orders = BufReader::new(stdin()).lines();
    let mut worker = Worker::default();
    while let Some(line) = orders.next_line().await? {
        let word = match worker.obey(serde_json::from_str(&line)?).await {
            Ok(word) => word,
            Err(error) => Word::Failed(format!("{error:#}")),
        };
        let mut line = serde_json::to_vec(&word)?;
        line.push(b'\n');
        let mut out = stdout();
        out.write_all(&line).await?;
        out.flush().await?;
    }
    Ok(())
}

#[derive(Default)]
struct Worker {
    open: Option<Open>,
    parked: Option<Parked>,
}

struct Open {
    kind: Kind,
    url: String,
    takes: Duration,
    strategy: Arc<dyn Strategy>,
}

/// Callers at the gate.
struct Parked {
    database: Arc<Database>,
    before: u64,
    calls: Vec<JoinHandle<(Duration, Result<()>)>>,
    gate: watch::Sender<Option<Instant>>,
}

impl Worker {
    async fn obey(&mut self, order: Order) -> Result<Word> {
        match order {
            Order::Open { kind, url, takes } => {
                let strategy = kind.open(&url).await?;
                self.open = Some(Open {
                    kind,
                    url,
                    takes,
                    strategy,
                });
                Ok(Word::Opened)
            }
            Order::Park { callers, ids } => {
                self.parked = Some(self.open()?.park(callers, ids).await?);
                Ok(Word::Parked)
            }
            Order::Go => {
                let parked = self.parked.take().context("nobody is parked")?;
                let share = parked.release(&self.open()?.strategy).await?;
                Ok(Word::Done(Box::new(share)))
            }
            Order::Hold { id, lease } => {
                self.open()?.hold(id, lease).await?;
                Ok(Word::Holding)
            }
        }
    }

    fn open(&self) -> Result<&Open> {
        self.open.as_ref().context("it is not connected")
    }
}

impl Open {
    async fn park(&self, callers: u32, ids: Vec<String>) -> Result<Parked> {
        if ids.is_empty() {
            bail!("no ids");
        }
        let database = Arc::new(Database::new(self.takes));
        let ids: Arc<[String]> = ids.into();
        let (gate, opened) = watch::channel(None);
        let arrived = Arc::new(Semaphore::new(0));
        let call = |caller: u32| {
            let (strategy, database) = (Arc::clone(&self.strategy), Arc::clone(&database));
            let (ids, arrived, mut opened) =
                (Arc::clone(&ids), Arc::clone(&arrived), opened.clone());
            tokio::spawn(async move {
                arrived.add_permits(1);
                let at = opened.wait_for(Option::is_some).await.map(|at| *at);
                let id = &ids[caller as usize % ids.len()];
                let got = strategy.get(id, &database).await;
                let took = at
                    .ok()
                    .flatten()
                    .map_or(Duration::ZERO, |at: Instant| at.elapsed());
                (took, got.and_then(|value| expect(id, &value)))
            })
        };
        let calls = (0..callers).map(call).collect();
        arrived.acquire_many(callers).await?.forget();
        Ok(Parked {
            database,
            before: self.strategy.commands(),
            calls,
            gate,
        })
    }

    /// A call that never ends: only the end of the process ends it.
    async fn hold(&self, id: String, lease: Duration) -> Result<()> {
        let Kind::Memolock(adapter) = self.kind else {
            bail!("only memolock holds leases");
        };
        let backend = adapter.connect(&self.url).await?;
        let memolock = Memolock::<String>::builder(HELD, backend).codec(Text);
        let memolock = memolock.lease(lease).build().await?;
        let (begin, begun) = oneshot::channel();
        tokio::spawn(async move {
            let compute = |_| async move {
                // The squad waits for it.
                let _ = begin.send(());
                pending::<Result<String, String>>().await
            };
            memolock.get_or_compute(&id, compute).await
        });
        begun.await.map_err(|_| anyhow!("it did not compute"))
    }
}

impl Parked {
    async fn release(self, strategy: &Arc<dyn Strategy>) -> Result<Share> {
        self.gate.send_replace(Some(Instant::now()));
        let mut share = Share::default();
        for call in self.calls {
            let (took, got) = call.await?;
            share.latencies.push(took.as_micros() as u64);
            if let Err(error) = got {
                share.errors += 1;
                share.example.get_or_insert_with(|| format!("{error:#}"));
            }
        }
        share.queries = self.database.queries();
        share.commands = strategy.commands() - self.before;
        Ok(share)
    }
}

fn expect(id: &str, value: &str) -> Result<()> {
    match value == Database::value(id) {
        true => Ok(()),
        false => bail!("another value than that of {id}: {value}"),
    }
}
