//! Connections of their own: one for fulfils of more than 1 MiB, and one for the script that repeats notices.
//!
//! Commands share one connection, so a command waits until everything that was sent before it has passed. Behind 60 MB
//! on a slow line it would have no answer in time, and a server that refuses so many bytes closes the connection under
//! the commands of other callers. A fulfil may take another connection, because its token fences it: it stores nothing
//! once a put or an invalidation has deleted the lock. Repeated notices may too: they publish what is stored when they
//! run, so their order does not matter, and a script that hangs or is refused with the end of its connection must not
//! hold up other work. Every other command keeps its order on the shared connection.
//!
//! ```text
//! none --a large fulfil--> dialled --> sending --a reply--> idle --the next one, after a ping--> sending
//!   ^                        |           |                   '--after 10 s, deposed--> none
//!   '------------------------'-----------'  an error, no reply in time, lost, deposed, dropped
//! ```
//!
//! The connection for large fulfils serves another purpose: where a client does not show the bytes that pass, it is asked
//! how large a value is that does not come ([`Sizes`]). Not while it sends a value: that answer would come too late.
//!
//! There is at most one connection of each kind to a server. It is made when it is needed, and never again by itself: a
//! value that breaks it costs no reconnection but its own. Commands take turns on it, in the order in which they came.
//! The picture and the table say "fulfil" for the commands of either kind.
//!
//! | what happens | what follows |
//! |---|---|
//! | the caller's future is dropped while it waits for its turn | nothing was sent |
//! | it is dropped while it sends | the connection ends; the fulfil has taken effect or not |
//! | the connection cannot be made | the fault says that nothing was sent |
//! | the connection is lost while it sends | the fulfil has taken effect or not; its caller decides what follows |
//! | no reply within the time for so many bytes | the connection ends; the same |
//! | sentinels name another master | the same |
//! | the backend is closed | `Closed` at once; the connection ends |
//! | the caller's runtime ends, or no thread drives it | sending goes on: it runs on the runtime of the backend |

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use memolock_core::redis::{Call, Fault, Reply, calls, reply};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use crate::client::{Client, Ends, Purpose};
use crate::counters::Counters;
use crate::dial::{Dialer, Line};
use crate::site::Site;
use crate::transfers::{Sizes, allowance};

/// How long the connection is kept without use: longer than the pause between the values of one busy program, and far
/// below the time after which servers and firewalls drop quiet connections.
const IDLE: Duration = Duration::from_secs(10);

/// A connection to one server beside the shared one. Dropping it ends the connection.
pub(crate) struct SideConnection<C: Client> {
    lane: Arc<Lane<C>>,
}

/// What the tasks share.
struct Lane<C: Client> {
    this: Weak<Self>,
    dialer: Dialer<C>,
    /// Locked while a fulfil is sent. Tokio's mutex is fair.
    line: Mutex<Option<Line<C>>>,
    counters: Arc<Counters>,
    bound: Duration,
    /// The backend's own: a connection lives on the runtime that made it.
    runtime: Handle,
    closed: watch::Sender<bool>,
    /// Ends the connection once it has been idle. There is at most one.
    reaper: std::sync::Mutex<Option<AbortHandle>>,
}

impl<C: Client> SideConnection<C> {
    /// No connection yet. Within a tokio runtime.
    pub(crate) fn new(site: &Arc<Site<C>>, counters: &Arc<Counters>, purpose: Purpose) -> Self {
        let lane = Arc::new_cyclic(|this: &Weak<Lane<C>>| Lane {
            this: Weak::clone(this),
            dialer: Dialer::new(site, purpose),
            line: Mutex::default(),
            counters: Arc::clone(counters),
            bound: site.options.command_timeout,
            runtime: Handle::current(),
            closed: watch::Sender::new(false),
            reaper: std::sync::Mutex::default(),
        });
        if purpose == Purpose::Large {
            let known: Weak<Lane<C>> = Arc::downgrade(&lane);
            // There is one to a site.
            let _ = site.sizes.set(known);
        }
        Self { lane }
    }

