//! How a memolock is built.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::{
    Backend, Entropy, FailurePolicy, Keyspace, Layout, Notifications, OutagePolicy, Policy, Tag,
};
use tokio::runtime::Handle;

use crate::codec_check::CodecCheck;
use crate::hub::{Bounds, Hub};
use crate::near::Near;
use crate::remembered::{self, Limits, Remembered};
use crate::shared::{Shared, Terms};
use crate::store::Store;
use crate::tags;
use crate::transfer;
use crate::undecodable::{UndecodablePolicy, Unreadable};
use crate::{CircuitBreaker, DefaultCodec, Error, Memolock, NearCache, OsEntropy};

/// Below this a lease is lost to an ordinary pause of a process.
const SHORTEST_LEASE: Duration = Duration::from_millis(50);

/// The shortest time that a store keeps anything.
const SHORTEST: Duration = Duration::from_millis(1);

/// Settings of a [`Memolock`]; from [`Memolock::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T, C = DefaultCodec> {
    tag: String,
    backend: Arc<dyn Backend>,
    codec: C,
    check_codec: bool,
    layout: Option<Layout>,
    notifications: Notifications,
    ttl: Duration,
    wait_timeout: Duration,
    policy: Policy,
    renews: bool,
    local_computes: usize,
    max_value_bytes: usize,
    large_bytes: usize,
    breaker: CircuitBreaker,
    stale: Limits,
    undecodable: UndecodablePolicy,
    near: Option<NearCache<T>>,
    entropy: Box<dyn Entropy + Send>,
    values: PhantomData<fn() -> T>,
}

impl<T> Builder<T> {
    pub(crate) fn new(tag: String, backend: Arc<dyn Backend>) -> Self {
        Self {
            tag,
            backend,
            codec: DefaultCodec::default(),
            check_codec: cfg!(debug_assertions),
            layout: None,
            notifications: Notifications::default(),
            ttl: Duration::from_secs(60),
            wait_timeout: Duration::from_secs(30),
            policy: Policy::default(),
            renews: true,
            local_computes: 64,
            max_value_bytes: 64 << 20,
            large_bytes: transfer::LARGE,
            breaker: CircuitBreaker::new(),
            stale: remembered::DEFAULT,
            undecodable: UndecodablePolicy::default(),
            near: None,
            entropy: Box::new(OsEntropy),
            values: PhantomData,
        }
    }
}

impl<T, C> Builder<T, C> {
    /// How values become bytes. Default: JSON, which every language reads.
    pub fn codec<D>(self, codec: D) -> Builder<T, D> {
        Builder {
            codec,
            check_codec: self.check_codec,
            tag: self.tag,
            backend: self.backend,
            layout: self.layout,
            notifications: self.notifications,
            ttl: self.ttl,
            wait_timeout: self.wait_timeout,
            policy: self.policy,
            renews: self.renews,
            local_computes: self.local_computes,
            max_value_bytes: self.max_value_bytes,
            large_bytes: self.large_bytes,
            breaker: self.breaker,
            stale: self.stale,
            undecodable: self.undecodable,
            near: self.near,
            entropy: self.entropy,
            values: PhantomData,
        }
    }

    /// Whether each value that is encoded is decoded again and compared with what it was. Some formats write values that they
    /// cannot read, or that come back as something else: [`Codec::difference`] says what is compared, and the
    /// README of `memolock-codec` has a table of them. The first value that does not come back is logged as a
    /// WARN, and later ones are not checked. The check refuses no value. Values above 1 MiB are not checked.
    ///
    /// Default: on in builds with debug assertions, off in others, because it costs a decoding of each
    /// value that is stored.
    pub fn check_codec(mut self, on: bool) -> Self {
        self.check_codec = on;
        self
    }

    /// How long values are kept. Default: 60 s, because a cache that forgets is safer than one that
    /// does not. At least 1 ms; at most 100 years, to which longer ones are cut.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long a call waits for anything but its own compute. Default: 30 s, below the usual time-out
    /// of an HTTP gateway. At least 1 ms: a call that waits shorter finds nothing in a store across a network.
    pub fn wait_timeout(mut self, wait_timeout: Duration) -> Self {
        self.wait_timeout = wait_timeout;
        self
    }

