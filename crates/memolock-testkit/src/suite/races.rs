//! Races: what is atomic stays so when many come at once, from two clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memolock_core::{Acquired, Backend, Fulfilled, Key, Notice, PutMode, Renewal, Token};
use tokio::task::{JoinError, JoinSet};

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::trial::{LEASE, TTL, Trial, bytes, token};

cases!("races":
    r1_of_many_one_is_granted,
    r1_there_is_one_holder_at_a_time,
    who_asks_while_it_is_fulfilled_is_not_granted,
    r4_a_put_wins_over_a_fulfil,
    r4_an_invalidation_wins_over_a_fulfil,
    a_lease_is_fulfilled_by_one_of_two,
    a_renewal_does_not_bring_a_lock_back,
    only_one_release_is_the_holders,
);

/// Rounds of a race, each on a key of its own.
const ROUNDS: usize = 60;

/// Runs all at once on the runtime's threads, and gives back what they found.
async fn at_once<T, F>(runs: impl IntoIterator<Item = F>) -> Verdict<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Verdict<T>> + Send + 'static,
{
    let mut tasks: JoinSet<_> = runs.into_iter().collect();
    let mut found = Vec::new();
    while let Some(run) = tasks.join_next().await {
        found.push(run.map_err(|error| Stop::failed(error.to_string()))??);
    }
    Ok(found)
}

fn client(t: &Trial, n: usize) -> Arc<dyn Backend> {
    Arc::clone(if n.is_multiple_of(2) {
        &t.store
    } else {
        &t.peer
    })
}

async fn r1_of_many_one_is_granted(t: &Trial) -> Verdict {
    for round in 0..5 {
        let key = t.key(&round.to_string());
        let runs = (0..64).map(|n| {
            let (client, key) = (client(t, n), key.clone());
            async move { Ok(client.acquire(&key, token(), LEASE).await?) }
        });
        let answers = at_once(runs).await?;
        let granted = answers.iter().filter(|a| **a == Acquired::Granted).count();
        equal!(granted, 1, "leases granted to 64 that asked at once");
        let held = answers.iter().filter(|a| matches!(a, Acquired::Held(_)));
        equal!(held.count(), 63, "refusals");
    }
    Ok(())
}

async fn r1_there_is_one_holder_at_a_time(t: &Trial) -> Verdict {
    let (inside, turns) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let key = t.key("a");
    let runs = (0..16).map(|n| {
        let (client, key) = (client(t, n), key.clone());
        let (inside, turns) = (Arc::clone(&inside), Arc::clone(&turns));
        async move {
            while turns.load(Ordering::SeqCst) < 100 {
                let ours = token();
                if client.acquire(&key, ours, LEASE).await? != Acquired::Granted {
                    tokio::task::yield_now().await;
                    continue;
                }
                ensure!(!inside.swap(true, Ordering::SeqCst), "two hold one lease");
                turns.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                ensure!(inside.swap(false, Ordering::SeqCst), "two held one lease");
                let released = client.release(&key, ours, Some(Notice::Released)).await?;
                ensure!(
                    released,
                    "the holder's release says that the lease was not its own"
                );
            }
            Ok(())
        }
    });
    at_once(runs).await.map(drop)
}

async fn who_asks_while_it_is_fulfilled_is_not_granted(t: &Trial) -> Verdict {
    for round in 0..ROUNDS {
        let key = t.key(&round.to_string());
        let ours = t.take(&key).await?;
        let mut tasks = JoinSet::new();
        for n in 0..4 {
            let (client, key) = (client(t, n), key.clone());
            tasks.spawn(async move { client.acquire(&key, token(), LEASE).await });
        }
        // So that some have begun.
        wait(round % 8).await;
        let fulfilled = t.fulfil(&key, ours, "v").await?;
        equal!(fulfilled, Fulfilled::Stored, "fulfil");
        while let Some(run) = tasks.join_next().await {
            let acquired = run.map_err(|error| Stop::failed(error.to_string()))??;
            ensure!(
                acquired != Acquired::Granted,
                "a lease was granted while the value was being stored"
            );
        }
        t.unlocked(&key).await?;
    }
    Ok(())
}

