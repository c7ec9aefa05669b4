//! The client: one kind of memoized call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::{Backend, Inspection, Key, KeyError, Keyspace, Mode, Phase, PutMode};
use tokio::time::Instant;

use crate::builder::Builder;
use crate::called::{Called, Late};
use crate::crew::{Passenger, Pilot, Ride};
use crate::driver::{self, Stopped};
use crate::entry::Entry;
use crate::glance::{Glance, glance};
use crate::home;
use crate::hub::far;
use crate::landing::{decoded, encoded};
use crate::near::{self, Ticket};
use crate::nesting::Nested;
use crate::shared::{Lane, Shared, Terms};
use crate::table::Boarding;
use crate::work::{Read, Work};
use crate::{BoxError, DefaultCodec, Error, Lease, Memo, Stats};

/// One kind of memoized call: values of type `T` under one tag, encoded by the codec `C`.
///
/// Cheap to clone; clones share everything. Two memolocks built apart over the same tag share promises
/// through the store, not within the process: build one and clone it.
///
/// Dropping the last clone ends its tasks; [`close`](Memolock::close) also ends calls under way and
/// waits until their leases are released.
pub struct Memolock<T, C = DefaultCodec> {
    shared: Arc<Shared<T, C>>,
}

impl<T> Memolock<T> {
    /// Begins to build a memolock for `tag` over `backend`, with JSON as its codec:
    /// [`Builder::codec`] takes another. Share one backend among memolocks by cloning it, or as an
    /// [`Arc`].
    pub fn builder(tag: impl Into<String>, backend: impl Backend) -> Builder<T> {
        Builder::new(tag.into(), Arc::new(backend))
    }
}

