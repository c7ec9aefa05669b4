//! The home runtime: where work goes on after a call has returned.
//!
//! A caller's runtime may stop as soon as its call returns: a `current_thread` runtime runs only while a thread is in
//! its `block_on`. So nothing that other callers wait for is left there.
//!
//! | work | runs on | because |
//! |---|---|---|
//! | heartbeat, probe of the circuit breaker, keeper of the near cache | home | it belongs to no call |
//! | clean-up: a value to store, a lease to release | home | its caller is gone, or has its answer |
//! | detached work | the caller's runtime if that has threads of its own, else home | it goes on without its caller, and must not block a home with one thread |
//! | timers of one call | the caller's | they are needed only while the call is polled |
//! | the shared timer of a crowd | home, for callers for whom home is certain to run while they sleep; the others have timers of their own | `watch.rs` |
//! | a compute | in its caller's future | it may borrow |
//!
//! **A runtime that ends.** It drops its tasks, at whatever await they are:
//!
//! | ends | what is dropped | what follows |
//! |---|---|---|
//! | a caller's, in the middle of a call that leads | the leader, a guard | a joined caller takes over, or clean-up runs at home |
//! | a caller's, in the middle of a call that joined | the waiter, a guard | it leaves; the last one cleans up, at home |
//! | a caller's, with detached work on it | the same; the caller that awaits it gets [`RuntimeError::CallerGone`] | the same |
//! | home | the services, and with them a [`Sentry`] | every flight ends with [`RuntimeError::HomeGone`], and later calls get it at once |

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

use crate::RuntimeError;
use crate::settled::Settled;
use crate::shared::Shared;

/// The home runtime of one memolock.
#[derive(Debug)]
pub(crate) struct Home {
    runtime: Handle,
    /// It has threads of its own, so it runs whatever callers do.
    threaded: bool,
    gone: AtomicBool,
}

impl Home {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            threaded: is_threaded(&runtime),
            runtime,
            gone: AtomicBool::new(false),
        }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs a task here.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.spawn(task)
    }

    /// Where detached work of this caller runs, and what it means if that runtime drops it.
    pub(crate) fn for_detached(&self) -> (Handle, RuntimeError) {
        match Handle::try_current() {
            Ok(theirs) if is_threaded(&theirs) && theirs.id() != self.runtime.id() => {
                (theirs, RuntimeError::CallerGone)
            }
            _ => (self.runtime.clone(), RuntimeError::HomeGone),
        }
    }

    /// Whether tasks here are certain to run while this caller sleeps.
    pub(crate) fn runs_meanwhile(&self) -> bool {
        self.threaded || Handle::try_current().is_ok_and(|here| here.id() == self.runtime.id())
    }

    /// Whether it has shut down.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

/// A task's witness: dropped before the close, it says that the runtime of its task has shut down.
struct Sentry<T: Send + Sync + 'static, C>(Weak<Shared<T, C>>);

/// Notices when the home runtime shuts down.
pub(crate) fn guard<T: Send + Sync + 'static, C: Send + Sync + 'static>(
    shared: &Arc<Shared<T, C>>,
) {
    let sentry = Sentry(Arc::downgrade(shared));
    shared.hub.serve(async move {
        let _sentry = sentry;
        std::future::pending::<()>().await;
    });
}

impl<T: Send + Sync + 'static, C> Drop for Sentry<T, C> {
    fn drop(&mut self) {
        // Without it the memolock is gone itself.
        let Some(shared) = self.0.upgrade() else {
            return;
        };
        let hub = &shared.hub;
        if hub.closing.is_cancelled() {
            return;
        }
        hub.home.gone.store(true, Relaxed);
        tracing::warn!(tag = %hub.space.tag(), "the home runtime has shut down: calls fail from now on");
        shared.shut(&Settled::HomeGone);
    }
}

/// Whether there is a runtime here, which timers and connections need.
pub(crate) fn check() -> Result<(), RuntimeError> {
    // A task's number costs less than a handle, which is counted.
    match tokio::task::try_id().is_some() || Handle::try_current().is_ok() {
        true => Ok(()),
        false => Err(RuntimeError::Outside),
    }
}

/// Whether a runtime has not shut down.
pub(crate) fn is_alive(runtime: &Handle) -> bool {
    // A runtime that has ends every task at once.
    let probe = runtime.spawn(std::future::pending::<()>());
    let alive = !probe.is_finished();
    probe.abort();
    alive
}

/// Polls `future` within `runtime`, whatever polls this: its timers and tasks are there.
pub(crate) async fn within<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = runtime.enter();
        future.as_mut().poll(cx)
    })
    .await
}

fn is_threaded(runtime: &Handle) -> bool {
    runtime.runtime_flavor() == RuntimeFlavor::MultiThread
}
