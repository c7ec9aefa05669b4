//! The statements of callers: queued, sent in order, answered. Nothing but the connection's task works on them.
//!
//! A connection answers in order: a statement waits for all that were sent before it. Without a limit, a crowd of 30,000
//! callers puts seconds of work before the renewal of a lease and before the fence of a subscription. So at most
//! [`LIMIT`] statements of callers are on their way; the others wait here. Renewals pass them, and fences do not come
//! this way at all. All others are sent in the order of their callers, so a process's writes of a key keep their order.
//!
//! The queue belongs to the connection's task, and no caller has to run for it to move: a caller that is not polled, or
//! is one of thousands that are, holds up no other. The bound of a command is judged here too, after what has come was
//! read: a process that is short of processor time does not take its own delay for the server's.
//!
//! The bound is for servers that hang. A server that does other statements meanwhile does not, so a caller whose bound
//! is over is late only if no statement was done for the bound. Errors do not count as done: callers behind a locked
//! table, whose statements time out one after the other, would else wait for each other. A large value on its way gives
//! all who wait behind it more time ([`Transfers`]).
//!
//! | a statement is | its caller is dropped | its answer comes | the connection ends | the server does nothing for the bound |
//! |---|---|---|---|---|
//! | queued | it is never sent | | it goes back unsent; the caller queues once more at the next connection | its caller is late, it is never sent |
//! | sent | its answer is dropped | its caller is told, its place is free | its caller is told of the loss | its caller is late; its place is taken until the answer or the end |
//!
//! A close is an end of the connection after which there is no other. Where two of these meet, the task sees the answer
//! first: it reads before it judges, and it gives out what was read before it ends.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future::BoxFuture};
use memolock_core::ErrorKind;
use memolock_core::connection::Fault;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::dial::Wire;
use crate::error::fault;
use crate::parameter::Parameter;
use crate::socket::Progress;
use crate::statements::Verb;
use crate::transfers::{LARGE_BYTES, Transfer, Transfers};

/// Statements of callers on their way. Far more than it takes to keep a server busy, and done within a fraction of a
/// second by a slow one.
const LIMIT: usize = 512;

/// How many statements are taken in at once.
const TAKEN: usize = 1024;

/// What became of a statement.
pub(crate) enum Outcome {
    Answered(Result<Vec<Row>, Fault>),
    /// The bound has passed, and the server has done nothing within it.
    Late,
    /// The connection ended before it was sent.
    Unsent(Vec<Parameter>),
}

/// A caller's statement.
struct Job {
    /// Of its value.
    bytes: usize,
    verb: Verb,
    parameters: Vec<Parameter>,
    since: Instant,
    reply: oneshot::Sender<Outcome>,
}

/// Where callers put their statements.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::UnboundedSender<Job>);

/// Where they come out.
pub(crate) struct Jobs(mpsc::UnboundedReceiver<Job>);

/// A queue for one connection.
pub(crate) fn queue() -> (Queue, Jobs) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Queue(sender), Jobs(receiver))
}

impl Queue {
    /// Has a statement sent, and waits for its end. Dropping the future means that nobody wants the answer.
    pub(crate) async fn ask(
        &self,
        bytes: usize,
        verb: Verb,
        parameters: Vec<Parameter>,
    ) -> Option<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let job = Job {
            bytes,
            verb,
            parameters,
            since: Instant::now(),
            reply,
        };
        match self.0.send(job) {
            Ok(()) => outcome.await.ok(),
            Err(refused) => Some(Outcome::Unsent(refused.0.parameters)),
        }
    }
}

/// The how many-th statement it is of, and its rows.
type Answer = (u64, Result<Vec<Row>, Error>);

/// A statement that was sent.
struct Sent {
    since: Instant,
    takes_place: bool,
    large: Option<Transfer>,
    /// None: its caller was told that it is late.
    reply: Option<oneshot::Sender<Outcome>>,
}

