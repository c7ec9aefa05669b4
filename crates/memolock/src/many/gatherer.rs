//! The gatherer: takes what the flights of one call ask in one round, so that it is sent together.
//!
//! A flight asks and sleeps until its answer is there. Once all flights of the call sleep, what they have
//! asked is taken out as errands, one of each kind, and whoever runs an errand answers all who asked. What
//! nobody waits for any more when errands are taken is left out: a flight that ended between has given its
//! lease back, and must not take it after that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use memolock_core::{
    Acquired, Attempt, BackendError, ErrorKind, Fulfilled, Fulfilment, Key, Operation, Token,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::commands::{Commands, Found, place};
use crate::nesting::Place;
use crate::places::Places;
use crate::work::Ended;
use crate::{Computed, Lease};

/// What the flights of one call have asked and not been answered.
pub(crate) struct Gatherer<T> {
    asked: Mutex<Asked<T>>,
    /// The place of those that compute without a lease: one for all, since they compute together.
    place: Mutex<Weak<Place>>,
    /// One of them queues for it.
    queue: tokio::sync::Mutex<()>,
}

struct Asked<T> {
    gets: Asks<Key, Got>,
    acquires: Asks<Attempt, Tried>,
    fulfils: Asks<Fulfilment, Stored>,
    computes: Asks<Lease, Ended<Computed<T>>>,
}

type Asks<Q, A> = Vec<Ask<Q, A>>;
type Got = Result<Option<Bytes>, BackendError>;
type Tried = Result<Acquired, BackendError>;
type Stored = Result<Fulfilled, BackendError>;

/// A question, and who waits for the answer.
struct Ask<Q, A> {
    question: Q,
    reply: oneshot::Sender<A>,
}

/// Questions of one kind, to be answered together.
pub(crate) enum Errand<T> {
    Get(Questions<Key, Got>),
    Acquire(Questions<Attempt, Tried>),
    Fulfil(Questions<Fulfilment, Stored>),
    /// The leases that were won.
    Compute(Questions<Lease, Ended<Computed<T>>>),
}

/// What was asked, and where each answer goes.
pub(crate) struct Questions<Q, A> {
    pub(crate) asked: Vec<Q>,
    pub(crate) replies: Replies<A>,
}

/// Where answers go, in the order of what was asked.
pub(crate) struct Replies<A>(Vec<oneshot::Sender<A>>);

impl<A> Replies<A> {
    /// Answers all. Who has left meanwhile does without.
    pub(crate) fn answer(self, answers: impl IntoIterator<Item = A>) {
        for (reply, answer) in self.0.into_iter().zip(answers) {
            let _ = reply.send(answer);
        }
    }

    /// Waits until nobody waits for an answer any more. Cancel-safe.
    pub(crate) async fn left(&mut self) {
        for reply in &mut self.0 {
            reply.closed().await;
        }
    }
}

impl<T> Gatherer<T> {
    pub(crate) fn new() -> Self {
        Self {
            asked: Mutex::new(Asked {
                gets: Vec::new(),
                acquires: Vec::new(),
                fulfils: Vec::new(),
                computes: Vec::new(),
            }),
            place: Mutex::default(),
            queue: tokio::sync::Mutex::default(),
        }
    }

    /// What was asked since the last time, and is still waited for.
    pub(crate) fn errands(&self) -> Vec<Errand<T>> {
        let mut asked = self.lock();
        let errands = [
            taken(&mut asked.gets).map(Errand::Get),
            taken(&mut asked.acquires).map(Errand::Acquire),
            taken(&mut asked.fulfils).map(Errand::Fulfil),
            taken(&mut asked.computes).map(Errand::Compute),
        ];
        errands.into_iter().flatten().collect()
    }

    /// The work under a lease that was won. None if it will never be done.
    pub(crate) async fn compute(&self, lease: Lease) -> Option<Ended<Computed<T>>> {
        let answer = ask(&mut self.lock().computes, lease);
        answer.await.ok()
    }

