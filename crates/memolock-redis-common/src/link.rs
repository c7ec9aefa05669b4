//! The self-healing connection: one task dials, serves, and dials again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use memolock_core::ErrorKind;
use memolock_core::connection::UNRECOGNIZED_PAUSE;
use memolock_core::redis::{Backoff, Fault};
use memolock_core::striped::StripedCell;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::client::{Client, Purpose};
use crate::counters::Counters;
use crate::dial::{Dialer, Line};
use crate::dice::Dice;
use crate::site::Site;

/// What is known of a link.
#[derive(Debug, Clone)]
enum State<H> {
    /// The first attempt, at the start or after a break, has not ended yet.
    Connecting,
    Up(H),
    /// The last attempt failed; others follow.
    Down(Fault),
    Closed,
    /// The runtime of its task has shut down.
    Gone,
}

/// The handle while the link is up, for each command to find: the state is behind one lock, for which threads would
/// fight. Written under that lock, so that both say the same.
type Up<H> = StripedCell<Option<Arc<H>>>;

/// What a connection is for.
pub(crate) trait Tenant<C: Client>: Send + 'static {
    /// What users of the link get while it is up.
    type Handle: Clone + Send + Sync + 'static;

    /// What users get for this line.
    fn handle(&mut self, line: &Line<C>) -> Self::Handle;

    /// Uses the connection until it is lost, and says why it was. It may be dropped before.
    fn serve(&mut self, line: Line<C>) -> impl Future<Output = Fault> + Send;

    /// The connection is no more, whichever way it went.
    fn lost(&mut self) {}

    /// The runtime has shut down: there will be no other.
    fn gone(&mut self) {}
}

/// A link, seen by its users. Dropping it ends the task and the connection.
pub struct Link<H> {
    state: Arc<watch::Sender<State<H>>>,
    up: Arc<Up<H>>,
    abort: AbortHandle,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl<H: Clone + Send + Sync + 'static> Link<H> {
    /// Starts the task. Needs a tokio runtime.
    pub(crate) fn open<C: Client>(
        site: &Arc<Site<C>>,
        purpose: Purpose,
        tenant: impl Tenant<C, Handle = H>,
        counters: &Arc<Counters>,
    ) -> Self {
        let options = &site.options;
        let state = Arc::new(watch::Sender::new(State::Connecting));
        let up = Arc::new(Up::default());
        let supervisor = Supervisor {
            dialer: Dialer::new(site, purpose),
            tenant,
            state: Arc::clone(&state),
            up: Arc::clone(&up),
            backoff: Backoff::new(options.reconnect_min_delay, options.reconnect_max_delay),
            dice: site.way.dice.clone(),
            counters: Arc::clone(counters),
        };
        let task = tokio::spawn(supervisor.run());
        Self {
            state,
            up,
            abort: task.abort_handle(),
            task: Mutex::new(Some(task)),
        }
    }

    /// The handle, or why there is none. `None` while the first attempt is under way.
    #[must_use]
    pub fn now(&self) -> Option<Result<Arc<H>, Fault>> {
        match self.up.get() {
            Some(handle) => Some(Ok(handle)),
            None => verdict(&self.state.borrow()).map(|state| state.map(Arc::new)),
        }
    }

    /// The handle, or why there is none, once the first attempt has ended.
    pub async fn settled(&self) -> Result<H, Fault> {
        let mut states = self.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Connecting));
        match settled.await {
            Ok(state) => verdict(&state).unwrap_or_else(|| Err(Fault::closed())),
            // Cannot be: we hold the sender ourselves.
            Err(_) => Err(Fault::closed()),
        }
    }

    /// How the first attempt to connect ends, told as it was.
    pub async fn first_attempt(&self) -> Result<(), Fault> {
        let mut states = self.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Connecting));
        match settled.await.as_deref() {
            Ok(State::Up(_)) => Ok(()),
            Ok(State::Down(fault)) => Err(fault.clone()),
            Ok(State::Gone) => Err(Fault::no_runtime()),
            _ => Err(Fault::closed()),
        }
    }

    /// Waits until there is no use in waiting: an attempt has failed, or the link was closed.
    pub async fn hopeless(&self) -> Fault {
        let mut states = self.state.subscribe();
        let hopeless =
            |state: &State<H>| matches!(state, State::Down(_) | State::Closed | State::Gone);
        match states.wait_for(hopeless).await.as_deref() {
            Ok(State::Down(fault)) => fault.while_down(),
            Ok(State::Gone) => Fault::no_runtime(),
            _ => Fault::closed(),
        }
    }

    /// Waits until the link's task has put away a handle that a user found dead.
    pub async fn noticed(&self, is_it: impl Fn(&H) -> bool) {
        let mut states = self.state.subscribe();
        // It only ends early with the sender, which we hold ourselves.
        let _ = states
            .wait_for(|state| !matches!(state, State::Up(handle) if is_it(handle)))
            .await;
    }

    /// A word for `Debug`.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match &*self.state.borrow() {
            State::Connecting => "connecting",
            State::Up(_) => "up",
            State::Down(_) => "down",
            State::Closed => "closed",
            State::Gone => "gone",
        }
    }

    /// Ends the task and the connection, for good.
    pub fn close(&self) {
        self.shut();
        self.abort.abort();
    }

    /// Waits until the task has ended, after [`close`](Self::close).
    pub async fn ended(&self) {
        if let Some(task) = self.task.lock().await.take() {
            // An error only says that it was aborted, as we wished.
            let _ = task.await;
        }
    }
}

