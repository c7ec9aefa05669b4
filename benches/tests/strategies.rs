//! Each strategy on a small herd of real processes: everybody gets the value, and what is counted is what was done.

use std::path::Path;
use std::time::Duration;

use memolock_benches::adapter::Adapter;
use memolock_benches::squad::{Herd, Squad};
use memolock_benches::strategy::Kind;
use memolock_testkit::TestServer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memolock-bench");
const TAKES: Duration = Duration::from_millis(100);

async fn herd(kind: Kind, processes: u32, callers: u32, keys: u32) -> Herd {
    let server = TestServer::start_local().await.expect("a server");
    let squad = Squad::muster(Path::new(PROGRAM), processes, kind, server.url(), TAKES);
    let mut squad = squad.await.expect("processes");
    let herd = squad.herd(callers, keys).await.expect("a herd");
    assert_eq!(herd.errors, 0, "{kind}: {:?}", herd.example);
    // Nobody has the value before the first query is over.
    assert!(herd.latency(100) >= TAKES, "{kind}: {herd:?}");
    herd
}

#[tokio::test]
async fn without_protection_callers_ask_the_database_themselves() {
    let herd = herd(Kind::Unprotected, 2, 20, 1).await;
    assert!((2..=20).contains(&herd.queries), "{herd:?}");
    // A GET by each, and a SET by each that asked.
    assert_eq!(herd.commands, 20 + herd.queries);
}

#[tokio::test]
async fn coalescing_in_each_process_asks_once_in_each() {
    let herd = herd(Kind::Coalescing, 2, 20, 1).await;
    assert!((1..=2).contains(&herd.queries), "{herd:?}");
    assert_eq!(herd.commands, 2 + herd.queries);
}

#[tokio::test]
async fn a_lock_that_is_queued_for_asks_once() {
    let herd = herd(Kind::Queueing, 2, 20, 1).await;
    assert_eq!(herd.queries, 1, "{herd:?}");
    // A look by each, a lock, another look and a release by each who did not find it at first.
    assert!(herd.commands >= 20 + 3, "{herd:?}");
}

#[tokio::test]
async fn polling_costs_commands_and_asks_seldom() {
    let herd = herd(Kind::Polling, 2, 20, 1).await;
    // Who looked just before the value came, and locks just after, asks again: the pattern is like that.
    assert!((1..20).contains(&herd.queries), "{herd:?}");
    assert!(herd.commands > 2 * 20, "{herd:?}");
}

#[tokio::test]
async fn memolock_asks_once_a_key_over_each_adapter() {
    for adapter in Adapter::SERVED {
        let herd = herd(Kind::Memolock(adapter), 2, 20, 4).await;
        assert_eq!(herd.queries, 4, "{adapter}: {herd:?}");
        assert!(herd.commands <= 4 * 2 * 8, "{adapter}: {herd:?}");
    }
}

#[tokio::test]
async fn the_embedded_one_is_that_of_one_process() {
    let herd = herd(Kind::Memolock(Adapter::Memory), 1, 20, 2).await;
    assert_eq!(herd.queries, 2, "{herd:?}");
}
