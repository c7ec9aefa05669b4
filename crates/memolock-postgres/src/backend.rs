//! The backend: which statement carries out which operation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use memolock_core::connection::Fault;
use memolock_core::{
    Acquired, Attempt, Backend, BackendError, BackendStats, Capabilities, Fulfilled, Fulfilment,
    Inspection, Key, Notice, Operation, PutMode, Renewal, Subscription, Token, async_trait, millis,
};
use tokio_postgres::Row;

use crate::builder::PgBackendBuilder;
use crate::granted::Granted;
use crate::link::Link;
use crate::parameter::{Blob, Parameter, parameter};
use crate::payload::{self, Digest};
use crate::rows::{acquired, bytes, column, inspection, senseless};
use crate::statements::Verb;

/// Renewals that travel in one statement: it locks as many rows until it ends, and other statements wait
/// for it.
const RENEWALS_PER_STATEMENT: usize = 500;

/// A table in a PostgreSQL database as a [`Backend`]. Cheap to clone; the clones share one connection,
/// and with the last of them it ends, and its task with it.
#[derive(Clone)]
pub struct PgBackend {
    rooms: Arc<Rooms>,
}

struct Rooms {
    link: Link,
    /// Hosts and database.
    place: String,
}

impl PgBackend {
    /// Connects with the default options, and fails fast if that is not possible: within a second, or if
    /// the table `memolock` is not there. For the URL see the [crate's page](crate#urls).
    ///
    /// Cancellation: dropping the future ends the attempt and leaves nothing behind.
    ///
    /// # Errors
    /// As [`PgBackendBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, BackendError> {
        Self::builder(url).connect().await
    }

    /// Makes the backend with the default options and connects in the background, for ever: a service
    /// can start before its database does. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`PgBackendBuilder::connect_lazy`]: only for the URL, or if there is no runtime.
    pub fn connect_lazy(url: impl Into<String>) -> Result<Self, BackendError> {
        Self::builder(url).connect_lazy()
    }

    /// A builder, for other than the default options. The URL is looked at when it connects.
    pub fn builder(url: impl Into<String>) -> PgBackendBuilder {
        PgBackendBuilder::new(url.into())
    }

    pub(crate) fn over(link: Link, place: String) -> Self {
        let rooms = Arc::new(Rooms { link, place });
        Self { rooms }
    }

    /// Waits until the first attempt to connect has ended, which is bounded by itself.
    pub(crate) async fn ready(&self) -> Result<(), BackendError> {
        let outcome = self.rooms.link.first_attempt().await;
        outcome.map_err(|fault| fault.outward(Operation::Connect))
    }

    async fn ask<const N: usize>(
        &self,
        verb: Verb,
        parameters: [Parameter; N],
    ) -> Result<Vec<Row>, Fault> {
        self.ask_with(0, verb, parameters).await
    }

    /// The same with a value of so many bytes.
    async fn ask_with<const N: usize>(
        &self,
        bytes: usize,
        verb: Verb,
        parameters: [Parameter; N],
    ) -> Result<Vec<Row>, Fault> {
        let link = &self.rooms.link;
        link.ask(bytes, verb, parameters.into()).await
    }

    /// Whether each of these renewals found its lock. They travel together.
    async fn renew_some(&self, renewals: &[Renewal]) -> Result<Vec<bool>, Fault> {
        let ids: Vec<Vec<u8>> = renewals
            .iter()
            .map(|r| Digest::of(&r.key).0.into())
            .collect();
        let tokens: Vec<Vec<u8>> = renewals.iter().map(|r| r.token.to_wire().into()).collect();
        let leases: Vec<i64> = renewals.iter().map(|r| duration(r.lease)).collect();
        let mut answers = vec![false; renewals.len()];
        let parameters = [parameter(ids), parameter(tokens), parameter(leases)];
        for row in self.ask(Verb::Renew, parameters).await? {
            let nth: i64 = column(&row, 0)?;
            let answer = usize::try_from(nth - 1)
                .ok()
                .and_then(|nth| answers.get_mut(nth));
            *answer.ok_or_else(|| senseless("a renewal that was not asked for"))? = true;
        }
        Ok(answers)
    }

    async fn acquire_unless(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: Option<&Bytes>,
    ) -> Result<Acquired, BackendError> {
        let id = Id::of(key);
        let parameters = [
            id.digest(),
            id.name(),
            parameter(token.to_wire().into_bytes()),
            parameter(duration(lease)),
            parameter(stale.map(|bytes| Blob(bytes.clone()))),
        ];
        let answer = self.ask(Verb::Acquire, parameters).await;
        answer
            .and_then(|rows| acquired(&rows))
            .map_err(|fault| fault.on(Operation::Acquire, key))
    }
}

