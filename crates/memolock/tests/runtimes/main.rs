//! The home runtime: what goes on after a call has returned, whatever becomes of the caller's runtime. Here over the
//! memory backend; `tests/tests/runtimes` does the same over servers.

#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod idle;
mod outside;

use std::future::pending;
use std::time::Duration;

use common::{SECOND, Spy, builder};
use memolock::{Backend, Memolock};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

/// A bound that only a hang misses.
const HANG: Duration = Duration::from_secs(60);

/// A runtime that runs while a thread is in its `block_on`, and not else.
fn one_at_a_time() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime that runs by itself.
fn threaded() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// What a thread does that has a runtime of its own, and a `block_on` for each call.
fn on_its_own<R: Send>(work: impl FnOnce(&Runtime) -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(|| work(&one_at_a_time())).join().unwrap())
}

/// A memolock at home there. Its leases end long after every test: what waits for the end of one hangs.
fn at_home(home: &Runtime, spy: &Spy) -> Memolock<String> {
    let builder = builder(spy).lease(1000 * SECOND).wait_timeout(HANG);
    home.block_on(builder.build()).unwrap()
}

/// A compute that never ends.
async fn stuck() -> Result<String, String> {
    pending().await
}

/// Waits in real time, since what it waits for is done by other threads.
fn wait(here: &Runtime, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    here.block_on(async { timeout(HANG, wait).await.expect("it never came") });
}

/// R9: nothing is left behind, neither in the client nor in the store.
fn nothing_left(here: &Runtime, spy: &Spy, likes: &Memolock<String>) {
    wait(here, || {
        let left = likes.in_flight();
        left.flights == 0 && left.leases == 0 && left.tasks == 0 && spy.stats().subscriptions == 0
    });
}
