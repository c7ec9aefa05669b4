//! Nested calls: a compute that runs without a lease gives its place up while it waits for a call that it makes.
//!
//! **A compute holds a place, except while at least one call nested in it waits.** A nested call is one that is
//! polled inside the compute's future, of this memolock or of another one. It *waits* from the moment when it
//! waits for more than the store: for a place, for a flight that it joined, for a holder elsewhere, or for its own
//! work. It waits until it ends or is dropped. The compute has a place again before it goes on behind the call.
//!
//! ```text
//!            a poll ends and a nested call waits
//!   Held ----------------------------------------> GivenUp
//!    ^                                                |  a nested call has its result, or none waits any more
//!    '---------- the queue grants a place ------- Asking
//! ```
//!
//! All changes happen in polls of the compute (`Within`), which is one future:
//!
//! | a poll of the compute | what is done |
//! |---|---|
//! | begins, no place, no nested call waits | it asks for a place, and the compute is not polled until it is there |
//! | begins, no place, a nested call has its result | it asks for a place; the compute is polled, since other nested calls in it may have to go on |
//! | begins with the place that it asked for | the calls that have their results are woken, and return |
//! | ends, and a nested call waits | the place is given up; a nested call that queues takes it over |
//! | is under way, and a nested call ends that computed in a place | it goes on in that place |
//! | ends, and the last nested call was dropped | it is polled again at once, and asks for a place |
//!
//! In `join!` the rest of the compute goes on while the nested call waits, and has no place meanwhile. When a
//! nested call is dropped (`timeout`, `select!`), the compute runs without a place to the end of that poll.
//!
//! Dropping the compute in any state drops its permit or its request. A panic leaves the poll as an error does.

use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::places::{Permit, Places, Rank};
use crate::sync::{Mutex, MutexGuard};

tokio::task_local! {
    /// What the code that is polled now is inside of.
    static INSIDE: Inside;
}

enum Inside {
    /// A compute that needs no place: one with a lease, or a trigger.
    Free,
    /// A compute that has a place.
    Placed(Arc<Place>),
    /// A task for which such a compute waits.
    Detached,
}

/// The place of one compute: held or given up.
pub(crate) struct Place {
    places: Arc<Places>,
    /// How long it queues before it may take the spare place.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    permit: Option<Permit>,
    request: Option<Pin<Box<dyn Future<Output = Permit> + Send>>>,
    /// How many nested calls wait.
    waiting: usize,
    /// One of them has its result.
    wanted: bool,
    /// How many futures run in this place.
    running: usize,
    /// Who sleeps until the place is there.
    sleepers: Vec<Waker>,
}

impl Place {
    /// A place that was waited for.
    pub(crate) fn new(places: &Arc<Places>, patience: Duration, permit: Permit) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::clone(places),
            patience,
            state: Mutex::new(State {
                permit: Some(permit),
                ..State::default()
            }),
        })
    }

    /// Whether it is still a place: one that was passed on is not.
    pub(crate) fn is_kept(&self) -> bool {
        let state = self.lock();
        state.permit.is_some() || state.running > 0
    }

    /// Before a poll of the compute: whether it may be polled.
    fn admit(self: &Arc<Self>, begun: bool, cx: &mut Context<'_>) -> bool {
        let mut state = self.lock();
        let gated = state.waiting == 0 || !begun;
        if state.permit.is_some() || !(gated || state.wanted) {
            return true;
        }
        // Polled outside the lock: what it drops may wake others.
        let request = state.request.take();
        drop(state);
        let mut request = request.unwrap_or_else(|| self.request());
        let polled = request.as_mut().poll(cx);
        let mut state = self.lock();
        match polled {
            Poll::Ready(permit) => {
                state.permit = Some(permit);
                state.wanted = false;
                let sleepers = std::mem::take(&mut state.sleepers);
                drop(state);
                sleepers.into_iter().for_each(Waker::wake);
                true
            }
            Poll::Pending => {
                state.request = Some(request);
                if gated {
                    state.sleeps(cx);
                }
                !gated
            }
        }
    }

    /// After a poll of the compute that did not end it.
    fn rest(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        // Dropped after the lock: it wakes the next one.
        let _given_up = match state.waiting {
            0 => None,
            _ => state.permit.take(),
        };
        let asks = state.wanted || state.waiting == 0;
        let again = asks && state.permit.is_none() && state.request.is_none();
        drop(state);
        if again {
            cx.waker().wake_by_ref();
        }
    }

    /// A nested call has its result: whether it may return.
    fn regained(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.permit.is_some() || state.running == 0 {
            return Poll::Ready(());
        }
        state.wanted = true;
        state.sleeps(cx);
        Poll::Pending
    }

    fn request(&self) -> Pin<Box<dyn Future<Output = Permit> + Send>> {
        let (places, patience) = (Arc::clone(&self.places), self.patience);
        let since = Instant::now();
        Box::pin(async move { places.enter(Rank::Return, since, patience).await })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sleeps(&mut self, cx: &Context<'_>) {
        if !self.sleepers.iter().any(|w| w.will_wake(cx.waker())) {
            self.sleepers.push(cx.waker().clone());
        }
    }
}

