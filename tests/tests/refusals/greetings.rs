//! What a server says in place of a greeting is told, over every adapter: of a first connection, of a later one, and of
//! a cluster's node.

use std::sync::Arc;

use memolock::Backend;
use memolock::core::{BackendError, Key, Keyspace, Layout, Tag};
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock_testkit::{ClusterOptions, Connection, TestCluster, TestServer};
use memolock_tests::{Adapter, Fate, HANG, SECOND, Scripted, eventually, own_server, pool};

use crate::cluster::{fronted, port};

/// What a server at its `maxclients` says.
const FULL: &str = "max number of clients";

/// What a proxy says that does not speak RESP3.
const OLD: &str = "unknown command 'HELLO'";

async fn connect(adapter: Adapter, url: &str) -> Result<Arc<dyn Backend>, BackendError> {
    let redis = RedisBackend::builder(url)
        .connect_timeout(HANG)
        .command_timeout(5 * SECOND);
    Ok(match adapter {
        Adapter::RedisRs => Arc::new(redis.connect().await?),
        Adapter::Pooled => {
            let pool = pool(url, Some(HANG));
            Arc::new(redis.pool(pool).connect().await?)
        }
        Adapter::Fred => {
            let fred = FredBackend::builder(url).connect_timeout(HANG);
            Arc::new(fred.command_timeout(5 * SECOND).connect().await?)
        }
    })
}

fn key(id: &str) -> Key {
    let tag = Tag::new("likes").unwrap();
    let space = Keyspace::new(tag, Layout::HashTagged).unwrap();
    space.key(id).unwrap()
}

/// Whether it says so, in one line.
fn says<T>(outcome: Result<T, BackendError>, words: &str) -> bool {
    let line = outcome.err().map(|error| error.to_string());
    line.is_some_and(|line| {
        assert!(!line.contains('\n'), "{line}");
        line.contains(words)
    })
}

/// What may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    Both,
    /// A pool speaks RESP2, so its commands go on.
    Listening,
    /// A listener may be at another node.
    Commands,
}

/// Waits until its callers are told so.
async fn told(what: &str, backend: &dyn Backend, key: &Key, fails: Fails, words: &str) {
    eventually(what, || async {
        let command = says(backend.get(key).await, words);
        let listening = says(backend.subscribe(key).await, words);
        match fails {
            Fails::Both => command && listening,
            Fails::Listening => listening,
            Fails::Commands => command,
        }
    })
    .await;
}

async fn serves(what: &str, backend: &dyn Backend, key: &Key) {
    eventually(what, || async {
        backend.get(key).await.is_ok() && backend.subscribe(key).await.is_ok()
    })
    .await;
}

/// Ends all connections but this one.
async fn kill(admin: &mut Connection) {
    for kind in ["normal", "pubsub"] {
        let kill = ["CLIENT", "KILL", "TYPE", kind];
        admin.command(&kill).await.unwrap();
    }
}

async fn max_clients(admin: &mut Connection, most: &str) {
    let set = ["CONFIG", "SET", "maxclients", most];
    admin.command(&set).await.unwrap();
}

fn knows_no_hello(front: &Scripted) {
    front.script(|words| match words[0].as_ref() {
        b"HELLO" => Fate::Fails(format!("ERR {OLD}")),
        _ => Fate::Passes,
    });
}

/// A first connection; and one that is made again while it is refused, until it is not.
async fn at(
    adapter: Adapter,
    urls: [&str; 2],
    key: &Key,
    (fails, words): (Fails, &str),
    refuse: impl AsyncFn(&mut Connection),
    mend: impl AsyncFn(&mut Connection),
    admin: &mut Connection,
) {
    let [first, again] = urls;
    refuse(admin).await;
    match connect(adapter, first).await {
        Err(error) => assert!(error.to_string().contains(words), "{adapter}: {error}"),
        // A pool connects when it is used.
        Ok(backend) => {
            assert_eq!(adapter, Adapter::Pooled, "{words}: connected");
            told("of the first", &*backend, key, fails, words).await;
            backend.close().await;
        }
    }
    mend(admin).await;
    let backend = connect(adapter, again).await.unwrap();
    serves("served", &*backend, key).await;
    refuse(admin).await;
    kill(admin).await;
    let what = format!("{adapter}, of the next: {words}");
    told(&what, &*backend, key, fails, words).await;
    mend(admin).await;
    serves("served again", &*backend, key).await;
    backend.close().await;
}

async fn full(adapter: Adapter, server: &TestServer, urls: [&str; 2], key: &Key, fails: Fails) {
    let mut admin = server.connect().await.unwrap();
    let refuse = async |admin: &mut Connection| max_clients(admin, "1").await;
    let mend = async |admin: &mut Connection| max_clients(admin, "1000").await;
    at(adapter, urls, key, (fails, FULL), refuse, mend, &mut admin).await;
}

async fn old(
    adapter: Adapter,
    (server, front): (&TestServer, &Scripted),
    urls: [&str; 2],
    key: &Key,
    fails: Fails,
) {
    let mut admin = server.connect().await.unwrap();
    let refuse = async |_: &mut Connection| knows_no_hello(front);
    let mend = async |_: &mut Connection| front.mend();
    at(adapter, urls, key, (fails, OLD), refuse, mend, &mut admin).await;
}

#[tokio::test]
async fn of_a_server() {
    let server = own_server().await;
    let front = Scripted::before(&server).await;
    for adapter in Adapter::ALL {
        let key = key("a");
        full(adapter, &server, [server.url(); 2], &key, Fails::Both).await;
        let fails = match adapter {
            Adapter::Pooled => Fails::Listening,
            _ => Fails::Both,
        };
        old(adapter, (&server, &front), [front.url(); 2], &key, fails).await;
    }
}

/// A node's error reaches the callers of its keys.
#[tokio::test]
async fn of_a_node_of_a_cluster() {
    let options = ClusterOptions {
        replicas_per_master: 0,
        ..ClusterOptions::default()
    };
    let cluster = TestCluster::start_local_with(options).await.unwrap();
    let masters = cluster.masters().await;
    let mut n = 0;
    let key = loop {
        let id = n.to_string();
        if cluster.master_of(&format!("{{{id}}}")).await.unwrap() == masters[0] {
            break key(&id);
        }
        n += 1;
    };
    let node = &cluster.nodes()[masters[0]];
    let alone = cluster.url_of(&masters[..1]);
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        let urls = [alone.as_str(), cluster.url()];
        full(adapter, node, urls, &key, Fails::Commands).await;
    }
    let fronts = fronted(&cluster, &masters).await;
    let alone = format!("redis-cluster://127.0.0.1:{}", port(&fronts[0]));
    for adapter in [Adapter::RedisRs, Adapter::Fred] {
        let urls = [alone.as_str(), cluster.url()];
        old(adapter, (node, &fronts[0]), urls, &key, Fails::Commands).await;
    }
}