impl<T: Send + Sync + 'static, C: Codec<T>> Memolock<T, C> {
    pub(crate) fn assemble(shared: Shared<T, C>) -> Self {
        let shared = Arc::new(shared);
        near::start(&shared);
        home::guard(&shared);
        Self { shared }
    }

    /// The value of `id`: from the store, or awaited from whoever is computing it anywhere in the
    /// fleet, or computed by `compute` if nobody is.
    ///
    /// Callers of this process that ask together share one flight: one runs its closure, the others
    /// sleep. The closure may borrow; it is polled within this future. If this future is dropped, a
    /// caller that joined it runs its own closure under the same lease, or else the lease is released.
    /// An error of the closure goes to all callers that had joined; a panic is caught and becomes
    /// [`Error::Panicked`].
    ///
    /// Others of the process depend on this future while it leads: poll it to its end, drop it, or
    /// [`detach`](Entry::detach) the call; one that is kept without being polled keeps its lease and holds
    /// up whoever joined it. A compute must not ask for its own key: it would wait for itself. It may make any other
    /// call; in an outage it then gives up its place among the
    /// [`local_computes`](Builder::local_computes) while it waits.
    ///
    /// # Errors
    /// See [`Error`]. When the store is failing, the default is to compute without it.
    pub async fn get_or_compute<F, Fut, E>(&self, id: &str, compute: F) -> Result<Arc<T>, Error>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
    {
        if let Some(value) = self.shared.near(id) {
            return Ok(value);
        }
        self.entry(id).or_compute(compute).await.map(Memo::into_arc)
    }

    /// One call with its own options.
    pub fn entry<'a>(&'a self, id: &'a str) -> Entry<'a, T, C> {
        Entry::new(self, id)
    }

    /// The value of `id` if it is stored. Never waits for a compute.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store fails, [`Error::Codec`] if what is stored cannot be decoded and the policy is
    /// [`UndecodablePolicy::Fail`](crate::UndecodablePolicy::Fail) (by default such bytes count as no value),
    /// [`Error::Closed`], [`Error::Key`], [`Error::Runtime`], [`Error::Timeout`].
    pub async fn get(&self, id: &str) -> Result<Option<Arc<T>>, Error> {
        if let Some(value) = self.shared.near(id) {
            return Ok(Some(value));
        }
        let terms = self.terms();
        let ended = self.call(Lane::Read, id, Read, &terms).await;
        Ok(ended.into_result()?.map(Memo::into_arc))
    }

    /// Stores `value` for the memolock's TTL and tells whoever waits for it. A compute that is under
    /// way anywhere cannot store its value any more.
    ///
    /// Dropping the future, or an error, leaves it open whether the value was stored.
    ///
    /// # Errors
    /// [`Error::Codec`] if it cannot be encoded, [`Error::Backend`], [`Error::Closed`], [`Error::Key`],
    /// [`Error::Runtime`].
    pub async fn put(&self, id: &str, value: &T) -> Result<(), Error> {
        self.entry(id).put(value).await
    }

    /// Deletes the value. A compute that began before this returned cannot store its value any more,
    /// and a call that begins after it joins none that began before. Waiters start over.
    ///
    /// Dropping the future, or an error, leaves it open whether it took effect.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Closed`], [`Error::Key`], [`Error::Runtime`].
    pub async fn invalidate(&self, id: &str) -> Result<(), Error> {
        let key = self.key(id)?;
        let _retire = Retire::new(&self.shared, id);
        self.bounded(self.shared.hub.store.invalidate(&key)).await
    }

    /// What the store has for `id`: value and lock, seen from outside.
    ///
    /// # Errors
    /// [`Error::Backend`], [`Error::Closed`], [`Error::Key`], [`Error::Runtime`].
    pub async fn inspect(&self, id: &str) -> Result<Inspection, Error> {
        let key = self.key(id)?;
        self.bounded(self.shared.hub.store.inspect(&key)).await
    }

    /// Counters since the memolock was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let hub = &self.shared.hub;
        let mut stats = hub.counters.read(&hub.store, &hub.places);
        stats.near = self
            .shared
            .near
            .as_ref()
            .map(|near| near.stats())
            .unwrap_or_default();
        stats
    }

    /// What is under way now: zero everywhere means that nothing was left behind.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        let Shared {
            hub,
            reads,
            computes,
            ..
        } = &*self.shared;
        InFlight {
            flights: reads.len() + computes.len(),
            leases: hub.heartbeat.len(),
            // Services, such as the heartbeat, are tracked tasks too until the close.
            tasks: hub.tracker.len().saturating_sub(hub.services()),
        }
    }

    /// Whether a [close](Memolock::close_within) has begun, or the home runtime has shut down.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.hub.draining.is_cancelled()
    }

    /// The keyspace: tag and layout.
    #[must_use]
    pub fn keyspace(&self) -> &Keyspace {
        &self.shared.hub.space
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<T, C>> {
        &self.shared
    }

    pub(crate) fn terms(&self) -> Terms {
        self.shared.terms
    }

    pub(crate) fn key(&self, id: &str) -> Result<Key, KeyError> {
        self.shared.hub.space.key(id)
    }

    pub(crate) async fn put_as(
        &self,
        id: &str,
        value: &T,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), Error> {
        if ttl.is_zero() {
            return Err(Error::Config(
                "a TTL of zero: nothing would be stored".into(),
            ));
        }
        let key = self.key(id)?;
        let bytes = match encoded(&self.shared, &key, value) {
            Ok(bytes) => bytes,
            Err(error) => return Err(Error::Codec { key, error }),
        };
        let mut retire = Retire::new(&self.shared, id);
        let store = &self.shared.hub.store;
        let kept = self.shared.ticket(id).map(|ticket| (ticket, bytes.clone()));
        self.bounded(store.put(&key, bytes, ttl, mode)).await?;
        // The caller keeps its value, so the near cache has one of its own: as others will read it.
        retire.put = kept.and_then(|(ticket, bytes)| {
            let value = decoded(&self.shared.codec, &bytes).ok()?;
            Some((ticket, Arc::new(value), ttl))
        });
        Ok(())
    }

    /// The road of every call: lead a flight or join one, and take over when its leader is gone.
    ///
    /// Not an `async fn`, nor is what is below and above it: that keeps its arguments twice
    /// (rust-lang/rust#62958), and tens of thousands of callers may be asleep in here.
    #[allow(clippy::manual_async_fn)]
    pub(crate) fn call<'a, W: Work<T>>(
        &'a self,
        lane: Lane,
        id: &'a str,
        mut work: W,
        terms: &'a Terms,
    ) -> impl Future<Output = Called<T>> + use<'a, T, C, W> {
        async move {
            if let Err(error) = home::check() {
                return Called::Stranded(error);
            }
            let deadline = far(Instant::now(), terms.wait_timeout);
            let nested = Nested::default();
            let shared = &self.shared;
            let store = &*shared.hub.store;
            let mut first = true;
            // Once, unless a flight that it was in must be left before its end.
            let called = loop {
                let computes = W::MODE == Mode::Compute;
                let boarding = match shared.table(lane).board(id, computes, || self.key(id)) {
                    Ok(boarding) => boarding,
                    Err(error) => break Called::Refused(error),
                };
                let (led, mut passenger);
                let (flight, passage) = match boarding {
                    Boarding::Closed => break Called::closed(&shared.hub),
                    Boarding::Lead(flight) => {
                        let wants = terms.wants(W::MODE);
                        let pilot = Pilot::new(shared, lane, Arc::clone(&flight), wants);
                        led = flight;
                        // A timer less, where the store has one of its own.
                        let bounded = first && store.ends_within(terms.wait_timeout);
                        let until = (!bounded).then_some(deadline);
                        // Boxed, because most callers join: their futures stay small.
                        let glanced = Box::pin(glance(pilot, store, until)).await;
                        (&led, glanced.map_err(Late::in_phase))
                    }
                    Boarding::Join(flight, nth) => {
                        shared.hub.counters.joins.add();
                        let patience = terms.wait_timeout;
                        passenger = Passenger::new(shared, lane, (flight, nth), W::MODE, patience);
                        nested.waits();
                        let passage = match passenger.ride(deadline).await {
                            Ride::Settled(settled) => Ok(Glance::Over(settled)),
                            Ride::TimedOut => Err(Late::of(passenger.flight(), Phase::Waiting)),
                            Ride::Overdue => {
                                first = false;
                                continue;
                            }
                            Ride::Seat(mut pilot) => {
                                pilot.adopt(terms.wants(W::MODE));
                                Ok(Glance::Goes(pilot))
                            }
                        };
                        (passenger.flight(), passage)
                    }
                };
                let settled = match passage {
                    Ok(Glance::Over(settled)) => Ok(settled),
                    Ok(Glance::Goes(pilot)) => {
                        let fly = driver::fly(pilot, &mut work, store, deadline, *terms, &nested);
                        match Box::pin(fly).await {
                            Ok(settled) => Ok(settled),
                            Err(Stopped::TimedOut(late)) => Err(late),
                            Err(Stopped::MadeWay) => {
                                first = false;
                                continue;
                            }
                        }
                    }
                    Err(late) => Err(late),
                };
                break match settled {
                    Ok(settled) => Called::settled(settled, || flight.key().clone()),
                    Err(late) => {
                        shared.hub.counters.timeouts.add();
                        Called::TimedOut(flight.key().clone(), late, terms.wait_timeout)
                    }
                };
            };
            // The flight has ended for this caller by now, so it blocks no other while it waits for its place.
            nested.ends().await;
            called
        }
    }

    /// A direct command, ended by a close. Not sent without a runtime.
    async fn bounded<R>(
        &self,
        command: impl Future<Output = Result<R, memolock_core::BackendError>>,
    ) -> Result<R, Error> {
        home::check()?;
        let hub = &self.shared.hub;
        tokio::select! {
            biased;
            () = hub.turned_away() => Err(hub.closed()),
            done = command => Ok(done?),
        }
    }
}

/// When this is dropped, after the command or in the middle of it: calls that begin from then on join no
/// flight that began before.
struct Retire<'a, T, C> {
    shared: &'a Shared<T, C>,
    id: &'a str,
    /// What was put, for the near cache.
    put: Option<(Ticket, Arc<T>, Duration)>,
}

impl<'a, T, C> Retire<'a, T, C> {
    fn new(shared: &'a Shared<T, C>, id: &'a str) -> Self {
        let put = None;
        Self { shared, id, put }
    }
}

impl<T, C> Drop for Retire<'_, T, C> {
    fn drop(&mut self) {
        self.shared.retire(self.id, self.put.take());
    }
}

impl<T, C> Clone for Memolock<T, C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, C> fmt::Debug for Memolock<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memolock")
            .field("tag", self.shared.hub.space.tag())
            .field("backend", &self.shared.hub.store.backend())
            .finish_non_exhaustive()
    }
}

/// What a memolock has under way: see [`Memolock::in_flight`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlight {
    /// Flights that a new caller could join.
    pub flights: usize,
    /// Leases that the heartbeat keeps.
    pub leases: usize,
    /// Leading callers, detached calls and clean-ups.
    pub tasks: usize,
}
