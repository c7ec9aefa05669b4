//! Cancellation: a call that is dropped at any await has happened or not, and nothing else.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::join_all;
use memolock_core::{Acquired, Fulfilled, Key, Notice, PutMode, Renewal};

use super::case::{Verdict, cases, ensure, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token};

cases!("cancel":
    a_get,
    an_acquire,
    a_fulfil,
    a_renewal,
    a_release,
    a_put,
    an_invalidation,
    an_inspection,
    a_subscription,
    many_at_once,
);

/// Awaits at which calls are dropped: none at all, the first, and so on. Calls that end before are
/// simply done; few have as many.
const POLLS: std::ops::Range<usize> = 0..6;

/// Polls a future so often at most, and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The client still works, and answers still go to those who asked.
async fn still_works(t: &Trial, key: &Key) -> Verdict {
    let keys = ["1", "2", "3"].map(|n| t.key(&format!("{}-sentinel-{n}", key.id())));
    for key in &keys {
        t.put(key, key.id()).await?;
    }
    let values = join_all(keys.iter().map(|key| t.store.get(key))).await;
    for (key, value) in keys.iter().zip(values) {
        equal!(
            value?,
            Some(bytes(key.id())),
            "the answer to a get after a dropped call"
        );
    }
    Ok(())
}

async fn a_get(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        t.put(&key, "v").await?;
        dropped_after(polls, t.store.get(&key)).await;
        t.holds(&key, Some("v")).await?;
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn an_acquire(t: &Trial) -> Verdict {
    for polls in POLLS {
        let (key, ours) = (t.key(&polls.to_string()), token());
        dropped_after(polls, t.store.acquire(&key, ours, LEASE)).await;
        if let Some(lock) = t.inspect(&key).await?.lock {
            equal!(
                lock.holder,
                bytes(&ours.to_wire()),
                "the holder after a dropped acquire"
            );
        }
        // Whoever takes over asks again with the same token.
        let again = t.store.acquire(&key, ours, LEASE).await?;
        equal!(
            again,
            Acquired::Granted,
            "acquire again after {polls} polls"
        );
        equal!(
            t.fulfil(&key, ours, "v").await?,
            Fulfilled::Stored,
            "fulfil"
        );
        t.holds(&key, Some("v")).await?;
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn a_fulfil(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        let ours = t.take(&key).await?;
        dropped_after(polls, t.store.fulfil(&key, ours, bytes("v"), TTL)).await;
        match t.peer.acquire(&key, token(), LEASE).await? {
            Acquired::Value(value) => equal!(value, bytes("v"), "the value"),
            Acquired::Held(_) => {}
            Acquired::Granted => ensure!(false, "a dropped fulfil left neither value nor lock"),
        }
        t.fulfil(&key, ours, "v").await?;
        t.holds(&key, Some("v")).await?;
        t.unlocked(&key).await?;
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn a_renewal(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        let ours = t.take(&key).await?;
        let renewal = Renewal {
            key: key.clone(),
            token: ours,
            lease: LEASE * 10,
        };
        dropped_after(polls, t.store.renew(std::slice::from_ref(&renewal))).await;
        t.locked_by(&key, ours).await?;
        equal!(
            t.renew_one(&key, ours, LEASE).await?,
            true,
            "renewal after a dropped one"
        );
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn a_release(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        let ours = t.take(&key).await?;
        let notice = Some(Notice::Released);
        dropped_after(polls, t.store.release(&key, ours, notice)).await;
        if t.inspect(&key).await?.lock.is_some() {
            // It had not happened, or not yet.
            t.store.release(&key, ours, None).await?;
        }
        let next = t.peer.acquire(&key, token(), LEASE).await?;
        equal!(next, Acquired::Granted, "acquire after a dropped release");
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn a_put(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        t.put(&key, "old").await?;
        dropped_after(
            polls,
            t.store.put(&key, bytes("new"), TTL, PutMode::Override),
        )
        .await;
        let value = t.value(&key).await?;
        ensure!(
            matches!(value.as_deref(), Some("old" | "new")),
            "the value after a dropped put is {value:?}"
        );
        if t.harness.ordered() {
            t.put(&key, "newest").await?;
            t.holds(&key, Some("newest")).await?;
        }
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn an_invalidation(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        t.put(&key, "v").await?;
        dropped_after(polls, t.store.invalidate(&key)).await;
        let value = t.value(&key).await?;
        ensure!(
            matches!(value.as_deref(), Some("v") | None),
            "the value after a dropped invalidation is {value:?}"
        );
        t.store.invalidate(&key).await?;
        t.holds(&key, None).await?;
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn an_inspection(t: &Trial) -> Verdict {
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        let ours = t.take(&key).await?;
        dropped_after(polls, t.store.inspect(&key)).await;
        t.locked_by(&key, ours).await?;
        still_works(t, &key).await?;
    }
    Ok(())
}

async fn a_subscription(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    for polls in POLLS {
        let key = t.key(&polls.to_string());
        drop(dropped_after(polls, client.subscribe(&key)).await);
        // A listener after the one that left hears, and only what comes after it.
        let mut ear = t.listen_by(&*client, &key).await?;
        drop(dropped_after(polls, client.subscribe(&key)).await);
        let put = client.put(&key, bytes("v"), TTL, PutMode::Override);
        put.await?;
        ear.hears_value("v").await?;
    }
    t.until_nobody_listens(&*client).await
}

async fn many_at_once(t: &Trial) -> Verdict {
    let calls = (0..300).map(|n| {
        let (client, key) = (Arc::clone(&t.store), t.key(&(n % 10).to_string()));
        tokio::spawn(async move {
            let polls = n % 4;
            match n % 5 {
                0 => drop(dropped_after(polls, client.get(&key)).await),
                1 => drop(dropped_after(polls, client.acquire(&key, token(), LEASE)).await),
                2 => {
                    let put = client.put(&key, bytes("v"), TTL, PutMode::Override);
                    drop(dropped_after(polls, put).await);
                }
                3 => drop(dropped_after(polls, client.subscribe(&key)).await),
                _ => drop(dropped_after(polls, client.inspect(&key)).await),
            }
        })
    });
    for call in join_all(calls).await {
        ensure!(call.is_ok(), "a dropped call panicked");
    }
    still_works(t, &t.key("a")).await
}
