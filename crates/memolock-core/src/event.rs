//! What a subscription hears.

use bytes::Bytes;

use crate::Notice;

/// One item of a [`Subscription`](crate::Subscription).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// Something was published for the key.
    Message(Message),
    /// From here on messages may be missed: the connection broke, or the listener fell behind by more than
    /// 32 of them or 1 MiB of values.
    Gap,
    /// Messages flow again. What was published since the [`Gap`](Event::Gap) is lost, so look at the store.
    Resumed,
}

/// A message on one of a key's two channels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// The `notif` channel: the value's exact stored bytes. Empty is a legal value.
    Value(Bytes),
    /// The `fail` channel.
    Notice(Notice),
}

impl From<Message> for Event {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}
