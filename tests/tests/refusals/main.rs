//! Servers that refuse for now, are full, or answer with errors that memolock does not know, over every adapter.

#![allow(clippy::unwrap_used)]

mod cluster;
mod full;
mod greetings;
#[cfg(unix)]
mod postgres;
mod quota;
mod rights;
mod server;

use std::sync::Arc;

use memolock::{Backend, Source};
use memolock_tests::{Adapter, HANG, Ours, SECOND, end_of, eventually};
use tokio::time::sleep;

/// Twice what only a hang would miss: who waits for the lease to be over has failed.
const LEASE: std::time::Duration = HANG.saturating_mul(2);

/// A holder that computes, and a waiter in another process.
struct Pair {
    holder: Ours,
    waiter: Ours,
}

impl Pair {
    async fn start(adapter: Adapter, url: &str, tag: &str) -> Self {
        let holder = adapter.connect(url).await;
        let waiter = adapter.connect(url).await;
        Self::over([holder, waiter], tag).await
    }

    async fn over([holder, waiter]: [Arc<dyn Backend>; 2], tag: &str) -> Self {
        Self {
            holder: Ours::over(holder, tag, |b| b.lease(LEASE)).await,
            waiter: Ours::over(waiter, tag, |b| b.lease(LEASE)).await,
        }
    }

    async fn waits(&self, id: &str) -> memolock_tests::Call {
        let waiting = self.waiter.get(id, "waiter's");
        eventually("a waiter", || async {
            self.waiter.backend.stats().subscriptions == 1
        })
        .await;
        waiting
    }

    /// R2, R3: the server refuses for half a second while the compute ends. The caller has its value at once, and the
    /// waiter has the same once the server refuses no more: it does not compute again.
    async fn value_outlasts(
        &self,
        what: &str,
        refuse: impl AsyncFnOnce(),
        mend: impl AsyncFnOnce(),
    ) {
        let (end, call) = self.holder.hold(what).await;
        let waiting = self.waits(what).await;
        refuse().await;
        end.send(Ok("kept".to_owned())).unwrap();
        // Before it is mended: no caller waits for that.
        assert_eq!(*end_of(call).await.unwrap(), "kept", "R3: {what}");
        sleep(SECOND / 2).await;
        mend().await;
        let waited = end_of(waiting).await.unwrap();
        assert_eq!(*waited, "kept", "{what}");
        assert_eq!(waited.source(), Source::Awaited, "{what}");
        let computes = self.holder.likes.stats().computes + self.waiter.likes.stats().computes;
        assert_eq!(computes, 1, "{what}");
    }

    /// R5: the same where the compute fails: the waiter computes once the lease can be released.
    async fn release_outlasts(
        &self,
        what: &str,
        refuse: impl AsyncFnOnce(),
        mend: impl AsyncFnOnce(),
    ) {
        let (end, call) = self.holder.hold(what).await;
        let waiting = self.waits(what).await;
        refuse().await;
        end.send(Err("no luck".to_owned())).unwrap();
        end_of(call).await.unwrap_err();
        sleep(SECOND / 2).await;
        mend().await;
        assert_eq!(*end_of(waiting).await.unwrap(), "waiter's", "{what}");
    }

    async fn close(self) {
        for ours in [self.holder, self.waiter] {
            ours.likes.close().await;
            ours.backend.close().await;
        }
    }
}
