//! Changes are heard while all masters are.

use futures_util::{FutureExt, StreamExt};
use memolock_core::redis::cluster::key_slot;
use memolock_core::{Backend, Change};

use crate::world::{World, key, space};

async fn confirm(world: &World, port: u16) {
    let board = world.boards(port).1;
    board.wishes().await;
    board.confirm();
}

#[tokio::test(start_paused = true)]
async fn they_resume_when_the_last_master_does_and_end_with_the_first_gap() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let mut changes = cluster.track(&space()).unwrap();
    confirm(&world, 1).await;
    confirm(&world, 2).await;
    world.boards(1).1.deliver(b"likes:{a}");
    assert_eq!(changes.next().now_or_never(), None, "one is not heard yet");
    confirm(&world, 3).await;
    assert_eq!(changes.next().await, Some(Change::Resumed));
    world.boards(3).1.deliver(b"likes:{b}");
    assert_eq!(changes.next().await, Some(Change::Value("b".into())));
    world.boards(2).1.all();
    assert_eq!(changes.next().await, Some(Change::All));
    world.boards(2).1.gap();
    assert_eq!(changes.next().await, Some(Change::Gap));
    world.boards(3).1.gap();
    confirm(&world, 2).await;
    assert_eq!(changes.next().now_or_never(), None, "a gap in a gap");
    confirm(&world, 3).await;
    assert_eq!(changes.next().await, Some(Change::Resumed));
    cluster.close().await;
    assert_eq!(changes.next().await, None);
    assert_eq!(changes.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_master_that_comes_is_a_gap_until_it_is_heard() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let mut changes = cluster.track(&space()).unwrap();
    for port in [1, 2, 3] {
        confirm(&world, port).await;
    }
    assert_eq!(changes.next().await, Some(Change::Resumed));
    world.state().moved.insert(key_slot(&key("a")), 9);
    cluster.get(&key("a")).await.unwrap();
    assert_eq!(changes.next().await, Some(Change::Gap));
    confirm(&world, 9).await;
    assert_eq!(changes.next().await, Some(Change::Resumed));
    world.boards(9).1.deliver(b"likes:{a}");
    assert_eq!(changes.next().await, Some(Change::Value("a".into())));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_is_one_of_all() {
    let world = World::new(&[1, 2]);
    let cluster = world.open().await;
    let mut changes = cluster.track(&space()).unwrap();
    let error = memolock_core::BackendError::new(
        memolock_core::ErrorKind::Denied,
        memolock_core::Operation::Subscribe,
        "NOPERM",
    );
    confirm(&world, 1).await;
    let board = world.boards(2).1;
    board.wishes().await;
    board.refuse(&error);
    assert_eq!(changes.next().await, Some(Change::Refused(error)));
    assert!(board.is_empty() && world.boards(1).1.is_empty());
    assert_eq!(changes.next().now_or_never(), None);
}
