//! What a case works with: two clients of the store, names of its own, and steps that most cases take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use memolock_core::{
    Acquired, Backend, Event, Fulfilled, Inspection, Key, Keyspace, Layout, Notifications, PutMode,
    Remaining, Renewal, Subscription, Tag, Token,
};
use tokio::time::{Instant, sleep};

use super::case::{Stop, Verdict, ensure, equal};
use super::ear::Ear;
use super::{Damage, Harness, Line, Wrapping};
use crate::unique_tag;

/// How long what a case stores lives, where the case is not about that. Long enough for any machine,
/// short enough that nothing stays on a shared server.
pub(crate) const TTL: Duration = Duration::from_secs(60);

/// How long leases last, where the case is not about that.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// What expires during a case.
pub(crate) const BRIEF: Duration = Duration::from_millis(150);

/// Between two looks at what must change.
const LOOK: Duration = Duration::from_millis(10);

/// One case's clients and names.
pub(crate) struct Trial {
    pub(crate) harness: Arc<dyn Harness>,
    pub(crate) wrapping: Wrapping,
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) peer: Arc<dyn Backend>,
    pub(crate) space: Keyspace,
    pub(crate) patience: Duration,
}

/// A keyspace that nobody else uses, in the layout in which the backend is atomic.
pub(crate) fn own_space(
    layout: Layout,
    notifications: Notifications,
    name: &str,
) -> Result<Keyspace, Stop> {
    named_space(layout, notifications, &unique_tag(name))
}

fn named_space(layout: Layout, notifications: Notifications, tag: &str) -> Result<Keyspace, Stop> {
    let tag = Tag::new(tag).map_err(|error| Stop::failed(error.to_string()))?;
    let space = Keyspace::new(tag, layout).map_err(|error| Stop::failed(error.to_string()))?;
    Ok(space.with_notifications(notifications))
}

