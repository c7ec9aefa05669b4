//! Tables: made once, told apart, swept.

use std::time::Duration;

use bytes::Bytes;
use memolock_core::{Acquired, Backend, ErrorKind, Event, Keyspace, Layout, Message, PutMode, Tag};
use memolock_postgres::PgBackend;

use crate::common::{MINUTE, Place, key, next, token};

#[tokio::test]
async fn a_table_is_made_by_many_at_once_and_keeps_what_it_has() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("DROP TABLE memolock").await;
    let builder = place.builder();
    let makers = (0..8).map(|_| builder.create_table());
    for made in futures_util::future::join_all(makers).await {
        made.unwrap();
    }
    let backend = place.backend().await;
    let value = Bytes::from("42");
    backend
        .put(&key("k"), value.clone(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    builder.create_table().await.unwrap();
    assert_eq!(backend.get(&key("k")).await.unwrap(), Some(value));
}

#[tokio::test]
async fn a_missing_table_is_said_with_what_to_do() {
    let Some(place) = Place::new().await else {
        return;
    };
    let error = place
        .builder()
        .table("elsewhere")
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("create_table"), "{error}");
    // One that goes away is an outage, and is used again once it is back.
    let backend = place.backend().await;
    place.sql("DROP TABLE memolock").await;
    let error = backend.get(&key("k")).await.unwrap_err();
    assert!(error.is_outage() && error.is_retryable(), "{error}");
    place.builder().create_table().await.unwrap();
    assert_eq!(backend.get(&key("k")).await.unwrap(), None);
}

#[tokio::test]
async fn tables_of_the_same_name_in_two_schemas_are_two() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql("CREATE SCHEMA other").await;
    let builder = place.builder().table("other.memolock");
    builder.create_table().await.unwrap();
    let (here, there) = (place.backend().await, builder.connect().await.unwrap());
    let mut heard = here.subscribe(&key("k")).await.unwrap();
    there
        .put(&key("k"), "theirs".into(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    assert_eq!(here.get(&key("k")).await.unwrap(), None);
    here.put(&key("k"), "ours".into(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    let first = next(&mut heard).await;
    assert_eq!(first, Some(Event::Message(Message::Value("ours".into()))));
}

#[tokio::test]
async fn what_has_expired_is_swept_and_nothing_else() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place
        .builder()
        .sweep_interval(Duration::from_millis(20))
        .connect()
        .await
        .unwrap();
    let short = Duration::from_millis(1);
    for n in 0..300 {
        let id = format!("gone {n}");
        backend
            .put(
                &key(&id),
                Bytes::from(vec![1; 3000]),
                short,
                PutMode::Override,
            )
            .await
            .unwrap();
    }
    backend
        .put(&key("value"), "stays".into(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    let taken = backend
        .acquire(&key("lock"), token(1), MINUTE)
        .await
        .unwrap();
    assert_eq!(taken, Acquired::Granted);
    // A value that has expired under a lock that has not.
    backend
        .put(&key("both"), "gone".into(), short, PutMode::Override)
        .await
        .unwrap();
    let both = key("both");
    while backend.acquire(&both, token(2), MINUTE).await.unwrap() != Acquired::Granted {}
    place.until("SELECT count(*) FROM memolock", 3).await;
    assert_eq!(
        backend.get(&key("value")).await.unwrap(),
        Some("stays".into())
    );
    assert!(backend.release(&key("lock"), token(1), None).await.unwrap());
    assert!(backend.release(&key("both"), token(2), None).await.unwrap());
    place.until("SELECT count(*) FROM memolock", 1).await;
}

#[tokio::test]
async fn a_value_of_one_byte_too_many_is_looked_for() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    let mut heard = backend.subscribe(&key("k")).await.unwrap();
    let fits = Bytes::from(vec![0xff; 5949]);
    backend
        .put(&key("k"), fits.clone(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    assert_eq!(
        next(&mut heard).await,
        Some(Event::Message(Message::Value(fits)))
    );
    let large = Bytes::from(vec![0xff; 5950]);
    backend
        .put(&key("k"), large.clone(), MINUTE, PutMode::Override)
        .await
        .unwrap();
    assert_eq!(next(&mut heard).await, Some(Event::Gap));
    assert_eq!(next(&mut heard).await, Some(Event::Resumed));
    assert_eq!(backend.get(&key("k")).await.unwrap(), Some(large));
}

#[tokio::test]
async fn nothing_is_left_after_a_close_or_a_drop() {
    let Some(place) = Place::new().await else {
        return;
    };
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ours'";
    let connect = || async {
        let builder: memolock_postgres::PgBackendBuilder = place.builder().application_name("ours");
        builder.connect().await.unwrap()
    };
    let closed: PgBackend = connect().await;
    let mut heard = closed.subscribe(&key("k")).await.unwrap();
    place.until(ours, 1).await;
    closed.close().await;
    assert_eq!(next(&mut heard).await, None);
    place.until(ours, 0).await;
    let dropped = connect().await;
    let mut heard = dropped.subscribe(&key("k")).await.unwrap();
    place.until(ours, 1).await;
    drop(dropped);
    assert_eq!(next(&mut heard).await, None);
    place.until(ours, 0).await;
}

/// What the README says of tags that alias.
#[tokio::test]
async fn tags_that_alias_share_a_value_and_no_value_is_a_lock() {
    let Some(place) = Place::new().await else {
        return;
    };
    let backend = place.backend().await;
    let key = |tag: &str, id: &str| {
        let space = Keyspace::new(Tag::new(tag).unwrap(), Layout::Classic).unwrap();
        space.key(id).unwrap()
    };
    let (short, long) = (key("a", "b:c"), key("a:b", "c"));
    let value = Bytes::from_static(b"one");
    let put = backend.put(&short, value.clone(), MINUTE, PutMode::Override);
    put.await.unwrap();
    assert_eq!(backend.get(&long).await.unwrap(), Some(value.clone()));
    backend.invalidate(&long).await.unwrap();
    // Its value has the name of the other one's lock.
    let locks = key("a", "b/lock:c");
    assert_eq!(locks.value_name(), long.lock_name());
    let granted = backend.acquire(&long, token(1), MINUTE).await.unwrap();
    assert_eq!(granted, Acquired::Granted);
    assert_eq!(backend.get(&locks).await.unwrap(), None);
    let put = backend.put(&locks, value, MINUTE, PutMode::Override);
    put.await.unwrap();
    assert!(backend.inspect(&long).await.unwrap().lock.is_some());
    backend.close().await;
}
