//! Callers on runtimes that stop: what they set up is driven at the cluster's home. In real time.

use std::time::Duration;

use futures_util::StreamExt;
use memolock_core::redis::cluster::key_slot;
use memolock_core::{Backend, Event};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::world::{World, key};

/// A bound that only a hang misses.
const HANG: Duration = Duration::from_secs(60);

fn threaded() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// It runs while a thread is in its `block_on`, and not else.
fn one_at_a_time() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A caller may be the first one that is sent to a node.
#[test]
fn a_node_lives_at_home_whoever_is_sent_there_first() {
    let (home, world) = (threaded(), World::new(&[1, 2, 3]));
    let cluster = home.block_on(world.open());
    let slots = ["a", "b"].map(|id| key_slot(&key(id)));
    world.state().moved.insert(slots[0], 8);
    world.state().asks.insert(slots[1], 9);
    let stopped = one_at_a_time();
    stopped.block_on(cluster.get(&key("a"))).unwrap();
    stopped.block_on(cluster.get(&key("b"))).unwrap();
    let opened = world.state().opened.clone();
    for port in [8, 9] {
        assert!(
            opened.iter().any(|(opened, _)| *opened == port),
            "{opened:?}"
        );
    }
    let elsewhere = |(_, runtime): &&(u16, tokio::runtime::Id)| *runtime != home.handle().id();
    assert_eq!(opened.iter().find(elsewhere), None);
}

/// A caller waits on a subscription that has no node for now, and leaves it to a caller on another runtime. The pause
/// between two attempts was a timer of the first one's, which never came.
#[test]
fn a_subscription_that_looks_for_its_node_is_handed_from_runtime_to_runtime() {
    let (home, world) = (threaded(), World::new(&[1]));
    let cluster = home.block_on(world.open());
    let mut ear = home.block_on(cluster.subscribe(&key("a"))).unwrap();
    world.state().moved.insert(key_slot(&key("a")), 9);
    world.state().dead.push(9);
    let stopped = one_at_a_time();
    stopped.block_on(async {
        // To be sent elsewhere, in vain.
        assert!(cluster.get(&key("a")).await.is_err());
        let gap = timeout(HANG, ear.next()).await.expect("a hang");
        assert_eq!(gap, Some(Event::Gap));
        // Until it pauses: attempts take no time here.
        let pauses = timeout(Duration::from_millis(50), ear.next()).await;
        assert!(pauses.is_err());
    });
    world.state().dead.clear();
    let resumed = one_at_a_time().block_on(async { timeout(HANG, ear.next()).await });
    assert_eq!(resumed.expect("a hang"), Some(Event::Resumed));
}
