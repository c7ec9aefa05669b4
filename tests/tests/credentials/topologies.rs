//! The same of a cluster's nodes and of a master behind sentinels, and of the sentinels themselves.

use std::future::ready;
use std::sync::{Arc, Mutex};

use memolock::Backend;
use memolock::core::ErrorKind::{Config, Denied};
use memolock::core::redis::Credentials;
use memolock::core::{Keyspace, Layout, PutMode, Tag};
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock_testkit::{TestCluster, TestSentinel, TestServer};
use memolock_tests::{Adapter, HANG, SECOND, eventually};

use crate::{connect, users, works};

const ADAPTERS: [Adapter; 2] = [Adapter::RedisRs, Adapter::Fred];

/// The users of those connections that we have named, each once.
async fn users_of(server: &TestServer) -> Vec<String> {
    let list = server.command(&["CLIENT", "LIST"]).await.unwrap();
    let lines = list.as_str().unwrap().lines();
    let ours = lines.filter(|line| line.contains("name=memolock"));
    let mut users: Vec<String> = ours
        .filter_map(|line| line.split(' ').find_map(|word| word.strip_prefix("user=")))
        .map(str::to_owned)
        .collect();
    users.sort();
    users.dedup();
    users
}

#[tokio::test]
async fn of_a_cluster() {
    let cluster = TestCluster::start_local().await.unwrap();
    for node in cluster.nodes() {
        users(node).await;
    }
    let at = |before: &str, behind: &str| {
        let (scheme, places) = cluster.url().split_once("://").unwrap();
        let (place, others) = places.split_once('?').unwrap_or((places, ""));
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        let query = [others, query].into_iter().filter(|part| !part.is_empty());
        let query = query.collect::<Vec<_>>().join("&");
        format!("{scheme}://{before}{place}{path}?{query}")
    };
    for adapter in ADAPTERS {
        for (before, behind, user) in [
            ("ann@", "", "ann"),
            ("ann:@", "?db=0", "ann"),
            ("", "?user=ann", "ann"),
            ("bob:p%20w@", "/0", "bob"),
            ("bob:p w@", "", "bob"),
            ("", "?user=bob&pass=p%20w", "bob"),
            ("", "", "default"),
        ] {
            let url = at(before, behind);
            let backend = connect(adapter, &url).await;
            let backend = backend.unwrap_or_else(|e| panic!("{adapter}: {url}: {e}"));
            works(&*backend).await;
            for node in cluster.nodes() {
                let users = users_of(node).await;
                // A node that is nobody's slot has no connection.
                let others = users.iter().any(|name| name != user);
                assert!(!others, "{adapter}: {url}: {users:?}");
            }
            backend.close().await;
            for node in cluster.nodes() {
                eventually("they are gone", || async {
                    users_of(node).await.is_empty()
                })
                .await;
            }
        }
        for (before, behind, kind) in [
            ("bob@", "", Denied),
            ("bob:p%0D%0Aw@", "", Denied),
            ("nobody@", "", Denied),
            ("bob:%FF@", "", Config),
            ("ann@", "?db=2", Config),
        ] {
            let url = at(before, behind);
            let Err(error) = connect(adapter, &url).await else {
                panic!("{adapter}: {url}");
            };
            assert_eq!(error.kind(), kind, "{adapter}: {url}: {error}");
        }
    }
}

