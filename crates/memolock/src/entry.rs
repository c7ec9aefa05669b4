//! One call with its own options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::PutMode;

use crate::home;
use crate::hub::Hub;
use crate::limits;
use crate::nesting::{self, Nested};
use crate::shared::{Lane, Terms};
use crate::work::{Compute, Trigger, Work, caught};
use crate::{BoxError, Computed, Error, Lease, Memo, Memolock, Source};

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

    /// How long this call's compute or trigger may take. See
    /// [`Builder::compute_timeout`](crate::Builder::compute_timeout). Default: the memolock's.
    pub fn compute_timeout(mut self, compute_timeout: Duration) -> Self {
        self.terms.compute_timeout = Some(compute_timeout);
        self.terms.own_limits = true;
        self
    }

    /// How long the lease is kept if this call takes it. See [`Builder::max_lease`](crate::Builder::max_lease).
    /// Default: the memolock's.
    pub fn max_lease(mut self, max_lease: Duration) -> Self {
        self.terms.limits.max_lease = max_lease;
        self.terms.own_limits = true;
        self
    }

    /// How long callers wait for the program that this call's trigger starts. See
    /// [`Builder::trigger_timeout`](crate::Builder::trigger_timeout). Default: the memolock's.
    pub fn trigger_timeout(mut self, trigger_timeout: Duration) -> Self {
        self.terms.limits.trigger_timeout = trigger_timeout;
        self
    }

    /// The value, computed by `compute` if it is not stored and nobody else is computing it. See
    /// [`Memolock::get_or_compute`]; this says also where the value came from.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn or_compute<F, Fut, E>(self, compute: F) -> Result<Memo<T>, Error>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
    {
        if let Some(memo) = self.near() {
            return Ok(memo);
        }
        let work = |lease| caught(async move { compute(lease).await.map(Computed::new) });
        let work = Compute::new(work, self.terms.compute_timeout);
        self.call(work).await
    }

    /// As [`or_compute`](Entry::or_compute), for a compute that says itself how its value is to be kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn or_compute_with<F, Fut, E>(self, compute: F) -> Result<Memo<T>, Error>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = Result<Computed<T>, E>>,
        E: Into<BoxError>,
    {
        if let Some(memo) = self.near() {
            return Ok(memo);
        }
        let work = |lease| caught(async move { compute(lease).await });
        let work = Compute::new(work, self.terms.compute_timeout);
        self.call(work).await
    }

    /// The value, made by another program: if it is not stored and nobody else is at it, `trigger`
    /// starts that program under our lease, and the call waits until the program has stored the value
    /// and published it. Nothing is polled: without the publication the wait times out.
    ///
    /// The lease is renewed while a caller waits, and for at most the
    /// [`trigger_timeout`](crate::Builder::trigger_timeout). It is released when the value arrives. If no value
    /// arrives in this time, the lease is left to expire, so that a slow program is not started a second time. The
    /// trigger runs again if the value is invalidated while callers wait, or when the lease of a program that did not
    /// answer has expired. In the second case, callers with a compute go first.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Remote`] if the program reports a failure. When the store is failing
    /// this fails: there is no way to hear of the value.
    pub async fn or_external<F, Fut, E>(self, trigger: F) -> Result<Memo<T>, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        if let Some(memo) = self.near() {
            return Ok(memo);
        }
        let work = || caught(async { trigger().await });
        let work = Trigger::new(work, self.terms.compute_timeout);
        self.call(work).await
    }

    /// What every call asks first: before a key, a flight or a future of any size is made.
    fn near(&self) -> Option<Memo<T>> {
        let value = self.memolock.shared().near(self.id)?;
        Some(Memo::new(value, Source::Near))
    }

    /// Runs the call in a task of its own: once begun, it goes on even if every caller leaves, and a
    /// [close](Memolock::close_within) lets it end.
    ///
    /// If the caller's runtime is multi-threaded, the task runs there, so that it does not block a
    /// [home runtime](crate::Builder::runtime) with one thread. Otherwise it runs on the home runtime, since a
    /// `current_thread` runtime runs only while a thread is in its `block_on`. If the runtime shuts down before the
    /// task ends, the task is dropped.
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

    #[allow(clippy::manual_async_fn)] // See `Memolock::call`.
    fn call<'s, W: Work<T>>(
        &'s self,
        work: W,
    ) -> impl Future<Output = Result<Memo<T>, Error>> + use<'s, 'a, T, C, W> {
        async move {
            let Self {
                memolock,
                id,
                terms,
            } = self;
            if terms.own_limits {
                let lease = memolock.shared().hub.policy.lease;
                limits::check(terms, lease).map_err(Error::Config)?;
            }
            let called = memolock.call(Lane::Compute, id, work, terms).await;
            // Only reads end without a value, and this lane has none.
            called.into_result()?.ok_or(Error::Closed)
        }
    }
}

impl<T, C> fmt::Debug for Entry<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("memolock", self.memolock)
            .field("id", &self.id)
            .finish_non_exhaustive()
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
    pub async fn or_compute<F, Fut, E>(self, compute: F) -> Result<Memo<T>, Error>
    where
        F: FnOnce(Lease) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        // No task for what is here already.
        if let Some(memo) = self.entry().near() {
            return Ok(memo);
        }
        let hub = Arc::clone(&self.memolock.shared().hub);
        spawned(&hub, async move { self.entry().or_compute(compute).await }).await
    }

    /// As [`Entry::or_compute_with`], detached.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn or_compute_with<F, Fut, E>(self, compute: F) -> Result<Memo<T>, Error>
    where
        F: FnOnce(Lease) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Computed<T>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        // No task for what is here already.
        if let Some(memo) = self.entry().near() {
            return Ok(memo);
        }
        let hub = Arc::clone(&self.memolock.shared().hub);
        spawned(
            &hub,
            async move { self.entry().or_compute_with(compute).await },
        )
        .await
    }

    /// As [`Entry::or_external`], detached: the lease is renewed until the wait time-out or the trigger time-out
    /// passes, whichever comes first, even if no caller waits any more.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn or_external<F, Fut, E>(self, trigger: F) -> Result<Memo<T>, Error>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        // No task for what is here already.
        if let Some(memo) = self.entry().near() {
            return Ok(memo);
        }
        let hub = Arc::clone(&self.memolock.shared().hub);
        spawned(&hub, async move { self.entry().or_external(trigger).await }).await
    }

    fn entry(&self) -> Entry<'_, T, C> {
        Entry {
            memolock: &self.memolock,
            id: &self.id,
            terms: self.terms,
        }
    }
}

impl<T, C> fmt::Debug for Detached<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached")
            .field("memolock", &self.memolock)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Runs a call in a task of its own, which a close waits for. It is spawned at once, so that the future that waits
/// is small.
fn spawned<T, F>(hub: &Hub, call: F) -> impl Future<Output = Result<Memo<T>, Error>> + use<T, F>
where
    T: Send + Sync + 'static,
    F: Future<Output = Result<Memo<T>, Error>> + Send + 'static,
{
    let task = home::check()
        .map_err(Error::from)
        .and_then(|()| hub.detach(nesting::detached(call)));
    async move {
        let (task, dropped) = task?;
        let nested = Nested::default();
        nested.waits();
        let joined = task.await;
        nested.ends().await;
        match joined {
            Ok(result) => result,
            // A call catches the panics of its user's code, and nothing else of ours panics; so the runtime
            // has shut down. Were it a panic all the same, it is not hidden.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(dropped.into()),
            },
        }
    }
}
