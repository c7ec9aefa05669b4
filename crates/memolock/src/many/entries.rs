//! A call for many ids with its own options.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::{Key, Phase};
use tokio::time::{Instant, timeout_at};

use super::Many;
use super::batch::{Part, Values};
use super::gatherer::Gatherer;
use super::look::{Looked, look, read};
use super::voyage::{board, run, travel};
use crate::called::{Called, Late};
use crate::home;
use crate::hub::far;
use crate::limits;
use crate::nesting::Nested;
use crate::shared::Terms;
use crate::work::{Ended, caught};
use crate::{BoxError, Computed, Error, Lease, Memo, Memolock, Source};

/// One call for many ids, from [`Memolock::entries`].
#[must_use = "entries do nothing until one of their methods is awaited"]
pub struct Entries<'a, T, C> {
    memolock: &'a Memolock<T, C>,
    ids: Vec<String>,
    terms: Terms,
}

impl<'a, T: Send + Sync + 'static, C: Codec<T>> Entries<'a, T, C> {
    pub(crate) fn new(memolock: &'a Memolock<T, C>, ids: Vec<String>) -> Self {
        Self {
            memolock,
            ids,
            terms: memolock.terms(),
        }
    }

    /// How long values are kept that this call computes, unless the compute says otherwise for one of them.
    /// Default: the memolock's TTL. Zero means that they are not stored.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.terms.ttl = ttl;
        self
    }

    /// How long this call waits for anything but its own compute. An id that is not there by then has the
    /// error [`Error::Timeout`]; the others are not touched by that. Default: the memolock's.
    pub fn wait_timeout(mut self, wait_timeout: Duration) -> Self {
        self.terms.wait_timeout = wait_timeout;
        self
    }

    /// How long one compute of this call may take. See [`Builder::compute_timeout`](crate::Builder::compute_timeout).
    /// It is for all ids of the batch together. Default: the memolock's.
    pub fn compute_timeout(mut self, compute_timeout: Duration) -> Self {
        self.terms.compute_timeout = Some(compute_timeout);
        self.terms.own_limits = true;
        self
    }

    /// How long the leases of this call are kept. See [`Builder::max_lease`](crate::Builder::max_lease). Default: the
    /// memolock's.
    pub fn max_lease(mut self, max_lease: Duration) -> Self {
        self.terms.limits.max_lease = max_lease;
        self.terms.own_limits = true;
        self
    }

    /// The values that are stored. See [`Memolock::get_many`]; this says also where each came from.
    pub async fn get(self) -> Many<Option<Memo<T>>> {
        let shared = self.memolock.shared();
        let asked = Asked::new(self.memolock, &self.ids);
        let deadline = far(Instant::now(), self.terms.wait_timeout);
        let mut called = asked.ended;
        match self
            .look(&asked.keys, deadline, shared.hub.policy.attempts)
            .await
        {
            Ok(looked) => {
                for ((nth, key), looked) in asked.keys.into_iter().zip(looked) {
                    let settled = read(shared, &key, looked);
                    called[nth] = Some(Called::settled(settled, || key));
                }
            }
            Err(early) => early.ends(&asked.keys, &mut called, self.terms),
        }
        self.answers(&asked.nths, &called, |answer| answer)
    }

    /// The values, those that are missing computed by `compute`, in one call for all that nobody else is
    /// computing. See [`Memolock::get_or_compute_many`]; here a value may also be a [`Computed`], which says
    /// how it is to be kept.
    ///
    /// ```
    /// # use memolock::{Computed, Memolock, memory::MemoryBackend};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let likes: Memolock<u64> = Memolock::builder("likes", MemoryBackend::new()).build().await?;
    /// let entries = likes.entries(["anna", "olaf"]).wait_timeout(Duration::from_secs(2));
    /// let all = entries.or_compute(async |ids: Vec<String>| {
    ///     let brief = |id| (id, Computed::new(42).ttl(Duration::from_secs(1)));
    ///     Ok::<_, std::io::Error>(ids.into_iter().map(brief).collect::<Vec<_>>())
    /// });
    /// assert_eq!(all.await.into_result()?.len(), 2);
    /// # likes.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn or_compute<F, Fut, R, K, V, E>(self, compute: F) -> Many<Memo<T>>
    where
        F: Fn(Vec<String>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<Computed<T>>,
        E: Into<BoxError>,
    {
        let ids = |leases: &[Lease]| {
            leases
                .iter()
                .map(|lease| lease.key().id().to_owned())
                .collect()
        };
        self.or_compute_with(|leases| compute(ids(&leases))).await
    }

    /// As [`or_compute`](Entries::or_compute), for a compute that wants its leases: to renew those of a
    /// memolock with a fixed lease, to stop early, or to see whether there are any. Each lease
    /// [says](Lease::key) whose it is.
    pub async fn or_compute_with<F, Fut, R, K, V, E>(self, compute: F) -> Many<Memo<T>>
    where
        F: Fn(Vec<Lease>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        R: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<Computed<T>>,
        E: Into<BoxError>,
    {
        if self.terms.own_limits {
            let lease = self.memolock.shared().hub.policy.lease;
            if let Err(what) = limits::check(&self.terms, lease) {
                let refused = |id| (id, Err(Error::Config(what.clone())));
                return Many::new(self.ids.into_iter().map(refused).collect());
            }
        }
        let compute = &compute;
        let work = |leases| {
            caught(async move {
                let values = compute(leases).await?;
                let values = values.into_iter().map(|(id, v)| (id.into(), v.into()));
                Ok::<Values<T>, E>(values.collect())
            })
        };
        let asked = Asked::new(self.memolock, &self.ids);
        let nths = asked.nths;
        let called = self.call(asked.keys, asked.ended, work).await;
        // Only reads end without a value.
        self.answers(&nths, &called, |answer| answer?.ok_or(Error::Closed))
    }

    /// The road of all ids: those that are not stored are led or joined, and driven together.
    async fn call<R, Fut>(
        &self,
        keys: Vec<(usize, Key)>,
        mut called: Vec<Option<Called<T>>>,
        compute: R,
    ) -> Vec<Option<Called<T>>>
    where
        R: Fn(Vec<Lease>) -> Fut,
        Fut: Future<Output = Ended<Values<T>>>,
    {
        let (shared, terms) = (self.memolock.shared(), self.terms);
        let deadline = far(Instant::now(), terms.wait_timeout);
        // Once: a flight whose look was lost looks again itself, with all others of its kind.
        let looked = match self.look(&keys, deadline, 1).await {
            Ok(looked) => looked,
            Err(early) => {
                early.ends(&keys, &mut called, terms);
                return called;
            }
        };
        let gatherer = Gatherer::new();
        let nested = Nested::default();
        let mut tickets = Vec::new();
        for ((nth, key), looked) in keys.iter().zip(looked) {
            match looked {
                Looked::Found(settled) => {
                    called[*nth] = Some(Called::settled(settled, || key.clone()));
                }
                Looked::Missing(reply) => {
                    let reply = reply.map(|()| None);
                    tickets.push((*nth, board(shared, key, terms, reply)));
                }
                // The flight's sieve counts it.
                Looked::PassedOver(bytes, _) => {
                    tickets.push((*nth, board(shared, key, terms, Ok(Some(bytes)))));
                }
            }
        }
        let flights = tickets.into_iter().map(|(nth, ticket)| {
            let part = Part {
                gatherer: &gatherer,
            };
            let travel = travel(shared, ticket, part, deadline, terms, &nested);
            async move { (nth, travel.await) }
        });
        let timeouts = &shared.hub.counters.timeouts;
        run(
            flights,
            &gatherer,
            &shared.hub.store,
            (compute, terms.compute_timeout),
            |(nth, end)| {
                if matches!(end, Called::TimedOut(..)) {
                    timeouts.add();
                }
                called[nth] = Some(end);
            },
        )
        .await;
        nested.ends().await;
        called
    }

    /// The first look, ended by a close and by the deadline.
    async fn look(
        &self,
        keys: &[(usize, Key)],
        deadline: Instant,
        times: u8,
    ) -> Result<Vec<Looked<T>>, Early<T>> {
        let shared = self.memolock.shared();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if let Err(error) = home::check() {
            return Err(Early::Ended(Called::Stranded(error)));
        }
        let keys: Vec<Key> = keys.iter().map(|(_, key)| key.clone()).collect();
        tokio::select! {
            biased;
            () = shared.hub.turned_away() => Err(Early::Ended(Called::closed(&shared.hub))),
            looked = timeout_at(deadline, look(shared, &keys, times)) => match looked {
                Ok(looked) => Ok(looked),
                Err(_) => {
                    keys.iter().for_each(|_| shared.hub.counters.timeouts.add());
                    Err(Early::TimedOut)
                }
            },
        }
    }

    /// Brings the ends in the order asked.
    fn answers<A>(
        self,
        nths: &[usize],
        called: &[Option<Called<T>>],
        of: impl Fn(Result<Option<Memo<T>>, Error>) -> Result<A, Error>,
    ) -> Many<A> {
        let answers = self.ids.into_iter().zip(nths).map(|(id, nth)| {
            // Each id has an end by now; one without would have been closed over.
            let end = called[*nth].clone().unwrap_or(Called::Closed);
            (id, of(end.into_result()))
        });
        Many::new(answers.collect())
    }
}

/// Why there was no look.
enum Early<T> {
    Ended(Called<T>),
    TimedOut,
}

impl<T> Early<T> {
    fn ends(&self, keys: &[(usize, Key)], called: &mut [Option<Called<T>>], terms: Terms) {
        for (nth, key) in keys {
            called[*nth] = Some(match self {
                Self::Ended(end) => end.clone(),
                Self::TimedOut => {
                    let late = Late::in_phase(Phase::Probing);
                    Called::TimedOut(key.clone(), late, terms.wait_timeout)
                }
            });
        }
    }
}

/// What is asked for, each id once.
struct Asked<T> {
    /// The how many-th end is that of each id.
    nths: Vec<usize>,
    /// Keys, with the place of their ends.
    keys: Vec<(usize, Key)>,
    /// The ends of ids that cannot be used, or are in the near cache; none where the end is to come.
    ended: Vec<Option<Called<T>>>,
}

impl<T: Send + Sync + 'static> Asked<T> {
    fn new<C: Codec<T>>(memolock: &Memolock<T, C>, ids: &[String]) -> Self {
        let mut seen = HashMap::with_capacity(ids.len());
        let mut asked = Self {
            nths: Vec::with_capacity(ids.len()),
            keys: Vec::with_capacity(ids.len()),
            ended: Vec::with_capacity(ids.len()),
        };
        for id in ids {
            let nth = *seen.entry(id.as_str()).or_insert_with(|| {
                let nth = asked.ended.len();
                asked.ended.push(match memolock.key(id) {
                    // What is here already is asked for nowhere.
                    Ok(key) => match memolock.shared().near(id) {
                        Some(value) => Some(Called::Found(Some(Memo::new(value, Source::Near)))),
                        None => {
                            asked.keys.push((nth, key));
                            None
                        }
                    },
                    Err(error) => Some(Called::Refused(error)),
                });
                nth
            });
            asked.nths.push(nth);
        }
        asked
    }
}

impl<T, C> fmt::Debug for Entries<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("memolock", self.memolock)
            .field("ids", &self.ids.len())
            .finish_non_exhaustive()
    }
}
