//! Servers and connections that go away, and locks of strangers.

use std::time::Duration;

use memolock_core::{Acquired, Backend, ErrorKind, Event, Message, PutMode};

use crate::common::{DEADLINE, MINUTE, Place, key, next, stranger, token};

const KILL: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memolock'";

#[tokio::test]
async fn a_killed_connection_is_no_outage_and_listeners_are_told() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    let mut heard = backend.subscribe(&key("k")).await.unwrap();
    for round in 1..=3 {
        place.sql(KILL).await;
        assert_eq!(next(&mut heard).await, Some(Event::Gap));
        // It may have met the dead connection; never twice.
        let mut stored = backend
            .put(&key("x"), "v".into(), MINUTE, PutMode::Override)
            .await;
        if stored.is_err() {
            stored = backend
                .put(&key("x"), "v".into(), MINUTE, PutMode::Override)
                .await;
        }
        stored.unwrap();
        assert_eq!(next(&mut heard).await, Some(Event::Resumed));
        backend
            .put(&key("k"), "v".into(), MINUTE, PutMode::Override)
            .await
            .unwrap();
        let value = Event::Message(Message::Value("v".into()));
        assert_eq!(next(&mut heard).await, Some(value));
        assert_eq!(backend.stats().reconnects, round);
    }
}

#[tokio::test]
async fn a_server_that_crashes_is_empty_and_is_used_again() {
    let Some(mut place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    backend
        .put(&key("k"), "v".into(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    let mut heard = backend.subscribe(&key("k")).await.unwrap();
    place.server.end().unwrap();
    assert_eq!(next(&mut heard).await, Some(Event::Gap));
    let down = async {
        loop {
            let error = backend.get(&key("k")).await.unwrap_err();
            assert!(error.is_outage(), "{error}");
            if error.to_string().contains("efused") {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, down).await.unwrap();
    place.server.begin().await.unwrap();
    assert_eq!(next(&mut heard).await, Some(Event::Resumed));
    assert_eq!(backend.get(&key("k")).await.unwrap(), None, "unlogged");
}

#[tokio::test]
async fn a_call_that_waits_for_a_strangers_lock_ends_and_does_not_happen_later() {
    let Some(place) = Place::new().await else {
        return;
    };
    let bound = Duration::from_millis(300);
    let backend = place
        .builder()
        .command_timeout(bound)
        .connect()
        .await
        .unwrap();
    let rude = stranger(place.server.url()).await;
    rude.batch_execute("BEGIN; LOCK TABLE memolock")
        .await
        .unwrap();
    let error = backend
        .acquire(&key("k"), token(1), MINUTE)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    // The server has given it up as well, before the stranger let go.
    let waiting = "SELECT count(*) FROM pg_stat_activity \
         WHERE application_name = 'memolock' AND wait_event_type = 'Lock'";
    place.until(waiting, 0).await;
    rude.batch_execute("COMMIT").await.unwrap();
    let taken = async {
        loop {
            // The link may have been given up for dead meanwhile.
            match backend.acquire(&key("k"), token(2), MINUTE).await {
                Ok(acquired) => return acquired,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    let taken = tokio::time::timeout(DEADLINE, taken).await.unwrap();
    assert_eq!(taken, Acquired::Granted, "the first did not take it");
}

#[tokio::test]
async fn a_service_may_start_before_its_database() {
    let Some(mut place) = Place::new().await else {
        return;
    };
    place.server.end().unwrap();
    let error = place.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let backend = place.builder().connect_lazy().unwrap();
    place.server.begin().await.unwrap();
    let served = async {
        while let Err(error) = backend.get(&key("k")).await {
            assert!(error.is_outage(), "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, served).await.unwrap();
}
