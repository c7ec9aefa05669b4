//! A server over its quota, and a proxy without an upstream: an outage, and few commands.

use std::sync::Arc;
use std::time::Duration;

use memolock::OutagePolicy;
use memolock_testkit::TestServer;
use memolock_tests::{Adapter, Fate, Ours, SECOND, Scripted, Sent, cli, eventually, own_server};
use tokio::time::{Instant, sleep};

use crate::LEASE;

const LINES: [&str; 2] = [
    "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See https://example.com",
    "upstream failure",
];

/// What callers have sent, and the probe. Not what keeps connections and an application's pool alive.
fn asked(log: &[Sent], since: Instant) -> Vec<String> {
    let sent = log.iter().filter(|sent| sent.at >= since);
    let words = sent.map(|sent| {
        let words = sent.words.iter().map(|word| String::from_utf8_lossy(word));
        words.collect::<Vec<_>>().join(" ")
    });
    let upkeep = ["PING", "CLIENT", "HELLO", "INFO", "UNWATCH", "SUBSCRIBE"];
    words
        .filter(|words| !upkeep.iter().any(|verb| words.starts_with(verb)))
        .collect()
}

async fn ours(adapter: Adapter, front: &Scripted) -> Ours {
    Ours::start(adapter, front.url(), "quota", |b| b.lease(LEASE)).await
}

/// Each call cost 20 commands.
#[tokio::test]
async fn a_call_costs_one_command_and_soon_none() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        for line in LINES {
            let front = Scripted::before(&server).await;
            let ours = ours(adapter, &front).await;
            front.script(|_| Fate::Fails(line.to_owned()));
            let began = Instant::now();
            for n in 0..100 {
                let got = ours.get(&format!("{adapter} {n}"), "local");
                assert_eq!(*got.await.unwrap().unwrap(), "local", "{line}");
                sleep(Duration::from_millis(10)).await;
            }
            let sent = asked(&front.log(), began);
            let probes = usize::try_from(began.elapsed().as_millis() / 500).unwrap();
            assert!(sent.len() <= 3 + probes + 1, "{adapter} {line}: {sent:?}");
            assert!(ours.likes.stats().circuit_open, "{adapter} {line}");
            front.mend();
            eventually("it is closed", || async {
                !ours.likes.stats().circuit_open
            })
            .await;
            let stored = format!("{adapter} {line}");
            assert_eq!(*ours.get(&stored, "x").await.unwrap().unwrap(), "x");
            let value = format!("quota:{stored}");
            assert_eq!(cli(&server, &["GET", &value]).await.as_str(), Some("x"));
            ours.likes.close().await;
            ours.backend.close().await;
        }
    }
}

/// Where writes alone fail, tokens are in doubt: their releases are sent again slowly.
#[tokio::test]
async fn writes_that_fail_are_not_hammered() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let front = Scripted::before(&server).await;
        let ours = ours(adapter, &front).await;
        front.script(|words| match words[0].as_ref() {
            b"EVALSHA" | b"EVAL" => Fate::Fails(LINES[0].to_owned()),
            _ => Fate::Passes,
        });
        let began = Instant::now();
        let got = ours.get(&format!("{adapter}"), "local").await;
        assert_eq!(*got.unwrap().unwrap(), "local");
        sleep(3 * SECOND).await;
        let sent = asked(&front.log(), began);
        let most = 4 + usize::try_from(began.elapsed().as_millis() / 500).unwrap();
        assert!(sent.len() <= most, "{adapter}: {sent:?}");
        front.mend();
        ours.likes.close().await;
        ours.backend.close().await;
    }
}

