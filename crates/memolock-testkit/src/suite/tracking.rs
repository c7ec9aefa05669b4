//! Tracking: whoever keeps copies is told of every change, for backends that can.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use memolock_core::{Backend, Change, Keyspace, PutMode, Tracking};
use tokio::time::timeout;

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::trial::{TTL, Trial, bytes};

cases!("tracking":
    it_begins_deaf_and_hears_from_then_on,
    every_change_by_whomever_is_told,
    who_is_told_finds_the_change,
    only_those_of_the_keyspace_are_told,
    a_thousand_changes_are_told,
    r10_a_close_ends_it,
);

/// A tracker, waited on for so long and no longer.
pub(crate) struct Tracker<'t> {
    tracking: Tracking,
    trial: &'t Trial,
}

impl<'t> Tracker<'t> {
    /// One that hears, or the case is skipped.
    pub(crate) async fn live(
        trial: &'t Trial,
        client: &dyn Backend,
        space: &Keyspace,
    ) -> Verdict<Self> {
        let Some(tracking) = client.track(space) else {
            return Err(Stop::skipped("this backend tells of no changes"));
        };
        let mut tracker = Self { tracking, trial };
        equal!(
            tracker.change().await?,
            Change::Resumed,
            "the first that a tracker hears"
        );
        Ok(tracker)
    }

    /// The next change, or the end.
    async fn next(&mut self) -> Verdict<Option<Change>> {
        let patience = self.trial.patience;
        match timeout(patience, self.tracking.next()).await {
            Ok(change) => Ok(change),
            Err(_) => {
                let why = format!("a tracker heard nothing within {patience:?}");
                Err(Stop::failed(why))
            }
        }
    }

    /// The next change.
    pub(crate) async fn change(&mut self) -> Verdict<Change> {
        let ended = || Stop::failed("a tracking ended although its backend is open");
        self.next().await?.ok_or_else(ended)
    }

    /// The next change is of this id.
    pub(crate) async fn hears(&mut self, id: &str) -> Verdict {
        let expected = Change::Value(id.to_owned());
        equal!(self.change().await?, expected, "a tracker's next change");
        Ok(())
    }
}

async fn it_begins_deaf_and_hears_from_then_on(t: &Trial) -> Verdict {
    t.put(&t.key("before"), "v").await?;
    let mut tracker = Tracker::live(t, &*t.store, &t.space).await?;
    t.put(&t.key("after"), "v").await?;
    // What changed before may be told late, which does no harm.
    while tracker.change().await? != Change::Value("after".to_owned()) {}
    Ok(())
}

async fn every_change_by_whomever_is_told(t: &Trial) -> Verdict {
    let mut tracker = Tracker::live(t, &*t.store, &t.space).await?;
    for (nth, client) in [&t.store, &t.peer].into_iter().enumerate() {
        // Changes of one id may be told as one: each has an id of its own.
        let key = |what: &str| t.key(&format!("{what} {nth}"));
        for mode in [PutMode::Override, PutMode::Resolve] {
            let key = key(&format!("{mode:?}"));
            client.put(&key, bytes("v"), TTL, mode).await?;
            tracker.hears(key.id()).await?;
        }
        let put = key("Override");
        client.invalidate(&put).await?;
        tracker.hears(put.id()).await?;
        let computed = key("computed");
        let ours = t.take(&computed).await?;
        client.fulfil(&computed, ours, bytes("v"), TTL).await?;
        tracker.hears(computed.id()).await?;
    }
    Ok(())
}

async fn who_is_told_finds_the_change(t: &Trial) -> Verdict {
    let mut tracker = Tracker::live(t, &*t.store, &t.space).await?;
    for nth in 0..50 {
        let (key, value) = (t.key(&nth.to_string()), bytes("v"));
        let put = t.peer.put(&key, value.clone(), TTL, PutMode::Override);
        let told = async {
            tracker.hears(key.id()).await?;
            Ok(t.store.get(&key).await?)
        };
        let (put, found) = tokio::join!(put, told);
        put?;
        let found: Verdict<_> = found;
        equal!(found?, Some(value), "a get by who was told");
    }
    Ok(())
}

async fn only_those_of_the_keyspace_are_told(t: &Trial) -> Verdict {
    let mut tracker = Tracker::live(t, &*t.store, &t.space).await?;
    let beside = t.space_beside("x")?;
    let key = beside.key("a").map_err(|e| Stop::failed(e.to_string()))?;
    t.put(&key, "v").await?;
    let token = t.take(&t.key("a lock is no value")).await?;
    t.put(&t.key("a"), "v").await?;
    tracker.hears("a").await?;
    let lock = t.key("a lock is no value");
    t.store.release(&lock, token, None).await?;
    t.store.invalidate(&key).await?;
    t.put(&t.key("b"), "v").await?;
    tracker.hears("b").await
}

async fn a_thousand_changes_are_told(t: &Trial) -> Verdict {
    let mut tracker = Tracker::live(t, &*t.store, &t.space).await?;
    let mut left: BTreeSet<String> = (0..1000).map(|n| n.to_string()).collect();
    let puts = left.iter().map(|id| {
        let key = t.key(id);
        async move { t.put(&key, "v").await }
    });
    futures_util::future::try_join_all(puts).await?;
    while !left.is_empty() {
        match tracker.change().await? {
            Change::Value(id) => {
                left.remove(&id);
            }
            // As good as each of them.
            Change::All => left.clear(),
            other => return Err(Stop::failed(format!("a tracker heard {other:?}"))),
        }
    }
    Ok(())
}

async fn r10_a_close_ends_it(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    let mut tracker = Tracker::live(t, &*client, &t.space).await?;
    client.close().await;
    while tracker.next().await?.is_some() {}
    if let Some(late) = client.track(&t.space) {
        let mut late = Tracker {
            tracking: late,
            trial: t,
        };
        let heard = late.next().await?;
        ensure!(heard.is_none(), "a closed backend tells {heard:?}");
    }
    Ok(())
}
