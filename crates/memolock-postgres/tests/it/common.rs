//! A database of its own for each test, on one server.

use std::time::Duration;

use futures_util::StreamExt;
use memolock_core::{Event, Key, Keyspace, Layout, Subscription, Tag, Token};
use memolock_postgres::{PgBackend, PgBackendBuilder};
use memolock_testkit::{PgBouncer, PgServer};
use tokio_postgres::{Client, NoTls};

/// Only a hang would miss it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A server, and a stranger's connection to it.
pub(crate) struct Place {
    pub(crate) server: PgServer,
    pub(crate) stranger: Client,
}

impl Place {
    /// `None` where there is no PostgreSQL, which is said.
    pub(crate) async fn new() -> Option<Self> {
        if !is_there() {
            return None;
        }
        let server = PgServer::start_own().await.unwrap();
        let stranger = stranger(server.url()).await;
        let place = Self { server, stranger };
        place.builder().create_table().await.unwrap();
        Some(place)
    }

    pub(crate) fn builder(&self) -> PgBackendBuilder {
        PgBackend::builder(self.server.url())
            .connect_timeout(DEADLINE)
            .command_timeout(DEADLINE)
            .reconnect_delay(Duration::from_millis(5), Duration::from_millis(50))
    }

    pub(crate) async fn backend(&self) -> PgBackend {
        self.builder().connect().await.unwrap()
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.stranger.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.stranger.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Asks again until it is so.
    pub(crate) async fn until(&self, sql: &str, expected: i64) {
        let mut last = expected;
        let asked = async {
            loop {
                last = self.count(sql).await;
                if last == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, asked).await;
        assert!(in_time.is_ok(), "{last} and never {expected}: {sql}");
    }
}

/// Whether a test has what it needs. Where it has not, it says so and passes, unless it must run.
pub(crate) fn is_there() -> bool {
    PgServer::is_there() || absent("PostgreSQL", "postgresql")
}

/// The same of a pooler.
pub(crate) fn has_pooler() -> bool {
    is_there() && (PgBouncer::is_there() || absent("pgbouncer", "pgbouncer"))
}

fn absent(what: &str, package: &str) -> bool {
    let must = std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_some();
    if !must {
        eprintln!("not run: there is no {what} (apt-get install {package})");
    }
    must
}

pub(crate) async fn stranger(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    // It ends with the server or with the client.
    tokio::spawn(connection);
    client
}

pub(crate) fn key(id: &str) -> Key {
    let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic).unwrap();
    space.key(id).unwrap()
}

pub(crate) fn token(n: u128) -> Token {
    Token::from_bits(n)
}

pub(crate) async fn next(heard: &mut Subscription) -> Option<Event> {
    let event = tokio::time::timeout(DEADLINE, heard.next()).await;
    event.expect("an event comes")
}
