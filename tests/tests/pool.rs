//! An application's pool that has no connection to spare.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use memolock::codec::Text;
use memolock::redis_rs::RedisBackend;
use memolock::redis_rs::deadpool_redis::{Config, Pool, PoolConfig, Runtime, Timeouts};
use memolock::{Backend, Memolock, Source};
use memolock_testkit::TestServer;
use memolock_tests::{HANG, SECOND, eventually, own_server};
use tokio::time::timeout;

type Likes = Memolock<String, Text>;

/// Connections of the pool.
const POOL: usize = 2;

/// Calls that would take much longer than [`HANG`] if each of them waited for its command time-out.
const CALLS: usize = 90;

fn pool(server: &TestServer, timeouts: Timeouts) -> Pool {
    let mut config = Config::from_url(server.url());
    config.pool = Some(PoolConfig {
        timeouts,
        ..PoolConfig::new(POOL)
    });
    config.create_pool(Some(Runtime::Tokio1)).unwrap()
}

async fn likes(server: &TestServer, pool: &Pool) -> (Likes, Arc<dyn Backend>) {
    let builder = RedisBackend::builder(server.url()).pool(pool.clone());
    let backend: Arc<dyn Backend> = Arc::new(builder.connect().await.unwrap());
    let builder = Memolock::<String>::builder("pool", Arc::clone(&backend)).codec(Text);
    (builder.build().await.unwrap(), backend)
}

async fn call(likes: &Likes, id: usize) -> Source {
    let compute = |_| async { Ok::<_, String>("v".to_owned()) };
    let id = id.to_string();
    let memo = likes.entry(&id).or_compute(compute).await.unwrap();
    memo.source()
}

/// Once every call waited for its whole time-out, for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_opens_the_breaker_and_a_free_connection_closes_it() {
    let server = own_server().await;
    let own_wait = Timeouts {
        wait: Some(SECOND / 5),
        ..Timeouts::default()
    };
    // Longer than any command may take.
    let long_wait = Timeouts {
        wait: Some(2 * HANG),
        ..Timeouts::default()
    };
    for timeouts in [Timeouts::default(), own_wait, long_wait] {
        let pool = pool(&server, timeouts);
        let (likes, backend) = likes(&server, &pool).await;
        assert_eq!(call(&likes, 0).await, Source::Computed);

        let taken = [pool.get().await.unwrap(), pool.get().await.unwrap()];
        let mut id = 0;
        while !likes.stats().circuit_open {
            id += 1;
            assert!(id < 10, "the pool's time-outs do not count");
            let call = timeout(HANG, call(&likes, id)).await;
            assert_eq!(call.expect("a hang"), Source::Computed);
        }
        let calls = async {
            for id in 100..100 + CALLS {
                assert_eq!(call(&likes, id).await, Source::Computed);
            }
        };
        let calls = timeout(HANG, calls).await;
        calls.expect("calls wait although the breaker is open");

        drop(taken);
        eventually("the breaker closes", || async {
            !likes.stats().circuit_open
        })
        .await;
        call(&likes, 1000).await;
        eventually("values are stored again", || async {
            call(&likes, 1000).await == Source::Hit
        })
        .await;
        likes.close().await;
        backend.close().await;
        server.command(&["FLUSHALL"]).await.unwrap();
    }
}

/// It never opens again. It answers at once, so calls compute without waiting for it, and a close ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pool_costs_calls_no_time() {
    let server = own_server().await;
    let pool = pool(&server, Timeouts::default());
    let (likes, backend) = likes(&server, &pool).await;
    assert_eq!(call(&likes, 0).await, Source::Computed);
    pool.close();
    let calls = async {
        for id in 1..=CALLS {
            assert_eq!(call(&likes, id).await, Source::Computed);
        }
        let error = likes.put("x", &"v".to_owned()).await.unwrap_err();
        assert!(error.to_string().contains("closed its pool"), "{error}");
        likes.close().await;
        backend.close().await;
    };
    let calls = timeout(HANG, calls).await;
    calls.expect("calls wait although the pool is closed");
}