/// A provider whose password is rotated while a service runs. The next one has what ends a word or a command where it is
/// not counted.
#[tokio::test]
async fn of_a_cluster_whose_password_is_rotated() {
    const NEXT: &str = "p \" \' w\r\nCONFIG SET slowlog-max-len 7\r\n";
    let cluster = TestCluster::start_local().await.unwrap();
    let grant = async |password: &str| {
        let password = format!(">{password}");
        let user = ["ACL", "SETUSER", "cal", "on", "resetpass", &password];
        let rights = ["~*", "&*", "+@all"];
        cluster
            .command_all(&[&user[..], &rights].concat())
            .await
            .unwrap();
    };
    for adapter in ADAPTERS {
        grant("first").await;
        let password = Arc::new(Mutex::new("first"));
        let provider = {
            let password = Arc::clone(&password);
            move || {
                ready(Ok::<_, String>(Credentials::new(
                    "cal",
                    *password.lock().unwrap(),
                )))
            }
        };
        let backend: Arc<dyn Backend> = match adapter {
            Adapter::Fred => {
                let builder = FredBackend::builder(cluster.url()).credentials(provider);
                let builder = builder.connect_timeout(HANG).command_timeout(HANG);
                Arc::new(builder.connect().await.unwrap())
            }
            _ => {
                let builder = RedisBackend::builder(cluster.url()).credentials(provider);
                let builder = builder.connect_timeout(HANG).command_timeout(HANG);
                Arc::new(builder.connect().await.unwrap())
            }
        };
        works(&*backend).await;
        grant(NEXT).await;
        *password.lock().unwrap() = NEXT;
        cluster
            .command_all(&["CLIENT", "KILL", "USER", "cal"])
            .await
            .unwrap();
        let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::HashTagged).unwrap();
        for id in ["a", "b", "c", "d", "e", "f"] {
            let key = space.key(id).unwrap();
            eventually("it is served", || async {
                let put = backend.put(&key, "v".into(), 60 * SECOND, PutMode::Override);
                put.await.is_ok() && backend.subscribe(&key).await.is_ok()
            })
            .await;
        }
        for node in cluster.nodes() {
            let others = users_of(node).await;
            assert!(others.iter().all(|user| user == "cal"), "{others:?}");
            let planted = ["CONFIG", "GET", "slowlog-max-len"];
            let planted = node.command(&planted).await.unwrap();
            assert_ne!(planted.items()[1].as_str(), Some("7"), "{adapter}");
        }
        backend.close().await;
    }
}

#[tokio::test]
async fn of_sentinels() {
    let sentinels = TestSentinel::start_local().await.unwrap();
    for server in sentinels.servers() {
        users(server).await;
    }
    for sentinel in sentinels.sentinels() {
        let words = ["ACL", "SETUSER", "eve", "on", "nopass", "&*", "+@all"];
        sentinel.command(&words).await.unwrap();
        let words = ["ACL", "SETUSER", "fay", "on", ">p w", "&*", "+@all"];
        sentinel.command(&words).await.unwrap();
    }
    let master = &sentinels.servers()[sentinels.master().await.unwrap()];
    let at = |before: &str, behind: &str| {
        let (scheme, places) = sentinels.url().split_once("://").unwrap();
        format!("{scheme}://{before}{places}{behind}")
    };
    for adapter in ADAPTERS {
        for (before, behind, user, watcher) in [
            ("ann@", "", "ann", "default"),
            ("ann:@", "?db=2&sentinel_user=eve", "ann", "eve"),
            ("", "/2?user=ann&sentinel_pass=x", "ann", "default"),
            (
                "bob:p%20w@",
                "/2?db=2&sentinel_user=fay&sentinel_pass=p%20w",
                "bob",
                "fay",
            ),
            ("", "?user=bob&pass=p%20w", "bob", "default"),
        ] {
            let url = at(before, behind);
            let backend = connect(adapter, &url).await;
            let backend = backend.unwrap_or_else(|e| panic!("{adapter}: {url}: {e}"));
            works(&*backend).await;
            assert_eq!(users_of(master).await, [user], "{adapter}: {url}");
            for sentinel in sentinels.sentinels() {
                eventually(&url, || async { users_of(sentinel).await == [watcher] }).await;
            }
            backend.close().await;
            for server in sentinels.sentinels().iter().chain([master]) {
                eventually("they are gone", || async {
                    users_of(server).await.is_empty()
                })
                .await;
            }
        }
        for (before, behind, kind) in [
            ("bob@", "", Denied),
            ("ann@", "?sentinel_user=fay", Denied),
            ("ann@", "?sentinel_user=fay&sentinel_pass=p%0D%0Aw", Denied),
            ("bob:%FF@", "", Config),
            ("ann@", "/1?db=2", Config),
            ("ann@", "?sentinel_user=%FF", Config),
        ] {
            let url = at(before, behind);
            let Err(error) = connect(adapter, &url).await else {
                panic!("{adapter}: {url}");
            };
            assert_eq!(error.kind(), kind, "{adapter}: {url}: {error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

/// A pool leads to one server, which is said before anything is sent.
#[tokio::test]
async fn of_neither_for_a_pool() {
    for url in [
        "redis-cluster://ann@127.0.0.1:1",
        "redis-sentinel://ann@127.0.0.1:1/s",
    ] {
        let Err(error) = connect(Adapter::Pooled, url).await else {
            panic!("{url}");
        };
        assert_eq!(error.kind(), Config, "{error}");
        assert!(error.to_string().contains("one server"), "{error}");
    }
}
