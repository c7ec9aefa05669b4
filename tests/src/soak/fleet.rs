//! Workers as the conductor has them: processes that are enlisted, told, stopped and killed.

use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::clock::now;
use super::merge::Intake;
use super::wire::{Enlisted, Fact, Order, Plant, What};
use crate::adapter::POOL;
use crate::{Adapter, HANG};

/// The conductor among the sources of facts.
pub(super) const CONDUCTOR: u32 = 0;

/// The workers.
#[derive(Debug)]
pub(super) struct Fleet {
    url: String,
    seed: u64,
    plant: Option<Plant>,
    intake: UnboundedSender<Intake>,
    slots: Vec<tokio::sync::Mutex<Option<Recruit>>>,
    incarnations: Mutex<u32>,
}

/// One worker.
#[derive(Debug)]
pub(super) struct Recruit {
    pub(super) process: u32,
    child: Child,
    orders: ChildStdin,
    reader: JoinHandle<()>,
}

impl Fleet {
    pub(super) fn new(
        url: String,
        seed: u64,
        plant: Option<Plant>,
        size: usize,
        intake: UnboundedSender<Intake>,
    ) -> Self {
        Self {
            url,
            seed,
            plant,
            intake,
            slots: (0..size).map(|_| tokio::sync::Mutex::default()).collect(),
            incarnations: Mutex::new(CONDUCTOR),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.slots.len()
    }

    /// Who is where, for those that are alive.
    pub(super) async fn processes(&self) -> Vec<(usize, u32)> {
        let mut processes = Vec::new();
        for (slot, recruit) in self.slots.iter().enumerate() {
            if let Some(recruit) = &*recruit.lock().await {
                processes.push((slot, recruit.process));
            }
        }
        processes
    }

    /// Which adapter is used in a slot.
    pub(super) fn adapter(slot: usize) -> Adapter {
        Adapter::ALL[slot % Adapter::ALL.len()]
    }

    /// Connections that it may open when it likes: all of a pool but the first.
    pub(super) fn spare(slot: usize) -> usize {
        match Self::adapter(slot) {
            Adapter::Pooled => POOL - 1,
            _ => 0,
        }
    }

    /// Starts a new incarnation.
    pub(super) async fn enlist(&self, slot: usize) -> Result<u32> {
        let process = {
            let incarnations = self.incarnations.lock();
            let mut last = incarnations.unwrap_or_else(PoisonError::into_inner);
            *last += 1;
            *last
        };
        let enlisted = Enlisted {
            process,
            adapter: Self::adapter(slot).to_string(),
            url: self.url.clone(),
            seed: self.seed.wrapping_add(u64::from(process)),
            plant: self.plant,
        };
        // Before it can say anything.
        self.tell(Intake::Enlisted(process, now()));
        let mut child = Command::new(std::env::current_exe()?)
            .arg("work")
            .arg(serde_json::to_string(&enlisted)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever interrupts us wants a report, of workers that are alive.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("a worker does not start")?;
        let orders = child.stdin.take().context("a pipe was asked for")?;
        let facts = child.stdout.take().context("a pipe was asked for")?;
        let reader = tokio::spawn(read(process, facts, self.intake.clone()));
        *self.slots[slot].lock().await = Some(Recruit {
            process,
            child,
            orders,
            reader,
        });
        Ok(process)
    }

    /// Tells one worker.
    pub(super) async fn order(&self, slot: usize, order: &Order) -> Result<()> {
        let mut slot = self.slots[slot].lock().await;
        let recruit = slot.as_mut().context("nobody is there")?;
        let line = format!("{}\n", serde_json::to_string(order)?);
        // A stopped one reads it later: the pipe has room.
        Ok(recruit.orders.write_all(line.as_bytes()).await?)
    }

    /// Tells everybody.
    pub(super) async fn order_all(&self, order: &Order) -> Result<()> {
        for slot in 0..self.size() {
            let told = self.order(slot, order).await;
            told.with_context(|| format!("{order:?} to worker {slot}"))?;
        }
        Ok(())
    }

    /// Stops a worker, or has it go on.
    pub(super) async fn signal(&self, slot: usize, signal: Signal) -> Result<()> {
        let slot = self.slots[slot].lock().await;
        let recruit = slot.as_ref().context("nobody is there")?;
        let id = recruit.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).context("it is gone")?;
        Ok(kill_process(pid, signal)?)
    }

    /// SIGKILL. Everything that it said is taken in when this returns.
    pub(super) async fn kill(&self, slot: usize) -> Result<u32> {
        let recruit = self.slots[slot].lock().await.take();
        let mut recruit = recruit.context("nobody is there")?;
        recruit.child.kill().await?;
        recruit.reader.await?;
        Ok(recruit.process)
    }

    /// Has everybody leave, and says who did not do so well.
    pub(super) async fn dismiss(&self) -> Result<()> {
        for slot in 0..self.size() {
            let recruit = self.slots[slot].lock().await.take();
            let Some(mut recruit) = recruit else { continue };
            let line = format!("{}\n", serde_json::to_string(&Order::Leave)?);
            recruit.orders.write_all(line.as_bytes()).await?;
            let left = timeout(HANG, recruit.child.wait()).await;
            let status = left.map_err(|_| anyhow!("worker {slot} does not leave"))??;
            if !status.success() {
                bail!("worker {slot} left with {status}");
            }
            recruit.reader.await?;
        }
        Ok(())
    }

    /// Those that ended without having been told to.
    pub(super) async fn deserters(&self) -> Vec<(usize, u32, String)> {
        let mut deserters = Vec::new();
        for (number, slot) in self.slots.iter().enumerate() {
            let mut slot = slot.lock().await;
            let Some(recruit) = &mut *slot else { continue };
            if let Ok(Some(status)) = recruit.child.try_wait() {
                deserters.push((number, recruit.process, status.to_string()));
                *slot = None;
            }
        }
        deserters
    }

    fn tell(&self, intake: Intake) {
        // Whoever takes in is there until everybody has left.
        let _ = self.intake.send(intake);
    }
}

/// Takes in what a worker says. The last line of a killed one may be cut: nobody has depended on it then.
async fn read(process: u32, facts: ChildStdout, intake: UnboundedSender<Intake>) {
    let mut lines = BufReader::with_capacity(1 << 16, facts).lines();
    let mut cut = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let fact = match serde_json::from_str::<Fact>(&line) {
            Ok(_) if cut => Fact {
                at: now(),
                what: What::Panicked {
                    message: "a line that is no fact".to_owned(),
                },
            },
            Ok(fact) => fact,
            Err(_) => {
                cut = true;
                continue;
            }
        };
        cut = false;
        let _ = intake.send(Intake::Fact(process, fact));
    }
    let _ = intake.send(Intake::Over(process));
}

/// How long a worker is given to say its first word.
pub(super) const FIRST_WORD: Duration = HANG;
