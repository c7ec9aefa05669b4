//! The suite over a cluster of three masters, in each layout and with each kind of notifications. A front before it
//! is what breaks lines.

use std::time::Duration;

use memolock_core::redis::TlsOptions;
use memolock_core::{Backend, Key, Layout, Notifications, async_trait};
use memolock_testkit::suite::{Breakable, Damage, Harness, HarnessError, Suite};
use memolock_testkit::{ClusterOptions, Provider, TestCluster};

use crate::run::{PATIENT, led_by};
use crate::subject::Adapter;

/// One cluster for a run.
struct Redis(TestCluster);

impl Redis {
    async fn run(&self, name: &str, command: &[&[u8]]) -> Result<bool, HarnessError> {
        self.0.command(name, command).await?;
        Ok(true)
    }
}

#[async_trait]
impl Harness for Redis {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        let mut builder = Adapter::builder(self.0.url())
            .connect_timeout(PATIENT)
            .command_timeout(PATIENT);
        if let Some(authority) = self.0.ca_pem() {
            builder = builder.tls(TlsOptions::new().authority(authority));
        }
        Ok(Box::new(builder.connect().await?))
    }

    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        if !can_be_fronted(&self.0) {
            return Ok(None);
        }
        let front = self.0.front().await?;
        let url = front.url().to_owned();
        led_by(front, &url, |builder| builder).await.map(Some)
    }

    async fn damage(&self, key: &Key, damage: Damage) -> Result<bool, HarnessError> {
        let (value, lock, fail) = (key.value_name(), key.lock_name(), key.fail_channel());
        let (v, l, f) = (value.as_bytes(), lock.as_bytes(), fail.as_bytes());
        let publish: &[u8] = match key.space().notifications() {
            Notifications::Sharded => b"SPUBLISH",
            _ => b"PUBLISH",
        };
        match damage {
            Damage::WrongValueType => self.run(&value, &[b"RPUSH", v, b"x"]).await,
            Damage::WrongLockType => self.run(&lock, &[b"RPUSH", l, b"x"]).await,
            Damage::EternalLock => self.run(&lock, &[b"SET", l, b"a stranger"]).await,
            Damage::OddHolder => {
                self.run(&lock, &[b"SET", l, b"\xff\0", b"PX", b"60000"])
                    .await
            }
            Damage::OddNotice => self.run(&value, &[publish, f, b"\xff\0 what?"]).await,
            _ => Ok(false),
        }
    }
}

/// A front wants processes without TLS, and 127.0.0.0/8 to be this machine.
fn can_be_fronted(cluster: &TestCluster) -> bool {
    let is_process = matches!(cluster.provider(), Provider::Local { .. });
    cfg!(target_os = "linux") && is_process && cluster.ca_pem().is_none()
}

/// Whatever can be done to a store can be done to this one, but for lines that nothing stands before.
pub(crate) async fn conforms(cluster: TestCluster, suite: impl FnOnce(Suite) -> Suite) {
    let fronted = can_be_fronted(&cluster);
    let report = suite(Suite::new(Redis(cluster))).run().await;
    report.assert_ok();
    let missing = |case: &&str| !case.starts_with("gaps::") || fronted;
    assert_eq!(
        report.skipped().filter(missing).collect::<Vec<_>>(),
        [""; 0]
    );
}

/// Nothing is to fail here: a node that is short of processor time for a second is not held to have failed. Clients leave a
/// node that has, and what they had sent to it is lost.
pub(crate) fn masters() -> ClusterOptions {
    ClusterOptions {
        replicas_per_master: 0,
        node_timeout: Duration::from_secs(30),
        hostless: true,
        ..ClusterOptions::default()
    }
}

async fn spawned(suite: impl FnOnce(Suite) -> Suite) {
    let cluster = TestCluster::start_local_with(masters()).await;
    conforms(cluster.unwrap(), suite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hash_tagged() {
    spawned(|suite| suite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded() {
    spawned(|suite| suite.notifications(Notifications::Sharded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both() {
    spawned(|suite| suite.notifications(Notifications::Both).without("bulk::")).await;
}

/// What several commands cannot promise is left out: a put that meets a fulfil may be gone afterwards, though it never
/// gives way to the older value; and a lock may still be there when its value is told. `docs/protocol.md` says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_layout() {
    let classic = |suite: Suite| {
        suite
            .layout(Layout::Classic)
            .without("races::r4_a_put_wins_over_a_fulfil")
            .without("fulfil::who_is_told_finds_no_lock")
    };
    spawned(classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tls() {
    let cluster = TestCluster::start_tls(masters()).await;
    conforms(cluster.unwrap(), |suite| suite.without("bulk::")).await;
}
