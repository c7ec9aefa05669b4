//! Faults carried out: begun, kept up, and ended so that all could be well again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use memolock_testkit::TestServer;
use rustix::process::Signal;
use tokio::time::sleep;

use super::conductor::Stage;
use super::faults::{Fault, Kind};
use super::wire::{Order, What};

/// The user of all workers, so that the conductor itself is never locked out.
pub(super) const USER: &str = "soak";
const PASSWORD: &str = "right";
/// Larger than the 32 MiB at which a listener's connection is cut.
const LARGE: usize = 40 << 20;
/// Where the keys of large values begin. All of them belong to the memolock with the default policies.
const LARGE_KEYS: u32 = 20_000;

/// A server that knows the workers' user.
pub(super) async fn server() -> Result<TestServer> {
    let password = format!(">{PASSWORD}");
    let options = ["--user", USER, "on", &password, "~*", "&*", "+@all"];
    Ok(TestServer::start_local_with(&options).await?)
}

/// Its URL for workers.
pub(super) fn url(server: &TestServer) -> String {
    let port = server.port();
    format!("redis://{USER}:{PASSWORD}@127.0.0.1:{port}")
}

impl Stage {
    /// Has `fault` happen, and be over.
    pub(super) async fn strike(&self, fault: Fault) -> Result<()> {
        let name = fault.kind.to_string();
        let told = name.clone();
        self.recorder.note(What::FaultBegan { fault: told });
        let struck = self.carry_out(fault).await;
        struck.with_context(|| format!("{name} for {:?}", fault.lasts))?;
        self.recorder.note(What::FaultEnded { fault: name });
        Ok(())
    }

    async fn carry_out(&self, fault: Fault) -> Result<()> {
        let server = &self.server;
        match fault.kind {
            Kind::ServerKilled => {
                server.kill().await?;
                sleep(fault.lasts).await;
                // A machine that is busy with others may take longer than the kit waits.
                while let Err(error) = server.restart().await {
                    eprintln!("{error}: once more");
                }
            }
            Kind::ServerStopped => {
                server.pause().await?;
                sleep(fault.lasts).await;
                server.resume().await?;
            }
            Kind::WorkerKilled => self.kill_worker(fault).await?,
            Kind::WorkerStopped => self.stop_worker(fault).await?,
            Kind::ConnectionsKilled => self.say("CLIENT KILL TYPE normal").await?,
            Kind::ListenersKilled => self.say("CLIENT KILL TYPE pubsub").await?,
            Kind::Paused | Kind::WritesPaused => {
                let mode = if fault.kind == Kind::Paused {
                    "ALL"
                } else {
                    "WRITE"
                };
                let millis = fault.lasts.as_millis();
                self.say(&format!("CLIENT PAUSE {millis} {mode}")).await?;
                sleep(fault.lasts).await;
            }
            Kind::Flushed => self.say("FLUSHALL").await?,
            Kind::ScriptsFlushed => self.say("SCRIPT FLUSH").await?,
            Kind::OutOfMemory => self.memory(fault, "noeviction", 1 << 20).await?,
            Kind::Evicting => {
                // Below what it has, so that something must go at once and for each newcomer.
                let limit = self.used_memory().await? * 97 / 100;
                self.memory(fault, "allkeys-lru", limit).await?;
            }
            Kind::ReadOnly => {
                // Nobody listens there.
                self.say("REPLICAOF 127.0.0.1 1").await?;
                sleep(fault.lasts).await;
                self.say("REPLICAOF NO ONE").await?;
            }
            Kind::WrongPassword => {
                self.password("wrong").await?;
                sleep(fault.lasts).await;
                self.password(PASSWORD).await?;
            }
            Kind::LargeValue => {
                let number = u32::try_from(fault.victim % 1_000)?;
                let key = LARGE_KEYS + 4 * number;
                self.fleet
                    .order_all(&Order::Herd { key, size: LARGE })
                    .await?;
                sleep(fault.lasts).await;
            }
        }
        Ok(())
    }

    /// The first half of the workers lives on, so that what leaks slowly can be seen.
    async fn kill_worker(&self, fault: Fault) -> Result<()> {
        let size = self.fleet.size();
        let slot = size / 2 + fault.victim % (size - size / 2);
        let process = self.fleet.kill(slot).await?;
        self.recorder.note(What::Died { process });
        sleep(fault.lasts).await;
        let process = self.fleet.enlist(slot).await?;
        self.heard_of(process).await?;
        let callers = self.callers;
        self.fleet.order(slot, &Order::Go { callers }).await
    }

    async fn stop_worker(&self, fault: Fault) -> Result<()> {
        let processes = self.fleet.processes().await;
        let Some(&(slot, process)) = processes.get(fault.victim % processes.len().max(1)) else {
            bail!("there is no worker");
        };
        self.recorder.note(What::Stopped { process });
        self.fleet.signal(slot, Signal::STOP).await?;
        sleep(fault.lasts).await;
        self.fleet.signal(slot, Signal::CONT).await?;
        self.recorder.note(What::Continued { process });
        Ok(())
    }

    async fn memory(&self, fault: Fault, policy: &str, limit: u64) -> Result<()> {
        let set = format!("CONFIG SET maxmemory-policy {policy} maxmemory {limit}");
        self.say(&set).await?;
        sleep(fault.lasts).await;
        self.say("CONFIG SET maxmemory 0").await
    }

    async fn used_memory(&self) -> Result<u64> {
        let info = self.server.command(&["INFO", "memory"]).await?;
        let info = info.as_str().context("INFO is text")?;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.context("INFO says so")?.trim().parse()?)
    }

    /// Whoever is connected stays so: they are made to come again.
    async fn password(&self, password: &str) -> Result<()> {
        let rotate = format!("ACL SETUSER {USER} resetpass >{password}");
        self.say(&rotate).await?;
        self.say(&format!("CLIENT KILL USER {USER}")).await
    }

    async fn say(&self, words: &str) -> Result<()> {
        let words: Vec<&str> = words.split(' ').collect();
        // A server that was made to hang has much to do before us.
        for _ in 0..20 {
            if self.server.command(&words).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.server.command(&words).await?;
        Ok(())
    }
}
