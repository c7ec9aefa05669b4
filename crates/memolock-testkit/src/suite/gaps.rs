//! Broken lines: gaps are told and end, calls fail in time and typed, and all mends by itself.

use futures_util::future::join_all;
use memolock_core::{
    Acquired, Backend, BackendError, Change, ErrorKind, Event, Fulfilled, Key, PutMode,
};
use tokio::time::{Instant, sleep, timeout};

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::ear::Ear;
use super::errors::{every_call, names};
use super::tracking::Tracker;
use super::trial::{BRIEF, LEASE, TTL, Trial, bytes, token};

cases!("gaps":
    a_listener_hears_the_gap_and_its_end,
    after_the_gap_everything_is_heard,
    every_listener_hears_of_it,
    who_left_during_the_gap_is_forgotten,
    calls_fail_typed_and_mend_by_themselves,
    r7_a_lease_outlives_the_line,
    an_unambiguous_failure_had_no_effect,
    a_stalled_store_times_out,
    a_tracker_hears_the_gap_and_its_end,
);

/// Whether a failure is one of a line.
fn is_of_the_line(error: &BackendError) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// Waits until the client works again.
async fn mended(t: &Trial, client: &dyn Backend, key: &Key) -> Verdict {
    let since = Instant::now();
    loop {
        // Commands and subscriptions may have connections of their own, which are not back at once.
        let outcome = match client.get(key).await {
            Ok(_) => client.subscribe(key).await.map(drop),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) if since.elapsed() > t.patience => {
                let why = format!("it did not recover within {:?}: {error}", t.patience);
                return Err(Stop::failed(why));
            }
            Err(_) => sleep(BRIEF / 10).await,
        }
    }
}

async fn gap_and_back(ear: &mut Ear) -> Verdict {
    ear.hears_at_last(&Event::Gap).await?;
    ear.hears_at_last(&Event::Resumed).await
}

async fn a_listener_hears_the_gap_and_its_end(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let key = t.key("a");
    let mut ear = t.listen_by(&*client, &key).await?;
    line.cut().await;
    equal!(
        ear.event().await?,
        Event::Gap,
        "the first event after a cut"
    );
    line.heal().await;
    equal!(
        ear.event().await?,
        Event::Resumed,
        "the first event after a gap"
    );
    Ok(())
}

async fn after_the_gap_everything_is_heard(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let key = t.key("a");
    let mut ear = t.listen_by(&*client, &key).await?;
    for round in 0..3 {
        line.cut().await;
        ear.hears_at_last(&Event::Gap).await?;
        t.put(&key, "lost").await?;
        line.heal().await;
        ear.hears_at_last(&Event::Resumed).await?;
        let value = format!("after gap {round}");
        t.put(&key, &value).await?;
        ear.hears_value(&value).await?;
    }
    mended(t, &*client, &key).await?;
    let reconnects = client.stats().reconnects;
    ensure!(reconnects > 0, "no reconnect is counted");
    Ok(())
}

async fn every_listener_hears_of_it(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let mut ears = Vec::new();
    for n in 0..30 {
        ears.push(t.listen_by(&*client, &t.key(&(n % 20).to_string())).await?);
    }
    line.cut().await;
    for ear in &mut ears {
        ear.hears_at_last(&Event::Gap).await?;
    }
    line.heal().await;
    for ear in &mut ears {
        ear.hears_at_last(&Event::Resumed).await?;
    }
    for n in 0..20 {
        t.put(&t.key(&n.to_string()), &n.to_string()).await?;
    }
    for (n, ear) in ears.iter_mut().enumerate() {
        ear.hears_value(&(n % 20).to_string()).await?;
    }
    Ok(())
}

async fn who_left_during_the_gap_is_forgotten(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let mut stays = t.listen_by(&*client, &t.key("stays")).await?;
    let mut leaves = t.listen_by(&*client, &t.key("leaves")).await?;
    line.cut().await;
    leaves.hears_at_last(&Event::Gap).await?;
    drop(leaves);
    line.heal().await;
    gap_and_back(&mut stays).await?;
    drop(stays);
    t.until_nobody_listens(&*client).await
}

