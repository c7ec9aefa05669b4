//! A listener's ear: what a subscription hears, with patience.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use memolock_core::{Event, Message, Notice, Subscription};
use tokio::time::timeout;

use super::case::{Stop, Verdict, ensure, equal};
use super::trial::bytes;

/// A subscription, waited on for so long and no longer.
pub(crate) struct Ear {
    subscription: Subscription,
    patience: Duration,
}

impl Ear {
    pub(crate) fn new(subscription: Subscription, patience: Duration) -> Self {
        Self {
            subscription,
            patience,
        }
    }

    /// The next event, or the end.
    pub(crate) async fn next(&mut self) -> Verdict<Option<Event>> {
        match timeout(self.patience, self.subscription.next()).await {
            Ok(event) => Ok(event),
            Err(_) => {
                let why = format!("a listener heard nothing within {:?}", self.patience);
                Err(Stop::failed(why))
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Verdict<Event> {
        let ended = || Stop::failed("a subscription ended although its backend is open");
        self.next().await?.ok_or_else(ended)
    }

    pub(crate) async fn hears(&mut self, expected: &Event) -> Verdict {
        equal!(self.event().await?, *expected, "a listener's next event");
        Ok(())
    }

    pub(crate) async fn hears_value(&mut self, expected: &str) -> Verdict {
        self.hears(&Message::Value(bytes(expected)).into()).await
    }

    pub(crate) async fn hears_notice(&mut self, expected: Notice) -> Verdict {
        self.hears(&Message::Notice(expected).into()).await
    }

    /// The next message is this large value; or a gap that ends, for stores whose messages are small.
    pub(crate) async fn hears_large(&mut self, expected: &Bytes) -> Verdict {
        match self.event().await? {
            Event::Message(Message::Value(value)) => {
                let (heard, sent) = (value.len(), expected.len());
                ensure!(
                    value == *expected,
                    "a listener heard {heard} bytes that differ from the {sent} stored"
                );
                Ok(())
            }
            Event::Gap => self.hears(&Event::Resumed).await,
            other => Err(Stop::failed(format!(
                "a listener heard {other:?} instead of a large value"
            ))),
        }
    }

    /// Passes over events until one that is wanted.
    pub(crate) async fn hears_at_last(&mut self, wanted: &Event) -> Verdict {
        while self.event().await? != *wanted {}
        Ok(())
    }

    /// The end, after whatever was unread.
    pub(crate) async fn ends(&mut self) -> Verdict {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// Whether something is there to be heard, without waiting; what it is is lost.
    pub(crate) fn peek(&mut self) -> bool {
        use futures_util::FutureExt;
        self.subscription.next().now_or_never().is_some()
    }
}
