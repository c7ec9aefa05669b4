//! Commands find who serves their slot, and give up in time.

use std::time::Duration;

use memolock_core::redis::cluster::key_slot;
use memolock_core::{Backend, ErrorKind, Renewal, Token};
use tokio::time::{Instant, sleep};

use crate::world::{BOUND, World, key};

#[tokio::test(start_paused = true)]
async fn each_slot_is_asked_at_its_owner() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    world.sent();
    for id in ["a", "b", "c", "d"] {
        let value = cluster.get(&key(id)).await.unwrap();
        assert_eq!(value, Some("v".into()));
        let owner = world.state().owner(key_slot(&key(id)));
        assert_eq!(world.sent(), [(owner, false)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_moved_is_followed_and_learnt() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let slot = key_slot(&key("a"));
    let (from, to) = (world.state().owner(slot), 9);
    world.sent();
    world.state().moved.insert(slot, to);
    cluster.get(&key("a")).await.unwrap();
    assert_eq!(world.sent(), [(from, false), (to, false)]);
    cluster.get(&key("a")).await.unwrap();
    assert_eq!(world.sent(), [(to, false)]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_asking_and_nothing_is_learnt_by_it() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let slot = key_slot(&key("a"));
    let from = world.state().owner(slot);
    world.sent();
    world.state().asks.insert(slot, 9);
    for _ in 0..2 {
        let value = cluster.get(&key("a")).await.unwrap();
        assert_eq!(value, Some("asked".into()));
        assert_eq!(world.sent(), [(from, false), (9, true)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_out_within_the_bound() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    for trouble in ["torn", "down"] {
        let set = |on: bool| match trouble {
            "torn" => world.state().torn = on,
            _ => world.state().down = on,
        };
        set(true);
        let since = Instant::now();
        let error = cluster.get(&key("a")).await.unwrap_err();
        assert!(error.is_outage() && error.is_retryable(), "{error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains("likes:{a}") && error.to_string().contains("h:"));
        let took = since.elapsed();
        assert!(took <= BOUND && took > BOUND / 2, "{trouble}: {took:?}");
        let times = world.sent().len();
        assert!((5..30).contains(&times), "{trouble}: {times}");
        let ends = async {
            sleep(Duration::from_millis(100)).await;
            set(false);
        };
        let keys = [key("a")];
        let (value, ()) = tokio::join!(cluster.get_many(&keys), ends);
        assert_eq!(value[0].as_ref().unwrap().as_deref(), Some(&b"v"[..]));
        world.sent();
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_was_promoted_is_found_by_itself() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let dead = world.state().owner(key_slot(&key("a")));
    world.state().dead.push(dead);
    let since = Instant::now();
    let error = cluster.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(since.elapsed(), Duration::ZERO, "it is told at once");
    sleep(Duration::from_secs(2)).await;
    for master in &mut world.state().masters {
        if *master == dead {
            *master = 9;
        }
    }
    sleep(Duration::from_millis(300)).await;
    cluster.get(&key("a")).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert!(world.state().closed.contains(&dead), "it serves nothing");
}

#[tokio::test(start_paused = true)]
async fn the_seeds_are_asked_when_all_masters_are_gone() {
    let world = World::new(&[2, 3, 4]);
    let cluster = world.open().await;
    world.state().dead = vec![2, 3, 4];
    sleep(Duration::from_secs(1)).await;
    world.state().masters = vec![5, 6, 7];
    sleep(Duration::from_secs(1)).await;
    cluster.get(&key("a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_told_at_once_and_healed_from() {
    let world = World::new(&[1]);
    world.state().dead = vec![1];
    let cluster = world.open().await;
    let error = cluster.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    world.state().dead.clear();
    sleep(Duration::from_secs(1)).await;
    cluster.get(&key("a")).await.unwrap();
    assert_eq!(format!("{cluster:?}"), "{h:1: up}");
    cluster.close().await;
    let error = cluster.get(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
}

#[tokio::test(start_paused = true)]
async fn however_many_are_sent_elsewhere_the_map_is_asked_for_seldom() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let keys: Vec<_> = (0..1000).map(|n| key(&n.to_string())).collect();
    world.state().masters = vec![2, 3, 1];
    world.state().asked.clear();
    let found = cluster.get_many(&keys).await;
    assert!(
        found
            .iter()
            .all(|found| found.as_ref().is_ok_and(Option::is_some))
    );
    let asked = std::mem::take(&mut world.state().asked);
    let maps = asked
        .iter()
        .filter(|(_, word, _)| word == "CLUSTER")
        .count();
    assert!(maps <= 6, "{maps}");
    assert!(asked.len() <= 2000 + maps, "{}", asked.len());
}

/// A heartbeat renews all leases of a process at once: those at healthy masters must not be lost with the others.
#[tokio::test(start_paused = true)]
async fn a_master_that_died_takes_no_leases_of_others_along() {
    let world = World::new(&[1, 2, 3]);
    let cluster = world.open().await;
    let renewals: Vec<Renewal> = (0..60)
        .map(|n| Renewal {
            key: key(&n.to_string()),
            token: Token::from_bits(n + 1),
            lease: BOUND,
        })
        .collect();
    assert_eq!(cluster.renew(&renewals).await.unwrap(), [true; 60]);
    world.state().dead.push(2);
    let answers = cluster.renew_each(&renewals).await;
    let mut lost = 0;
    for (renewal, answer) in renewals.iter().zip(&answers) {
        match world.state().owner(key_slot(&renewal.key)) {
            2 => {
                lost += 1;
                assert!(answer.as_ref().unwrap_err().is_outage(), "{answer:?}");
            }
            _ => assert_eq!(answer.as_ref(), Ok(&true)),
        }
    }
    assert!(lost > 0 && lost < 60, "{lost} of 60 were at the dead one");
    assert!(cluster.renew(&renewals).await.is_err());
}
