//! The runtime that a backend lives on: where its connections are driven, whoever asks and from wherever.
//!
//! What a caller polls and leaves behind is polled within this runtime too: a connection that a pool makes for a caller,
//! or the timer of a subscription that is handed to a caller elsewhere. Else it would stay with a runtime that may never
//! run again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::task::{Context, Poll};

use futures_util::Stream;
use memolock_core::redis::Fault;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The runtime that a backend lives on. Clones are one.
#[derive(Debug, Clone)]
pub struct Home(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Handle,
    gone: Arc<AtomicBool>,
    sentry: AbortHandle,
}

/// Dropped with the task that holds it: with the runtime, or with the home.
struct Sentry(Arc<AtomicBool>);

impl Home {
    /// That runtime.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        let gone = Arc::new(AtomicBool::new(false));
        let sentry = Sentry(Arc::clone(&gone));
        let sentry = runtime.spawn(async move {
            let _sentry = sentry;
            std::future::pending::<()>().await;
        });
        Self(Arc::new(Inner {
            runtime,
            gone,
            sentry: sentry.abort_handle(),
        }))
    }

    /// The runtime itself.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Polls `future` within the runtime, wherever it is awaited: its tasks, timers and sockets are there. Dropping it
    /// drops the future.
    ///
    /// # Errors
    /// The runtime has shut down.
    pub async fn within<F: Future>(&self, future: F) -> Result<F::Output, Fault> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // First: timers of a runtime that has shut down panic. It drops the sentry before it ends them.
            if self.is_gone() {
                return Poll::Ready(Err(Fault::no_runtime()));
            }
            let _entered = self.0.runtime.enter();
            future.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Polls a stream within the runtime, wherever it is read. It ends with the runtime.
    pub(crate) fn stream<S: Stream>(&self, stream: S) -> impl Stream<Item = S::Item> + use<S> {
        Within {
            home: self.clone(),
            stream: Box::pin(stream),
        }
    }

    /// Ends what it has on the runtime: nothing is polled there any more.
    pub fn close(&self) {
        self.0.sentry.abort();
    }

    fn is_gone(&self) -> bool {
        self.0.gone.load(Acquire)
    }
}

/// A stream that is polled within a runtime.
struct Within<S> {
    home: Home,
    stream: Pin<Box<S>>,
}

impl<S: Stream> Stream for Within<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Self { home, stream } = &mut *self;
        if home.is_gone() {
            return Poll::Ready(None);
        }
        let _entered = home.0.runtime.enter();
        stream.as_mut().poll_next(cx)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sentry.abort();
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        self.0.store(true, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use futures_util::{FutureExt, StreamExt, stream};
    use memolock_core::ErrorKind;
    use tokio::runtime::Builder;
    use tokio::time::{sleep, timeout};

    fn one_thread() -> tokio::runtime::Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    }

    /// A timer that one caller sets up and another one waits for is not the first one's.
    #[test]
    fn timers_and_tasks_are_those_of_the_home_wherever_they_are_polled() {
        let (home, theirs) = (one_thread(), Builder::new_current_thread().build().unwrap());
        let at_home = Home::new(home.handle().clone());
        let ticks = stream::unfold((), |()| async {
            sleep(Duration::from_millis(1)).await;
            Some((tokio::spawn(async { Handle::current().id() }).await, ()))
        });
        let mut ticks = at_home.stream(ticks);
        // Theirs has no timers: without the home this panics.
        theirs.block_on(async {
            assert!(ticks.next().now_or_never().is_none());
        });
        drop(theirs);
        let id =
            one_thread().block_on(async { timeout(Duration::from_secs(60), ticks.next()).await });
        assert_eq!(id.expect("a hang").unwrap().unwrap(), home.handle().id());
    }

    #[test]
    fn a_home_that_shuts_down_is_an_error_and_no_panic() {
        let (home, here) = (one_thread(), one_thread());
        let at_home = Home::new(home.handle().clone());
        let mut never = at_home.stream(stream::once(async {
            sleep(Duration::from_secs(3600)).await;
        }));
        let waits = here.spawn({
            let at_home = at_home.clone();
            async move {
                let sleeps = async { sleep(Duration::from_secs(3600)).await };
                at_home.within(sleeps).await
            }
        });
        here.block_on(async {
            assert!(never.next().now_or_never().is_none());
            home.shutdown_background();
            let limit = Duration::from_secs(60);
            let fault = timeout(limit, waits).await.expect("a hang").unwrap();
            assert_eq!(fault.unwrap_err().kind(), ErrorKind::NoRuntime);
            assert!(
                timeout(limit, never.next())
                    .await
                    .expect("a hang")
                    .is_none()
            );
            let late = at_home.within(async { 1 }).await;
            assert_eq!(late.unwrap_err().kind(), ErrorKind::NoRuntime);
        });
    }
}
