//! One connection's life: it is driven here, its notifications are heard, and its health is checked.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use memolock_core::connection::{Fault, Options};
use memolock_core::{Changes, ErrorKind, Key, MAX_TTL, Message};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_postgres::{AsyncMessage, Error, Notification};
use tracing::debug;

use crate::dial::{Line, Wire, own_channel};
use crate::error::fault;
use crate::link::{Shared, random};
use crate::opening::Messages;
use crate::payload::{self, Told};
use crate::queue::Pump;
use crate::routes::Routes;
use crate::rows::column;
use crate::socket::Progress;
use crate::statements::Verb;

/// How much of the table one sweep looks at, in pages: 8 MiB, some milliseconds.
const SWEPT_PAGES: i64 = 1024;

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// A nonce that was sent through the server to ourselves. What was published before it is heard before
/// it; when it comes back, these keys are listened to, and notifications flow.
struct Fence {
    nonce: u64,
    keys: Vec<Key>,
    since: Instant,
    /// What the server had done by then.
    done: u64,
}

/// One connection's life.
pub(crate) struct Session<'a> {
    shared: &'a Shared,
    wire: Wire,
    messages: Messages,
    pump: Pump,
    progress: Arc<Progress>,
    channels: String,
    own_channel: String,
    routes: Routes,
    fences: VecDeque<Fence>,
    nonces: u64,
    /// Where the next sweep begins: each process goes round by itself, from anywhere.
    page: i64,
    bound: Duration,
    beat: Interval,
    sweep: Interval,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        line: Line,
        progress: &Arc<Progress>,
        options: &Options,
        sweep_interval: Duration,
    ) -> Self {
        Self {
            shared,
            own_channel: own_channel(&line.channels, line.wire.pid),
            wire: line.wire,
            messages: line.messages,
            pump: Pump::new(line.jobs, options.command_timeout, Arc::clone(progress)),
            progress: Arc::clone(progress),
            channels: line.channels,
            routes: Routes::default(),
            fences: VecDeque::new(),
            nonces: 0,
            page: i64::from(u32::try_from(random() >> 34).unwrap_or(0)),
            bound: options.command_timeout,
            beat: every(options.heartbeat),
            sweep: every(sweep_interval),
        }
    }

    /// Until the connection is lost.
    pub(crate) async fn run(mut self) -> Fault {
        let fault = self.serve().await;
        let Self { messages, pump, .. } = self;
        // The connection ends here, so that a caller who is told finds it closed.
        drop(messages);
        pump.end();
        fault
    }

    async fn serve(&mut self) -> Fault {
        let mut asking: Option<Work<()>> = None;
        let mut sweeping: Option<Work<i64>> = None;
        loop {
            tokio::select! {
                biased;
                turn = poll_fn(|cx| turn(&mut self.pump, &self.wire, &mut self.messages, cx)) => match turn {
                    Turn::Sent(statements) => self.shared.sent(statements),
                    Turn::Read(Some(Ok(AsyncMessage::Notification(heard)))) => self.hear(&heard),
                    Turn::Read(Some(Ok(_))) => {}
                    Turn::Read(Some(Err(error))) => return fault(&error),
                    Turn::Read(None) => return Fault::lost(),
                },
                outcome = settle(&mut asking) => match outcome {
                    Ok(()) => asking = None,
                    // Without listening this connection is of no use.
                    Err(fault) => return fault,
                },
                outcome = settle(&mut sweeping) => {
                    sweeping = None;
                    match outcome {
                        Ok(page) => self.page = page,
                        Err(fault) => debug!(reason = fault.detail(), "cannot sweep"),
                    }
                }
                () = overdue(self.fences.front(), self.bound) => {
                    if !self.waits_on() {
                        return Fault::new(ErrorKind::Timeout, "the server does not answer");
                    }
                }
                changes = self.shared.board.changes(), if asking.is_none() => {
                    asking = Some(self.change(changes));
                }
                _ = self.beat.tick(), if asking.is_none() => asking = Some(self.ask(String::new(), Vec::new())),
                () = self.shared.doubt.notified(), if asking.is_none() => {
                    asking = Some(self.ask(String::new(), Vec::new()));
                }
                _ = self.sweep.tick(), if sweeping.is_none() => sweeping = Some(self.sweep()),
            }
        }
    }

    /// Turns wishes into channels to listen to, and a fence behind them.
    fn change(&mut self, changes: Changes) -> Work<()> {
        changes
            .unsubscribe
            .iter()
            .for_each(|key| self.routes.remove(key));
        changes
            .subscribe
            .iter()
            .for_each(|key| self.routes.add(key));
        let turn = self.routes.turn();
        let mut sql = String::new();
        let channels = &self.channels;
        // Writing to a string does not fail.
        for bucket in turn.unlisten {
            let _ = write!(sql, "UNLISTEN \"{channels}{bucket:02x}\"; ");
        }
        for bucket in turn.listen {
            let _ = write!(sql, "LISTEN \"{channels}{bucket:02x}\"; ");
        }
        self.ask(sql, changes.subscribe)
    }

    /// Listens, and then sends a nonce the way of all notifications.
    fn ask(&mut self, sql: String, keys: Vec<Key>) -> Work<()> {
        self.nonces += 1;
        let nonce = self.nonces;
        self.fences.push_back(Fence {
            nonce,
            keys,
            since: Instant::now(),
            done: self.progress.done_and_told(),
        });
        self.shared.sent(if sql.is_empty() { 1 } else { 2 });
        let (wire, channel) = (self.wire.clone(), self.own_channel.clone());
        Box::pin(async move {
            if !sql.is_empty() {
                let listened = wire.client.batch_execute(&sql).await;
                listened.map_err(|error| fault(&error))?;
            }
            wire.fence(&channel, &nonce.to_string()).await
        })
    }

    /// Deletes what has expired in some pages of the table; returns where to go on.
    fn sweep(&self) -> Work<i64> {
        self.shared.sent(2);
        let (wire, page) = (self.wire.clone(), self.page);
        Box::pin(async move {
            let rows = wire
                .client
                .query(wire.statements.of(Verb::Pages), &[])
                .await
                .map_err(|error| fault(&error))?;
            let pages: i64 = match rows.first() {
                Some(row) => column(row, 0)?,
                None => 0,
            };
            let first = page % pages.max(1);
            let next = first + SWEPT_PAGES;
            let range = [format!("({first},0)"), format!("({next},0)")];
            let statement = wire.statements.of(Verb::Sweep);
            wire.client
                .execute(statement, &[&range[0], &range[1]])
                .await
                .map_err(|error| fault(&error))?;
            Ok(if next < pages { next } else { 0 })
        })
    }

    /// The bound of the first fence is over: whether it gets another one, for the server has answered
    /// others meanwhile, or a large value is on its way.
    fn waits_on(&mut self) -> bool {
        let done = self.progress.done_and_told();
        let Some(fence) = self.fences.front_mut() else {
            return true;
        };
        let now = Instant::now();
        let is_alive = fence.done != done || self.pump.is_passing(now);
        (fence.since, fence.done) = (now, done);
        is_alive
    }

    fn hear(&mut self, notification: &Notification) {
        if notification.channel() != self.own_channel {
            if let Some((digest, told)) = payload::read(notification.payload()) {
                self.routes
                    .of(&digest)
                    .iter()
                    .for_each(|key| self.deliver(key, &told));
            }
        } else if notification.process_id() == self.wire.pid {
            self.fence_heard(notification.payload());
        }
    }

    fn deliver(&self, key: &Key, told: &Told) {
        let board = &self.shared.board;
        match told {
            Told::Value(value) => board.deliver(key, &Message::Value(value.clone())),
            Told::Notice(notice) => board.deliver(key, &Message::Notice(notice.clone())),
            Told::Look => board.missed(key),
        }
    }

    fn fence_heard(&mut self, nonce: &str) {
        let expected = self.fences.front();
        if expected.is_some_and(|fence| fence.nonce.to_string() == nonce)
            && let Some(fence) = self.fences.pop_front()
        {
            fence
                .keys
                .iter()
                .for_each(|key| self.shared.board.confirm(key));
        }
    }
}