    /// Sends a script, behind an `ASKING` if so, and waits for its reply: within the time-out of a command and the time
    /// for its bytes, once those before it have had theirs.
    pub(crate) async fn run(&self, call: &Call, asking: bool) -> Result<Reply, Fault> {
        let mut closed = self.lane.closed.subscribe();
        if *closed.borrow_and_update() {
            return Err(Fault::closed());
        }
        let (lane, call) = (Arc::clone(&self.lane), call.clone());
        // A close ends the task, whether or not its caller is polled.
        let sending = async move {
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => Err(Fault::closed()),
                reply = lane.send(&call, asking) => reply,
            }
        };
        let mut task = Sending(self.lane.runtime.spawn(sending));
        // It is aborted only by its drop, so only a runtime that shuts down ends it early.
        (&mut task.0)
            .await
            .unwrap_or_else(|error| match error.is_cancelled() {
                true => Err(Fault::no_runtime()),
                false => Err(Fault::closed()),
            })
    }

    /// Ends the connection for good, without waiting. One that is in use ends with its fulfil, which ends now.
    pub(crate) fn close(&self) {
        self.lane.closed.send_replace(true);
        self.lane.set_reaper(None);
        if let Ok(mut idle) = self.lane.line.try_lock() {
            *idle = None;
        }
    }

    /// Waits until the connection has ended, after [`close`](Self::close).
    pub(crate) async fn ended(&self) {
        self.lane.hang_up().await;
    }
}

impl<C: Client> fmt::Debug for Lane<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lane")
    }
}

impl<C: Client> Sizes for Lane<C> {
    fn size_of(&self, name: &str) -> Pin<Box<dyn Future<Output = Option<usize>> + Send + '_>> {
        let (lane, name) = (self.this.upgrade(), name.to_owned());
        let mut closed = self.closed.subscribe();
        // On the backend's runtime, and to its end: the connection is used again.
        let asked = self.runtime.spawn(async move {
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => None,
                size = lane?.measure(name) => size,
            }
        });
        Box::pin(async { asked.await.ok().flatten() })
    }
}

impl<C: Client> Lane<C> {
    async fn send(self: Arc<Self>, call: &Call, asking: bool) -> Result<Reply, Fault> {
        let mut place = self.line.lock().await;
        // Taken out while it is in use: if this future is dropped, the connection goes with it.
        let mut line = match self.usable(place.take()).await {
            Some(line) => line,
            None => self.dialer.dial().await.map_err(Fault::before_sending)?,
        };
        self.counters.command();
        let within = self.bound.saturating_add(allowance(call.bytes()));
        let mut sender = line.ends.sender();
        let reply = tokio::select! {
            // What the server said comes before the end of the connection.
            biased;
            reply = timeout(within, C::Ends::run(&mut sender, call, asking)) => {
                reply.unwrap_or_else(|_| Err(Fault::late(within)))
            }
            // A client may wait for the reply although the connection is gone.
            fault = line.ends.ended() => Err(fault),
            fault = self.dialer.deposed(line.place.as_ref()) => Err(fault),
        };
        match &reply {
            Ok(_) => {
                *place = Some(line);
                self.reap();
            }
            // An error may be the last word of a server that closes the connection. Another one costs little beside
            // a large value.
            Err(fault) if fault.is_readonly() => self.dialer.ask_sentinels(),
            Err(_) => {}
        }
        reply
    }

    /// How large a value is, unless the connection is in use.
    async fn measure(self: Arc<Self>, name: String) -> Option<usize> {
        let mut place = self.line.try_lock().ok()?;
        let line = match self.usable(place.take()).await {
            Some(line) => line,
            None => self.dialer.dial().await.ok()?,
        };
        self.counters.command();
        let (call, mut sender) = (calls::size_of(&name), line.ends.sender());
        let answer = timeout(self.bound, C::Ends::run(&mut sender, &call, false)).await;
        let found = reply::inspection(answer.ok()?.ok()?).ok()?;
        *place = Some(line);
        self.reap();
        usize::try_from(found.value?.bytes).ok()
    }

    /// The connection was in use just now: it ends if it is not used again soon.
    fn reap(self: &Arc<Self>) {
        let lane = Arc::clone(self);
        let idle = tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            lane.hang_up().await;
        });
        self.set_reaper(Some(idle.abort_handle()));
    }

    /// The connection that is there, if it still answers and leads to where the master is.
    async fn usable(&self, line: Option<Line<C>>) -> Option<Line<C>> {
        let mut line = line?;
        let gone = line.ends.ended().now_or_never().is_some();
        if gone || self.dialer.master() != line.place {
            return None;
        }
        let alive = timeout(self.bound, line.ends.sign_of_life(line.place.is_some()));
        matches!(alive.await, Ok(Ok(()))).then_some(line)
    }

    async fn hang_up(&self) {
        *self.line.lock().await = None;
    }

    fn set_reaper(&self, reaper: Option<AbortHandle>) {
        // No code that can panic runs under the lock.
        let place = self.reaper.lock();
        let mut place = place.unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *place, reaper) {
            old.abort();
        }
    }
}

impl<C: Client> Drop for SideConnection<C> {
    fn drop(&mut self) {
        self.lane.closed.send_replace(true);
        self.lane.set_reaper(None);
    }
}

/// A fulfil on its way. Dropping it ends the way.
struct Sending(JoinHandle<Result<Reply, Fault>>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}
