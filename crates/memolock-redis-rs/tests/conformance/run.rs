//! How the suite is run over an adapter for Redis, whichever it is.

use std::time::Duration;

use memolock_core::redis::TlsOptions;
use memolock_core::{Backend, Key, async_trait};
use memolock_testkit::suite::{Breakable, Damage, Harness, HarnessError, Report, Suite, Wrapping};
use memolock_testkit::{Proxy, TestSentinel, TestServer, TlsServer};

use crate::subject::{Adapter, AdapterBuilder};

/// One server for a run, which others may use too, or sentinels and what they watch.
enum Redis {
    Plain(TestServer),
    Tls(TlsServer),
    Sentinel(TestSentinel),
}

/// Far more than a busy machine needs for the largest value.
const PATIENT: Duration = Duration::from_secs(10);

/// What cases that run into a time-out have to wait for.
const BRISK: Duration = Duration::from_secs(1);

impl Redis {
    fn url(&self) -> &str {
        match self {
            Self::Plain(server) => server.url(),
            Self::Tls(server) => server.url(),
            Self::Sentinel(sentinel) => sentinel.url(),
        }
    }

    fn builder(&self, url: &str) -> AdapterBuilder {
        let builder = Adapter::builder(url).connect_timeout(PATIENT);
        match self {
            Self::Tls(server) => builder.tls(TlsOptions::new().authority(server.ca_pem())),
            Self::Plain(_) | Self::Sentinel(_) => builder,
        }
    }

    async fn run(&self, command: &[&[u8]]) -> Result<bool, HarnessError> {
        match self {
            Self::Plain(server) => server.command(command).await?,
            Self::Tls(server) => server.server().command(command).await?,
            Self::Sentinel(sentinel) => sentinel.command(command).await?,
        };
        Ok(true)
    }
}

#[async_trait]
impl Harness for Redis {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        let builder = self.builder(self.url()).command_timeout(PATIENT);
        Ok(Box::new(builder.connect().await?))
    }

    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        if matches!(self, Self::Sentinel(_)) {
            // They say where the master is, and know nothing of a proxy.
            return Ok(None);
        }
        let (scheme, rest) = self.url().split_once("://").ok_or("a URL has a scheme")?;
        let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (place, path) = place.split_once('/').unwrap_or((place, ""));
        let target = tokio::net::lookup_host(place).await?.next();
        let proxy = Proxy::start(target.ok_or("the server has no address")?).await?;
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{user}{at}{}/{path}", proxy.address());
        let client = self
            .builder(&url)
            .command_timeout(BRISK)
            .reconnect_delay(Duration::from_millis(5), Duration::from_millis(50))
            .connect()
            .await?;
        Ok(Some(Breakable {
            client: Box::new(client),
            line: Box::new(proxy),
        }))
    }

    async fn damage(&self, key: &Key, damage: Damage) -> Result<bool, HarnessError> {
        let (value, lock, fail) = (key.value_name(), key.lock_name(), key.fail_channel());
        let (value, lock, fail) = (value.as_bytes(), lock.as_bytes(), fail.as_bytes());
        match damage {
            Damage::WrongValueType => self.run(&[b"RPUSH", value, b"x"]).await,
            Damage::WrongLockType => self.run(&[b"RPUSH", lock, b"x"]).await,
            Damage::EternalLock => self.run(&[b"SET", lock, b"a stranger"]).await,
            Damage::OddHolder => self.run(&[b"SET", lock, b"\xff\0", b"PX", b"60000"]).await,
            Damage::OddNotice => self.run(&[b"PUBLISH", fail, b"\xff\0 what?"]).await,
            _ => Ok(false),
        }
    }
}

/// A server's Unix socket: whatever is particular to it is in connecting.
#[cfg(unix)]
struct Socket(TestServer);

#[cfg(unix)]
#[async_trait]
impl Harness for Socket {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        let url = self.0.unix_url().ok_or("it has a socket")?;
        let builder = Adapter::builder(url).connect_timeout(PATIENT);
        Ok(Box::new(builder.command_timeout(PATIENT).connect().await?))
    }
}

async fn report(suite: impl FnOnce(Suite) -> Suite) -> Report {
    let server = TestServer::start().await.unwrap();
    suite(Suite::new(Redis::Plain(server))).run().await
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    let server = TlsServer::start().await.unwrap();
    let suite = Suite::new(Redis::Tls(server)).without("bulk::");
    suite.run().await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_way_of_sentinels() {
    let sentinel = TestSentinel::start_local().await.unwrap();
    let suite = Suite::new(Redis::Sentinel(sentinel)).without("bulk::");
    suite.run().await.assert_ok();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_socket() {
    let server = TestServer::start_unix().await.unwrap();
    let suite = Suite::new(Socket(server)).without("bulk::");
    suite.run().await.assert_ok();
}
