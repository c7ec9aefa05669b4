//! Which channel speaks of which key.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{Key, Message, Notice};

/// Keys per command that subscribes. A key is two channels; a longer command would hold up the
/// server's other clients.
pub const KEYS_PER_COMMAND: usize = 500;

/// What is said on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Notif,
    Fail,
}

/// The channels that the server has confirmed.
///
/// A channel may speak of several keys: a hash-tagged `kristoff` and a classic `{kristoff}` have
/// the same names. It is given up only with the last of them.
#[derive(Debug, Default)]
pub struct Routes {
    by_channel: HashMap<String, Vec<(Key, Role)>>,
    database: u32,
}

impl Routes {
    /// None yet, in a database of that number. The default is that of database 0.
    #[must_use]
    pub fn in_database(database: u32) -> Self {
        let by_channel = HashMap::new();
        Self {
            by_channel,
            database,
        }
    }

    /// The channels that speak of a key: of its values, and of failures.
    #[must_use]
    pub fn channels(&self, key: &Key) -> [String; 2] {
        [
            key.notif_channel_in(self.database),
            key.fail_channel_in(self.database),
        ]
    }

    /// The server has confirmed the channels of this key.
    pub fn add(&mut self, key: &Key) {
        for (channel, role) in self.roles(key) {
            let keys = self.by_channel.entry(channel).or_default();
            if !keys.iter().any(|(k, r)| k == key && *r == role) {
                keys.push((key.clone(), role));
            }
        }
    }

    /// Forgets a key; returns the channels that speak of nothing any more.
    pub fn remove(&mut self, key: &Key) -> Vec<String> {
        let mut silent = Vec::new();
        for (channel, role) in self.roles(key) {
            let Some(keys) = self.by_channel.get_mut(&channel) else {
                continue;
            };
            keys.retain(|(k, r)| k != key || *r != role);
            if keys.is_empty() {
                self.by_channel.remove(&channel);
                silent.push(channel);
            }
        }
        silent
    }

    /// What a message on a channel means, for each key that it speaks of.
    pub fn read<'a>(
        &'a self,
        channel: &[u8],
        payload: &'a Bytes,
    ) -> impl Iterator<Item = (&'a Key, Message)> {
        let keys = std::str::from_utf8(channel)
            .ok()
            .and_then(|channel| self.by_channel.get(channel));
        keys.into_iter().flatten().map(move |(key, role)| {
            let message = match role {
                Role::Notif => Message::Value(payload.clone()),
                Role::Fail => Message::Notice(Notice::decode(payload)),
            };
            (key, message)
        })
    }

    fn roles(&self, key: &Key) -> [(String, Role); 2] {
        let [notif, fail] = self.channels(key);
        [(notif, Role::Notif), (fail, Role::Fail)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyspace, Layout, Tag};

    fn key(layout: Layout, id: &str) -> Key {
        let space = Keyspace::new(Tag::new("likes").unwrap(), layout).unwrap();
        space.key(id).unwrap()
    }

    fn hear(routes: &Routes, channel: &str, payload: &'static str) -> Vec<(Key, Message)> {
        let payload = Bytes::from(payload);
        let heard = routes.read(channel.as_bytes(), &payload);
        heard.map(|(key, message)| (key.clone(), message)).collect()
    }

    #[test]
    fn each_channel_has_its_meaning() {
        let mut routes = Routes::default();
        let key = key(Layout::Classic, "a");
        routes.add(&key);
        routes.add(&key);
        let value = hear(&routes, "likes/notif:a", "released");
        assert_eq!(value, [(key.clone(), Message::Value("released".into()))]);
        let notice = hear(&routes, "likes/fail:a", "released");
        assert_eq!(notice, [(key, Message::Notice(Notice::Released))]);
        assert!(hear(&routes, "likes/notif:b", "x").is_empty());
        assert_eq!(routes.read(b"\xff", &Bytes::new()).count(), 0);
    }

    #[test]
    fn another_database_is_not_heard() {
        let mut routes = Routes::in_database(3);
        let key = key(Layout::Classic, "a");
        routes.add(&key);
        assert!(hear(&routes, "likes/notif:a", "v").is_empty());
        let value = hear(&routes, "likes/notif@3:a", "v");
        assert_eq!(value, [(key.clone(), Message::Value("v".into()))]);
        assert_eq!(routes.remove(&key), ["likes/notif@3:a", "likes/fail@3:a"]);
    }

    #[test]
    fn a_shared_channel_is_given_up_with_its_last_key() {
        let mut routes = Routes::default();
        let (tagged, classic) = (key(Layout::HashTagged, "a"), key(Layout::Classic, "{a}"));
        routes.add(&tagged);
        routes.add(&classic);
        assert_eq!(hear(&routes, "likes/notif:{a}", "v").len(), 2);
        assert!(routes.remove(&tagged).is_empty());
        assert_eq!(hear(&routes, "likes/notif:{a}", "v").len(), 1);
        assert_eq!(
            routes.remove(&classic),
            ["likes/notif:{a}", "likes/fail:{a}"]
        );
        assert!(routes.remove(&classic).is_empty());
    }
}