/// The statements of one connection. The connection's task polls it.
pub(crate) struct Pump {
    jobs: mpsc::UnboundedReceiver<Job>,
    taken: Vec<Job>,
    /// What passes the queue.
    urgent: VecDeque<Job>,
    queued: VecDeque<Job>,
    sent: BTreeMap<u64, Sent>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    count: u64,
    places_taken: usize,
    /// How many bytes the server had sent when it last answered.
    answered: u64,
    clock: Clock,
    /// When callers are looked at, if there are any.
    look: Option<Pin<Box<Sleep>>>,
}

/// Since when the server has done nothing.
struct Clock {
    bound: Duration,
    progress: Arc<Progress>,
    seen: u64,
    quiet_since: Instant,
    transfers: Transfers,
}

impl Clock {
    fn turn(&mut self, now: Instant) {
        let done = self.progress.done();
        if done != self.seen {
            (self.seen, self.quiet_since) = (done, now);
        }
    }

    /// When one who waits since then is late, as far as is known now.
    fn late_at(&self, since: Instant) -> Instant {
        let since = self.quiet_since.max(since);
        let passed = self.transfers.passed();
        passed.map_or(since, |passed| passed.max(since)) + self.bound
    }
}

/// What a caller is told of a statement that failed after so many bytes of its answer had come. The server ends a
/// statement whose large value takes longer to pass than a command may. Such a server does not hang, and is asked no less.
fn told(fault: Fault, came: u64) -> Fault {
    match fault.kind() == ErrorKind::Timeout && came > LARGE_BYTES as u64 {
        true => Fault::new(
            ErrorKind::Refused,
            "the value takes longer to pass than a command may: enlarge command_timeout",
        ),
        false => fault,
    }
}

impl Pump {
    pub(crate) fn new(jobs: Jobs, bound: Duration, progress: Arc<Progress>) -> Self {
        Self {
            jobs: jobs.0,
            taken: Vec::new(),
            urgent: VecDeque::new(),
            queued: VecDeque::new(),
            sent: BTreeMap::new(),
            answers: FuturesUnordered::new(),
            count: 0,
            places_taken: 0,
            answered: progress.sent(),
            clock: Clock {
                bound,
                seen: progress.done(),
                progress,
                quiet_since: Instant::now(),
                transfers: Transfers::default(),
            },
            look: None,
        }
    }