/// A token that no other case has.
pub(crate) fn token() -> Token {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = u128::from(CALLS.fetch_add(1, Ordering::Relaxed));
    // Spread over all digits, so that one that is cut short or compared in part is found out.
    Token::from_bits(call.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// What is told in two ways and heard in both, heard once: the second of two in a row that say the same is dropped.
fn once(told: Subscription) -> Subscription {
    let mut last = None;
    let first = move |event: &Event| {
        let again = last.take().is_some_and(|last| last == *event);
        if !again && matches!(event, Event::Message(_)) {
            last = Some(event.clone());
        }
        std::future::ready(!again)
    };
    Box::pin(told.filter(first))
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

impl Trial {
    /// A key of this case.
    pub(crate) fn key(&self, id: &str) -> Key {
        self.space
            .key(id)
            .expect("ids of cases are short, and hostile ones are made elsewhere")
    }

    /// A keyspace whose tag is this case's, with `more` appended.
    pub(crate) fn space_beside(&self, more: &str) -> Verdict<Keyspace> {
        let tag = format!("{}{more}", self.space.tag());
        named_space(self.space.layout(), self.space.notifications(), &tag)
    }

    /// A client that the case may close.
    pub(crate) async fn spare(&self) -> Verdict<Arc<dyn Backend>> {
        let spare = self.harness.spare().await?;
        Ok(self.wrapping.wrap(spare))
    }

    /// A client whose line can be cut, or the case is skipped.
    pub(crate) async fn breakable(&self) -> Verdict<(Arc<dyn Backend>, Box<dyn Line>)> {
        match self.harness.breakable().await? {
            Some(breakable) => Ok((self.wrapping.wrap(breakable.client), breakable.line)),
            None => Err(Stop::skipped("the harness has no breakable client")),
        }
    }

    /// Does damage, or the case is skipped.
    pub(crate) async fn damage(&self, key: &Key, damage: Damage) -> Verdict {
        match self.harness.damage(key, damage).await? {
            true => Ok(()),
            false => {
                let why = format!("this store, or its harness, knows no {damage:?}");
                Err(Stop::skipped(why))
            }
        }
    }

    pub(crate) async fn put(&self, key: &Key, value: &str) -> Verdict {
        let put = self.store.put(key, bytes(value), TTL, PutMode::Override);
        Ok(put.await?)
    }

    /// The value, as text.
    pub(crate) async fn value(&self, key: &Key) -> Verdict<Option<String>> {
        let value = self.store.get(key).await?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    /// The value is this one, to both clients.
    pub(crate) async fn holds(&self, key: &Key, expected: Option<&str>) -> Verdict {
        for (who, client) in [("", &self.store), (" of another client", &self.peer)] {
            let value = client.get(key).await?;
            let expected = expected.map(bytes);
            equal!(value, expected, "a get{who}");
        }
        Ok(())
    }

    /// Takes the lease of a key that is free.
    pub(crate) async fn take(&self, key: &Key) -> Verdict<Token> {
        let token = token();
        let acquired = self.store.acquire(key, token, LEASE).await?;
        equal!(acquired, Acquired::Granted, "acquiring a free lock");
        Ok(token)
    }

    pub(crate) async fn fulfil(&self, key: &Key, token: Token, value: &str) -> Verdict<Fulfilled> {
        Ok(self.store.fulfil(key, token, bytes(value), TTL).await?)
    }

    pub(crate) async fn renew_one(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Verdict<bool> {
        let renewal = Renewal {
            key: key.clone(),
            token,
            lease,
        };
        let answers = self.store.renew(&[renewal]).await?;
        equal!(answers.len(), 1, "answers to one renewal");
        Ok(answers[0])
    }

    pub(crate) async fn inspect(&self, key: &Key) -> Verdict<Inspection> {
        Ok(self.store.inspect(key).await?)
    }

    /// There is no lock, to both clients.
    pub(crate) async fn unlocked(&self, key: &Key) -> Verdict {
        for client in [&self.store, &self.peer] {
            let lock = client.inspect(key).await?.lock;
            ensure!(lock.is_none(), "there is still a lock: {lock:?}");
        }
        Ok(())
    }

    /// The lock is there and its holder is `token`.
    pub(crate) async fn locked_by(&self, key: &Key, token: Token) -> Verdict {
        let lock = self.inspect(key).await?.lock;
        let holder = lock.as_ref().map(|lock| lock.holder.clone());
        equal!(holder, Some(bytes(&token.to_wire())), "the lock's holder");
        Ok(())
    }

    /// A listener to the key, by this client.
    pub(crate) async fn listen(&self, key: &Key) -> Verdict<Ear> {
        self.listen_by(&*self.store, key).await
    }

    pub(crate) async fn listen_by(&self, client: &dyn Backend, key: &Key) -> Verdict<Ear> {
        let subscription = client.subscribe(key).await?;
        let subscription = match key.space().notifications() {
            Notifications::Both => once(subscription),
            _ => subscription,
        };
        Ok(Ear::new(subscription, self.patience))
    }

    /// Listeners have heard nothing since: the next they hear is what is told now.
    pub(crate) async fn silent(&self, key: &Key, ear: &mut Ear) -> Verdict {
        self.put(key, "a fence").await?;
        ear.hears_value("a fence").await
    }

    /// Waits until the value is gone; says how long it stayed, to this side's clock.
    pub(crate) async fn until_gone(&self, key: &Key, since: Instant) -> Verdict<Duration> {
        while self.store.get(key).await?.is_some() {
            ensure!(
                since.elapsed() < self.patience,
                "the value did not expire within {:?}",
                self.patience
            );
            sleep(LOOK).await;
        }
        Ok(since.elapsed())
    }

    /// Waits until the lock can be taken; says how long that took.
    pub(crate) async fn until_granted(
        &self,
        key: &Key,
        token: Token,
        since: Instant,
    ) -> Verdict<Duration> {
        loop {
            match self.store.acquire(key, token, LEASE).await? {
                Acquired::Granted => return Ok(since.elapsed()),
                Acquired::Value(_) => return Err(Stop::failed("a value where there is none")),
                Acquired::Held(_) => {}
            }
            ensure!(
                since.elapsed() < self.patience,
                "the lease did not expire within {:?}",
                self.patience
            );
            sleep(LOOK).await;
        }
    }

    /// Waits until a client listens to nothing.
    pub(crate) async fn until_nobody_listens(&self, client: &dyn Backend) -> Verdict {
        let since = Instant::now();
        loop {
            let left = client.stats().subscriptions;
            if left == 0 {
                return Ok(());
            }
            ensure!(
                since.elapsed() < self.patience,
                "{left} subscriptions are left that nobody listens to"
            );
            sleep(LOOK).await;
        }
    }
}

/// The remaining time, which is at most `most` and more than `least`.
pub(crate) fn within(what: &str, left: Remaining, least: Duration, most: Duration) -> Verdict {
    let Remaining::Expires(left) = left else {
        return Err(Stop::failed(format!("{what} never expires")));
    };
    ensure!(
        left <= most && left > least,
        "{what} expires in {left:?}, expected above {least:?} and at most {most:?}"
    );
    Ok(())
}