pin_project! {
    /// The work of a caller, in the place that it has.
    pub(crate) struct Within<F> {
        #[pin]
        work: F,
        place: Option<Running>,
        begun: bool,
    }
}

/// The work of a caller; it needs a place if one is given.
pub(crate) fn within<F: Future>(place: Option<Arc<Place>>, work: F) -> Within<F> {
    Within {
        work,
        place: place.map(Running::new),
        begun: false,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(running) = this.place else {
            return INSIDE.sync_scope(Inside::Free, || this.work.poll(cx));
        };
        let place = &running.place;
        if !place.admit(*this.begun, cx) {
            return Poll::Pending;
        }
        *this.begun = true;
        let inside = Inside::Placed(Arc::clone(place));
        let polled = INSIDE.sync_scope(inside, || this.work.poll(cx));
        if polled.is_ready() {
            running.ended = true;
            *this.place = None;
        } else {
            place.rest(cx);
        }
        polled
    }
}

/// Work that runs in a place.
struct Running {
    place: Arc<Place>,
    ended: bool,
}

impl Running {
    fn new(place: Arc<Place>) -> Self {
        place.lock().running += 1;
        let ended = false;
        Self { place, ended }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.place.lock();
        state.running -= 1;
        let last = state.running == 0;
        let request = state.request.take_if(|_| last);
        // That of work which has ended is for the compute around it: see `Nested::takes`.
        let permit = state.permit.take_if(|_| last && !self.ended);
        // Others that run here sleep for the same request: it may have had the waker of this one.
        let sleepers = std::mem::take(&mut state.sleepers);
        // Outside the lock: both wake others.
        drop(state);
        drop((request, permit));
        sleepers.into_iter().for_each(Waker::wake);
    }
}

/// A call, as the compute sees it that makes it. Outside a compute it is nothing.
#[derive(Default)]
pub(crate) struct Nested(OnceLock<Arc<Place>>);

impl Nested {
    /// From now on the call waits for more than the store.
    pub(crate) fn waits(&self) {
        if self.0.get().is_some() {
            return;
        }
        let placed = INSIDE.try_with(|inside| match inside {
            Inside::Placed(place) => Some(Arc::clone(place)),
            _ => None,
        });
        if let Ok(Some(place)) = placed {
            place.lock().waiting += 1;
            // It was empty, and a call runs in one task.
            let _ = self.0.set(place);
        }
    }

    /// A compute of this call has ended. The compute around it goes on in its place, so that no other one comes between.
    pub(crate) fn takes(&self, place: &Place) {
        let permit = {
            let mut state = place.lock();
            match state.running {
                0 => state.permit.take(),
                _ => None,
            }
        };
        if let (Some(permit), Some(outer)) = (permit, self.0.get()) {
            let mut state = outer.lock();
            if state.permit.is_none() && state.running > 0 {
                state.permit = Some(permit);
            }
        }
    }

    /// The call has its result. Waits until the compute has its place again.
    pub(crate) async fn ends(&self) {
        if let Some(place) = self.0.get() {
            std::future::poll_fn(|cx| place.regained(cx)).await;
        }
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        if let Some(place) = self.0.get() {
            place.lock().waiting -= 1;
        }
    }
}

/// As whom a call asks for a place.
pub(crate) fn rank() -> Rank {
    let nested = INSIDE.try_with(|inside| !matches!(inside, Inside::Free));
    match nested {
        Ok(true) => Rank::Nested,
        _ => Rank::New,
    }
}

/// A call in a task of its own, for which the compute that makes it waits, if there is one.
pub(crate) fn detached<F: Future>(call: F) -> impl Future<Output = F::Output> {
    let inside = match rank() {
        Rank::New => Inside::Free,
        _ => Inside::Detached,
    };
    INSIDE.scope(inside, call)
}
