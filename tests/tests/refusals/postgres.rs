//! PostgreSQL: another session holds the row for longer than `lock_timeout`.

use std::sync::Arc;

use memolock::Backend;
use memolock::postgres::PgBackend;
use memolock_testkit::PgServer;
use memolock_tests::HANG;
use tokio_postgres::{Client, NoTls};

use crate::Pair;

const LOCK_TIMEOUT: &str = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''50ms''', \
                            current_database()); END $$";

async fn session(server: &PgServer) -> Client {
    let (client, connection) = tokio_postgres::connect(server.url(), NoTls).await.unwrap();
    // It ends with the server or with the client.
    tokio::spawn(connection);
    client
}

async fn connect(server: &PgServer) -> Arc<dyn Backend> {
    let builder = PgBackend::builder(server.url());
    let builder = builder.connect_timeout(HANG).command_timeout(HANG);
    Arc::new(builder.connect().await.unwrap())
}

#[tokio::test]
async fn a_row_that_another_session_has_locked() {
    if !PgServer::is_there() && std::env::var_os("MEMOLOCK_TEST_POSTGRES_REQUIRED").is_none() {
        eprintln!("not run: there is no PostgreSQL (apt-get install postgresql)");
        return;
    }
    let server = PgServer::start_own().await.unwrap();
    let other = session(&server).await;
    other.batch_execute(LOCK_TIMEOUT).await.unwrap();
    PgBackend::builder(server.url())
        .create_table()
        .await
        .unwrap();
    let lock = async || {
        let rows = "BEGIN; SELECT 1 FROM memolock FOR UPDATE";
        other.batch_execute(rows).await.unwrap();
    };
    let unlock = async || other.batch_execute("ROLLBACK").await.unwrap();
    let backends = [connect(&server).await, connect(&server).await];
    let pair = Pair::over(backends, "locked").await;
    pair.value_outlasts("value", lock, unlock).await;
    pair.close().await;
    let backends = [connect(&server).await, connect(&server).await];
    let pair = Pair::over(backends, "locked").await;
    pair.release_outlasts("release", lock, unlock).await;
    pair.close().await;
}
