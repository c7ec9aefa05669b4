//! Knowing that a subscription stands: fred does not say.
//!
//! fred's `subscribe` returns as soon as the command is written, it drops the server's confirmation
//! unread, and it expects no reply, so that a refusal is taken for the answer to whatever was sent
//! next, and is dropped if it finds nothing in flight. So a PING with a word of its own goes right
//! behind, as a fence, in one pipeline: the task that writes one is the one that reads, and it reads
//! no refusal before the PING is in flight to receive it. A server answers in order:
//!
//! * the word comes back: what was sent before it is done;
//! * an error comes back: that was the refusal, and the word is still to come. fred drops it as an
//!   answer to nothing if it finds nothing in flight; until that is certain nothing else may be sent.
//!   Further words tell: the first that comes back itself, and not one before it, is the proof.
//!
//! Messages and answers are read by one task of fred's, in the order in which they came: when a word
//! is back, every message from before it is in the channel already.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fred::clients::{Client, Pipeline};
use fred::interfaces::PubsubInterface;
use memolock_core::ErrorKind;
use memolock_core::redis::Fault;

use crate::dial::{Echo, echo, enclose};
use crate::error::fault;

/// The pauses between words after a refusal: they double. The stray answer comes in the same packet as
/// the refusal, so that the first word is nearly always enough. If it does not, each word is answered
/// by the one before it until a pause is longer than the way to the server and back.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What became of a change of subscriptions.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Refused(Fault),
}

/// Words that no command of this connection has used before.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fence {
    words: Arc<AtomicU64>,
}

impl Fence {
    /// Subscribes. One call at a time.
    pub(crate) async fn subscribe(
        &self,
        client: &Client,
        channels: Vec<String>,
    ) -> Result<Outcome, Fault> {
        let pipeline = client.pipeline();
        pipeline.subscribe(channels).await.map_err(fault)?;
        self.send(client, pipeline).await
    }

    /// Unsubscribes. One call at a time.
    pub(crate) async fn unsubscribe(
        &self,
        client: &Client,
        channels: Vec<String>,
    ) -> Result<Outcome, Fault> {
        let pipeline = client.pipeline();
        pipeline.unsubscribe(channels).await.map_err(fault)?;
        self.send(client, pipeline).await
    }

    /// Unsubscribes sharded channels, each by a command of its own. One call at a time.
    pub(crate) async fn leave(
        &self,
        client: &Client,
        channels: Vec<String>,
    ) -> Result<Outcome, Fault> {
        let pipeline = client.pipeline();
        for channel in channels {
            pipeline.sunsubscribe(channel).await.map_err(fault)?;
        }
        self.send(client, pipeline).await
    }

    /// Sends what is queued, and the fence behind it.
    async fn send(&self, client: &Client, pipeline: Pipeline<Client>) -> Result<Outcome, Fault> {
        match enclose(&pipeline, &self.word()).await {
            Ok(Echo::Heard) => Ok(Outcome::Done),
            Ok(Echo::Other) => Err(confused()),
            Err(fault) => match fault.kind() {
                ErrorKind::Unavailable | ErrorKind::Timeout => Err(fault),
                _ => {
                    self.recover(client).await?;
                    Ok(Outcome::Refused(fault))
                }
            },
        }
    }

    /// After a refusal: until answers and commands are paired again.
    async fn recover(&self, client: &Client) -> Result<(), Fault> {
        let mut pause = FIRST_PAUSE;
        while pause <= LAST_PAUSE {
            if echo(client, &self.word()).await? == Echo::Heard {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(confused())
    }

    fn word(&self) -> String {
        format!("fence {}", self.words.fetch_add(1, Relaxed))
    }
}

fn confused() -> Fault {
    Fault::new(
        ErrorKind::Protocol,
        "answers do not belong to the commands that were sent",
    )
}
