//! Closing: calls fail from then on, subscriptions end, and nobody else is disturbed.

use futures_util::future::poll_immediate;
use memolock_core::{ErrorKind, PutMode};

use super::case::{Stop, Verdict, cases, ensure, equal};
use super::errors::every_call;
use super::trial::{TTL, Trial, bytes};

cases!("close":
    r10_later_calls_are_closed,
    r10_subscriptions_end,
    r10_who_waits_is_woken,
    twice_is_harmless,
    a_dropped_close_may_be_repeated,
    other_clients_go_on,
    dropping_ends_subscriptions,
);

async fn r10_later_calls_are_closed(t: &Trial) -> Verdict {
    let (client, key) = (t.spare().await?, t.key("a"));
    let put = client.put(&key, bytes("v"), TTL, PutMode::Override);
    put.await?;
    client.close().await;
    for (operation, outcome) in every_call(&*client, &key).await {
        match outcome {
            Ok(()) => return Err(Stop::failed(format!("{operation} succeeds after close"))),
            Err(error) => equal!(error.kind(), ErrorKind::Closed, "{operation} after close"),
        }
    }
    equal!(client.stats().subscriptions, 0, "subscriptions after close");
    ensure!(!client.capabilities().name.is_empty(), "it forgot its name");
    Ok(())
}

async fn r10_subscriptions_end(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    let mut ears = Vec::new();
    for n in 0..10 {
        ears.push(t.listen_by(&*client, &t.key(&(n % 5).to_string())).await?);
    }
    // What is unread may still be read.
    let key = t.key("0");
    let put = client.put(&key, bytes("v"), TTL, PutMode::Override);
    put.await?;
    client.close().await;
    for ear in &mut ears {
        ear.ends().await?;
        equal!(
            ear.next().await?,
            None,
            "what comes after the end of a subscription"
        );
    }
    Ok(())
}

async fn r10_who_waits_is_woken(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    let mut ear = t.listen_by(&*client, &t.key("a")).await?;
    let waiting = tokio::spawn(async move { ear.ends().await });
    tokio::task::yield_now().await;
    client.close().await;
    match waiting.await {
        Ok(ended) => ended,
        Err(error) => Err(Stop::failed(error.to_string())),
    }
}

async fn twice_is_harmless(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    client.close().await;
    client.close().await;
    futures_util::future::join(client.close(), client.close()).await;
    let after = client.get(&t.key("a")).await;
    let kind = after.map_err(|error| error.kind());
    equal!(kind, Err(ErrorKind::Closed), "a get after close");
    Ok(())
}

async fn a_dropped_close_may_be_repeated(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    let mut ear = t.listen_by(&*client, &t.key("a")).await?;
    poll_immediate(client.close()).await;
    client.close().await;
    ear.ends().await?;
    let after = client.get(&t.key("a")).await;
    equal!(
        after.map_err(|error| error.kind()),
        Err(ErrorKind::Closed),
        "a get after close"
    );
    Ok(())
}

async fn other_clients_go_on(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    t.spare().await?.close().await;
    t.put(&key, "v").await?;
    ear.hears_value("v").await?;
    t.holds(&key, Some("v")).await
}

async fn dropping_ends_subscriptions(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    let mut ear = t.listen_by(&*client, &t.key("a")).await?;
    drop(client);
    ear.ends().await
}
