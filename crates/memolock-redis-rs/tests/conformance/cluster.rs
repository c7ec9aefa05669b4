//! The suite over a cluster of three masters, in each layout and with each kind of notifications.

use std::time::Duration;

use memolock_core::{Backend, Key, Layout, Notifications, async_trait};
use memolock_testkit::suite::{Damage, Harness, HarnessError, Report, Suite};
use memolock_testkit::{ClusterOptions, TestCluster};

use crate::subject::Adapter;

/// One cluster for a run. Its lines cannot be broken from here: `memolock-tests` has that.
struct Redis(TestCluster);

/// Far more than a busy machine needs for the largest value.
const PATIENT: Duration = Duration::from_secs(10);

impl Redis {
    async fn run(&self, name: &str, command: &[&[u8]]) -> Result<bool, HarnessError> {
        self.0.command(name, command).await?;
        Ok(true)
    }
}

#[async_trait]
impl Harness for Redis {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        let builder = Adapter::builder(self.0.url())
            .connect_timeout(PATIENT)
            .command_timeout(PATIENT);
        Ok(Box::new(builder.connect().await?))
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

async fn report(suite: impl FnOnce(Suite) -> Suite) -> Report {
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await.unwrap();
    suite(Suite::new(Redis(cluster))).run().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hash_tagged() {
    let report = report(|suite| suite).await;
    report.assert_ok();
    assert!(report.skipped().all(|case| case.starts_with("gaps::")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharded() {
    let sharded = |suite: Suite| suite.notifications(Notifications::Sharded);
    report(sharded).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both() {
    let both = |suite: Suite| suite.notifications(Notifications::Both).without("bulk::");
    report(both).await.assert_ok();
}

/// What several commands cannot promise is left out: a put that meets a fulfil may be gone afterwards, though it never
/// gives way to the older value. `docs/protocol.md` says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_layout() {
    let classic = |suite: Suite| {
        suite
            .layout(Layout::Classic)
            .without("races::r4_a_put_wins_over_a_fulfil")
    };
    report(classic).await.assert_ok();
}