/// What has happened on the connection.
#[allow(clippy::large_enum_variant)] // One at a time, and a message is handed on at once.
enum Turn {
    /// So many statements go out.
    Sent(u64),
    /// What the server said unasked; none at the end.
    Read(Option<Result<AsyncMessage, Error>>),
}

/// Statements first: a server that has much to tell must not keep them from being sent. Who is late is judged last, when
/// all that has come was read.
fn turn(pump: &mut Pump, wire: &Wire, messages: &mut Messages, cx: &mut Context<'_>) -> Poll<Turn> {
    if let Poll::Ready(statements) = pump.poll(cx, wire) {
        return Poll::Ready(Turn::Sent(statements));
    }
    if let Poll::Ready(message) = messages.poll_next_unpin(cx) {
        return Poll::Ready(Turn::Read(message));
    }
    pump.look(cx);
    Poll::Pending
}

/// A tick each interval, the first after one. Longer than 100 years is never, and no clock counts further.
fn every(interval: Duration) -> Interval {
    let interval = interval.min(MAX_TTL);
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    // After a pause of the process one tick is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The outcome of what is under way, or never.
async fn settle<T>(work: &mut Option<Work<T>>) -> Result<T, Fault> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Returns when this fence should long have been heard.
async fn overdue(fence: Option<&Fence>, bound: Duration) {
    match fence {
        Some(fence) => {
            tokio::time::sleep_until(fence.since + bound).await;
        }
        None => std::future::pending().await,
    }
}
