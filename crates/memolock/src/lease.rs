//! The lease as a compute sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memolock_core::{Key, Renewal, Token};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::heartbeat::Heartbeat;
use crate::home;
use crate::store::Store;

/// The lease under which a compute runs. Cheap to clone; it may be moved into tasks.
///
/// Most computes ignore it: the heartbeat renews the lease while the work lives, and a value computed
/// under a lost lease still reaches its caller, only it is not stored.
#[derive(Clone)]
pub struct Lease(Arc<Inner>);

struct Inner {
    key: Key,
    /// None while the store is failing: there is nothing to lose then.
    held: Option<(Token, Arc<Heartbeat>)>,
    lost: CancellationToken,
    store: Arc<Store>,
}

impl Lease {
    pub(crate) fn new(
        key: Key,
        held: Option<(Token, Arc<Heartbeat>)>,
        lost: CancellationToken,
        store: Arc<Store>,
    ) -> Self {
        Self(Arc::new(Inner {
            key,
            held,
            lost,
            store,
        }))
    }

    /// The key that is being computed.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// Sets the lease's remaining time to `lease` from now, and the heartbeat's rhythm to a third of
    /// it. Only a memolock with a fixed lease needs this; with the heartbeat it is for work that may
    /// block its whole process for longer than a lease, and for work that needs more than
    /// [`max_lease`](crate::Builder::max_lease), which starts again from now. A `lease` longer than `max_lease` lasts
    /// for its full length.
    ///
    /// While the store is failing there is no lease, and this does nothing. Dropping the future leaves
    /// it open whether the lease was renewed.
    ///
    /// # Errors
    /// [`Error::Runtime`] outside of a tokio runtime; [`Error::LeaseLost`] if it is not ours any more; [`Error::Backend`] if the store did not answer,
    /// in which case the lease may still be ours.
    pub async fn renew(&self, lease: Duration) -> Result<(), Error> {
        let Inner {
            key,
            held,
            lost,
            store,
        } = &*self.0;
        let Some((token, heartbeat)) = held else {
            return Ok(());
        };
        let renewal = Renewal {
            key: key.clone(),
            token: *token,
            lease,
        };
        // Given up for lost, it is watched no more: to take it up again would hold it for nobody.
        if lost.is_cancelled() {
            return Err(Error::LeaseLost { key: key.clone() });
        }
        home::check()?;
        let sent = Instant::now();
        if store.renew(&[renewal]).await?.first() == Some(&true) {
            // It may have been given up meanwhile, at the end of `max_lease`.
            if heartbeat.renewed(*token, sent, lease) {
                return Ok(());
            }
        }
        lost.cancel();
        Err(Error::LeaseLost { key: key.clone() })
    }

    /// Whether the lease is known to be lost. Always false while the store is failing.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.lost.is_cancelled()
    }

    /// Waits until the lease is lost: never, if all goes well. Cancel-safe. For a compute that wants to
    /// stop early, in a `select!`.
    pub async fn lost(&self) {
        self.0.lost.cancelled().await;
    }

    /// Whether the compute began without a lease.
    pub(crate) fn is_local(&self) -> bool {
        self.0.held.is_none()
    }

    /// Whether there is a lease at all. False while the store is failing, when the compute runs
    /// without one and its value will not be stored.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.held.is_some() && !self.is_lost()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.0.key)
            .field("held", &self.is_held())
            .finish_non_exhaustive()
    }
}
