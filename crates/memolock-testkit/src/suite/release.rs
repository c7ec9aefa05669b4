//! Releasing: only by the holder, and told only if there is something to tell.

use futures_util::future::try_join;
use memolock_core::{Acquired, MAX_MESSAGE_BYTES, Notice, PutMode};

use super::case::{Verdict, cases, ensure, equal};
use super::trial::{BRIEF, LEASE, TTL, Trial, bytes, token};

cases!("release":
    the_holder_frees_the_lock,
    r5_a_foreign_lock_is_untouched,
    a_free_lock_is_nobodys,
    an_expired_lease_is_not_released,
    without_a_notice_nobody_is_told,
    every_notice_is_told_as_it_was_said,
    who_is_told_finds_the_lock_free,
    a_value_stays,
);

async fn the_holder_frees_the_lock(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    equal!(t.store.release(&key, ours, None).await?, true, "release");
    t.unlocked(&key).await?;
    equal!(
        t.store.release(&key, ours, None).await?,
        false,
        "a second release"
    );
    let next = t.peer.acquire(&key, token(), LEASE).await?;
    equal!(next, Acquired::Granted, "acquire after the release");
    Ok(())
}

async fn r5_a_foreign_lock_is_untouched(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let mut ear = t.listen(&key).await?;
    for notice in [None, Some(Notice::Released), Some(Notice::failed("no"))] {
        let foreign = t.peer.release(&key, token(), notice.clone()).await?;
        equal!(
            foreign,
            false,
            "release with a foreign token and {notice:?}"
        );
        let foreign = t.store.release(&key, token(), notice).await?;
        equal!(foreign, false, "release with a foreign token");
    }
    t.locked_by(&key, ours).await?;
    t.silent(&key, &mut ear).await
}

async fn a_free_lock_is_nobodys(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ear = t.listen(&key).await?;
    let released = t.store.release(&key, token(), Some(Notice::Released));
    equal!(released.await?, false, "release of a free lock");
    t.silent(&key, &mut ear).await
}

async fn an_expired_lease_is_not_released(t: &Trial) -> Verdict {
    let (key, late, next) = (t.key("a"), token(), token());
    let since = tokio::time::Instant::now();
    t.store.acquire(&key, late, BRIEF).await?;
    t.until_granted(&key, next, since).await?;
    equal!(
        t.store.release(&key, late, None).await?,
        false,
        "a late release"
    );
    t.locked_by(&key, next).await
}

async fn without_a_notice_nobody_is_told(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let mut ear = t.listen(&key).await?;
    equal!(t.store.release(&key, ours, None).await?, true, "release");
    t.silent(&key, &mut ear).await
}

async fn every_notice_is_told_as_it_was_said(t: &Trial) -> Verdict {
    let key = t.key("a");
    let mut ears = [t.listen(&key).await?, t.listen_by(&*t.peer, &key).await?];
    for notice in [
        Notice::Released,
        Notice::Invalidated,
        Notice::failed(""),
        Notice::failed("the database is down: \"ü\" 'x' \\ % $1 {}"),
        Notice::failed("released"),
        Notice::failed(&"x".repeat(MAX_MESSAGE_BYTES)),
        Notice::failed(&"ü".repeat(MAX_MESSAGE_BYTES / 2)),
    ] {
        let ours = t.take(&key).await?;
        let released = t.store.release(&key, ours, Some(notice.clone())).await?;
        ensure!(released, "the holder's release with {notice:?} was refused");
        for ear in &mut ears {
            ear.hears_notice(notice.clone()).await?;
        }
    }
    Ok(())
}

async fn who_is_told_finds_the_lock_free(t: &Trial) -> Verdict {
    for round in 0..20 {
        let key = t.key(&round.to_string());
        let ours = t.take(&key).await?;
        let mut ear = t.listen_by(&*t.peer, &key).await?;
        let listener = async {
            ear.hears_notice(Notice::Released).await?;
            let next = t.peer.acquire(&key, token(), LEASE).await?;
            equal!(
                next,
                Acquired::Granted,
                "acquire by who was told of a release"
            );
            Ok(())
        };
        let holder = async {
            let released = t.store.release(&key, ours, Some(Notice::Released)).await?;
            equal!(released, true, "release");
            Ok(())
        };
        try_join(listener, holder).await?;
    }
    Ok(())
}

async fn a_value_stays(t: &Trial) -> Verdict {
    let key = t.key("a");
    let ours = t.take(&key).await?;
    let resolve = t.peer.put(&key, bytes("v"), TTL, PutMode::Resolve);
    resolve.await?;
    let released = t.store.release(&key, ours, Some(Notice::Released));
    equal!(released.await?, true, "release");
    t.holds(&key, Some("v")).await
}
