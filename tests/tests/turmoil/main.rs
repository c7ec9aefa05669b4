//! The real redis-rs adapter in whole fleets over a simulated network, to a small server of our own.
//!
//! Each seed is one run: its latencies, its requests, what breaks and when. The clock is simulated too, so
//! bounds in time are exact. `MEMOLOCK_TURMOIL_SEEDS=from..to` runs others.

// Helpers are not test functions to the lint, and a failed one is a failed test.
#![allow(clippy::unwrap_used)]

mod fleet;
mod server;
mod store;

use self::fleet::{Trouble, run};

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("MEMOLOCK_TURMOIL_SEEDS") else {
        return 0..4;
    };
    let (from, to) = text.split_once("..").expect("from..to");
    from.parse().unwrap()..to.parse().unwrap()
}

fn each_seed(trouble: Trouble) {
    for seed in seeds() {
        let history = run(trouble, seed);
        assert!(
            history.len() > 20,
            "{trouble:?}, seed {seed}: nothing happened"
        );
    }
}

#[test]
fn latency_and_jitter_cost_nothing_but_time() {
    each_seed(Trouble::None);
}

#[test]
fn one_host_is_cut_off_past_its_lease() {
    each_seed(Trouble::PartitionOne);
}

#[test]
fn every_host_is_cut_off() {
    each_seed(Trouble::PartitionAll);
}

#[test]
fn one_way_alone_is_cut_off() {
    each_seed(Trouble::OneWay);
}

#[test]
fn messages_are_held_and_released() {
    each_seed(Trouble::Hold);
}

#[test]
fn the_server_crashes_and_comes_back_empty() {
    each_seed(Trouble::Crash);
}

#[test]
fn the_same_seed_is_the_same_history() {
    for trouble in [Trouble::None, Trouble::PartitionOne, Trouble::Crash] {
        assert_eq!(run(trouble, 7), run(trouble, 7), "{trouble:?}");
    }
}
