//! Callers on runtimes of all kinds, over every backend: some run only while they call, some shut down in the middle,
//! and some threads have none. What the rules are is in `crates/memolock/src/home.rs`; `crates/memolock/tests/runtimes`
//! has them one by one.

#![allow(clippy::unwrap_used)]

mod gone;
mod idle;
mod outside;
mod stores;

use std::future::pending;
use std::time::Duration;

use memolock::Memolock;
use memolock::codec::Text;
use memolock_testkit::unique_tag;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use stores::Store;

/// A bound that only a hang misses.
const HANG: Duration = Duration::from_secs(60);

/// Leases end long after every test: what waits for the end of one hangs.
const LEASE: Duration = Duration::from_secs(1000);

type Likes = Memolock<String, Text>;

/// A runtime that runs while a thread is in its `block_on`, and not else.
fn one_at_a_time() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime that runs by itself.
fn threaded() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// A memolock and its backend, both at home there.
fn at_home(home: &Runtime, store: &Store, tag: &str) -> Likes {
    let backend = home.block_on(store.connect());
    let builder = Memolock::<String>::builder(tag, backend).codec(Text);
    let builder = builder.lease(LEASE).wait_timeout(HANG);
    home.block_on(builder.build()).unwrap()
}

/// The same with a tag of its own.
fn alone(home: &Runtime, store: &Store) -> Likes {
    at_home(home, store, &unique_tag("runtimes"))
}

async fn value(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

async fn stuck() -> Result<String, String> {
    pending().await
}

async fn never() -> Result<String, String> {
    panic!("this compute must not run")
}

/// Waits on a runtime of its own.
fn wait(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    one_at_a_time().block_on(async { timeout(HANG, wait).await.expect("it never came") });
}

/// R9: nothing is left behind.
fn nothing_left(likes: &Likes) {
    wait(|| {
        let left = likes.in_flight();
        left.flights == 0 && left.leases == 0 && left.tasks == 0
    });
}
