//! Sharded channels: asking for them.
//!
//! On a cluster a command may name the channels of one slot only, so each channel is asked for by a command of its own;
//! those of many keys travel together. Of these subscriptions fred returns the server's answer, unlike of classic
//! ones. It drops what a server says when a slot leaves it, unread: on a cluster the map of slots tells.

use fred::clients::Client;
use fred::interfaces::PubsubInterface;
use futures_util::future::join_all;
use memolock_core::ErrorKind;
use memolock_core::Key;
use memolock_core::redis::Fault;

use crate::error::fault;

/// Subscribes to the channels of keys, two for each; says which keys were refused.
pub(crate) async fn join(
    client: &Client,
    keys: &[Key],
    channels: Vec<String>,
) -> Result<Vec<(Key, Fault)>, Fault> {
    let answers = join_all(
        channels
            .into_iter()
            .map(|channel| client.ssubscribe(channel)),
    )
    .await;
    let mut refused: Vec<(Key, Fault)> = Vec::new();
    for (at, answer) in answers.into_iter().enumerate() {
        let (Err(error), Some(key)) = (answer, keys.get(at / 2)) else {
            continue;
        };
        let fault = fault(error);
        if matches!(fault.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) {
            return Err(fault);
        }
        if refused.last().is_none_or(|(last, _)| last != key) {
            refused.push((key.clone(), fault));
        }
    }
    Ok(refused)
}
