//! One call with its own options.

use std::fmt::Display;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::PutMode;

use crate::client::{Lane, Terms};
use crate::work::{Compute, Trigger, Work};
use crate::{Computed, Error, Lease, Memo, Memolock};

/// One call to one id, from [`Memolock::entry`].
#[must_use = "an entry does nothing until one of its or_ methods is awaited"]
pub struct Entry<'a, T, C> {
    memolock: &'a Memolock<T, C>,
    id: &'a str,
    terms: Terms,
}

impl<'a, T: Send + Sync + 'static, C: Codec<T>> Entry<'a, T, C> {
    pub(crate) fn new(memolock: &'a Memolock<T, C>, id: &'a str) -> Self {
        Self {
            memolock,
            id,
            terms: memolock.terms(),
        }
    }

    /// How long the value is kept if this call computes it. Default: the memolock's TTL. Zero means
    /// that it is not stored.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.terms.ttl = ttl;
        self
    }

    /// How long this call waits for anything but its own compute. Default: the memolock's.
    pub fn wait_timeout(mut self, wait_timeout: Duration) -> Self {
        self.terms.wait_timeout = wait_timeout;
        self
    }

    /// The value, computed by `compute` if it is not stored and nobody else is computing it. See
    /// [`Memolock::get_or_compute`]; this says also where the value came from.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn or_compute<F, Fut, R, E>(self, compute: F) -> Result<Memo<T>, Error<E>>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: Into<Computed<T>>,
        E: Display + Send + Sync + 'static,
    {
        self.call(Compute::new(compute)).await
    }

    /// The value, made by another program: if it is not stored and nobody else is at it, `trigger`
    /// starts that program under our lease, and the call waits until the program has stored the value
    /// and published it. Nothing is polled: without the publication the wait times out.
    ///
    /// The lease is renewed while a caller waits. When the value arrives it is released; when the wait
    /// times out it is left to expire, so that a second trigger is not fired over a slow first one.
    /// The trigger runs again only if the promise is invalidated, or the lease lost, while waiting.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Remote`] if the program reports a failure. When the store is failing
    /// this fails: there is no way to hear of the value.
    pub async fn or_external<F, Fut, E>(self, trigger: F) -> Result<Memo<T>, Error<E>>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Display + Send + Sync + 'static,
    {
        self.call(Trigger::new(trigger)).await
    }

    /// Runs the call in a task of its own: once begun, it goes on even if every caller leaves.
    pub fn detach(self) -> Detached<T, C> {
        Detached {
            memolock: self.memolock.clone(),
            id: self.id.to_owned(),
            terms: self.terms,
        }
    }

    /// Stores `value` with this entry's TTL: see [`Memolock::put`].
    ///
    /// # Errors
    /// As for [`Memolock::put`].
    pub async fn put(self, value: &T) -> Result<(), Error> {
        self.store(value, PutMode::Override).await
    }

    /// Stores and publishes `value` as an external program does, leaving the lock to its holder. For
    /// the program that an [`or_external`](Entry::or_external) elsewhere has triggered.
    ///
    /// # Errors
    /// As for [`Memolock::put`].
    pub async fn resolve(self, value: &T) -> Result<(), Error> {
        self.store(value, PutMode::Resolve).await
    }

    async fn store(self, value: &T, mode: PutMode) -> Result<(), Error> {
        self.memolock
            .put_as(self.id, value, self.terms.ttl, mode)
            .await
    }

    async fn call<W: Work<T>>(self, work: W) -> Result<Memo<T>, Error<W::Error>> {
        let found = self
            .memolock
            .call(Lane::Compute, self.id, work, self.terms)
            .await?;
        // Only reads end without a value, and this lane has none.
        found.ok_or(Error::Closed)
    }
}

/// One call in a task of its own, from [`Entry::detach`].
#[must_use = "a detached call does nothing until one of its or_ methods is awaited"]
pub struct Detached<T, C> {
    memolock: Memolock<T, C>,
    id: String,
    terms: Terms,
}

impl<T: Send + Sync + 'static, C: Codec<T>> Detached<T, C> {
    /// As [`Entry::or_compute`]. The task begins when this is first polled; dropping it then ends the
    /// wait and not the work.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn or_compute<F, Fut, R, E>(self, compute: F) -> Result<Memo<T>, Error<E>>
    where
        F: FnOnce(Lease) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Into<Computed<T>> + Send + 'static,
        E: Display + Send + Sync + 'static,
    {
        let Self {
            memolock,
            id,
            terms,
        } = self;
        let hub = std::sync::Arc::clone(&memolock.shared().hub);
        let task = async move {
            let entry = Entry {
                memolock: &memolock,
                id: &id,
                terms,
            };
            entry.or_compute(compute).await
        };
        match hub.tracker.spawn_on(task, &hub.runtime).await {
            Ok(result) => result,
            // Its panics are caught, so the runtime is shutting down.
            Err(_) => Err(Error::Closed),
        }
    }
}
