//! Handing over: from the end of a compute in one client to its value in a caller of another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use memolock::codec::Text;
use memolock::{Backend, Memolock};
use memolock_testkit::unique_tag;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::adapter::Adapter;

/// How long the two may take to get into position.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two clients with connections of their own; the embedded backend, which has none, they share.
pub struct Handoff {
    holder: Memolock<String, Text>,
    waiter: Memolock<String, Text>,
    ears: Arc<dyn Backend>,
}

/// Callers that keep the waiter's connection and the server busy until this is dropped.
pub struct Noise(Vec<JoinHandle<()>>);

impl Handoff {
    /// Connects both.
    ///
    /// # Errors
    /// If one cannot connect.
    pub async fn open(adapter: Adapter, url: &str) -> Result<Self> {
        let tag = unique_tag("handoff");
        let build = async |backend: Arc<dyn Backend>| {
            let builder = Memolock::<String>::builder(&tag, backend);
            builder.codec(Text).build().await
        };
        let ears = adapter.connect(url).await?;
        let hands = match adapter {
            Adapter::Memory => Arc::clone(&ears),
            _ => adapter.connect(url).await?,
        };
        Ok(Self {
            holder: build(hands).await?,
            waiter: build(Arc::clone(&ears)).await?,
            ears,
        })
    }

    /// Has the waiter's client get values of its own all the time, in so many tasks.
    #[must_use]
    pub fn noise(&self, tasks: usize) -> Noise {
        let task = |number: usize| {
            let memolock = self.waiter.clone();
            tokio::spawn(async move {
                let id = format!("noise-{number}");
                let compute = |_| async { Ok::<_, String>("x".repeat(256)) };
                while memolock.get_or_compute(&id, compute).await.is_ok() {
                    // The embedded backend answers at once: others would never have their turn.
                    tokio::task::yield_now().await;
                }
            })
        };
        Noise((0..tasks).map(task).collect())
    }

    /// From the moment at which the compute is done to that at which the waiter has the value.
    ///
    /// # Errors
    /// If a call fails, or the waiter does not come to wait.
    pub async fn once(&self) -> Result<Duration> {
        let id = unique_tag("id");
        self.until_subscribed(0).await?;
        let (started, start) = oneshot::channel();
        let (finish, finished) = oneshot::channel::<()>();
        let holding = {
            let (holder, id) = (self.holder.clone(), id.clone());
            tokio::spawn(async move {
                let (tell, told) = oneshot::channel();
                let compute = |_| async move {
                    // Whoever is at the other ends waits.
                    let _ = started.send(());
                    let _ = finished.await;
                    let _ = tell.send(Instant::now());
                    Ok::<_, String>("the value".to_owned())
                };
                holder.get_or_compute(&id, compute).await?;
                told.await.context("it did not compute")
            })
        };
        start.await.context("it does not compute")?;
        let waiting = {
            let waiter = self.waiter.clone();
            tokio::spawn(async move {
                let compute = |_| async { Err::<String, _>("it is somebody else's".to_owned()) };
                let value = waiter.get_or_compute(&id, compute).await?;
                ensure!(*value == "the value", "another value");
                Ok(Instant::now())
            })
        };
        self.until_subscribed(1).await?;
        // The subscription is there before the second look is over: time for that look.
        tokio::time::sleep(Duration::from_millis(3)).await;
        // Its end is in the task above.
        let _ = finish.send(());
        let done = holding.await??;
        Ok(waiting.await??.saturating_duration_since(done))
    }

    async fn until_subscribed(&self, count: u64) -> Result<()> {
        let began = Instant::now();
        while self.ears.stats().subscriptions != count {
            ensure!(began.elapsed() < PATIENCE, "the waiter does not wait");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
