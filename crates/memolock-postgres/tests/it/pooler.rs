//! A real pgbouncer before the server: a session of one's own is needed, and nothing is left in others'.

use std::time::Duration;

use memolock_core::{Acquired, Backend, BackendError, ErrorKind, Event, Fulfilled, Message};
use memolock_postgres::{PgBackend, PgBackendBuilder};
use memolock_testkit::PgBouncer;
use tokio::task::JoinSet;

use crate::common::{DEADLINE, MINUTE, Place, has_pooler, key, next, stranger, token};

fn builder(pooler: &PgBouncer) -> PgBackendBuilder {
    PgBackend::builder(pooler.url())
        .connect_timeout(DEADLINE)
        .command_timeout(DEADLINE)
        .reconnect_delay(Duration::from_millis(5), Duration::from_millis(50))
}

fn assert_refused(outcome: Result<PgBackend, BackendError>, what: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}");
    let line = error.to_string();
    assert!(
        line.contains("pool_mode=session") && !line.contains('\n'),
        "{what}: {line}"
    );
}

/// What a session of the pooler's has that a new one has not.
async fn leftovers(pooler: &PgBouncer) -> Vec<String> {
    const ASKED: &str = "SELECT name || '=' || setting FROM pg_settings WHERE source = 'session' \
         AND name NOT IN ('application_name', 'client_encoding', 'standard_conforming_strings', 'DateStyle', 'TimeZone', 'IntervalStyle') \
         UNION ALL SELECT 'listens ' || pg_listening_channels() \
         UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements WHERE NOT from_sql";
    let client = stranger(pooler.url()).await;
    let said = client.simple_query(ASKED).await.unwrap();
    let rows = said.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

#[tokio::test]
async fn a_pooler_in_transaction_or_statement_mode_is_refused_and_nothing_is_left_in_it() {
    if !has_pooler() {
        return;
    }
    let place = Place::new().await.unwrap();
    for mode in ["transaction", "statement"] {
        for more in [
            "",
            "default_pool_size = 1",
            "server_round_robin = 1",
            "server_reset_query_always = 1",
        ] {
            let what = format!("{mode}, {more}");
            let lines = format!("pool_mode = {mode}\n{more}");
            let pooler = PgBouncer::start(&place.server, &lines).await.unwrap();
            for _ in 0..3 {
                assert_refused(builder(&pooler).connect().await, &what);
            }
            for _ in 0..3 {
                let left = leftovers(&pooler).await;
                assert!(left.is_empty(), "{what}: {left:?}");
            }
        }
    }
}

/// Other clients take sessions between our questions.
#[tokio::test]
async fn a_busy_pooler_is_found_out_too() {
    if !has_pooler() {
        return;
    }
    let place = Place::new().await.unwrap();
    let lines = "pool_mode = transaction\ndefault_pool_size = 4";
    let pooler = PgBouncer::start(&place.server, lines).await.unwrap();
    let mut others = JoinSet::new();
    for _ in 0..8 {
        let url = pooler.url().to_owned();
        others.spawn(async move {
            let client = stranger(&url).await;
            loop {
                client.simple_query("SELECT pg_sleep(0.001)").await.unwrap();
            }
        });
    }
    for n in 0..20 {
        assert_refused(builder(&pooler).connect().await, &format!("attempt {n}"));
    }
    others.shutdown().await;
    let left = leftovers(&pooler).await;
    assert!(left.is_empty(), "{left:?}");
}

async fn is_of_use(one: &PgBackend, two: &PgBackend, id: &str) {
    let (k, ours) = (key(id), token(1));
    let mut heard = two.subscribe(&k).await.unwrap();
    let taken = one.acquire(&k, ours, MINUTE).await.unwrap();
    assert_eq!(taken, Acquired::Granted);
    let stored = one.fulfil(&k, ours, "v".into(), MINUTE).await.unwrap();
    assert_eq!(stored, Fulfilled::Stored);
    let event = next(&mut heard).await;
    assert_eq!(event, Some(Event::Message(Message::Value("v".into()))));
}

#[tokio::test]
async fn a_pooler_in_session_mode_works_and_after_a_break_too() {
    if !has_pooler() {
        return;
    }
    let place = Place::new().await.unwrap();
    let pooler = PgBouncer::start(&place.server, "pool_mode = session")
        .await
        .unwrap();
    let one = builder(&pooler).connect().await.unwrap();
    let two = builder(&pooler).connect().await.unwrap();
    is_of_use(&one, &two, "before").await;
    let mut heard = two.subscribe(&key("k")).await.unwrap();
    place
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memolock'")
        .await;
    assert_eq!(next(&mut heard).await, Some(Event::Gap));
    assert_eq!(next(&mut heard).await, Some(Event::Resumed));
    let again = async {
        while let Err(error) = one.get(&key("k")).await {
            assert!(error.is_retryable(), "{error}");
        }
    };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
    is_of_use(&one, &two, "after").await;
    one.close().await;
    two.close().await;
    // The pooler's own DISCARD ALL.
    let settled = async {
        while !leftovers(&pooler).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, settled).await.unwrap();
}

/// The second connection of the check has no session, and waits for one.
#[tokio::test]
async fn a_pooler_in_session_mode_with_one_session_works() {
    if !has_pooler() {
        return;
    }
    let place = Place::new().await.unwrap();
    let lines = "pool_mode = session\ndefault_pool_size = 1";
    let pooler = PgBouncer::start(&place.server, lines).await.unwrap();
    let one = builder(&pooler).connect().await.unwrap();
    is_of_use(&one, &one, "k").await;
}

/// What is found only later: the mode is changed under a connection that stands.
#[tokio::test]
async fn a_pooler_that_changes_its_mode_is_found_out_at_the_next_connection() {
    if !has_pooler() {
        return;
    }
    let place = Place::new().await.unwrap();
    let pooler = PgBouncer::start(&place.server, "pool_mode = session")
        .await
        .unwrap();
    let backend = builder(&pooler).connect().await.unwrap();
    let console = stranger(&pooler.console()).await;
    console
        .simple_query("SET pool_mode = transaction")
        .await
        .unwrap();
    place
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memolock'")
        .await;
    let refused = async {
        loop {
            match backend.get(&key("k")).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => return,
                Err(error) => assert!(error.is_retryable(), "{error}"),
                Ok(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.unwrap();
    let left = leftovers(&pooler).await;
    assert!(left.is_empty(), "{left:?}");
}
