//! Roles: the least privileges, and defaults that would change what statements mean.

use bytes::Bytes;
use memolock_core::{Acquired, Backend, ErrorKind, Fulfilled, PutMode};
use memolock_postgres::{PgBackend, PgBackendBuilder};
use tokio::time::timeout;

use crate::common::{DEADLINE, MINUTE, Place, key, token};

/// The documented privileges, as the SQL for role `app`.
const LEAST: &str =
    "CREATE ROLE app LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON memolock TO app";

fn as_app(place: &Place) -> PgBackendBuilder {
    PgBackend::builder(place.server.url().replace("postgres@", "app@"))
        .connect_timeout(DEADLINE)
        .command_timeout(DEADLINE)
}

#[tokio::test]
async fn the_documented_privileges_are_enough_and_each_is_needed() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql(LEAST).await;
    let app = as_app(&place).connect().await.unwrap();
    let (k, one) = (key("k"), token(1));
    assert_eq!(
        app.acquire(&k, one, MINUTE).await.unwrap(),
        Acquired::Granted
    );
    let _heard = app.subscribe(&k).await.unwrap();
    let stored = app.fulfil(&k, one, Bytes::from("v"), MINUTE).await.unwrap();
    assert_eq!(stored, Fulfilled::Stored);
    app.put(&k, "w".into(), MINUTE, PutMode::Resolve)
        .await
        .unwrap();
    assert!(app.inspect(&k).await.unwrap().value.is_some());
    app.invalidate(&k).await.unwrap();
    for needed in ["SELECT", "INSERT", "UPDATE"] {
        place
            .sql(&format!("REVOKE {needed} ON memolock FROM app"))
            .await;
        let error = app
            .put(&k, "x".into(), MINUTE, PutMode::Override)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{needed}: {error}");
        place
            .sql(&format!("GRANT {needed} ON memolock TO app"))
            .await;
    }
    let error = as_app(&place)
        .table("mine")
        .create_table()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn a_roles_own_defaults_do_not_matter() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql(LEAST).await;
    place
        .sql(
            "ALTER ROLE app SET default_transaction_isolation = 'serializable'; \
             ALTER ROLE app SET statement_timeout = 1; ALTER ROLE app SET timezone = 'Asia/Kathmandu'; \
             ALTER ROLE app SET datestyle = 'German'; ALTER ROLE app SET intervalstyle = 'sql_standard'",
        )
        .await;
    // Until the connection has its own bound, the role's is in force, and cuts off an attempt where the machine is busy.
    // Others follow.
    let (one, two) = (
        as_app(&place).connect_lazy().unwrap(),
        as_app(&place).connect_lazy().unwrap(),
    );
    for backend in [&one, &two] {
        let connected = async { while backend.get(&key("k")).await.is_err() {} };
        timeout(DEADLINE, connected).await.unwrap();
    }
    for n in 0..200 {
        let k = key(&format!("k{n}"));
        let (a, b) = tokio::join!(
            one.acquire(&k, token(1), MINUTE),
            two.acquire(&k, token(2), MINUTE)
        );
        let granted = [a.unwrap(), b.unwrap()]
            .iter()
            .filter(|a| **a == Acquired::Granted)
            .count();
        assert_eq!(granted, 1, "one holder, and nobody is told of a conflict");
    }
}

#[tokio::test]
async fn a_read_only_server_refuses_and_is_used_again() {
    let Some(place) = Place::new().await else {
        return;
    };
    place.sql(LEAST).await;
    place
        .sql("ALTER ROLE app SET default_transaction_read_only = on")
        .await;
    let app = as_app(&place).connect().await.unwrap();
    let error = app.acquire(&key("k"), token(1), MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(!error.is_ambiguous());
    place
        .sql("ALTER ROLE app SET default_transaction_read_only = off")
        .await;
    place
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        .await;
    let again = as_app(&place).connect().await.unwrap();
    let taken = again.acquire(&key("k"), token(1), MINUTE).await.unwrap();
    assert_eq!(taken, Acquired::Granted);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_a_matter_of_configuration() {
    let Some(place) = Place::new().await else {
        return;
    };
    let base = place.server.url().trim_end_matches("/postgres");
    let url = format!("{base}/nowhere");
    let error = PgBackend::connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let error = PgBackend::connect(place.server.url().replace("postgres@", "nobody_here@")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Denied);
}
