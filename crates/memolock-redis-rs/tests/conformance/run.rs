//! How the suite is run over an adapter for Redis, whichever it is.

use std::time::Duration;

use memolock_core::{Backend, Key, Notifications, async_trait};
use memolock_testkit::suite::{
    Breakable, Damage, Harness, HarnessError, Line, Report, Suite, Wrapping,
};
use memolock_testkit::{Proxy, TestServer};

use crate::subject::{Adapter, AdapterBuilder};

/// One server for a run, which others may use too.
struct Redis(TestServer);

/// Far more than a busy machine needs for the largest value.
pub(crate) const PATIENT: Duration = Duration::from_secs(10);

/// What cases that run into a time-out have to wait for.
const BRISK: Duration = Duration::from_secs(1);

impl Redis {
    fn builder(&self) -> AdapterBuilder {
        Adapter::builder(self.0.url())
            .connect_timeout(PATIENT)
            .command_timeout(PATIENT)
    }
}

#[async_trait]
impl Harness for Redis {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        Ok(Box::new(self.builder().connect().await?))
    }

    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        breakable(self.0.url(), |builder| builder).await.map(Some)
    }

    async fn damage(&self, key: &Key, damage: Damage) -> Result<bool, HarnessError> {
        let command = damaging(key, damage);
        if let Some(command) = &command {
            self.0.command(command).await?;
        }
        Ok(command.is_some())
    }
}

/// A client by way of a proxy in front of the server at `url`.
pub(crate) async fn breakable(
    url: &str,
    options: impl FnOnce(AdapterBuilder) -> AdapterBuilder,
) -> Result<Breakable, HarnessError> {
    let (scheme, rest) = url.split_once("://").ok_or("a URL has a scheme")?;
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (place, path) = place.split_once('/').unwrap_or((place, ""));
    let target = tokio::net::lookup_host(place).await?.next();
    let proxy = Proxy::start(target.ok_or("the server has no address")?).await?;
    let at = if user.is_empty() { "" } else { "@" };
    let url = format!("{scheme}://{user}{at}{}/{path}", proxy.address());
    led_by(proxy, &url, options).await
}

/// A client that comes by `url`, where `line` leads it to the store.
pub(crate) async fn led_by(
    line: impl Line + 'static,
    url: &str,
    options: impl FnOnce(AdapterBuilder) -> AdapterBuilder,
) -> Result<Breakable, HarnessError> {
    let builder = Adapter::builder(url)
        .connect_timeout(PATIENT)
        .command_timeout(BRISK)
        .reconnect_delay(Duration::from_millis(5), Duration::from_millis(50));
    Ok(Breakable {
        client: Box::new(options(builder).connect().await?),
        line: Box::new(line),
    })
}

/// The command that does it, if there is one.
pub(crate) fn damaging(key: &Key, damage: Damage) -> Option<Vec<Vec<u8>>> {
    let (value, lock, fail) = (key.value_name(), key.lock_name(), key.fail_channel());
    let (value, lock, fail) = (value.as_bytes(), lock.as_bytes(), fail.as_bytes());
    let command: &[&[u8]] = match damage {
        Damage::WrongValueType => &[b"RPUSH", value, b"x"],
        Damage::WrongLockType => &[b"RPUSH", lock, b"x"],
        Damage::EternalLock => &[b"SET", lock, b"a stranger"],
        Damage::OddHolder => &[b"SET", lock, b"\xff\0", b"PX", b"60000"],
        Damage::OddNotice => &[publish(key), fail, b"\xff\0 what?"],
        _ => return None,
    };
    Some(command.iter().map(|word| word.to_vec()).collect())
}

fn publish(key: &Key) -> &'static [u8] {
    match key.space().notifications() {
        Notifications::Sharded => b"SPUBLISH",
        _ => b"PUBLISH",
    }
}

async fn report(suite: impl FnOnce(Suite) -> Suite) -> Report {
    let server = TestServer::start().await.unwrap();
    suite(Suite::new(Redis(server))).run().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare() {
    let report = report(|suite| suite).await;
    report.assert_ok();
    // Everything can be done to this store.
    assert_eq!(report.skipped().collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_arc() {
    // A wrapper does not know how much passes through it.
    let wrapped = |suite: Suite| suite.wrapping(Wrapping::InArc).without("bulk::");
    report(wrapped).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boxed() {
    let wrapped = |suite: Suite| suite.wrapping(Wrapping::Boxed).without("bulk::");
    report(wrapped).await.assert_ok();
}

/// A single server shards nothing, but tells by `SPUBLISH` all the same, and there in any layout.
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
