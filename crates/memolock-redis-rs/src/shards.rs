//! Sharded channels: asking for them, and who hears what on which.
//!
//! On a cluster a command may name the channels of one slot only, so each channel is asked for by a command of its own;
//! those of many keys travel in one write. The server confirms each by a push, in order, and answers an error in the
//! place of a push where it will not. When a slot leaves a node, it ends the subscriptions in it by itself.

use std::collections::VecDeque;

use bytes::Bytes;
use memolock_core::redis::{Fault, Routes};
use memolock_core::{Key, Message};
use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::error::fault;

/// The sharded channels of one connection.
#[derive(Default)]
pub(crate) struct Shards {
    routes: Routes,
    /// The fail channels whose confirmation is outstanding, in the order asked; each is asked for after its notif
    /// channel, and so confirms the key.
    awaited: VecDeque<(String, Key)>,
}

impl Shards {
    /// Forgets keys; returns the channels that speak of nothing any more.
    pub(crate) fn remove(&mut self, keys: &[Key]) -> Vec<String> {
        let silent = keys.iter().flat_map(|key| self.routes.remove(key));
        silent.collect()
    }

    /// These are about to be asked for.
    pub(crate) fn asked(&mut self, keys: &[Key]) {
        let fails = keys.iter().map(|key| (key.fail_channel(), key.clone()));
        self.awaited.extend(fails);
    }

    /// A channel was confirmed: the key of which it was the last one. Those before it were refused, or will be.
    pub(crate) fn confirmed(&mut self, channel: &[u8]) -> Option<Key> {
        let is_it = |(fail, _): &(String, Key)| fail.as_bytes() == channel;
        let at = self.awaited.iter().position(is_it)?;
        let (_, key) = self.awaited.remove(at)?;
        self.routes.add(&key);
        Some(key)
    }

    /// All answers are there: the keys that were not confirmed.
    pub(crate) fn settle(&mut self) -> Vec<Key> {
        self.awaited.drain(..).map(|(_, key)| key).collect()
    }

    /// What a message means, for each key that it speaks of.
    pub(crate) fn read<'a>(
        &'a self,
        channel: &[u8],
        payload: &'a Bytes,
    ) -> impl Iterator<Item = (&'a Key, Message)> {
        self.routes.read(channel, payload)
    }

    /// The server says that a channel is unsubscribed. If it was not asked to: the keys that hear nothing any more.
    pub(crate) fn left(&mut self, channel: &[u8]) -> Vec<Key> {
        let nothing = Bytes::new();
        let keys = self.routes.read(channel, &nothing);
        let keys: Vec<Key> = keys.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.routes.remove(key);
        }
        keys
    }
}

/// Subscribes; says which keys were refused.
pub(crate) async fn join(
    connection: &mut MultiplexedConnection,
    keys: &[Key],
) -> Result<Vec<(Key, Fault)>, Fault> {
    let channels = keys
        .iter()
        .flat_map(|key| [key.notif_channel(), key.fail_channel()]);
    let answers = each(connection, "SSUBSCRIBE", channels).await?;
    let mut refused: Vec<(Key, Fault)> = Vec::new();
    for (at, answer) in answers.into_iter().enumerate() {
        if let (Err(error), Some(key)) = (answer.extract_error(), keys.get(at / 2))
            && refused.last().is_none_or(|(last, _)| last != key)
        {
            refused.push((key.clone(), fault(error)));
        }
    }
    Ok(refused)
}

/// Unsubscribes. What is refused is of a slot that has left, and is unsubscribed by that.
pub(crate) async fn leave(
    connection: &mut MultiplexedConnection,
    channels: &[String],
) -> Result<(), Fault> {
    let channels = channels.iter().cloned();
    each(connection, "SUNSUBSCRIBE", channels).await.map(drop)
}

/// One command for each channel, in one write; one answer for each.
async fn each(
    connection: &mut MultiplexedConnection,
    command: &str,
    channels: impl Iterator<Item = String>,
) -> Result<Vec<Value>, Fault> {
    let mut pipeline = redis::pipe();
    let mut count = 0;
    for channel in channels {
        pipeline.cmd(command).arg(channel);
        count += 1;
    }
    let answers = connection.send_packed_commands(&pipeline, 0, count).await;
    answers.map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_core::{Keyspace, Layout, Notifications, Tag};

    fn key(id: &str) -> Key {
        let space = Keyspace::new(Tag::new("likes").unwrap(), Layout::HashTagged).unwrap();
        let space = space.with_notifications(Notifications::Sharded);
        space.key(id).unwrap()
    }

    fn confirm(shards: &mut Shards, key: &Key) -> Option<Key> {
        assert_eq!(shards.confirmed(key.notif_channel().as_bytes()), None);
        shards.confirmed(key.fail_channel().as_bytes())
    }

    #[test]
    fn a_key_is_confirmed_by_its_last_channel_and_those_refused_are_left_over() {
        let mut shards = Shards::default();
        let keys = ["a", "b", "c"].map(key);
        shards.asked(&keys);
        assert_eq!(confirm(&mut shards, &keys[0]), Some(keys[0].clone()));
        assert_eq!(confirm(&mut shards, &keys[2]), Some(keys[2].clone()));
        assert_eq!(shards.settle(), [keys[1].clone()]);
        assert!(shards.settle().is_empty());
    }

    #[test]
    fn what_the_server_ends_by_itself_is_told_once() {
        let mut shards = Shards::default();
        let key = key("a");
        shards.asked(std::slice::from_ref(&key));
        confirm(&mut shards, &key);
        let payload = Bytes::from_static(b"v");
        let notif = key.notif_channel();
        assert_eq!(shards.read(notif.as_bytes(), &payload).count(), 1);
        assert_eq!(shards.left(notif.as_bytes()), std::slice::from_ref(&key));
        assert!(shards.left(key.fail_channel().as_bytes()).is_empty());
        assert_eq!(shards.read(notif.as_bytes(), &payload).count(), 0);
        assert!(shards.remove(&[key]).is_empty(), "we were asked to leave");
    }
}