/// Not even connecting works. Each attempt is a command or more.
#[tokio::test]
async fn a_connection_is_not_tried_again_at_once() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let front = Scripted::before(&server).await;
        front.script(|_| Fate::Fails(LINES[0].to_owned()));
        let began = Instant::now();
        let backend = adapter.connect_lazy(front.url(), 5 * SECOND).unwrap();
        let ours = Ours::over(Arc::clone(&backend), "quota", |b| b).await;
        for n in 0..50 {
            let got = ours.get(&format!("{n}"), "local").await.unwrap();
            assert_eq!(*got.unwrap(), "local");
            sleep(Duration::from_millis(40)).await;
        }
        // Two connections, which try by themselves; over a pool each call tries until the breaker is open.
        let tries = usize::try_from(began.elapsed().as_millis() / 500).unwrap();
        let log = front.log();
        let hellos = log.iter().filter(|sent| sent.words[0] == "HELLO").count();
        assert!(hellos <= 2 * (tries + 2) + 3, "{adapter}: {hellos}");
        front.mend();
        eventually("it connects", || async {
            ours.likes.put("x", &"x".to_owned()).await.is_ok()
        })
        .await;
        ours.likes.close().await;
        backend.close().await;
    }
}

/// A key that a proxy cannot route, or that trips a filter.
#[tokio::test]
async fn if_every_command_of_one_key_fails_the_others_are_served() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let front = Scripted::before(&server).await;
        let ours = ours(adapter, &front).await;
        front.script(|words| match words.iter().any(|w| w.ends_with(b":bad")) {
            true => Fate::Fails(LINES[1].to_owned()),
            false => Fate::Passes,
        });
        for n in 0..20 {
            for _ in 0..4 {
                let bad = ours.get("bad", "local").await.unwrap().unwrap();
                assert_eq!(*bad, "local", "{adapter}");
            }
            let id = format!("{adapter} good {n}");
            assert_eq!(*ours.get(&id, "stored").await.unwrap().unwrap(), "stored");
            let value = format!("quota:{id}");
            assert_eq!(
                cli(&server, &["GET", &value]).await.as_str(),
                Some("stored")
            );
        }
        let stats = ours.likes.stats();
        assert!(
            !stats.circuit_open && stats.spared == 0,
            "{adapter}: {stats:?}"
        );
        // And waiters of other keys hear of them.
        let (end, call) = ours.hold("good").await;
        let other = self::ours(adapter, &front).await;
        let waiting = other.get("good", "never");
        let bad = other.get("bad", "local");
        end.send(Ok("held".to_owned())).unwrap();
        assert_eq!(*memolock_tests::end_of(call).await.unwrap(), "held");
        assert_eq!(*memolock_tests::end_of(waiting).await.unwrap(), "held");
        assert_eq!(*memolock_tests::end_of(bad).await.unwrap(), "local");
        cli(&server, &["DEL", "quota:good"]).await;
        for ours in [ours, other] {
            ours.likes.close().await;
            ours.backend.close().await;
        }
    }
}

/// Envoy may say so after the server took the command: the lease is there, and given back.
#[tokio::test]
async fn a_lease_that_was_taken_before_the_proxy_failed_is_given_back() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        let front = Scripted::before(&server).await;
        let ours = ours(adapter, &front).await;
        front.script(|words| match words[0].as_ref() {
            b"EVALSHA" | b"EVAL" => Fate::FailsLate("upstream failure".to_owned()),
            _ => Fate::Passes,
        });
        let id = format!("{adapter} late");
        assert_eq!(*ours.get(&id, "local").await.unwrap().unwrap(), "local");
        front.mend();
        gone(&server, &format!("quota/lock:{id}")).await;
        ours.likes.close().await;
        ours.backend.close().await;
    }
}

async fn gone(server: &TestServer, name: &str) {
    eventually("the lock is gone", || async {
        cli(server, &["EXISTS", name]).await.as_int() == Some(0)
    })
    .await;
}

#[tokio::test]
async fn the_policy_applies_and_the_error_says_what_was_answered() {
    let server = own_server().await;
    for adapter in Adapter::ALL {
        for line in LINES {
            let front = Scripted::before(&server).await;
            let strict = Ours::start(adapter, front.url(), "quota", |b| {
                b.on_outage(OutagePolicy::Fail)
            })
            .await;
            front.script(|_| Fate::Fails(line.to_owned()));
            let error = strict.get("strict", "never").await.unwrap().unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(line) && text.contains("quota:strict"),
                "{text}"
            );
            assert!(error.is_retryable() && !text.contains('\n'), "{text}");
            front.mend();
            strict.likes.close().await;
            strict.backend.close().await;
        }
    }
}