/// Fulfils and does something else at the same time, by two clients. A runtime has habits, so rounds
/// differ: in who begins, in how far ahead that one is, and in whether threads or one task run them.
async fn against_fulfil<F, G>(t: &Trial, round: usize, key: &Key, other: F) -> Verdict<Fulfilled>
where
    F: FnOnce(Arc<dyn Backend>, Key) -> G,
    G: Future<Output = Verdict> + Send + 'static,
{
    let ours = t.take(key).await?;
    let (store, at) = (Arc::clone(&t.store), key.clone());
    let (ahead, steps) = (round.is_multiple_of(2), round / 4 % 8);
    let fulfil = async move {
        wait(if ahead { 0 } else { steps }).await;
        Ok(store.fulfil(&at, ours, bytes("computed"), TTL).await?)
    };
    let other = other(Arc::clone(&t.peer), key.clone());
    let other = async move {
        wait(if ahead { steps } else { 0 }).await;
        other.await
    };
    let (fulfilled, done) = match (round / 2 % 2, ahead) {
        (0, true) => futures_util::future::join(fulfil, other).await,
        (0, false) => swap(futures_util::future::join(other, fulfil).await),
        _ => {
            let (fulfil, other) = (tokio::spawn(fulfil), tokio::spawn(other));
            let broken = |error: JoinError| Stop::failed(error.to_string());
            (fulfil.await.map_err(broken)?, other.await.map_err(broken)?)
        }
    };
    done?;
    fulfilled
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// Lets others run so many times.
async fn wait(steps: usize) {
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
}

async fn r4_a_put_wins_over_a_fulfil(t: &Trial) -> Verdict {
    for round in 0..ROUNDS {
        let key = t.key(&round.to_string());
        let put = |client: Arc<dyn Backend>, key: Key| async move {
            let put = client.put(&key, bytes("put"), TTL, PutMode::Override);
            Ok(put.await?)
        };
        let fulfilled = against_fulfil(t, round, &key, put).await?;
        // Stored before the put it was overwritten, after it it was fenced off.
        let value = t.value(&key).await?;
        equal!(value.as_deref(), Some("put"), "the value ({fulfilled:?})");
        t.unlocked(&key).await?;
    }
    Ok(())
}

async fn r4_an_invalidation_wins_over_a_fulfil(t: &Trial) -> Verdict {
    for round in 0..ROUNDS {
        let key = t.key(&round.to_string());
        let invalidate =
            |client: Arc<dyn Backend>, key: Key| async move { Ok(client.invalidate(&key).await?) };
        let fulfilled = against_fulfil(t, round, &key, invalidate).await?;
        equal!(t.value(&key).await?, None, "the value ({fulfilled:?})");
        t.unlocked(&key).await?;
    }
    Ok(())
}

async fn a_lease_is_fulfilled_by_one_of_two(t: &Trial) -> Verdict {
    for round in 0..ROUNDS {
        let key = t.key(&round.to_string());
        let ours = t.take(&key).await?;
        let runs = (0..4).map(|n| {
            let (client, key) = (client(t, n), key.clone());
            async move { Ok(client.fulfil(&key, ours, bytes("v"), TTL).await?) }
        });
        let answers = at_once(runs).await?;
        let stored = answers.iter().filter(|a| **a == Fulfilled::Stored);
        equal!(
            stored.count(),
            1,
            "of four fulfils with one token, those that stored"
        );
    }
    Ok(())
}

async fn a_renewal_does_not_bring_a_lock_back(t: &Trial) -> Verdict {
    for round in 0..ROUNDS {
        let key = t.key(&round.to_string());
        let ours: Token = t.take(&key).await?;
        let renewal = Renewal {
            key: key.clone(),
            token: ours,
            lease: LEASE,
        };
        let peer = Arc::clone(&t.peer);
        let renew = tokio::spawn(async move { peer.renew(&[renewal]).await });
        wait(round % 8).await;
        equal!(t.store.release(&key, ours, None).await?, true, "release");
        let renewed = renew
            .await
            .map_err(|error| Stop::failed(error.to_string()))?;
        equal!(renewed?.len(), 1, "answers to one renewal");
        t.unlocked(&key).await?;
    }
    Ok(())
}

async fn only_one_release_is_the_holders(t: &Trial) -> Verdict {
    for round in 0..ROUNDS {
        let key = t.key(&round.to_string());
        let ours = t.take(&key).await?;
        let mut ear = t.listen(&key).await?;
        let runs = (0..4).map(|n| {
            let (client, key) = (client(t, n), key.clone());
            async move { Ok(client.release(&key, ours, Some(Notice::Released)).await?) }
        });
        let answers = at_once(runs).await?;
        let true_ones = answers.iter().filter(|ours| **ours).count();
        equal!(
            true_ones,
            1,
            "of four releases of one lease, those that were the holder's"
        );
        ear.hears_notice(Notice::Released).await?;
        t.silent(&key, &mut ear).await?;
    }
    Ok(())
}
