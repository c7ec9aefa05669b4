//! Many ids in one call over a real server, by every adapter: what it costs, and that processes meet.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use memolock::codec::Text;
use memolock::{Backend, Coherence, Error, Memolock, NearCache, Source};
use memolock_testkit::{TestServer, unique_tag};
use memolock_tests::{Adapter, HANG, SECOND, cli, eventually, own_server, server};
use tokio::time::timeout;

type Likes = Memolock<String, Text>;
type Made = Result<Vec<(String, String)>, String>;

async fn likes(adapter: Adapter, server: &TestServer, tag: &str) -> (Likes, Arc<dyn Backend>) {
    let backend = adapter.connect(server.url()).await;
    let builder = Memolock::<String>::builder(tag, Arc::clone(&backend)).codec(Text);
    (builder.ttl(60 * SECOND).build().await.unwrap(), backend)
}

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|n| n.to_string()).collect()
}

async fn each(ids: Vec<String>) -> Made {
    Ok(ids
        .into_iter()
        .map(|id| (id.clone(), format!("v-{id}")))
        .collect())
}

async fn never(_: Vec<String>) -> Made {
    panic!("this compute must not run")
}

/// How often clients sent this command. What scripts do inside counts for others.
async fn calls(server: &TestServer, command: &str) -> usize {
    let stats = cli(server, &["INFO", "commandstats"]).await;
    let stats = String::from_utf8_lossy(stats.as_bytes().unwrap()).into_owned();
    let line = format!("cmdstat_{command}:calls=");
    let calls = stats.lines().find_map(|l| l.strip_prefix(&line));
    calls.map_or(0, |l| l.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_ids_cost_six_commands_cold_and_two_warm() {
    for adapter in Adapter::ALL {
        let server = own_server().await;
        let (likes, _) = likes(adapter, &server, "likes").await;
        // The server learns the scripts.
        likes
            .get_or_compute_many(["a"], each)
            .await
            .into_result()
            .unwrap();
        cli(&server, &["CONFIG", "RESETSTAT"]).await;
        let all = likes.get_or_compute_many(ids(1000), each).await;
        let all = all.into_result().unwrap();
        assert!(all.iter().all(|memo| memo.source() == Source::Computed));
        let cold = (
            calls(&server, "mget").await,
            calls(&server, "evalsha").await,
        );
        assert_eq!(cold, (2, 4), "{adapter:?}: looks; leases and values");
        let all = likes.get_or_compute_many(ids(1000), never).await;
        assert!(
            all.into_result()
                .unwrap()
                .iter()
                .all(|memo| memo.source() == Source::Hit)
        );
        let warm = (
            calls(&server, "mget").await,
            calls(&server, "evalsha").await,
        );
        assert_eq!(warm, (4, 4), "{adapter:?}: two looks more");
        assert_eq!(calls(&server, "eval").await, 0, "{adapter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_waits_for_a_thousand_with_few_tries() {
    for adapter in Adapter::ALL {
        let server = own_server().await;
        let (one, _) = likes(adapter, &server, "likes").await;
        let (other, backend) = likes(Adapter::RedisRs, &server, "likes").await;
        one.get_or_compute_many(["a"], each)
            .await
            .into_result()
            .unwrap();
        cli(&server, &["CONFIG", "RESETSTAT"]).await;
        let slow = one.get_or_compute_many(ids(1000), async |ids| {
            let all = || async { backend.stats().subscriptions == 1000 };
            eventually("all wait", all).await;
            each(ids).await
        });
        let waits = async {
            eventually("all are held", || async { one.in_flight().leases == 1000 }).await;
            other.get_or_compute_many(ids(1000), never).await
        };
        let both = async { tokio::join!(slow, waits) };
        let (made, got) = timeout(HANG, both).await.expect("a hang");
        assert_eq!(made.into_result().unwrap().len(), 1000);
        let got = got.into_result().unwrap();
        assert!(
            got.iter().all(|memo| memo.source() == Source::Awaited),
            "{adapter:?}"
        );
        // Two for the leases and two for the values of the one, two for the other, and looks once it listens.
        let tries = calls(&server, "evalsha").await;
        assert!(
            tries < 200,
            "{adapter:?}: {tries} scripts for 1000 ids in two processes"
        );
        println!("{adapter:?}: {tries} scripts");
        eventually("nothing left", || async {
            let left = other.in_flight();
            (left.flights, left.leases, backend.stats().subscriptions) == (0, 0, 0)
        })
        .await;
    }
}

/// Callers with overlapping ids in every order, in three processes: each id is computed once, nobody hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_overlapping_calls_in_any_order_compute_each_id_once() {
    let server = server().await;
    for round in 0..30_usize {
        let tag = unique_tag("likes");
        let computed = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut calls = Vec::new();
        for (nth, adapter) in Adapter::ALL.into_iter().enumerate() {
            let (likes, _) = likes(adapter, &server, &tag).await;
            for turn in 0..2 {
                let mut ids = ids(20);
                ids.rotate_left((7 * nth + 3 * turn + round) % 20);
                if turn == 1 {
                    ids.reverse();
                }
                let (likes, computed) = (likes.clone(), Arc::clone(&computed));
                calls.push(tokio::spawn(async move {
                    let compute = async |ids: Vec<String>| {
                        computed.lock().unwrap().extend(ids.clone());
                        tokio::time::sleep(SECOND / 100).await;
                        each(ids).await
                    };
                    let all = likes.get_or_compute_many(&ids, compute).await;
                    for (id, memo) in all {
                        assert_eq!(*memo.unwrap(), format!("v-{id}"));
                    }
                }));
            }
        }
        for call in calls {
            timeout(HANG, call).await.expect("a hang").unwrap();
        }
        let mut computed = computed.lock().unwrap().clone();
        computed.sort_by_key(|id| id.parse::<usize>().unwrap());
        assert_eq!(computed, ids(20), "round {round}");
    }
}

/// R8: a list where a value should be is the error of its own id, and none to a look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_what_is_no_value_is_the_error_of_its_id_alone() {
    let server = server().await;
    for adapter in Adapter::ALL {
        let tag = unique_tag("likes");
        let (likes, _) = likes(adapter, &server, &tag).await;
        let name = format!("{tag}:b");
        cli(&server, &["RPUSH", &name, "x"]).await;
        cli(&server, &["PEXPIRE", &name, "60000"]).await;
        let all = likes.get_or_compute_many(["a", "b", "c"], each).await;
        assert_eq!(all.errors().map(|(id, _)| id).collect::<Vec<_>>(), ["b"]);
        assert!(
            matches!(all.get("b"), Some(Err(Error::Backend(_)))),
            "{adapter:?}"
        );
        let found = likes.get_many(["a", "b"]).await.into_result().unwrap();
        assert!(found[0].is_some() && found[1].is_none(), "{adapter:?}");
        // Nor if the look asks for times too.
        let backend = adapter.connect(server.url()).await;
        let near = Memolock::<String>::builder(&tag, backend).codec(Text);
        let near = near
            .near_cache(NearCache::entries(10))
            .build()
            .await
            .unwrap();
        let hears = || async { near.stats().near.coherence == Coherence::Live };
        eventually("it hears", hears).await;
        let found = near.get_many(["a", "b", "c"]).await.into_result().unwrap();
        assert!(found[0].is_some() && found[1].is_none() && found[2].is_some());
    }
}
