//! Switchboards under random interleavings of threads: `cargo xtask shuttle`. A wake-up that is lost is
//! a deadlock, which shuttle reports.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner, thread};

use crate::switchboard::Switchboard;
use crate::{Event, Key, Keyspace, Layout, Message, Tag};

fn key() -> Key {
    let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic).unwrap();
    space.key("a").unwrap()
}

/// As in the front door's tests of the same name.
fn tried(name: &str, play: fn()) {
    fn run(scheduler: impl Scheduler + 'static, play: fn()) -> usize {
        Runner::new(scheduler, Config::new()).run(play)
    }
    let began = Instant::now();
    let set = std::env::var("MEMOLOCK_SHUTTLE_SCHEDULES").ok();
    let n = set.and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let ran = run(RandomScheduler::new(n), play) + run(PctScheduler::new(3, n), play);
    println!(
        "{name}: {ran} schedules in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

/// The task that owns the connection, of a store that confirms at once.
fn owner(board: &Arc<Switchboard>) -> JoinHandle<()> {
    let board = Arc::clone(board);
    spawn(async move {
        loop {
            let changes = board.changes().await;
            changes.subscribe.iter().for_each(|key| board.confirm(key));
        }
    })
}

/// Everybody has left: what is to be asked of the store is asked, and nothing remains.
fn nothing_left(board: &Arc<Switchboard>, owner: JoinHandle<()>) {
    owner.abort();
    let _ = block_on(owner);
    use futures_util::FutureExt;
    while let Some(changes) = board.changes().now_or_never() {
        assert!(changes.subscribe.is_empty(), "nobody listens");
    }
    assert!(board.is_empty(), "R9");
}

fn value() -> Message {
    Message::Value(Bytes::from("v"))
}

/// R2: a listener is confirmed, and hears what is published after that.
#[test]
fn r2_listeners_are_confirmed_and_hear() {
    tried("confirmed", || {
        let board = Arc::new(Switchboard::new());
        let owner = owner(&board);
        let listeners: Vec<_> = (0..3)
            .map(|_| {
                let board = Arc::clone(&board);
                spawn(async move {
                    let mut listener = board.listen(&key());
                    listener.confirmed().await.unwrap();
                    // Published by another thread, so that the wake-up comes from outside.
                    let publisher = Arc::clone(&board);
                    let published = thread::spawn(move || publisher.deliver(&key(), &value()));
                    assert_eq!(listener.next().await, Some(value().into()));
                    published.join().unwrap();
                })
            })
            .collect();
        for listener in listeners {
            block_on(listener).unwrap();
        }
        nothing_left(&board, owner);
    });
}

/// R9: one of them is dropped at any point, and the others do not notice.
#[test]
fn r9_a_dropped_listener_takes_nobodys_confirmation_and_leaves_nothing() {
    tried("dropped", || {
        let board = Arc::new(Switchboard::new());
        let owner = owner(&board);
        let listeners: Vec<_> = (0..3)
            .map(|_| {
                let board = Arc::clone(&board);
                spawn(async move {
                    let mut listener = board.listen(&key());
                    listener.confirmed().await.unwrap();
                })
            })
            .collect();
        let mut listeners = listeners.into_iter();
        let dropped = listeners.next().unwrap();
        dropped.abort();
        for listener in listeners {
            block_on(listener).unwrap();
        }
        // Dropped, or confirmed before.
        let _ = block_on(dropped);
        nothing_left(&board, owner);
    });
}

/// R2: a gap is told, and its end too, whichever came first, it or the confirmation.
#[test]
fn r2_a_gap_at_any_moment_is_over_for_whoever_heard_of_it() {
    tried("gap", || {
        let board = Arc::new(Switchboard::new());
        let owner = owner(&board);
        let mut first = board.listen(&key());
        block_on(first.confirmed()).unwrap();
        let cutter = Arc::clone(&board);
        let cut = thread::spawn(move || cutter.gap());
        let late = Arc::clone(&board);
        let late = spawn(async move { late.listen(&key()).confirmed().await });
        assert_eq!(block_on(first.next()), Some(Event::Gap));
        assert_eq!(block_on(first.next()), Some(Event::Resumed));
        block_on(late).unwrap().unwrap();
        cut.join().unwrap();
        drop(first);
        nothing_left(&board, owner);
    });
}

/// R10: a close ends whoever waits, whatever for, and whoever comes.
#[test]
fn r10_a_close_ends_every_listener() {
    tried("closed", || {
        let board = Arc::new(Switchboard::new());
        let owner = owner(&board);
        let listeners: Vec<_> = (0..3)
            .map(|_| {
                let board = Arc::clone(&board);
                spawn(async move {
                    let mut listener = board.listen(&key());
                    if listener.confirmed().await.is_ok() {
                        assert_eq!(listener.next().await, None);
                    }
                })
            })
            .collect();
        board.close();
        for listener in listeners {
            block_on(listener).unwrap();
        }
        nothing_left(&board, owner);
    });
}