    /// The place of those that compute without a lease, if there is one.
    pub(crate) fn placed(&self) -> Option<Arc<Place>> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.upgrade().filter(|place| place.is_kept())
    }

    fn lock(&self) -> MutexGuard<'_, Asked<T>> {
        // No code that can panic runs under the lock.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Commands for Gatherer<T> {
    async fn get(&self, key: &Key) -> Got {
        let answer = ask(&mut self.lock().gets, key.clone());
        answer.await.unwrap_or_else(|_| left(Operation::Get, key))
    }

    /// Without the time: this is asked only where a look for all of them was lost, and the near cache asks itself
    /// how long a copy is good.
    async fn get_timed(&self, key: &Key) -> Result<Found, BackendError> {
        let found = self.get(key).await?;
        Ok(found.map(|value| (value, None)))
    }

    async fn acquire(&self, key: &Key, token: Token, lease: Duration) -> Tried {
        let attempt = Attempt {
            key: key.clone(),
            token,
            lease,
        };
        let answer = ask(&mut self.lock().acquires, attempt);
        answer
            .await
            .unwrap_or_else(|_| left(Operation::Acquire, key))
    }

    async fn fulfil(&self, key: &Key, token: Token, value: Bytes, ttl: Duration) -> Stored {
        let fulfilment = Fulfilment {
            key: key.clone(),
            token,
            value,
            ttl,
        };
        let answer = ask(&mut self.lock().fulfils, fulfilment);
        answer
            .await
            .unwrap_or_else(|_| left(Operation::Fulfil, key))
    }

    async fn place(&self, places: &Arc<Places>, timeout: Duration) -> Arc<Place> {
        let since = Instant::now();
        let _first = self.queue.lock().await;
        if let Some(place) = self.placed() {
            return place;
        }
        let place = place(places, since, timeout).await;
        let mut shared = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Arc::downgrade(&place);
        place
    }
}

fn ask<Q, A>(asks: &mut Asks<Q, A>, question: Q) -> oneshot::Receiver<A> {
    let (reply, answer) = oneshot::channel();
    asks.push(Ask { question, reply });
    answer
}

fn taken<Q, A>(asks: &mut Asks<Q, A>) -> Option<Questions<Q, A>> {
    let asks = std::mem::take(asks).into_iter();
    let wanted = asks.filter(|ask| !ask.reply.is_closed());
    let (asked, replies): (Vec<Q>, _) = wanted.map(|ask| (ask.question, ask.reply)).unzip();
    (!asked.is_empty()).then_some(Questions {
        asked,
        replies: Replies(replies),
    })
}

/// Errands are answered whole, so this is not reached; if it were, a flight would try again and not panic.
fn left<A>(operation: Operation, key: &Key) -> Result<A, BackendError> {
    let why = "the command was left unanswered";
    Err(BackendError::new(ErrorKind::Unavailable, operation, why).on(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use memolock_core::{Keyspace, Layout, Tag};

    fn key(id: &str) -> Key {
        let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::Classic).unwrap();
        space.key(id).unwrap()
    }

    #[tokio::test]
    async fn what_is_asked_in_one_round_is_one_errand_and_each_has_its_answer() {
        let gatherer = Gatherer::<u32>::new();
        let (a, b) = (key("a"), key("b"));
        let asked = async { tokio::join!(gatherer.get(&a), gatherer.get(&b)) };
        let answered = async {
            let mut errands = gatherer.errands();
            let Some(Errand::Get(Questions { asked, replies })) = errands.pop() else {
                panic!("no get");
            };
            assert!(errands.is_empty() && gatherer.errands().is_empty());
            let ids = asked.iter().map(|key| Bytes::from(key.id().to_owned()));
            replies.answer(ids.map(|id| Ok(Some(id))));
        };
        let ((a, b), ()) = tokio::join!(asked, answered);
        assert_eq!((a, b), (Ok(Some("a".into())), Ok(Some("b".into()))));
    }

    /// R5: its flight is over, and its lease was given back already. To take it now would be for nobody.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_never_sent() {
        let gatherer = Gatherer::<u32>::new();
        let (a, b) = (key("a"), key("b"));
        let lease = Duration::from_secs(1);
        let left = gatherer.acquire(&a, Token::from_bits(1), lease);
        assert!(left.now_or_never().is_none());
        assert!(gatherer.errands().is_empty(), "dropped before it was sent");
        let left = gatherer.acquire(&a, Token::from_bits(1), lease);
        let mut stays = Box::pin(gatherer.acquire(&b, Token::from_bits(2), lease));
        assert!(left.now_or_never().is_none() && (&mut stays).now_or_never().is_none());
        let Some(Errand::Acquire(Questions { asked, .. })) = gatherer.errands().pop() else {
            panic!("no acquire");
        };
        assert_eq!(asked.iter().map(|t| t.key.id()).collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn one_place_is_shared_and_given_back_with_the_last_who_has_it() {
        let (gatherer, places) = (Gatherer::<u32>::new(), Places::new(1));
        let forever = Duration::MAX;
        let one = gatherer.place(&places, forever).await;
        let other = gatherer.place(&places, forever).await;
        assert!(Arc::ptr_eq(&one, &other));
        let is_free = || {
            place(&places, Instant::now(), forever)
                .now_or_never()
                .is_some()
        };
        assert!(!is_free());
        drop(one);
        assert!(!is_free());
        drop(other);
        assert!(is_free());
        gatherer.place(&places, forever).await;
    }
}