    /// Takes statements in, gives answers out, and sends what may be sent. Ready with the number of statements that were
    /// sent: then the connection has something to do.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, wire: &Wire) -> Poll<u64> {
        self.clock.turn(Instant::now());
        self.take_in(cx);
        while let Poll::Ready(Some((nth, answer))) = self.answers.poll_next_unpin(cx) {
            self.answered(nth, answer);
        }
        let mut sent = 0;
        while let Some(job) = self.next() {
            self.send(job, cx, wire);
            sent += 1;
        }
        match sent {
            0 => Poll::Pending,
            sent => Poll::Ready(sent),
        }
    }

    /// Whether a large value may still be on its way, so that nothing behind it is answered.
    pub(crate) fn is_passing(&self, now: Instant) -> bool {
        let passed = self.clock.transfers.passed();
        passed.is_some_and(|passed| passed > now)
    }

    fn take_in(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(1..) = self.jobs.poll_recv_many(cx, &mut self.taken, TAKEN) {
            for job in self.taken.drain(..) {
                match job.verb.passes_queue() {
                    true => self.urgent.push_back(job),
                    false => self.queued.push_back(job),
                }
            }
        }
    }

    /// What may be sent now and is still waited for.
    fn next(&mut self) -> Option<Job> {
        loop {
            let job = match self.urgent.pop_front() {
                Some(job) => job,
                None if self.places_taken < LIMIT => self.queued.pop_front()?,
                None => return None,
            };
            if !job.reply.is_closed() {
                return Some(job);
            }
        }
    }

    fn send(&mut self, job: Job, cx: &mut Context<'_>, wire: &Wire) {
        let nth = self.count;
        self.count += 1;
        if self.sent.is_empty() {
            // The server had nothing to do until now.
            self.clock.quiet_since = Instant::now();
        }
        let takes_place = !job.verb.passes_queue();
        let large = self.clock.transfers.sends(job.bytes, Instant::now());
        self.places_taken += usize::from(takes_place);
        let sent = Sent {
            since: job.since,
            takes_place,
            large,
            reply: Some(job.reply),
        };
        self.sent.insert(nth, sent);
        let wire = wire.clone();
        let mut answer = async move {
            let parameters = job.parameters.iter().map(|p| &**p as &(dyn ToSql + Sync));
            let parameters: Vec<_> = parameters.collect();
            let statement = wire.statements.of(job.verb);
            (nth, wire.client.query(statement, &parameters).await)
        }
        .boxed();
        // It is sent when it is first polled: here, so that statements go out in their order.
        match answer.as_mut().poll(cx) {
            Poll::Ready((nth, answer)) => self.answered(nth, answer),
            Poll::Pending => self.answers.push(answer),
        }
    }

    fn answered(&mut self, nth: u64, answer: Result<Vec<Row>, Error>) {
        let Some(sent) = self.sent.remove(&nth) else {
            return;
        };
        self.places_taken -= usize::from(sent.takes_place);
        if let Some(large) = sent.large {
            self.clock.transfers.answered(large, Instant::now());
        }
        // Since the answer before: the server sends one after the other.
        let so_far = self.clock.progress.sent();
        let came = so_far - std::mem::replace(&mut self.answered, so_far);
        if let Some(reply) = sent.reply {
            let answer = answer.map_err(|error| told(fault(&error), came));
            // Its caller may be gone.
            let _ = reply.send(Outcome::Answered(answer));
        }
    }

    /// Tells those who are late, once a bound: the timer is set for the first who may be. To be called when the connection
    /// was read and has nothing more.
    pub(crate) fn look(&mut self, cx: &mut Context<'_>) {
        self.clock.turn(Instant::now());
        loop {
            let Some(look) = &mut self.look else {
                let Some(at) = self.first_late() else {
                    return;
                };
                self.look = Some(Box::pin(tokio::time::sleep_until(at)));
                continue;
            };
            if look.as_mut().poll(cx).is_pending() {
                return;
            }
            self.look = None;
            let now = Instant::now();
            let clock = &self.clock;
            let is_late = |since: Instant| clock.late_at(since) <= now;
            for sent in self.sent.values_mut().filter(|sent| is_late(sent.since)) {
                tell_late(sent.reply.take());
            }
            for waiting in [&mut self.urgent, &mut self.queued] {
                // In the order of their coming.
                while waiting.front().is_some_and(|job| is_late(job.since)) {
                    tell_late(waiting.pop_front().map(|job| job.reply));
                }
            }
        }
    }

    /// When the first of those who wait is late, if the server does nothing.
    fn first_late(&self) -> Option<Instant> {
        let sent = self.sent.values().filter(|sent| sent.reply.is_some());
        let waiting = self.urgent.front().into_iter().chain(self.queued.front());
        let since = sent
            .map(|sent| sent.since)
            .chain(waiting.map(|job| job.since));
        since.min().map(|since| self.clock.late_at(since))
    }

    /// The connection has ended. What was sent is lost, but for what was answered; the rest goes back.
    pub(crate) fn end(mut self) {
        while let Some(Some((nth, answer))) = self.answers.next().now_or_never() {
            self.answered(nth, answer);
        }
        for sent in std::mem::take(&mut self.sent).into_values() {
            if let Some(reply) = sent.reply {
                let _ = reply.send(Outcome::Answered(Err(Fault::lost())));
            }
        }
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            self.queued.push_back(job);
        }
        for job in self.urgent.into_iter().chain(self.queued) {
            let _ = job.reply.send(Outcome::Unsent(job.parameters));
        }
    }
}

fn tell_late(reply: Option<oneshot::Sender<Outcome>>) {
    if let Some(reply) = reply {
        let _ = reply.send(Outcome::Late);
    }
}
