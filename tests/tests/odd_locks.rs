//! A lock that stands for centuries, or for ever: who waits for it is told so, as `inspect` tells it.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use memolock::core::Remaining;
use memolock::{Error, Memolock, codec::Text};
use memolock_testkit::{TestServer, unique_tag};
use memolock_tests::{Adapter, Ours, SECOND, cli, server};

/// What the example of the 2019 client in Go asks for by `renew(20 * time.Second)`.
const NANOSECONDS: &str = "20000000000";

struct Case {
    server: TestServer,
    ours: Ours,
    lock: String,
}

impl Case {
    async fn of(adapter: Adapter) -> Self {
        let (server, tag) = (server().await, unique_tag("likes"));
        let wait = |builder: memolock::Builder<String, Text>| builder.wait_timeout(SECOND / 10);
        let ours = Ours::start(adapter, server.url(), &tag, wait).await;
        let lock = ours.key("kristoff").lock_name();
        Self { server, ours, lock }
    }

    fn likes(&self) -> &Memolock<String, Text> {
        &self.ours.likes
    }

    /// The time-out of a waiter, and what `inspect` finds odd.
    async fn told(&self) -> (Error, Vec<String>) {
        let compute = |_| async { Ok::<_, String>("ours".to_owned()) };
        let error = self.likes().get_or_compute("kristoff", compute).await;
        let found = self.likes().inspect("kristoff").await.unwrap();
        (error.unwrap_err(), found.oddities)
    }
}

#[tokio::test]
async fn a_time_out_behind_a_lock_of_centuries_says_so() {
    for adapter in Adapter::ALL {
        let case = Case::of(adapter).await;
        let set = ["SET", &case.lock, "theirs", "EX", NANOSECONDS];
        cli(&case.server, &set).await;
        let (error, oddities) = case.told().await;
        let text = error.to_string();
        assert!(
            text.contains("the lock expires only in 5555555 hours"),
            "{text}"
        );
        assert!(text.contains("delete it") && !text.contains('\n'), "{text}");
        assert_eq!(oddities.len(), 1, "{oddities:?}");
        assert!(text.ends_with(&oddities[0]), "{text}: {oddities:?}");
        let Error::Timeout { lock, .. } = error else {
            panic!("{text}");
        };
        assert!(matches!(lock, Some(Remaining::Expires(left)) if left.as_secs() > 19_999_999_000));
        // And what it says to do helps.
        cli(&case.server, &["DEL", &case.lock]).await;
        let compute = |_| async { Ok::<_, String>("ours".to_owned()) };
        let value = case.likes().get_or_compute("kristoff", compute).await;
        assert_eq!(*value.unwrap(), "ours");
    }
}

#[tokio::test]
async fn a_time_out_behind_a_lock_without_expiry_says_so() {
    let case = Case::of(Adapter::RedisRs).await;
    cli(&case.server, &["SET", &case.lock, "theirs"]).await;
    let (error, oddities) = case.told().await;
    let text = error.to_string();
    assert!(text.contains("the lock never expires"), "{text}");
    assert!(text.ends_with(&oddities[0]), "{text}: {oddities:?}");
    assert!(matches!(
        error,
        Error::Timeout {
            lock: Some(Remaining::Forever),
            ..
        }
    ));
}

#[tokio::test]
async fn whoever_shares_the_wait_is_told_too() {
    let case = Case::of(Adapter::RedisRs).await;
    let set = ["SET", &case.lock, "theirs", "EX", NANOSECONDS];
    cli(&case.server, &set).await;
    let odd = |text: String| assert!(text.contains("5555555 hours"), "{text}");
    let calls = [(); 3].map(|()| case.ours.get("kristoff", "ours"));
    for call in calls {
        odd(memolock_tests::end_of(call).await.unwrap_err().to_string());
    }
    let compute = |ids: Vec<String>| async move {
        let values = ids.into_iter().map(|id| (id.clone(), id));
        Ok::<_, String>(values.collect::<HashMap<_, _>>())
    };
    let many = case.likes().entries(["kristoff", "elsa"]);
    let many = many.or_compute(compute).await;
    odd(many
        .get("kristoff")
        .unwrap()
        .as_ref()
        .unwrap_err()
        .to_string());
    assert!(many.get("elsa").unwrap().is_ok());
    let trigger = || async { Ok::<_, String>(()) };
    let external = case.likes().entry("kristoff").or_external(trigger).await;
    odd(external.unwrap_err().to_string());
}

/// A lock that is only long is no oddity, and one that was odd and is gone is none any more.
#[tokio::test]
async fn other_time_outs_do_not_speak_of_it() {
    let case = Case::of(Adapter::RedisRs).await;
    let day = ["SET", &case.lock, "theirs", "EX", "86400"];
    cli(&case.server, &day).await;
    let (error, oddities) = case.told().await;
    let text = error.to_string();
    assert!(
        text.contains("raise wait_timeout") && oddities.is_empty(),
        "{text}"
    );
    assert!(matches!(error, Error::Timeout { lock: None, .. }));

    let odd = ["SET", &case.lock, "theirs", "EX", NANOSECONDS];
    cli(&case.server, &odd).await;
    let slow = case.likes().entry("kristoff").wait_timeout(3 * SECOND);
    let compute = |_| async { Ok::<_, String>("ours".to_owned()) };
    let replace = async {
        let channel = case.ours.key("kristoff").fail_channel();
        memolock_tests::listened_to(&case.server, &channel).await;
        cli(&case.server, &["SET", &case.lock, "theirs", "EX", "3600"]).await;
        cli(&case.server, &["PUBLISH", &channel, "released"]).await;
    };
    let (slow, ()) = tokio::join!(slow.or_compute(compute), replace);
    assert!(matches!(
        slow.unwrap_err(),
        Error::Timeout { lock: None, .. }
    ));
}
