//! Server-assisted invalidation, by a way that fred does not lose anything on.
//!
//! What a server pushes over RESP3 when all was deleted, a null in the place of names, fred drops unread. So the
//! pushes are redirected to a connection of the older protocol, a *receiver*, to which they come as messages on a
//! channel of their own, null and all. Such a connection may do nothing else once it has subscribed, and so the
//! subscription connection does the asking. If the receiver is lost, so is what it was told: a gap, and both
//! start over.

use fred::types::{Message, Value};
use memolock_core::redis::sentinel::Place;
use memolock_core::redis::{Fault, Reply};
use memolock_core::{ErrorKind, TrackingBoard, Wish};
use memolock_redis_common::Dialer;
use tokio::sync::broadcast::error::RecvError;

use crate::dial::{Fred, Line, ask, sign_of_life};
use crate::fence::{Fence, Outcome};
use crate::reply::of_value;
use crate::session::behind;

/// Where servers announce invalidations to those who do not speak RESP3.
const CHANNEL: &str = "__redis__:invalidate";

/// The connection that hears.
pub(crate) struct Receiver {
    line: Line,
    id: i64,
}

impl Receiver {
    /// Connects and subscribes. Where sentinels named a place, to the same as the one that asks: redirections
    /// are within one server.
    pub(crate) async fn open(dialer: &Dialer<Fred>, place: Option<&Place>) -> Result<Self, Fault> {
        let line = dialer.dial_to(place).await?;
        let Reply::Int(id) = ask(&line.ends.client, "CLIENT", vec!["ID".into()]).await? else {
            let detail = "the id of a client is no number";
            return Err(Fault::new(ErrorKind::Protocol, detail));
        };
        let fence = Fence::default();
        let channels = vec![CHANNEL.to_owned()];
        match fence.subscribe(&line.ends.client, channels).await? {
            Outcome::Done => Ok(Self { line, id }),
            Outcome::Refused(fault) => Err(fault),
        }
    }

    /// The next announcement. Cancel-safe.
    ///
    /// # Errors
    /// The connection is gone, or has to go.
    pub(crate) async fn recv(&mut self) -> Result<Message, Fault> {
        tokio::select! {
            biased;
            message = self.line.ends.messages.recv() => match message {
                Ok(message) => Ok(message),
                Err(RecvError::Lagged(missed)) => Err(behind(missed)),
                Err(RecvError::Closed) => Err(Fault::lost()),
            },
            () = self.line.ends.life.ended() => Err(Fault::lost()),
        }
    }

    /// What a heartbeat asks, and what pushes are redirected to.
    pub(crate) fn handle(&self) -> Handle {
        Handle {
            client: self.line.ends.client.clone(),
            id: self.id,
        }
    }
}

/// A receiver, seen by those who ask for its sake.
#[derive(Clone)]
pub(crate) struct Handle {
    client: fred::clients::Client,
    id: i64,
}

impl Handle {
    pub(crate) async fn ping(&self) -> Result<(), Fault> {
        sign_of_life(&self.client, false).await
    }

    /// Has the server tell of changes, asking over `client`.
    pub(crate) async fn track(
        &self,
        client: &fred::clients::Client,
        wish: &Wish,
    ) -> Result<(), Fault> {
        match wish {
            Wish::Also(prefixes) => self.on(client, prefixes).await,
            // Prefixes that overlap those of before are refused, and there is no taking back a single one.
            Wish::Only(prefixes) => {
                off(client).await?;
                self.on(client, prefixes).await
            }
            Wish::Nothing => off(client).await,
        }
    }

    async fn on(&self, client: &fred::clients::Client, prefixes: &[String]) -> Result<(), Fault> {
        let id = self.id.to_string();
        let mut words: Vec<Value> = ["TRACKING", "ON", "REDIRECT"].map(Value::from).into();
        words.extend([id.into(), "BCAST".into()]);
        for prefix in prefixes {
            words.extend(["PREFIX".into(), Value::from(prefix)]);
        }
        ask(client, "CLIENT", words).await.map(drop)
    }
}

async fn off(client: &fred::clients::Client) -> Result<(), Fault> {
    let words = ["TRACKING", "OFF"].map(Value::from);
    ask(client, "CLIENT", words.into()).await.map(drop)
}

/// Whether it may go well over the next connection.
pub(crate) fn is_outage(fault: &Fault) -> bool {
    use ErrorKind::{Refused, Timeout, Unavailable};
    matches!(fault.kind(), Unavailable | Timeout | Refused)
}

/// What is announced: names, or nothing, which means all.
pub(crate) fn changed(trackers: &TrackingBoard, message: Message) {
    if message.channel != CHANNEL {
        return;
    }
    match of_value(message.value) {
        Reply::Array(names) => {
            for name in names {
                match name {
                    Reply::Bytes(name) => trackers.deliver(&name),
                    // No name: whatever it was may have changed.
                    _ => trackers.all(),
                }
            }
        }
        Reply::Bytes(name) => trackers.deliver(&name),
        _ => trackers.all(),
    }
}