#[async_trait]
impl Backend for PgBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("postgres")
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>, BackendError> {
        let answer = self.ask(Verb::Get, [Id::of(key).digest()]).await;
        answer
            .and_then(|rows| rows.first().map(|row| bytes(row, 0)).transpose())
            .map_err(|fault| fault.on(Operation::Get, key))
    }

    async fn acquire(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
    ) -> Result<Acquired, BackendError> {
        self.acquire_unless(key, token, lease, None).await
    }

    async fn acquire_over(
        &self,
        key: &Key,
        token: Token,
        lease: Duration,
        stale: &Bytes,
    ) -> Result<Acquired, BackendError> {
        self.acquire_unless(key, token, lease, Some(stale)).await
    }

    async fn fulfil(
        &self,
        key: &Key,
        token: Token,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Fulfilled, BackendError> {
        let id = Id::of(key);
        let (payload, bytes) = (payload::of_value(&id.digest, &value), value.len());
        let parameters = [
            id.digest(),
            parameter(token.to_wire().into_bytes()),
            parameter(Blob(value)),
            parameter(duration(ttl)),
            parameter(id.bucket),
            parameter(payload),
        ];
        match self.ask_with(bytes, Verb::Fulfil, parameters).await {
            Ok(rows) if rows.is_empty() => Ok(Fulfilled::Lost),
            Ok(_) => Ok(Fulfilled::Stored),
            Err(fault) => Err(fault.on(Operation::Fulfil, key)),
        }
    }

    // Statements on a connection are sent without waiting for answers, so these take hardly more time than one.
    async fn get_many(&self, keys: &[Key]) -> Vec<Result<Option<Bytes>, BackendError>> {
        join_all(keys.iter().map(|key| self.get(key))).await
    }

    async fn acquire_many(&self, tries: &[Attempt]) -> Vec<Result<Acquired, BackendError>> {
        let called = tries.iter().map(|t| self.acquire(&t.key, t.token, t.lease));
        let mut granted = Granted::new(self, tries);
        let mut called: FuturesUnordered<_> = called
            .enumerate()
            .map(|(nth, call)| async move { (nth, call.await) })
            .collect();
        let mut answers: Vec<Option<Result<Acquired, BackendError>>> = vec![None; tries.len()];
        loop {
            tokio::select! {
                biased;
                answer = called.next() => match answer {
                    Some((nth, answer)) => {
                        if answer == Ok(Acquired::Granted) {
                            granted.add(&tries[nth]);
                        }
                        answers[nth] = Some(answer);
                    }
                    None => break,
                },
                () = granted.keep() => {}
            }
        }
        // Each has its answer by now.
        let answers = answers.into_iter().zip(tries);
        let answers = answers.map(|(answer, t)| {
            answer.unwrap_or_else(|| Err(Fault::lost().on(Operation::Acquire, &t.key)))
        });
        answers.collect()
    }

    async fn fulfil_many(&self, values: &[Fulfilment]) -> Vec<Result<Fulfilled, BackendError>> {
        let values = values.iter();
        join_all(values.map(|v| self.fulfil(&v.key, v.token, v.value.clone(), v.ttl))).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<bool>, BackendError> {
        self.renew_each(renewals).await.into_iter().collect()
    }

    // All on their way at once, and each by itself: one that fails takes no other with it.
    async fn renew_each(&self, renewals: &[Renewal]) -> Vec<Result<bool, BackendError>> {
        let chunks = renewals.chunks(RENEWALS_PER_STATEMENT);
        let answers = join_all(chunks.map(|some| async move {
            match self.renew_some(some).await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(fault) => vec![Err(fault.outward(Operation::Renew)); some.len()],
            }
        }));
        answers.await.concat()
    }

    async fn release(
        &self,
        key: &Key,
        token: Token,
        notice: Option<Notice>,
    ) -> Result<bool, BackendError> {
        let id = Id::of(key);
        let payload = notice.map(|notice| payload::of_notice(&id.digest, &notice));
        let parameters = [
            id.digest(),
            parameter(token.to_wire().into_bytes()),
            parameter(id.bucket),
            parameter(payload),
        ];
        match self.ask(Verb::Release, parameters).await {
            Ok(rows) => Ok(!rows.is_empty()),
            Err(fault) => Err(fault.on(Operation::Release, key)),
        }
    }

    async fn put(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Duration,
        mode: PutMode,
    ) -> Result<(), BackendError> {
        let id = Id::of(key);
        let (payload, bytes) = (payload::of_value(&id.digest, &value), value.len());
        let parameters = [
            id.digest(),
            id.name(),
            parameter(Blob(value)),
            parameter(duration(ttl)),
            parameter(matches!(mode, PutMode::Override)),
            parameter(id.bucket),
            parameter(payload),
        ];
        let answer = self.ask_with(bytes, Verb::Put, parameters).await;
        answer
            .map(drop)
            .map_err(|fault| fault.on(Operation::Put, key))
    }

    async fn invalidate(&self, key: &Key) -> Result<(), BackendError> {
        let id = Id::of(key);
        let payload = payload::of_notice(&id.digest, &Notice::Invalidated);
        let parameters = [
            id.digest(),
            id.name(),
            parameter(id.bucket),
            parameter(payload),
        ];
        let answer = self.ask(Verb::Invalidate, parameters).await;
        answer
            .map(drop)
            .map_err(|fault| fault.on(Operation::Invalidate, key))
    }

    async fn inspect(&self, key: &Key) -> Result<Inspection, BackendError> {
        let answer = self.ask(Verb::Inspect, [Id::of(key).digest()]).await;
        answer
            .and_then(|rows| {
                rows.first()
                    .map_or_else(|| Ok(Inspection::default()), inspection)
            })
            .map_err(|fault| fault.on(Operation::Inspect, key))
    }

    async fn subscribe(&self, key: &Key) -> Result<Subscription, BackendError> {
        let link = &self.rooms.link;
        if let Some(Err(fault)) = link.now() {
            // It took no time: see `Link::wire`.
            tokio::task::yield_now().await;
            return Err(fault.on(Operation::Subscribe, key));
        }
        let mut listener = link.shared().board.listen(key);
        let fault = tokio::select! {
            biased;
            outcome = listener.confirmed() => match outcome {
                Ok(()) => return Ok(Box::pin(listener)),
                Err(error) => return Err(error),
            },
            fault = link.hopeless() => fault,
            () = link.too_long() => link.late(),
        };
        Err(fault.on(Operation::Subscribe, key))
    }

    fn stats(&self) -> BackendStats {
        let link = &self.rooms.link;
        let mut stats = BackendStats::default();
        stats.commands = link.commands();
        stats.reconnects = link.reconnects();
        stats.subscriptions = link.shared().board.len() as u64;
        stats
    }

    async fn close(&self) {
        // First all that needs no waiting, so that a dropped close has closed too.
        self.rooms.link.close();
        self.rooms.link.ended().await;
    }
}

/// Where it leads and the state of the link; never user or password.
impl fmt::Debug for PgBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBackend")
            .field("server", &format_args!("{}", self.rooms.place))
            .field("link", &self.rooms.link.condition())
            .finish_non_exhaustive()
    }
}

/// How a key is called in the table and on its channel.
struct Id {
    digest: Digest,
    name: String,
    bucket: String,
}

impl Id {
    fn of(key: &Key) -> Self {
        let name = key.value_name();
        let digest = Digest::of_name(name.as_bytes());
        let bucket = format!("{:02x}", digest.bucket());
        Self {
            digest,
            name,
            bucket,
        }
    }

    fn digest(&self) -> Parameter {
        parameter(self.digest.0.to_vec())
    }

    fn name(&self) -> Parameter {
        parameter(self.name.clone().into_bytes())
    }
}

/// A duration as statements take it: whole milliseconds, at most a hundred years of them.
fn duration(duration: Duration) -> i64 {
    i64::try_from(millis(duration)).unwrap_or(i64::MAX)
}
