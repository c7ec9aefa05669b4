//! Listeners: many of a key, many keys, and leaving.

use futures_util::future::try_join_all;
use memolock_core::{Notice, PutMode};

use super::case::{Verdict, cases, ensure};
use super::trial::{TTL, Trial, bytes};

cases!("listeners":
    each_listener_of_a_key_hears,
    one_may_leave_and_the_others_hear,
    who_left_and_came_back_hears,
    r9_who_leaves_is_forgotten,
    every_key_has_its_own,
    coming_and_going_loses_nothing,
    a_listener_needs_no_value,
);

async fn each_listener_of_a_key_hears(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ears = Vec::new();
    for n in 0..8 {
        let client = if n % 2 == 0 { &t.store } else { &t.peer };
        ears.push(t.listen_by(&**client, &key).await?);
    }
    t.put(&key, "v").await?;
    t.store.invalidate(&key).await?;
    for ear in &mut ears {
        ear.hears_value("v").await?;
        ear.hears_notice(Notice::Invalidated).await?;
    }
    Ok(())
}

async fn one_may_leave_and_the_others_hear(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut stays = t.listen(&key).await?;
    for round in 0..10 {
        let leaves = t.listen(&key).await?;
        let also = t.listen(&key).await?;
        drop(leaves);
        let value = round.to_string();
        t.put(&key, &value).await?;
        stays.hears_value(&value).await?;
        drop(also);
    }
    Ok(())
}

async fn who_left_and_came_back_hears(t: &Trial) -> Verdict {
    let key = t.key("a");
    for round in 0..30 {
        let mut ear = t.listen(&key).await?;
        let value = round.to_string();
        t.put(&key, &value).await?;
        ear.hears_value(&value).await?;
    }
    Ok(())
}

async fn r9_who_leaves_is_forgotten(t: &Trial) -> Verdict {
    let client = t.spare().await?;
    t.until_nobody_listens(&*client).await?;
    let mut ears = Vec::new();
    for n in 0..50 {
        let key = t.key(&(n % 25).to_string());
        ears.push(t.listen_by(&*client, &key).await?);
    }
    let open = client.stats().subscriptions;
    ensure!(
        open >= 25,
        "{open} subscriptions are counted where 25 keys are listened to"
    );
    drop(ears);
    t.until_nobody_listens(&*client).await
}

async fn every_key_has_its_own(t: &Trial) -> Verdict {
    let rounds = (0..300).map(|n| async move {
        let key = t.key(&n.to_string());
        let mut ear = t.listen(&key).await?;
        let value = format!("value of {n}");
        let put = t.peer.put(&key, bytes(&value), TTL, PutMode::Override);
        put.await?;
        ear.hears_value(&value).await?;
        t.silent(&key, &mut ear).await
    });
    try_join_all(rounds).await.map(drop)
}

async fn coming_and_going_loses_nothing(t: &Trial) -> Verdict {
    let others = (0..8).map(|_| async {
        for _ in 0..20 {
            let ear = t.listen(&t.key("a")).await?;
            tokio::task::yield_now().await;
            drop(ear);
        }
        Ok(())
    });
    let listener = async {
        let key = t.key("a");
        let mut ear = t.listen(&key).await?;
        for n in 0..50 {
            let value = n.to_string();
            t.put(&key, &value).await?;
            ear.hears_value(&value).await?;
        }
        Ok(())
    };
    futures_util::future::try_join(try_join_all(others), listener)
        .await
        .map(drop)
}

async fn a_listener_needs_no_value(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    let token = t.take(&key).await?;
    t.store.release(&key, token, Some(Notice::Released)).await?;
    ear.hears_notice(Notice::Released).await?;
    t.store.invalidate(&key).await?;
    ear.hears_notice(Notice::Invalidated).await
}
