//! What all flights of a memolock share, whatever the type of its values.

use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memolock_core::{BackendError, Entropy, Keyspace, Policy, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::detached;
use crate::heartbeat::Heartbeat;
use crate::home::Home;
use crate::places::Places;
use crate::stats::Counters;
use crate::store::Store;
use crate::{Error, RuntimeError};

/// Store, settings and services. It ends its tasks when it is dropped.
pub(crate) struct Hub {
    pub(crate) store: Arc<Store>,
    pub(crate) space: Keyspace,
    pub(crate) policy: Policy,
    /// Computed values with more bytes are not stored.
    pub(crate) max_value_bytes: usize,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) counters: Counters,
    /// Bounds computes that run without a lease.
    pub(crate) places: Arc<Places>,
    /// Drivers, clean-ups and detached calls: what a close waits for.
    pub(crate) tracker: TaskTracker,
    /// Detached calls, which are in the tracker too.
    pub(crate) detached: TaskTracker,
    /// Cancelled when a close begins.
    pub(crate) draining: CancellationToken,
    /// The same, for those who look often. Written under the lock, so that detached work is counted before or refused.
    drains: AtomicBool,
    drain: Mutex<()>,
    /// Cancelled when everything ends.
    pub(crate) closing: CancellationToken,
    services: AtomicUsize,
    pub(crate) home: Home,
    entropy: Mutex<Box<dyn Entropy + Send>>,
    origin: Instant,
    /// Whether the last flight found the store failing, so that an outage is logged once.
    failing: AtomicBool,
}

/// How much a memolock does at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Computes without a lease at once.
    pub(crate) local_computes: usize,
    /// Bytes of a computed value that is stored.
    pub(crate) max_value_bytes: usize,
}

impl Hub {
    pub(crate) fn new(
        store: Store,
        space: Keyspace,
        policy: Policy,
        renews: bool,
        bounds: Bounds,
        entropy: Box<dyn Entropy + Send>,
        home: Home,
    ) -> Arc<Self> {
        let origin = Instant::now();
        let hub = Arc::new(Self {
            heartbeat: Heartbeat::new(renews, origin, policy.unrecognized_pause),
            counters: Counters::default(),
            places: Places::new(bounds.local_computes),
            tracker: TaskTracker::new(),
            detached: TaskTracker::new(),
            draining: CancellationToken::new(),
            drains: AtomicBool::new(false),
            drain: Mutex::default(),
            closing: CancellationToken::new(),
            services: AtomicUsize::new(0),
            entropy: Mutex::new(entropy),
            origin,
            failing: AtomicBool::new(false),
            store: Arc::new(store),
            space,
            policy,
            home,
            max_value_bytes: bounds.max_value_bytes,
        });
        let store = Arc::clone(&hub.store);
        let beating = Arc::clone(&hub.heartbeat).run(Arc::clone(&store));
        hub.serve(async move {
            tokio::select! {
                biased;
                () = beating => {}
                () = store.watch() => {}
            }
        });
        hub
    }

    /// Runs a task on the home runtime until the close.
    pub(crate) fn serve(&self, service: impl Future<Output = ()> + Send + 'static) {
        let closing = self.closing.clone();
        self.services.fetch_add(1, Relaxed);
        // Detached on purpose: it ends with the close.
        drop(self.tracker.spawn_on(
            async move {
                tokio::select! {
                    biased;
                    () = closing.cancelled() => {}
                    () = service => {}
                }
            },
            self.home.runtime(),
        ));
    }

    /// How many of the tracked tasks are services.
    pub(crate) fn services(&self) -> usize {
        match self.closing.is_cancelled() {
            true => 0,
            false => self.services.load(Relaxed),
        }
    }

    /// Runs a task on the home runtime that a close waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Detached on purpose: a close waits for it through the tracker.
        drop(self.start(task));
    }

    /// The same, for one who waits for it or aborts it.
    pub(crate) fn start<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn_on(task, self.home.runtime())
    }

    /// Runs detached work, and says what it means if its runtime drops it.
    pub(crate) fn detach<F>(&self, work: F) -> Result<(JoinHandle<F::Output>, RuntimeError), Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let counted = {
            let _drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
            if self.turns_away() {
                return Err(self.closed());
            }
            (self.detached.token(), self.tracker.token())
        };
        let work = async move {
            let _counted = counted;
            work.await
        };
        let (runtime, dropped) = self.home.for_detached();
        Ok((runtime.spawn(detached::marked(work)), dropped))
    }

    /// Whether a close has begun, and what is polled now is not detached work.
    pub(crate) fn turns_away(&self) -> bool {
        self.drains.load(Acquire) && !detached::is_current()
    }

    /// Waits until what is polled now gets `Closed` if it leads no flight and has joined none. Cancel-safe.
    pub(crate) async fn turned_away(&self) {
        self.draining.cancelled().await;
        if detached::is_current() {
            self.closing.cancelled().await;
        }
    }

    /// From now on only detached work is served.
    pub(crate) fn drain(&self) {
        let drain = self.drain.lock().unwrap_or_else(PoisonError::into_inner);
        self.drains.store(true, Release);
        drop(drain);
        self.draining.cancel();
        self.detached.close();
    }

    /// Ends the services; clean-up goes on.
    pub(crate) fn shut(&self) {
        self.drain();
        self.closing.cancel();
        self.tracker.close();
    }

    /// What a call gets that comes too late.
    pub(crate) fn closed(&self) -> Error {
        match self.home.is_gone() {
            true => RuntimeError::HomeGone.into(),
            false => Error::Closed,
        }
    }

    /// Now, as the machine counts time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_origin(self.origin.elapsed())
    }

    /// The runtime's instant of a moment of the machine.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        far(self.origin, at.since_origin())
    }

    /// A flight ran into an outage.
    pub(crate) fn outage(&self, error: &BackendError) {
        if !self.failing.swap(true, Relaxed) {
            tracing::warn!(%error, tag = %self.space.tag(), "the store is failing: working without it");
        }
    }

    /// A flight found the store in order.
    pub(crate) fn in_order(&self) {
        // A load first: this is on the path of every hit, and stores would make cores fight for it.
        if self.failing.load(Relaxed) && self.failing.swap(false, Relaxed) {
            tracing::info!(tag = %self.space.tag(), "the store is back");
        }
    }
}

/// Locked only when bits are drawn, which a hit never does.
impl Entropy for &Hub {
    fn bits(&mut self) -> u128 {
        let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
        entropy.bits()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// `from + delay`, or a moment so far off that it never comes where that overflows.
pub(crate) fn far(from: Instant, delay: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    from.checked_add(delay.min(CENTURY)).unwrap_or(from)
}

/// Sleeps until `at`; for ever if there is no such moment.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
