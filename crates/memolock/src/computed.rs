//! What a compute may return: a value, and how to keep it.

use std::time::Duration;

/// A computed value with its own storage rules, for
/// [`Entry::or_compute_with`](crate::Entry::or_compute_with) and
/// [`Entries::or_compute`](crate::Entries::or_compute).
///
/// ```
/// # use memolock::Computed;
/// # use std::time::Duration;
/// let short = Computed::new("busy").ttl(Duration::from_secs(1));
/// let never = Computed::new("for you alone").no_store();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed<T> {
    pub(crate) value: T,
    pub(crate) ttl: Option<Duration>,
    pub(crate) store: bool,
}

impl<T> Computed<T> {
    /// A value to be stored for the entry's TTL.
    pub fn new(value: T) -> Self {
        Self {
            value,
            ttl: None,
            store: true,
        }
    }

    /// Stores it for `ttl` instead of the entry's. Rounded up to milliseconds; zero means
    /// [`no_store`](Computed::no_store).
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Gives it to the callers of this process that asked meanwhile, and does not store it: waiters
    /// elsewhere compute their own.
    #[must_use]
    pub fn no_store(mut self) -> Self {
        self.store = false;
        self
    }
}

/// A value that is kept as the call says.
impl<T> From<T> for Computed<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
