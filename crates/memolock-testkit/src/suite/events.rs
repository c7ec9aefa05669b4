//! Messages: the key's own, all of them, in order, and nothing from before.

use std::time::Duration;

use futures_util::future::try_join_all;
use memolock_core::{Event, Message, Notice, PutMode};

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::trial::{TTL, Trial, bytes};

cases!("events":
    only_those_of_the_key_are_heard,
    they_come_in_the_order_of_effects,
    nothing_from_before_is_heard,
    a_second_listener_hears_nothing_from_before,
    a_subscription_is_confirmed_before_it_returns,
    a_slow_listener_is_told_that_it_missed_something,
    waiting_may_be_given_up,
);

async fn only_those_of_the_key_are_heard(t: &Trial) -> Verdict {
    let key = t.key("a");
    let beside = t.space_beside("-beside")?;
    let beside = beside
        .key("a")
        .map_err(|error| Stop::failed(error.to_string()))?;
    let mut others = vec![beside];
    others.extend(["A", "ab", "b", "a ", "a:", "a*", "?", "*", "[a]"].map(|id| t.key(id)));
    let mut ear = t.listen(&key).await?;
    let mut theirs = t.listen_by(&*t.peer, &t.key("*")).await?;
    for other in &others {
        for client in [&t.store, &t.peer] {
            let put = client.put(other, bytes("not yours"), TTL, PutMode::Override);
            put.await?;
            client.invalidate(other).await?;
        }
    }
    t.silent(&key, &mut ear).await?;
    // And who listens to the star hears what was said of the star, not of everything.
    for _ in 0..2 {
        theirs.hears_value("not yours").await?;
        theirs.hears_notice(Notice::Invalidated).await?;
    }
    t.silent(&t.key("*"), &mut theirs).await
}

async fn they_come_in_the_order_of_effects(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ears = [t.listen(&key).await?, t.listen_by(&*t.peer, &key).await?];
    for _ in 0..5 {
        t.put(&key, "1").await?;
        t.store.invalidate(&key).await?;
        let token = t.take(&key).await?;
        t.fulfil(&key, token, "2").await?;
        t.store.invalidate(&key).await?;
        let token = t.take(&key).await?;
        t.store
            .release(&key, token, Some(Notice::failed("3")))
            .await?;
        t.store.put(&key, bytes("4"), TTL, PutMode::Resolve).await?;
        for ear in &mut ears {
            ear.hears_value("1").await?;
            ear.hears_notice(Notice::Invalidated).await?;
            ear.hears_value("2").await?;
            ear.hears_notice(Notice::Invalidated).await?;
            ear.hears_notice(Notice::failed("3")).await?;
            ear.hears_value("4").await?;
        }
    }
    Ok(())
}

async fn nothing_from_before_is_heard(t: &Trial) -> Verdict {
    let key = t.key("a");
    for round in 0..30 {
        // By either client: what it has published must not come back to it late.
        for client in [&t.store, &t.peer] {
            let put = client.put(&key, bytes("before"), TTL, PutMode::Override);
            put.await?;
        }
        t.store.invalidate(&key).await?;
        let mut ear = t.listen(&key).await?;
        let after = format!("after {round}");
        t.put(&key, &after).await?;
        ear.hears_value(&after).await?;
    }
    Ok(())
}

/// The key is subscribed already, so a backend may be tempted not to ask.
async fn a_second_listener_hears_nothing_from_before(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut first = t.listen(&key).await?;
    for round in 0..30 {
        let (before, after) = (format!("before {round}"), format!("after {round}"));
        let put = t.peer.put(&key, bytes(&before), TTL, PutMode::Override);
        put.await?;
        let mut second = t.listen(&key).await?;
        t.put(&key, &after).await?;
        second.hears_value(&after).await?;
        first.hears_value(&before).await?;
        first.hears_value(&after).await?;
    }
    Ok(())
}

async fn a_subscription_is_confirmed_before_it_returns(t: &Trial) -> Verdict {
    let rounds = (0..50).map(|round| async move {
        let key = t.key(&round.to_string());
        let mut ear = t.listen(&key).await?;
        // At once, by another client.
        let put = t.peer.put(&key, bytes("v"), TTL, PutMode::Override);
        put.await?;
        ear.hears_value("v").await
    });
    try_join_all(rounds).await.map(drop)
}

/// A mailbox may be bounded. Then a gap says so, and ends: what was missed is never passed over.
async fn a_slow_listener_is_told_that_it_missed_something(t: &Trial) -> Verdict {
    const MANY: usize = 2000;
    // A client may lose all its messages where it cannot keep up with one key's: no other case listens by this one.
    let (client, key) = (t.spare().await?, t.key("a"));
    let mut ear = t.listen_by(&*client, &key).await?;
    let put = |text: String| client.put(&key, bytes(&text), TTL, PutMode::Override);
    for some in (0..MANY).collect::<Vec<_>>().chunks(100) {
        try_join_all(some.iter().map(|n| put(n.to_string()))).await?;
    }
    put("the end".to_owned()).await?;
    let (mut heard, mut gaps) = (0, 0);
    loop {
        match ear.event().await? {
            Event::Message(Message::Value(value)) => {
                if value == "the end" {
                    break;
                }
                heard += 1;
            }
            Event::Gap => gaps += 1,
            Event::Resumed => {
                // The end may be what was missed; say it again.
                put("the end".to_owned()).await?;
            }
            other => return Err(Stop::failed(format!("heard {other:?}, which nobody said"))),
        }
    }
    ensure!(heard <= MANY, "{heard} values were heard of {MANY}");
    ensure!(
        gaps > 0 || heard == MANY,
        "{heard} values were heard of {MANY}, and no gap"
    );
    Ok(())
}

async fn waiting_may_be_given_up(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    for n in ["1", "2", "3"] {
        equal!(
            ear.peek(),
            false,
            "something is heard before anything is said"
        );
        let wait = tokio::time::timeout(Duration::from_millis(1), ear.next());
        ensure!(
            wait.await.is_err(),
            "something was heard, and nothing was said"
        );
        t.put(&key, n).await?;
        ear.hears_value(n).await?;
    }
    Ok(())
}
