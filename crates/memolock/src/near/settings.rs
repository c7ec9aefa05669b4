//! How a near cache is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How old a copy may get, by default.
const MAX_AGE: Duration = Duration::from_secs(10);

/// What one value is reckoned to weigh.
pub(crate) type Weigher<T> = Arc<dyn Fn(&str, &T) -> u64 + Send + Sync>;

/// A near cache for [`Builder::near_cache`](crate::Builder::near_cache): decoded values kept in this process and
/// shared by `Arc`, so that a hit costs no command, no decoding and no allocation.
///
/// It hears of changes by whomever: where the store can tell them (Redis and Valkey from version 6 on, and the
/// embedded backend), a value that was overwritten elsewhere is served for as long as that word is under way,
/// and everything is forgotten when the connection for it is lost. Where the store cannot, copies are bounded by
/// [`max_age`](Self::max_age) alone, and [`Stats::near`](crate::Stats::near) says so: `Coherence::Aged`. Writes
/// through the same memolock are never served stale. No copy outlives its stored value.
///
/// A server sends no invalidation after `SWAPDB` (measured with Redis 7.0; it does after `FLUSHDB` and `FLUSHALL`), and
/// has no notification for it. Copies of the former database are served until they are [`max_age`](Self::max_age) old,
/// 10 s by default. Polling for it (`INFO commandstats`) would cost each process a command that few users may send, and
/// would only shorten this time. If you swap databases, choose a `max_age` that you can accept, or swap before the
/// processes start.
///
/// A look at the store then asks for the value's remaining time too, and each value that was stored or awaited
/// here is read back once, behind the callers' backs.
pub struct NearCache<T> {
    pub(crate) capacity: u64,
    pub(crate) weigher: Option<Weigher<T>>,
    pub(crate) max_age: Duration,
}

impl<T> NearCache<T> {
    /// Keeps about so many values, those that are asked for most. At least 1.
    #[must_use]
    pub fn entries(most: u64) -> Self {
        Self {
            capacity: most,
            weigher: None,
            max_age: MAX_AGE,
        }
    }

    /// Keeps values that weigh about so much in all, each as `weigher` says of its id and value; at least 1
    /// each, and one that is heavier than about a thirty-second of all is not kept. A weigher that panics
    /// keeps the value out.
    #[must_use]
    pub fn weight(most: u64, weigher: impl Fn(&str, &T) -> u64 + Send + Sync + 'static) -> Self {
        Self {
            capacity: most,
            weigher: Some(Arc::new(weigher)),
            max_age: MAX_AGE,
        }
    }

    /// How old a copy may get before it is read anew. Default: 10 s: where the store does not tell of changes it is
    /// how long a value may be stale, and where it does, reading each hot value every 10 s costs nothing to
    /// speak of. At least 1 ms.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// What its capacity counts.
    fn measure(&self) -> &'static str {
        match self.weigher {
            None => "entries",
            Some(_) => "weight",
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.capacity == 0 {
            return Err(format!("near_cache: {} is 0: at least 1", self.measure()));
        }
        if self.max_age < Duration::from_millis(1) {
            let age = self.max_age;
            return Err(format!("near_cache: max_age is {age:?}: at least 1 ms"));
        }
        Ok(())
    }
}

impl<T> Clone for NearCache<T> {
    fn clone(&self) -> Self {
        Self {
            capacity: self.capacity,
            weigher: self.weigher.clone(),
            max_age: self.max_age,
        }
    }
}

impl<T> fmt::Debug for NearCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCache")
            .field("capacity", &self.capacity)
            .field("weighs", &self.weigher.is_some())
            .field("max_age", &self.max_age)
            .finish()
    }
}
