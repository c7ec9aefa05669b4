//! Subscriptions follow their slot, each of the interleavings that `ear.rs` tables.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use memolock_core::redis::cluster::key_slot;
use memolock_core::{Backend, Event, Message};
use tokio::time::sleep;

use crate::world::{World, key};

fn told(text: &'static str) -> Message {
    Message::Value(text.into())
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_moves_is_a_gap_until_the_new_owner_has_confirmed() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let (key, slot) = (key("a"), key_slot(&key("a")));
    let mut ear = cluster.subscribe(&key).await.unwrap();
    let from = world.state().owner(slot);
    let to = if from == 1 { 2 } else { 1 };
    world.boards(from).0.deliver(&key, &told("1"));
    assert_eq!(ear.next().await, Some(told("1").into()));
    world.state().moved.insert(slot, to);
    // Somebody's command is sent elsewhere.
    cluster.get(&key).await.unwrap();
    world.boards(from).0.deliver(&key, &told("too late"));
    assert_eq!(ear.next().await, Some(Event::Gap));
    assert_eq!(ear.next().await, Some(Event::Resumed));
    assert!(world.boards(from).0.is_empty(), "it listens there still");
    world.boards(to).0.deliver(&key, &told("2"));
    assert_eq!(ear.next().await, Some(told("2").into()));
    drop(ear);
    assert!(world.boards(to).0.is_empty(), "it was dropped");
}

#[tokio::test(start_paused = true)]
async fn nobody_needs_to_say_that_a_slot_moved() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let slot = key_slot(&key("a"));
    let mut ear = cluster.subscribe(&key("a")).await.unwrap();
    world.state().moved.insert(slot, 9);
    assert_eq!(ear.next().await, Some(Event::Gap));
    assert_eq!(ear.next().await, Some(Event::Resumed));
    assert_eq!(world.boards(9).0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_with_an_old_map_finds_the_owner() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    world.state().moved.insert(key_slot(&key("a")), 9);
    let _ear = cluster.subscribe(&key("a")).await.unwrap();
    assert_eq!(world.boards(9).0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_is_a_gap_and_whoever_follows_it_ends_it() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let mut ear = cluster.subscribe(&key("a")).await.unwrap();
    let dead = world.state().owner(key_slot(&key("a")));
    world.state().dead.push(dead);
    world.boards(dead).0.gap();
    assert_eq!(ear.next().await, Some(Event::Gap));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(ear.next().now_or_never(), None, "one gap, and no end of it");
    for master in &mut world.state().masters {
        if *master == dead {
            *master = 9;
        }
    }
    // To be asked for by whatever is sent.
    let _ = cluster.get(&key("a")).await;
    assert_eq!(ear.next().await, Some(Event::Resumed));
    assert_eq!(world.boards(9).0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_its_node_ends_is_a_gap() {
    let world = World::new(&[1]);
    let cluster = world.open().await;
    let mut ear = cluster.subscribe(&key("a")).await.unwrap();
    let old = world.boards(1).0;
    // As when a slot has left and the node refuses to be asked again.
    let error = memolock_core::BackendError::new(
        memolock_core::ErrorKind::Unsupported,
        memolock_core::Operation::Subscribe,
        "",
    );
    old.gap();
    old.refuse(&key("a"), &error);
    assert_eq!(ear.next().await, Some(Event::Gap));
    assert_eq!(ear.next().await, Some(Event::Resumed));
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_it_and_it_stays_ended() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let mut ear = cluster.subscribe(&key("a")).await.unwrap();
    cluster.close().await;
    assert_eq!(ear.next().await, None);
    assert_eq!(ear.next().await, None);
    assert!(cluster.subscribe(&key("a")).await.is_err());
}
