//! As whom we log in, and in which database: the same over every adapter, whatever form a URL has and whatever
//! characters are in a password.

#![allow(clippy::unwrap_used)]

mod characters;
mod forms;
mod topologies;

use std::collections::BTreeSet;
use std::sync::Arc;

use memolock::Backend;
use memolock::core::redis::{Credentials, TlsOptions};
use memolock::core::{BackendError, Keyspace, Layout, PutMode, Tag};
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::redis_rs::deadpool_redis::redis::{AsyncConnectionConfig, ConnectionInfo};
use memolock::redis_rs::deadpool_redis::{Manager, Pool, Runtime};
use memolock_testkit::{Connection, TestServer};
use memolock_tests::{Adapter, HANG, SECOND};

type Connected = Result<Arc<dyn Backend>, BackendError>;

/// Connects as this URL says; a pool is made of the same URL.
async fn connect(adapter: Adapter, url: &str) -> Connected {
    over(adapter, url, None, TlsOptions::new()).await
}

/// Connects as a provider of credentials says; a pool is given the same.
async fn provided(adapter: Adapter, url: &str, credentials: (&str, &str)) -> Connected {
    over(adapter, url, Some(credentials), TlsOptions::new()).await
}

async fn over(
    adapter: Adapter,
    url: &str,
    credentials: Option<(&str, &str)>,
    tls: TlsOptions,
) -> Connected {
    let provider = credentials.map(|(user, password)| {
        let given = Credentials::new(user, password);
        move || std::future::ready(Ok::<_, String>(given.clone()))
    });
    Ok(match adapter {
        Adapter::Fred => {
            let mut builder = FredBackend::builder(url).tls(tls).connect_timeout(HANG);
            if let Some(provider) = provider {
                builder = builder.credentials(provider);
            }
            Arc::new(builder.command_timeout(HANG).connect().await?)
        }
        Adapter::RedisRs | Adapter::Pooled => {
            let mut builder = RedisBackend::builder(url).tls(tls).connect_timeout(HANG);
            if adapter == Adapter::Pooled {
                let mut info = RedisBackend::connection_info(url)?;
                if let Some((user, password)) = credentials {
                    let mut settings = info.redis_settings().clone().set_password(password);
                    if !user.is_empty() {
                        settings = settings.set_username(user);
                    }
                    info = info.set_redis_settings(settings);
                }
                builder = builder.pool(pool(info));
            }
            if let Some(provider) = provider {
                builder = builder.credentials(provider);
            }
            Arc::new(builder.command_timeout(HANG).connect().await?)
        }
    })
}

fn pool(info: ConnectionInfo) -> Pool {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(HANG))
        .set_response_timeout(Some(HANG));
    let manager = Manager::new_with_config(info, config).unwrap();
    let pool = Pool::builder(manager).max_size(2);
    pool.runtime(Runtime::Tokio1).build().unwrap()
}

/// A command and a subscription: both connections are there.
async fn works(backend: &dyn Backend) {
    let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::HashTagged).unwrap();
    let key = space.key("a").unwrap();
    let put = backend.put(&key, "v".into(), 60 * SECOND, PutMode::Override);
    put.await.unwrap();
    drop(backend.subscribe(&key).await.unwrap());
}

/// User and database of each connection, but for that of the test.
async fn clients(admin: &mut Connection) -> BTreeSet<(String, String)> {
    let list = admin.command(&["CLIENT", "LIST"]).await.unwrap();
    let field = |line: &str, name: &str| {
        let mut words = line.split(' ');
        words
            .find_map(|word| word.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    let lines = list.as_str().unwrap().lines();
    lines
        .filter(|line| !line.contains("cmd=client|list"))
        .map(|line| (field(line, "user="), field(line, "db=")))
        .collect()
}

/// Waits until the connections there are this user's in this database, and no other's.
async fn all_are(admin: &mut Connection, user: &str, database: u32, what: &str) {
    let expected = BTreeSet::from([(user.to_owned(), database.to_string())]);
    settle(admin, &expected, what).await;
}

/// Waits until there is no connection, so that the next test of the same server counts its own.
async fn none_is_left(admin: &mut Connection, what: &str) {
    settle(admin, &BTreeSet::new(), what).await;
}

async fn settle(admin: &mut Connection, expected: &BTreeSet<(String, String)>, what: &str) {
    let began = tokio::time::Instant::now();
    loop {
        let there = clients(admin).await;
        if there == *expected {
            return;
        }
        assert!(began.elapsed() < HANG, "{what}: {there:?}");
        tokio::time::sleep(SECOND / 200).await;
    }
}

/// Users with all rights: `ann` without a password, `bob` with one that has a space in it.
async fn users(server: &TestServer) {
    for words in [
        ["ACL", "SETUSER", "ann", "on", "nopass", "~*", "&*", "+@all"],
        ["ACL", "SETUSER", "bob", "on", ">p w", "~*", "&*", "+@all"],
    ] {
        server.command(&words).await.unwrap();
    }
}

/// Everything percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
