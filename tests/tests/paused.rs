//! Users' tests with tokio's clock paused, over real servers: connecting works, and a command whose time-out came before
//! the server's answer says so. (PostgreSQL's are in its own crate: `it/paused.rs`.)

use std::time::Duration;

use memolock::core::{Backend, BackendError, ErrorKind, Keyspace, Layout, Tag};
use memolock::fred::FredBackend;
use memolock::redis_rs::RedisBackend;
use memolock::{Memolock, Source};
use memolock_testkit::unique_tag;
use tokio::runtime::{Builder, Runtime};

/// Real time enough for a server on a loaded machine.
const AMPLE: Duration = Duration::from_secs(60);

/// So often: an answer may by chance be there before the runtime waits.
const TIMES: usize = 20;

/// Where servers are started.
fn real() -> Runtime {
    let builder = &mut Builder::new_multi_thread();
    let builder = builder.worker_threads(1).enable_all();
    builder.build().expect("a runtime")
}

fn paused() -> Runtime {
    let builder = &mut Builder::new_current_thread();
    let builder = builder.enable_all().start_paused(true);
    builder.build().expect("a runtime")
}

/// A call over it has its value: from the server, or computed where a time-out came first.
async fn serves(backend: impl Backend + Clone) {
    let built = Memolock::<u64>::builder(unique_tag("paused"), backend.clone()).build();
    let likes = built.await.unwrap_or_else(|e| panic!("{e}"));
    let compute = |_| async { Ok::<_, String>(42) };
    let memo = likes.entry("kristoff").or_compute(compute).await;
    let memo = memo.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((*memo, memo.source()), (42, Source::Computed));
    likes.close().await;
    backend.close().await;
}

/// What a command to a server fails with that hangs.
async fn hung(backend: impl Backend) {
    let tag = Tag::new("likes").expect("a tag");
    let space = Keyspace::new(tag, Layout::Classic).expect("a space");
    let key = space.key("kristoff").expect("an id");
    let error: BackendError = backend.get(&key).await.expect_err("it hangs");
    let said = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{said}");
    assert!(
        said.contains("start_paused") && said.lines().count() == 1,
        "{said}"
    );
    backend.close().await;
}

macro_rules! over_redis {
    ($name:ident, $backend:ident) => {
        mod $name {
            use super::*;

            #[test]
            fn connecting_works_while_time_is_paused() {
                let real = real();
                let server = real.block_on(memolock_tests::server());
                paused().block_on(async {
                    for _ in 0..TIMES {
                        let builder = $backend::builder(server.url()).connect_timeout(AMPLE);
                        let backend = builder.connect().await;
                        serves(backend.unwrap_or_else(|e| panic!("{e}"))).await;
                    }
                });
            }

            #[test]
            fn a_command_says_that_its_time_out_was_of_paused_time() {
                let real = real();
                let server = real.block_on(memolock_tests::own_server());
                let paused = paused();
                let builder = $backend::builder(server.url()).connect_timeout(AMPLE);
                let backend = paused.block_on(builder.connect());
                let backend = backend.unwrap_or_else(|e| panic!("{e}"));
                let hangs = real.block_on(server.pause());
                hangs.unwrap_or_else(|e| panic!("{e}"));
                paused.block_on(hung(backend));
            }
        }
    };
}

over_redis!(redis_rs, RedisBackend);
over_redis!(fred, FredBackend);
