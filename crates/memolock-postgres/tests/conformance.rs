//! The conformance suite of the testkit: bare, in an `Arc` and boxed, on a real server.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use memolock_core::{Backend, Key, async_trait};
use memolock_postgres::{PgBackend, PgBackendBuilder};
use memolock_testkit::suite::{Breakable, Damage, Harness, HarnessError, Report, Suite, Wrapping};
use memolock_testkit::{PgServer, Proxy};
use sha2::Digest as _;
use tokio_postgres::NoTls;

/// Far more than a busy machine needs for the largest value.
const PATIENT: Duration = Duration::from_secs(10);

/// What cases that run into a time-out have to wait for.
const BRISK: Duration = Duration::from_secs(1);

/// One server for a run, which others may use too.
struct Postgres(PgServer);

impl Postgres {
    fn builder(&self) -> PgBackendBuilder {
        PgBackend::builder(self.0.url())
            .connect_timeout(PATIENT)
            .command_timeout(PATIENT)
    }

    /// Sets a key's lock to what no peer would.
    async fn lock(&self, key: &Key, token: &[u8], until: &str) -> Result<bool, HarnessError> {
        let (client, connection) = tokio_postgres::connect(self.0.url(), NoTls).await?;
        let driver = tokio::spawn(connection);
        let name = key.value_name();
        let id = sha2::Sha256::digest(&name).to_vec();
        let sql = format!(
            "INSERT INTO memolock (id, name, token, lease_until) VALUES ($1, $2, $3, {until}) \
             ON CONFLICT (id) DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until"
        );
        client
            .execute(&sql, &[&id, &name.as_bytes(), &token])
            .await?;
        drop(client);
        driver.await??;
        Ok(true)
    }

    /// Tells listeners of a key what no peer would.
    async fn tell(&self, key: &Key) -> Result<bool, HarnessError> {
        let (client, connection) = tokio_postgres::connect(self.0.url(), NoTls).await?;
        let driver = tokio::spawn(connection);
        let id = sha2::Sha256::digest(key.value_name());
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let table: Vec<u8> = sha2::Sha256::digest("public.memolock").to_vec();
        let table: String = table[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let channel = format!("memolock_{table}_{}", &hex[..2]);
        let payload = format!("{hex}ü what?");
        client
            .execute("SELECT pg_notify($1, $2)", &[&channel, &payload])
            .await?;
        drop(client);
        driver.await??;
        Ok(true)
    }
}

#[async_trait]
impl Harness for Postgres {
    async fn client(&self) -> Result<Box<dyn Backend>, HarnessError> {
        Ok(Box::new(self.builder().connect().await?))
    }

    async fn breakable(&self) -> Result<Option<Breakable>, HarnessError> {
        let target = tokio::net::lookup_host(self.0.address()).await?.next();
        let proxy = Proxy::start(target.ok_or("the server has no address")?).await?;
        let url = self
            .0
            .url()
            .replace(self.0.address(), &proxy.address().to_string());
        let client = PgBackend::builder(url)
            .connect_timeout(PATIENT)
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
        match damage {
            Damage::EternalLock => self.lock(key, b"a stranger", "'infinity'").await,
            Damage::OddHolder => {
                let minute = "clock_timestamp() + interval '1 minute'";
                self.lock(key, b"\xff\0", minute).await
            }
            Damage::OddNotice => self.tell(key).await,
            // The columns have types.
            _ => Ok(false),
        }
    }
}

/// Nothing where there is no server, which is said.
async fn report(suite: impl FnOnce(Suite) -> Suite) -> Option<Report> {
    if !PgServer::is_there() && std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_none() {
        eprintln!("not run: there is no PostgreSQL (apt-get install postgresql)");
        return None;
    }
    let server = Postgres(PgServer::start().await.unwrap());
    server.builder().create_table().await.unwrap();
    Some(suite(Suite::new(server)).run().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare() {
    if let Some(report) = report(|suite| suite).await {
        report.assert_ok();
        // All but wrong types, which columns rule out, and tracking, which it does not do.
        let skipped: Vec<_> = report.skipped().collect();
        let cannot = ["damage::", "many::r8_", "tracking::", "gaps::a_tracker_"];
        let expected = |case: &&str| cannot.iter().any(|room| case.starts_with(room));
        assert!(skipped.iter().all(expected), "{skipped:?}");
        assert_eq!(skipped.len(), 5 + 1 + 6 + 1, "{skipped:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_arc() {
    // A wrapper does not know how much passes through it.
    let wrapped = |suite: Suite| suite.wrapping(Wrapping::InArc).without("bulk::");
    if let Some(report) = report(wrapped).await {
        report.assert_ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boxed() {
    let wrapped = |suite: Suite| suite.wrapping(Wrapping::Boxed).without("bulk::");
    if let Some(report) = report(wrapped).await {
        report.assert_ok();
    }
}
