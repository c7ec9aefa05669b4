//! R16 over real servers: a compute that hangs holds its key for `max_lease`, and then another process computes.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use memolock::postgres::PgBackend;
use memolock::{Backend, Source};
use memolock_testkit::{PgServer, unique_tag};
use memolock_tests::{Adapter, HANG, Ours, end_of, own_server};
use tokio::time::Instant;

/// Renewed for a while, and short for one who waits.
const LEASE: Duration = Duration::from_secs(2);
const MAX: Duration = Duration::from_secs(5);

async fn trial(what: &str, connect: impl AsyncFn() -> Arc<dyn Backend>) {
    let tag = unique_tag("max-lease");
    let limited = Ours::over(connect().await, &tag, |b| b.lease(LEASE).max_lease(MAX)).await;
    let other = Ours::over(connect().await, &tag, |b| b.wait_timeout(HANG)).await;
    let began = Instant::now();
    let (end, hangs) = limited.hold("report").await;
    let memo = end_of(other.get("report", "other's")).await.unwrap();
    let held = began.elapsed();
    assert_eq!(*memo, "other's", "{what}");
    assert_eq!(memo.source(), Source::Computed, "{what}");
    // Its last renewal ends with `max_lease`, and those before it took place.
    assert!(held >= MAX - LEASE, "{what}: not renewed, {held:?}");

    // Its own caller has the value all the same, and nobody else has.
    end.send(Ok("late".to_owned())).unwrap();
    assert_eq!(*end_of(hangs).await.unwrap(), "late", "{what}");
    assert_eq!(limited.likes.stats().lost_leases, 1, "{what}");
    let stored = other.likes.get("report").await.unwrap().unwrap();
    assert_eq!(*stored, "other's", "{what}");
    for ours in [limited, other] {
        ours.likes.close().await;
        ours.backend.close().await;
    }
}

#[tokio::test]
async fn r16_a_compute_that_hangs_loses_its_key_over_redis() {
    let server = own_server().await;
    let url = server.url();
    let over = async |adapter: Adapter| {
        trial(&adapter.to_string(), || adapter.connect(url)).await;
    };
    tokio::join!(
        over(Adapter::RedisRs),
        over(Adapter::Pooled),
        over(Adapter::Fred)
    );
}

#[tokio::test]
async fn r16_a_compute_that_hangs_loses_its_key_over_postgres() {
    if !PgServer::is_there() && std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_none() {
        eprintln!("not run: there is no PostgreSQL (apt-get install postgresql)");
        return;
    }
    let server = PgServer::start_own().await.unwrap();
    let builder = || {
        let builder = PgBackend::builder(server.url());
        builder.connect_timeout(HANG).command_timeout(HANG)
    };
    builder().create_table().await.unwrap();
    trial("PostgreSQL", async || {
        let backend = builder().connect().await.unwrap();
        Arc::new(backend) as Arc<dyn Backend>
    })
    .await;
}