async fn calls_fail_typed_and_mend_by_themselves(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let key = t.key("a");
    mended(t, &*client, &key).await?;
    line.cut().await;
    let calls = every_call(&*client, &key);
    let Ok(outcomes) = timeout(t.patience, calls).await else {
        return Err(Stop::failed("a call hung while the line was cut"));
    };
    for (operation, outcome) in outcomes {
        let Err(error) = outcome else {
            return Err(Stop::failed(format!(
                "{operation} succeeds over a cut line"
            )));
        };
        names(&error, operation, &key)?;
        ensure!(
            is_of_the_line(&error),
            "{operation} over a cut line: {error}"
        );
        ensure!(
            error.is_retryable(),
            "{operation} says that trying again cannot help"
        );
    }
    line.heal().await;
    mended(t, &*client, &key).await?;
    let put = client.put(&key, bytes("v"), TTL, PutMode::Override);
    put.await?;
    t.holds(&key, Some("v")).await
}

async fn a_tracker_hears_the_gap_and_its_end(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let mut tracker = Tracker::live(t, &*client, &t.space).await?;
    for round in 0..3 {
        line.cut().await;
        equal!(
            tracker.change().await?,
            Change::Gap,
            "a tracker after a cut"
        );
        t.put(&t.key("lost"), "v").await?;
        line.heal().await;
        equal!(
            tracker.change().await?,
            Change::Resumed,
            "a tracker after a gap"
        );
        let key = t.key(&round.to_string());
        t.put(&key, "v").await?;
        tracker.hears(key.id()).await?;
    }
    Ok(())
}

async fn r7_a_lease_outlives_the_line(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let (key, ours) = (t.key("a"), token());
    equal!(
        client.acquire(&key, ours, LEASE).await?,
        Acquired::Granted,
        "acquire"
    );
    line.cut().await;
    line.heal().await;
    mended(t, &*client, &key).await?;
    t.locked_by(&key, ours).await?;
    let again = client.acquire(&key, ours, LEASE).await?;
    equal!(
        again,
        Acquired::Granted,
        "acquire with the same token after a cut"
    );
    let fulfilled = client.fulfil(&key, ours, bytes("v"), TTL).await?;
    equal!(fulfilled, Fulfilled::Stored, "fulfil after a cut");
    t.holds(&key, Some("v")).await
}

async fn an_unambiguous_failure_had_no_effect(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let puts = (0..200).map(|n| {
        let (client, key) = (client.clone(), t.key(&n.to_string()));
        tokio::spawn(async move {
            let put = client.put(&key, bytes("v"), TTL, PutMode::Override);
            let outcome = put.await;
            (key, outcome)
        })
    });
    let puts: Vec<_> = puts.collect();
    tokio::task::yield_now().await;
    line.cut().await;
    let outcomes = join_all(puts).await;
    line.heal().await;
    for outcome in outcomes {
        let (key, put) = outcome.map_err(|error| Stop::failed(error.to_string()))?;
        let stored = t.value(&key).await?.is_some();
        match put {
            Ok(()) => ensure!(stored, "a put that succeeded did not store"),
            Err(error) if error.is_ambiguous() => {
                ensure!(
                    is_of_the_line(&error),
                    "a put over a breaking line: {error}"
                );
            }
            Err(error) => ensure!(!stored, "a put stored, and says it did not: {error}"),
        }
    }
    mended(t, &*client, &t.key("a")).await
}

async fn a_stalled_store_times_out(t: &Trial) -> Verdict {
    let (client, line) = t.breakable().await?;
    let key = t.key("a");
    mended(t, &*client, &key).await?;
    if !line.stall().await {
        return Err(Stop::skipped("the harness's line cannot stall"));
    }
    let outcomes = timeout(t.patience, every_call(&*client, &key)).await;
    line.heal().await;
    let Ok(outcomes) = outcomes else {
        let why = format!(
            "a call hung for {:?} while the store was stalled",
            t.patience
        );
        return Err(Stop::failed(why));
    };
    for (operation, outcome) in outcomes {
        let Err(error) = outcome else {
            return Err(Stop::failed(format!(
                "{operation} succeeds while the store is stalled"
            )));
        };
        names(&error, operation, &key)?;
        ensure!(
            is_of_the_line(&error),
            "{operation} of a stalled store: {error}"
        );
    }
    mended(t, &*client, &key).await?;
    let mut ear = t.listen_by(&*client, &key).await?;
    let put = client.put(&key, bytes("after"), TTL, PutMode::Override);
    put.await?;
    ear.hears_at_last(&memolock_core::Message::Value(bytes("after")).into())
        .await
}