impl<H> Link<H> {
    fn shut(&self) {
        self.state.send_modify(|state| {
            self.up.set(|| None);
            *state = State::Closed;
        });
    }
}

impl<H> Drop for Link<H> {
    fn drop(&mut self) {
        self.shut();
        self.abort.abort();
    }
}

fn verdict<H: Clone>(state: &State<H>) -> Option<Result<H, Fault>> {
    match state {
        State::Connecting => None,
        State::Up(handle) => Some(Ok(handle.clone())),
        State::Down(fault) => Some(Err(fault.while_down())),
        State::Closed => Some(Err(Fault::closed())),
        State::Gone => Some(Err(Fault::no_runtime())),
    }
}

struct Supervisor<C: Client, T: Tenant<C>> {
    dialer: Dialer<C>,
    tenant: T,
    state: Arc<watch::Sender<State<T::Handle>>>,
    up: Arc<Up<T::Handle>>,
    backoff: Backoff,
    dice: Dice,
    counters: Arc<Counters>,
}

impl<C: Client, T: Tenant<C>> Supervisor<C, T> {
    /// Never returns; it is aborted.
    async fn run(mut self) {
        let mut line = self.redial().await;
        loop {
            let handle = self.tenant.handle(&line);
            self.publish(State::Up(handle));
            let since = Instant::now();
            let place = line.place.clone();
            let fault = tokio::select! {
                biased;
                fault = self.tenant.serve(line) => fault,
                fault = self.dialer.deposed(place.as_ref()) => fault,
            };
            self.tenant.lost();
            // From here on commands wait: it may have been one killed connection.
            self.publish(State::Connecting);
            self.backoff.lived(since.elapsed());
            warn!(
                address = %self.dialer.address(),
                purpose = self.dialer.purpose().name(),
                reason = fault.detail(),
                "connection lost, reconnecting"
            );
            line = self.redial().await;
            self.counters.reconnect();
        }
    }

    async fn redial(&mut self) -> Line<C> {
        let mut failures = 0_u64;
        // As it was before the attempt: what is announced in its course is news after it.
        let mut known = self.dialer.master();
        loop {
            let delay = self.backoff.next(self.dice.roll());
            if !delay.is_zero() {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(delay) => {}
                    () = self.dialer.news(known.as_ref()) => {}
                }
            }
            known = self.dialer.master();
            match self.dialer.dial().await {
                Ok(line) => {
                    debug!(
                        address = %self.dialer.address(),
                        purpose = self.dialer.purpose().name(),
                        failures,
                        "connected"
                    );
                    return line;
                }
                Err(fault) => {
                    failures += 1;
                    if fault.kind() == ErrorKind::Unrecognized {
                        self.backoff.at_least(UNRECOGNIZED_PAUSE);
                    }
                    match failures {
                        1 => warn!(
                            purpose = self.dialer.purpose().name(),
                            reason = fault.detail(),
                            "cannot connect"
                        ),
                        _ => debug!(
                            purpose = self.dialer.purpose().name(),
                            reason = fault.detail(),
                            failures,
                            "still cannot connect"
                        ),
                    }
                    self.publish(State::Down(fault));
                }
            }
        }
    }

    fn publish(&self, new: State<T::Handle>) {
        self.state.send_if_modified(|state| {
            // Closed is for good, even if the task is late to notice.
            let open = !matches!(state, State::Closed | State::Gone);
            if open {
                self.up.set(|| match &new {
                    State::Up(handle) => Some(Arc::new(handle.clone())),
                    _ => None,
                });
                *state = new;
            }
            open
        });
    }
}

/// A close says so before it aborts the task; otherwise the runtime has dropped it.
impl<C: Client, T: Tenant<C>> Drop for Supervisor<C, T> {
    fn drop(&mut self) {
        if !matches!(*self.state.borrow(), State::Closed) {
            self.publish(State::Gone);
            self.tenant.gone();
        }
    }
}

/// A wish to have a link's connection checked now, rather than at its next heartbeat.
#[derive(Debug, Default, Clone)]
pub struct Doubt(Arc<Notify>);

impl Doubt {
    /// Many doubts before the check are one check.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Waits until it is raised, or was since the last check. Cancel-safe.
    pub async fn raised(&self) {
        self.0.notified().await;
    }
}

/// The heartbeat of a connection: the first beat comes one interval after it was made.
#[must_use]
pub fn heartbeat(interval: Duration) -> tokio::time::Interval {
    let mut beat = tokio::time::interval_at(Instant::now() + interval, interval);
    // After a pause of the process one beat is enough.
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beat
}