    /// How long a lease lasts unless renewed. Default: 5 s: what a crash costs, since the heartbeat
    /// renews it at a third of that while the work lives. At least 50 ms, or ordinary pauses of a
    /// process would lose it.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.policy.lease = lease;
        self
    }

    /// Leases of fixed length: no heartbeat, the compute renews by
    /// [`Lease::renew`](crate::Lease::renew) or loses it. Default: off.
    pub fn fixed_lease(mut self) -> Self {
        self.renews = false;
        self
    }

    /// What waiters do when a holder elsewhere fails. Default: [`FailurePolicy::Retry`].
    pub fn on_remote_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy.failures = policy;
        self
    }

    /// What calls do when the store is failing. Default: [`OutagePolicy::Compute`].
    pub fn on_outage(mut self, policy: OutagePolicy) -> Self {
        self.policy.outage = policy;
        self
    }

    /// What calls do when a stored value cannot be decoded, because another program wrote it, or a release with another
    /// type. Default: [`UndecodablePolicy::Recompute`]. Counted in [`Stats::undecodable`](crate::Stats::undecodable) and
    /// logged once a minute for a tag, by either policy.
    ///
    /// A call computes once at most, so a codec that cannot read what it wrote itself costs one compute a call, and no
    /// loop. In [`or_external`](crate::Entry::or_external), bytes that the program stores and that cannot be decoded are
    /// the error of the call. A backend without [`Backend::acquire_over`] cannot replace what is stored: its callers get
    /// an error.
    pub fn on_undecodable(mut self, policy: UndecodablePolicy) -> Self {
        self.undecodable = policy;
        self
    }

    /// How many values are remembered for [`OutagePolicy::Serve`]; the one not asked for the longest goes
    /// first. Default: 1,000, since they are held in memory decoded. At least 1.
    pub fn stale_entries(mut self, most: NonZero<usize>) -> Self {
        self.stale.most = most;
        self
    }

    /// How old a value may be that [`OutagePolicy::Serve`] serves, counted from when it was last known to be
    /// good. Default: 1 h, which is longer than most outages.
    pub fn stale_age(mut self, age: Duration) -> Self {
        self.stale.age = age;
        self
    }

    /// How many computes may run at once without a lease while the store is failing. Default: 64, so
    /// that what is behind the cache is not hit by the whole load at once. At least 1.
    ///
    /// Only running work counts. A compute that waits for another call in it, of any memolock, gives its place up
    /// meanwhile, and has a place again before it goes on behind that call. What runs beside that call in a `join!`
    /// goes on without a place.
    ///
    /// A compute that waits for a call in another task (`tokio::spawn`) keeps its place, since nothing shows for
    /// what it waits. So that such computes do not block each other, a queue in which a call has waited for a
    /// quarter of its [`wait_timeout`](Builder::wait_timeout) has one place more, for one call after the other, the
    /// newest first: [`Stats::overflows`](crate::Stats::overflows) counts them. If a compute in this place
    /// waits so too, its call may time out: `local_computes` must be above the depth of such waits.
    pub fn local_computes(mut self, most: usize) -> Self {
        self.local_computes = most;
        self
    }

    /// The most bytes that a computed value may have to be stored, after encoding. It is checked before anything is
    /// sent. A larger value is its callers' all the same; [`Stats::unstored`](crate::Stats::unstored) counts it, one
    /// WARN is logged, and the lease is released, so that waiters elsewhere go on. What is
    /// [put](crate::Memolock::put) or [resolved](crate::Entry::resolve) is not checked.
    ///
    /// Default: 64 MiB. A larger value is most likely a mistake, and keeps a line busy for seconds. A Redis takes
    /// 512 MiB unless told otherwise (`proto-max-bulk-len`). At least 1.
    pub fn max_value_bytes(mut self, most: usize) -> Self {
        self.max_value_bytes = most;
        self
    }

    /// How many bytes a value has at most that is not large. For simulations, whose values are small.
    #[doc(hidden)]
    pub fn large_bytes(mut self, most: usize) -> Self {
        self.large_bytes = most;
        self
    }

    /// When to stop asking a store that does not answer. Default: [`CircuitBreaker::new`], so that a store
    /// that hangs costs the first few calls a time-out and not every call.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.breaker = breaker;
        self
    }

    /// Keeps decoded values in this process, in front of everything: see [`NearCache`]. Default: none, since it takes
    /// memory, and a value that was overwritten elsewhere may be served for a moment longer.
    ///
    /// ```
    /// # use memolock::{Memolock, NearCache, memory::MemoryBackend};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), memolock::Error> {
    /// let pages: Memolock<String> = Memolock::builder("pages", MemoryBackend::new())
    ///     .near_cache(NearCache::weight(64 << 20, |id: &str, page: &String| {
    ///         (id.len() + page.len()) as u64
    ///     }))
    ///     .build()
    ///     .await?;
    /// # pages.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn near_cache(mut self, near: NearCache<T>) -> Self {
        self.near = Some(near);
        self
    }

    /// How names are laid out. Default: what the backend asks for, which is classic on a single server
    /// and hash-tagged on a cluster.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// How peers are told of values and failures. Default: [`Notifications::Classic`], which every peer hears,
    /// the ancestors of 2019 among them. On a large cluster [`Notifications::Sharded`] costs less: a classic
    /// message goes to every node, a sharded one stays with those of its slot. **All peers of a tag must listen to
    /// what its holders publish**; [`Notifications::Both`] is for the time in which they change. It needs Redis 7.0
    /// or Valkey, and on a cluster the hash-tagged layout. Backends that are neither ignore it.
    pub fn notifications(mut self, notifications: Notifications) -> Self {
        self.notifications = notifications;
        self
    }

    /// Where lease tokens and jitter come from. Default: the operating system. For simulations that
    /// must repeat; tokens that can be guessed can be forged.
    pub fn entropy(mut self, entropy: impl Entropy + Send + 'static) -> Self {
        self.entropy = Box::new(entropy);
        self
    }

    /// Checks the settings and builds. Costs no command, but for one if notifications are not classic: whether the
    /// server has others. The memolock lives on the runtime that this is
    /// called in, which must have timers: its heartbeat ends with that runtime.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Key`] if a setting cannot be used, or outside a tokio runtime;
    /// [`Error::Backend`] if the store cannot tell peers so.
    pub async fn build(self) -> Result<Memolock<T, C>, Error>
    where
        T: Send + Sync + 'static,
        C: Codec<T>,
    {
        self.check()?;
        let runtime = Handle::try_current()
            .map_err(|_| Error::Config("a memolock is built inside a tokio runtime".into()))?;
        let layout = self.layout.unwrap_or(self.backend.capabilities().layout);
        let space = Keyspace::new(Tag::new(&self.tag)?, layout)?;
        let space = space.with_notifications(self.notifications);
        if self.notifications != Notifications::Classic {
            // Not by way of the `Arc`, which is a backend too.
            (*self.backend).check(&space).await?;
        }
        self.backend.introduce(space.tag());
        let unreadable = Unreadable::new(self.undecodable, tags::enter(&space));
        let serves = self.policy.outage == OutagePolicy::Serve;
        let mut policy = self.policy;
        policy.unrecognized_pause = self.breaker.rest();
        let bounds = Bounds {
            local_computes: self.local_computes,
            max_value_bytes: self.max_value_bytes,
        };
        let hub = Hub::new(
            Store::new(self.backend, self.breaker, self.large_bytes),
            space,
            policy,
            self.renews,
            bounds,
            self.entropy,
            runtime,
        );
        let terms = Terms {
            ttl: self.ttl,
            wait_timeout: self.wait_timeout,
        };
        let remembered = serves.then(|| Remembered::new(self.stale));
        let near = self.near.map(|near| Arc::new(Near::new(near)));
        let shared = Shared::new(
            hub,
            self.codec,
            CodecCheck::new(self.check_codec),
            terms,
            unreadable,
            remembered,
            near,
        );
        Ok(Memolock::assemble(shared))
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::Config(what));
        let least = [
            ("ttl", self.ttl, SHORTEST),
            ("wait_timeout", self.wait_timeout, SHORTEST),
            ("lease", self.policy.lease, SHORTEST_LEASE),
        ];
        for (name, given, least) in least {
            if given < least {
                return refuse(format!("{name} is {given:?}: at least {least:?}"));
            }
        }
        if self.max_value_bytes == 0 {
            return refuse("max_value_bytes of 0: at least 1".into());
        }
        if let Err(what) = self.breaker.check() {
            return refuse(what);
        }
        if let Some(Err(what)) = self.near.as_ref().map(NearCache::check) {
            return refuse(what);
        }
        let most = tokio::sync::Semaphore::MAX_PERMITS;
        if !(1..=most).contains(&self.local_computes) {
            let given = self.local_computes;
            return refuse(format!("local_computes is {given}: between 1 and {most}"));
        }
        Ok(())
    }
}

impl<T, C> fmt::Debug for Builder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("tag", &self.tag)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}
