//! Which digests are listened to, and which of the table's channels that takes.

use std::collections::HashMap;

use memolock_core::Key;

use crate::payload::Digest;

/// How many channels a table's notifications are spread over. A server looks through the list of a
/// session's channels for every notification, so they must not be as many as the keys; one alone would
/// bring every value to every process.
const BUCKETS: usize = 256;

/// The keys that are listened to.
#[derive(Debug)]
pub(crate) struct Routes {
    /// A digest may stand for several keys: a hash-tagged `kristoff` and a classic `{kristoff}` are one.
    keys: HashMap<Digest, Vec<Key>>,
    digests: [usize; BUCKETS],
    listened: [bool; BUCKETS],
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            digests: [0; BUCKETS],
            listened: [false; BUCKETS],
        }
    }
}

/// Channels to begin and to end listening to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) listen: Vec<u8>,
    pub(crate) unlisten: Vec<u8>,
}

impl Routes {
    pub(crate) fn add(&mut self, key: &Key) {
        let digest = Digest::of(key);
        let keys = self.keys.entry(digest).or_insert_with(|| {
            self.digests[usize::from(digest.bucket())] += 1;
            Vec::new()
        });
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        let digest = Digest::of(key);
        let Some(keys) = self.keys.get_mut(&digest) else {
            return;
        };
        keys.retain(|known| known != key);
        if keys.is_empty() {
            self.keys.remove(&digest);
            self.digests[usize::from(digest.bucket())] -= 1;
        }
    }

    /// What the server must be asked so that exactly the channels of the keys are listened to. It is
    /// taken for done: if asking fails, the session ends and with it all of this.
    pub(crate) fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        for bucket in 0..=u8::MAX {
            let wanted = self.digests[usize::from(bucket)] > 0;
            let listened = &mut self.listened[usize::from(bucket)];
            match (wanted, *listened) {
                (true, false) => turn.listen.push(bucket),
                (false, true) => turn.unlisten.push(bucket),
                _ => continue,
            }
            *listened = wanted;
        }
        turn
    }

    /// The keys that a notification speaks of.
    pub(crate) fn of(&self, digest: &Digest) -> &[Key] {
        self.keys.get(digest).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memolock_core::{Keyspace, Layout, Tag};

    fn key(layout: Layout, id: &str) -> Key {
        let space = Keyspace::new(Tag::new("likes").unwrap(), layout).unwrap();
        space.key(id).unwrap()
    }

    #[test]
    fn a_channel_is_listened_to_as_long_as_it_speaks_of_a_key() {
        let (classic, tagged) = (key(Layout::Classic, "{a}"), key(Layout::HashTagged, "a"));
        let digest = Digest::of(&classic);
        let mut routes = Routes::default();
        routes.add(&classic);
        routes.add(&classic);
        routes.add(&tagged);
        assert_eq!(routes.turn().listen, [digest.bucket()]);
        assert_eq!(routes.of(&digest).len(), 2);
        routes.remove(&classic);
        assert_eq!(routes.turn(), Turn::default());
        assert_eq!(routes.of(&digest), std::slice::from_ref(&tagged));
        routes.remove(&tagged);
        routes.remove(&tagged);
        assert_eq!(routes.turn().unlisten, [digest.bucket()]);
        assert!(routes.of(&digest).is_empty());
        routes.add(&tagged);
        assert_eq!(routes.turn().listen, [digest.bucket()]);
    }
}
