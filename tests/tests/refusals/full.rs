//! A server that is really full: no waiter waits longer than before for a value that cannot be stored.

use std::time::{Duration, Instant};

use memolock_tests::{Adapter, cli, end_of, own_server};

use crate::{LEASE, Pair};

/// How long a waiter waits after the holder's compute has ended, `rounds` times.
async fn waits(adapter: Adapter, rounds: usize) -> Vec<Duration> {
    let server = own_server().await;
    let mut waits = Vec::new();
    for round in 0..rounds {
        cli(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
        let pair = Pair::start(adapter, server.url(), "full").await;
        let id = format!("{round}");
        let (end, call) = pair.holder.hold(&id).await;
        let waiting = pair.waits(&id).await;
        cli(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
        let began = Instant::now();
        end.send(Ok("kept".to_owned())).unwrap();
        assert_eq!(*end_of(call).await.unwrap(), "kept", "R3: {adapter}");
        // There is no room for its lease either: it computes without one.
        assert_eq!(*end_of(waiting).await.unwrap(), "waiter's", "{adapter}");
        waits.push(began.elapsed());
        assert_eq!(
            cli(&server, &["DBSIZE"]).await.as_int(),
            Some(0),
            "released"
        );
        pair.close().await;
    }
    waits.sort();
    waits
}

/// The lease is a minute, and a command and a wait have half of one: a waiter that sits out any of them is far above the
/// bound. `--nocapture` tells the figures.
#[tokio::test]
async fn a_waiter_of_a_full_server_goes_on_at_once() {
    for adapter in Adapter::ALL {
        let waits = waits(adapter, 10).await;
        let (median, slowest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        println!("{adapter}: median {median:?}, slowest {slowest:?}");
        assert!(slowest < LEASE / 6, "{adapter}: {waits:?}");
    }
}
