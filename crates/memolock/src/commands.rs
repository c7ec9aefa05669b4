//! How a flight's commands get to the store: each by itself, or together with those of other flights.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memolock_core::{Acquired, BackendError, Fulfilled, Key, Remaining, Token};
use tokio::time::Instant;

use crate::nesting::{self, Place};
use crate::places::Places;
use crate::store::Store;

/// A value, if there is one, and how long it stays if that was told.
pub(crate) type Found = Option<(Bytes, Option<Remaining>)>;

/// What many flights may ask together. Dropping a future means that nobody waits for the answer: what was
/// not sent by then never is.
pub(crate) trait Commands {
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Bytes>, BackendError>>;

    /// The value, and how long it stays if that is told.
    fn get_timed(&self, key: &Key) -> impl Future<Output = Result<Found, BackendError>>;

    fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Acquired, BackendError>>;

    fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> impl Future<Output = Result<Fulfilled, BackendError>>;

    /// A place for a compute without a lease, for a call with this wait time-out.
    fn place(&self, places: &Arc<Places>, timeout: Duration) -> impl Future<Output = Arc<Place>>;
}

/// Each by itself.
impl Commands for Store {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        self.get(key).await
    }

    async fn get_timed(&self, key: &Key) -> Result<Found, BackendError> {
        let found = self.get_timed(key).await?;
        Ok(found.map(|found| (found.value, Some(found.remaining))))
    }

    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        self.acquire(key, token, lease).await
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        self.fulfil(key, token, value, ttl).await
    }

    async fn place(&self, places: &Arc<Places>, timeout: Duration) -> Arc<Place> {
        place(places, Instant::now(), timeout).await
    }
}

/// Waits for a place, since a moment. After a quarter of the wait time-out it may be the spare one.
pub(crate) async fn place(places: &Arc<Places>, since: Instant, timeout: Duration) -> Arc<Place> {
    let patience = timeout / 4;
    let permit = places.enter(nesting::rank(), since, patience).await;
    Place::new(places, patience, permit)
}
