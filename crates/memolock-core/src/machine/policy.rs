//! Policies: what the machine may be told to do differently.

use std::time::Duration;

/// What one call wants of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Only what is stored: a miss ends the flight.
    Read,
    /// Compute on a miss.
    Compute,
    /// On a miss take the lease and run a trigger; another program stores and publishes the value.
    External,
}

/// What waiters do when a holder elsewhere reports that its compute failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// The next waiter tries, each process at most once a round. The default: failures are often local.
    #[default]
    Retry,
    /// Waiters end with [`Outcome::Remote`](crate::Outcome::Remote) at once, so that a call that fails
    /// for everybody is not made by everybody.
    Share,
}

/// What a flight does when the store is failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OutagePolicy {
    /// Compute here, coalesced within the process, without a lease. The default: a cache that is
    /// down should cost speed and not availability.
    #[default]
    Compute,
    /// End with the backend's error: for work that must never run twice at a time.
    Fail,
    /// Serve the last value that this process saw, even if it has expired or was changed elsewhere since;
    /// compute as by default if there is none. For data that is better old than late. To the machine it is
    /// as `Compute`: it has no memory of values, the front door has.
    Serve,
}

/// How long a lease may be kept for a caller: what one call may set for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LeaseLimits {
    /// How long callers wait for the program that one trigger has started. Default 30 s. After that the lease
    /// is no longer renewed, and once it has expired the next caller triggers, or computes.
    pub trigger_timeout: Duration,
    /// The longest time for which a lease is renewed, counted from its grant. Default 5 min: work that hangs
    /// must not hold its key for ever. At least [`Policy::lease`].
    pub max_lease: Duration,
}

impl Default for LeaseLimits {
    fn default() -> Self {
        Self {
            trigger_timeout: Duration::from_secs(30),
            max_lease: Duration::from_secs(300),
        }
    }
}

/// The machine's settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// How long a lease lasts unless renewed. Default 5 s: the price of a crash, since a heartbeat
    /// renews it while the work lives.
    pub lease: Duration,
    /// The most by which a waiter is late after a rival's lease has expired. Default 20 ms: spreads
    /// the processes that wake together, and is far below a lease. A waiter with a trigger is later by as much
    /// again, so that a waiter that can compute comes first.
    pub takeover_jitter: Duration,
    /// The most by which a waiter is late after a release or a failure. Default 3 ms: enough that one
    /// process is first and the others find its lock.
    pub retry_jitter: Duration,
    /// How long a waiter pauses before it tries again, when a try failed because the store is failing
    /// and the rival's lease still lasts. Default 250 ms: a blip of the store must not have every
    /// waiter compute, and its end should be noticed soon. It is the one thing that is asked again in a
    /// rhythm, and only during an outage.
    pub outage_pause: Duration,
    /// The least pause before the store is asked again after an error that memolock does not know
    /// ([`ErrorKind::Unrecognized`](crate::ErrorKind::Unrecognized)). Default 500 ms, as the circuit breaker's
    /// interval: such an error may mean that the store is over a quota, and each command would make that worse.
    pub unrecognized_pause: Duration,
    /// How often one command is sent when its reply is lost. Default 2, so that a connection that
    /// breaks and comes back is not an outage. At least 1.
    pub attempts: u8,
    /// How long a lease may be kept: `max_lease` of the caller that took it, `trigger_timeout` of the one that drives.
    pub limits: LeaseLimits,
    /// What waiters do when a holder elsewhere fails.
    pub failures: FailurePolicy,
    /// What happens when the store is failing.
    pub outage: OutagePolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            takeover_jitter: Duration::from_millis(20),
            retry_jitter: Duration::from_millis(3),
            outage_pause: Duration::from_millis(250),
            unrecognized_pause: Duration::from_millis(500),
            attempts: 2,
            limits: LeaseLimits::default(),
            failures: FailurePolicy::default(),
            outage: OutagePolicy::default(),
        }
    }
}
