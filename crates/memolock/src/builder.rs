//! How a memolock is built.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use memolock_core::{Backend, Entropy, FailurePolicy, Layout, Notifications, OutagePolicy, Policy};
use tokio::runtime::Handle;

use crate::remembered::{self, Limits};
use crate::transfer;
use crate::undecodable::UndecodablePolicy;
use crate::{CircuitBreaker, DefaultCodec, NearCache, OsEntropy};

mod build;

/// Settings of a [`Memolock`](crate::Memolock); from [`Memolock::builder`](crate::Memolock::builder).
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
    compute_timeout: Option<Duration>,
    trigger_timeout: Option<Duration>,
    max_lease: Option<Duration>,
    policy: Policy,
    renews: bool,
    local_computes: usize,
    max_value_bytes: usize,
    large_bytes: usize,
    breaker: CircuitBreaker,
    stale: Limits,
    undecodable: UndecodablePolicy,
    near: Option<NearCache<T>>,
    runtime: Option<Handle>,
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
            compute_timeout: None,
            trigger_timeout: None,
            max_lease: None,
            policy: Policy::default(),
            renews: true,
            local_computes: 64,
            max_value_bytes: 64 << 20,
            large_bytes: transfer::LARGE,
            breaker: CircuitBreaker::new(),
            stale: remembered::DEFAULT,
            undecodable: UndecodablePolicy::default(),
            near: None,
            runtime: None,
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
            compute_timeout: self.compute_timeout,
            trigger_timeout: self.trigger_timeout,
            max_lease: self.max_lease,
            policy: self.policy,
            renews: self.renews,
            local_computes: self.local_computes,
            max_value_bytes: self.max_value_bytes,
            large_bytes: self.large_bytes,
            breaker: self.breaker,
            stale: self.stale,
            undecodable: self.undecodable,
            near: self.near,
            runtime: self.runtime,
            entropy: self.entropy,
            values: PhantomData,
        }
    }

    /// Whether each value that is encoded is decoded again and compared with what it was. Some formats write values that they
    /// cannot read, or that come back as something else: [`Codec::difference`](memolock_codec::Codec::difference) says what is compared, and the
    /// README of `memolock-codec` has a table of them. The first value of a tag that does not come back is logged as a
    /// WARN, and later ones of this tag are not checked, in the whole process. The check refuses no value. Values above
    /// 1 MiB are not checked.
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

    /// How long a compute, or a trigger, may take. One that takes longer is cancelled: its future is dropped. It counts
    /// as failed, its lease is released, and its callers get [`Error::ComputeTimeout`](crate::Error::ComputeTimeout). Default: no limit, since only
    /// its author knows how long a compute may take. At least 1 ms.
    ///
    /// The time counts from the start of each compute. A compute that blocks its thread cannot be cancelled; only
    /// [`max_lease`](Self::max_lease) limits how long it holds its key. Run blocking work in `spawn_blocking`. While
    /// the store is failing there is no lease: then this limit alone ends a call whose own compute hangs.
    pub fn compute_timeout(mut self, compute_timeout: Duration) -> Self {
        self.compute_timeout = Some(compute_timeout);
        self
    }

    /// How long callers wait for the program that one trigger of [`or_external`](crate::Entry::or_external) has
    /// started. Default: the [`wait_timeout`](Self::wait_timeout), since no caller waits longer for it.
    ///
    /// The time counts from the trigger, and goes on if another caller takes over. After it the lease is not renewed
    /// any more and expires. Until then a slow program can still store its value, and is not started a second time.
    /// When the lease has expired, the next caller triggers again, or computes if it can. Zero means that the lease
    /// is not renewed after the trigger.
    pub fn trigger_timeout(mut self, trigger_timeout: Duration) -> Self {
        self.trigger_timeout = Some(trigger_timeout);
        self
    }

    /// How long a lease is kept at most, counted from its grant. Default: 5 min, or the [`lease`](Self::lease) if that
    /// is longer: work that hangs must not hold its key for ever. At least the lease; `Duration::MAX` means no limit.
    ///
    /// The heartbeat stops renewing early enough for the lease to end at that time, and the compute is told
    /// ([`Lease::lost`]). Other callers then go on, also those of this process that had joined. The compute is not
    /// cancelled (see [`compute_timeout`](Self::compute_timeout)): its caller receives the value, which is not stored.
    /// A compute that needs more time calls [`Lease::renew`](crate::Lease::renew), which restarts this time.
    ///
    /// A compute that holds its key for a minute is logged as a warning, and again at each doubling.
    ///
    /// [`Lease::lost`]: crate::Lease::lost
    pub fn max_lease(mut self, max_lease: Duration) -> Self {
        self.max_lease = Some(max_lease);
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

    /// The largest computed value that is stored, in bytes after encoding. The size is checked before anything is
    /// sent. The callers still receive a larger value; [`Stats::unstored`](crate::Stats::unstored) counts it, one
    /// WARN is logged, and the lease is released, so that waiters elsewhere go on. Values of
    /// [`put`](crate::Memolock::put) and [`resolve`](crate::Entry::resolve) are not checked.
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

    /// The home runtime: where leases are renewed, and where work goes on after its call has returned, such as the
    /// release of a lease whose caller has left. Default: the runtime that [`build`](Builder::build) is called in.
    ///
    /// Give one if that runtime does not run all the time: a `current_thread` runtime runs only while a thread is in
    /// its `block_on`. Callers may be on any runtime, and on several. The home runtime must have timers, and live as
    /// long as the memolock: once it has shut down, calls fail at once with
    /// [`Error::Runtime`](crate::Error::Runtime). The backend has its own home: the runtime that it connects in, or the
    /// one given to `runtime` of its builder.
    ///
    /// ```
    /// # use memolock::{Memolock, memory::MemoryBackend};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    /// let here = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let builder = Memolock::builder("likes", MemoryBackend::new()).runtime(home.handle().clone());
    /// let likes: Memolock<u64> = here.block_on(builder.build())?;
    /// # here.block_on(likes.close());
    /// # Ok(())
    /// # }
    /// ```
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Where lease tokens and jitter come from. Default: the operating system. For simulations that
    /// must repeat; tokens that can be guessed can be forged.
    pub fn entropy(mut self, entropy: impl Entropy + Send + 'static) -> Self {
        self.entropy = Box::new(entropy);
        self
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
