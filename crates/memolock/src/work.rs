//! The work of a caller: a compute, a trigger, or nothing but a look.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use memolock_core::Mode;
use tokio::time::{Instant, timeout_at};

use crate::error::{BoxError, SharedError};
use crate::hub::far;
use crate::nesting::{Place, within};
use crate::{Computed, Lease};

/// How work ended, without its type of error.
pub(crate) enum Ended<V> {
    Ok(V),
    Failed {
        error: SharedError,
        message: Arc<str>,
    },
    Panicked(Arc<str>),
    /// It was cancelled after this time.
    TimedOut(Duration),
}

/// What a flight runs for its caller. A flight asks only for what its mode calls for.
pub(crate) trait Work<T> {
    const MODE: Mode;

    /// In a place, if it runs without a lease.
    fn compute(
        &mut self,
        lease: Lease,
        place: Option<Arc<Place>>,
    ) -> impl Future<Output = Ended<Computed<T>>>;
    fn trigger(&mut self) -> impl Future<Output = Ended<()>>;
}

/// A look at what is stored.
pub(crate) struct Read;

/// A closure that computes. It is called at most once: a call that computed has its answer.
pub(crate) struct Compute<F> {
    compute: Option<F>,
    limit: Option<Duration>,
}

/// A closure that makes another program compute. It is called again if the lease is lost before the
/// value comes.
pub(crate) struct Trigger<F> {
    trigger: F,
    limit: Option<Duration>,
}

impl<F> Compute<F> {
    /// It may take as long as `limit`.
    pub(crate) fn new(compute: F, limit: Option<Duration>) -> Self {
        let compute = Some(compute);
        Self { compute, limit }
    }
}

impl<F> Trigger<F> {
    /// Each run may take as long as `limit`.
    pub(crate) fn new(trigger: F, limit: Option<Duration>) -> Self {
        Self { trigger, limit }
    }
}

impl<T> Work<T> for Read {
    const MODE: Mode = Mode::Read;

    async fn compute(&mut self, _: Lease, _: Option<Arc<Place>>) -> Ended<Computed<T>> {
        misfit()
    }

    async fn trigger(&mut self) -> Ended<()> {
        misfit()
    }
}

// The error is erased before: were `E` in these bounds, no future of a call could be shown to be `Send`
// whose `E` has a lifetime in it, such as `Box<dyn Error + Send + Sync>`.
impl<T, F, Fut> Work<T> for Compute<F>
where
    F: FnOnce(Lease) -> Fut,
    Fut: Future<Output = Ended<Computed<T>>>,
{
    const MODE: Mode = Mode::Compute;

    async fn compute(&mut self, lease: Lease, place: Option<Arc<Place>>) -> Ended<Computed<T>> {
        let Some(compute) = self.compute.take() else {
            return misfit();
        };
        bounded(self.limit, within(place, compute(lease))).await
    }

    async fn trigger(&mut self) -> Ended<()> {
        misfit()
    }
}

impl<T, F, Fut> Work<T> for Trigger<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Ended<()>>,
{
    const MODE: Mode = Mode::External;

    async fn compute(&mut self, _: Lease, _: Option<Arc<Place>>) -> Ended<Computed<T>> {
        misfit()
    }

    async fn trigger(&mut self) -> Ended<()> {
        bounded(self.limit, within(None, (self.trigger)())).await
    }
}

/// Runs the caller's code; its panic becomes a value. What it panicked over is the caller's own: nothing
/// of ours is in the future, so nothing of ours can be left half-done.
pub(crate) fn caught<V, E: Into<BoxError>>(
    work: impl Future<Output = Result<V, E>>,
) -> impl Future<Output = Ended<V>> {
    let ended = work.map(|done| match done {
        Ok(value) => Ended::Ok(value),
        Err(error) => failed(error.into()),
    });
    AssertUnwindSafe(ended)
        .catch_unwind()
        .map(|caught| caught.unwrap_or_else(|panic| Ended::Panicked(panic_message(&*panic))))
}

fn failed<V>(error: BoxError) -> Ended<V> {
    Ended::Failed {
        message: one_line(&error.to_string()),
        error: error.into(),
    }
}

/// Cancels work that takes longer than it may. What it leaves behind when it is dropped is the caller's own, and its
/// panic then is a panic of the work.
pub(crate) async fn bounded<V>(
    limit: Option<Duration>,
    work: impl Future<Output = Ended<V>>,
) -> Ended<V> {
    let Some(limit) = limit else {
        return work.await;
    };
    let timed = async move {
        match timeout_at(far(Instant::now(), limit), work).await {
            Ok(ended) => ended,
            Err(_) => Ended::TimedOut(limit),
        }
    };
    let caught = AssertUnwindSafe(timed).catch_unwind().await;
    caught.unwrap_or_else(|panic| Ended::Panicked(panic_message(&*panic)))
}

fn panic_message(panic: &(dyn Any + Send)) -> Arc<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    one_line(text.unwrap_or("no message"))
}

fn one_line(text: &str) -> Arc<str> {
    text.replace(['\n', '\r'], " ").into()
}

/// The machine asks for work only in the mode that it was told, so this is not reached; if it were, the
/// flight would end with an error and not with a panic.
pub(crate) fn misfit<V>() -> Ended<V> {
    failed("this call has no such work".into())
}
