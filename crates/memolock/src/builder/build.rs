//! What `build` does: checks the settings, and puts a memolock together.

use std::sync::Arc;
use std::time::Duration;

use memolock_codec::Codec;
use memolock_core::{Keyspace, LeaseLimits, Notifications, OutagePolicy, Tag};
use tokio::runtime::Handle;

use super::Builder;
use crate::codec_check::CodecCheck;
use crate::home::{self, Home};
use crate::hub::{Bounds, Hub};
use crate::limits;
use crate::near::Near;
use crate::remembered::Remembered;
use crate::shared::{Shared, Terms};
use crate::store::Store;
use crate::tags;
use crate::undecodable::Unreadable;
use crate::{Error, Memolock, NearCache, RuntimeError};

/// Below this a lease is lost to an ordinary pause of a process.
const SHORTEST_LEASE: Duration = Duration::from_millis(50);

/// The shortest time that a store keeps anything.
const SHORTEST: Duration = Duration::from_millis(1);

impl<T, C> Builder<T, C> {
    /// Checks the settings and builds. Costs no command, but for one if notifications are not classic: whether the
    /// server has others. Unless [`runtime`](Builder::runtime) says otherwise, the runtime that this is called in is
    /// the memolock's home.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Key`] if a setting cannot be used. [`Error::Config`] outside of a tokio runtime
    /// if the builder was given none. [`Error::Runtime`] if the given runtime has shut down. [`Error::Backend`] if the
    /// store does not support the chosen notifications.
    pub async fn build(self) -> Result<Memolock<T, C>, Error>
    where
        T: Send + Sync + 'static,
        C: Codec<T>,
    {
        self.check()?;
        let terms = self.terms();
        limits::check(&terms, self.policy.lease).map_err(Error::Config)?;
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|_| {
                let detail = "a memolock is built inside a tokio runtime, or given one";
                Error::Config(detail.into())
            })?,
        };
        if !home::is_alive(&runtime) {
            return Err(RuntimeError::HomeGone.into());
        }
        let layout = self.layout.unwrap_or(self.backend.capabilities().layout);
        let space = Keyspace::new(Tag::new(&self.tag)?, layout)?;
        let space = space.with_notifications(self.notifications);
        if self.notifications != Notifications::Classic {
            // Not by way of the `Arc`, which is a backend too.
            home::within(&runtime, (*self.backend).check(&space)).await?;
        }
        self.backend.introduce(space.tag());
        let tag = tags::enter(&space);
        let unreadable = Unreadable::new(self.undecodable, Arc::clone(&tag));
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
            Home::new(runtime),
        );
        let remembered = serves.then(|| Remembered::new(self.stale));
        let near = self.near.map(|near| Arc::new(Near::new(near)));
        let shared = Shared::new(
            hub,
            self.codec,
            CodecCheck::new(self.check_codec, tag),
            terms,
            unreadable,
            remembered,
            near,
        );
        Ok(Memolock::assemble(shared))
    }

    /// The settings of a call that has none of its own.
    fn terms(&self) -> Terms {
        let mut limits = LeaseLimits::default();
        limits.trigger_timeout = self.trigger_timeout.unwrap_or(self.wait_timeout);
        // A lease that is longer by itself is not cut by a default.
        let max_lease = limits.max_lease.max(self.policy.lease);
        limits.max_lease = self.max_lease.unwrap_or(max_lease);
        Terms {
            ttl: self.ttl,
            wait_timeout: self.wait_timeout,
            compute_timeout: self.compute_timeout,
            limits,
            own_limits: false,
        }
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
