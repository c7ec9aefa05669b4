//! Keys: what a memoized call is called in the store.

use std::fmt;
use std::sync::Arc;

use crate::Tag;

/// The longest id, in bytes: 64 KiB. Longer ones belong in a digest.
pub const MAX_ID_BYTES: usize = 64 * 1024;

/// How names are laid out. Peers share promises only if they use the same layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Layout {
    /// `likes:kristoff`, as the ancestors of 2019 have it. The default on a single server.
    #[default]
    Classic,
    /// `likes:{kristoff}`: on a cluster all names of one id share a slot, so that scripts are atomic.
    /// A classic peer takes part by using the id `{kristoff}`.
    HashTagged,
}

/// How peers are told of values and failures. Who publishes in a way in which nobody listens is not heard.
///
/// Backends that are no Redis or Valkey have one way of their own, and ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Notifications {
    /// By `PUBLISH`, which reaches every node of a cluster: the only one that the ancestors of 2019 hear. The default.
    #[default]
    Classic,
    /// By `SPUBLISH` (Redis 7.0, Valkey), which stays with the nodes of one slot: what costs a cluster of many nodes
    /// least. On a cluster the layout must be hash-tagged.
    Sharded,
    /// In both ways, and heard in both, for the time in which peers change from one to the other. A listener may be
    /// told twice.
    Both,
}

impl Notifications {
    /// Whether `PUBLISH` and `SUBSCRIBE` are used.
    #[must_use]
    pub const fn is_classic(self) -> bool {
        matches!(self, Self::Classic | Self::Both)
    }

    /// Whether `SPUBLISH` and `SSUBSCRIBE` are used.
    #[must_use]
    pub const fn is_sharded(self) -> bool {
        matches!(self, Self::Sharded | Self::Both)
    }
}

/// A tag and a layout: makes [`Key`]s. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyspace(Arc<Space>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Space {
    tag: Tag,
    layout: Layout,
    notifications: Notifications,
}

impl Keyspace {
    /// The keys of `tag` in `layout`.
    ///
    /// # Errors
    /// [`KeyError::BracedTag`] if the layout is hash-tagged and the tag holds a brace, which would
    /// move every key of the tag to one slot.
    pub fn new(tag: Tag, layout: Layout) -> Result<Self, KeyError> {
        if layout == Layout::HashTagged && tag.as_str().contains(['{', '}']) {
            return Err(KeyError::BracedTag { tag });
        }
        let notifications = Notifications::Classic;
        Ok(Self(Arc::new(Space {
            tag,
            layout,
            notifications,
        })))
    }

    /// The same keys, with other notifications than classic ones.
    #[must_use]
    pub fn with_notifications(self, notifications: Notifications) -> Self {
        Self(Arc::new(Space {
            tag: self.0.tag.clone(),
            layout: self.0.layout,
            notifications,
        }))
    }

    /// How peers are told. Default: classic.
    #[must_use]
    pub fn notifications(&self) -> Notifications {
        self.0.notifications
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.0.tag
    }

    /// The layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.0.layout
    }

    /// What the names of all values begin with, and no name of a lock does: `likes:`.
    #[must_use]
    pub fn value_prefix(&self) -> String {
        let open = match self.0.layout {
            Layout::Classic => "",
            Layout::HashTagged => "{",
        };
        [self.0.tag.as_str(), ":", open].concat()
    }

    /// The key of `id`: any UTF-8 up to [`MAX_ID_BYTES`].
    ///
    /// The empty id is allowed in the classic layout (the ancestors allow it: `likes:`) and refused
    /// in the hash-tagged one, where `{}` is not a hash tag.
    ///
    /// # Errors
    /// [`KeyError`] if the id is too long, or cannot be a hash tag in a hash-tagged layout.
    pub fn key(&self, id: &str) -> Result<Key, KeyError> {
        if id.len() > MAX_ID_BYTES {
            return Err(KeyError::TooLong {
                tag: self.0.tag.clone(),
                bytes: id.len(),
            });
        }
        // A `}` at the front would end the hash tag at once and leave it empty.
        if self.0.layout == Layout::HashTagged && (id.is_empty() || id.starts_with('}')) {
            return Err(KeyError::NoHashTag {
                tag: self.0.tag.clone(),
            });
        }
        Ok(Key {
            space: self.clone(),
            id: id.into(),
        })
    }
}

/// One memoized call's name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    // The id first: comparisons and hashes differ there.
    id: Arc<str>,
    space: Keyspace,
}

impl Key {
    /// The id, as the caller gave it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The keyspace it belongs to.
    #[must_use]
    pub fn space(&self) -> &Keyspace {
        &self.space
    }

    /// The key that holds the value: `likes:kristoff`.
    #[must_use]
    pub fn value_name(&self) -> String {
        self.name("")
    }

    /// The key that holds the lock: `likes/lock:kristoff`.
    #[must_use]
    pub fn lock_name(&self) -> String {
        self.name("/lock")
    }

    /// The channel on which values, and nothing else, are published: `likes/notif:kristoff`.
    #[must_use]
    pub fn notif_channel(&self) -> String {
        self.name("/notif")
    }

    /// The channel on which [`Notice`](crate::Notice)s are published: `likes/fail:kristoff`.
    #[must_use]
    pub fn fail_channel(&self) -> String {
        self.name("/fail")
    }

    /// The [`notif_channel`](Self::notif_channel) in a database of that number. Channels know no databases, so
    /// that of any but 0 has its number in it: `likes/notif@3:kristoff`.
    #[must_use]
    pub fn notif_channel_in(&self, database: u32) -> String {
        self.channel_in("/notif", database)
    }

    /// The [`fail_channel`](Self::fail_channel) in a database of that number, likewise.
    #[must_use]
    pub fn fail_channel_in(&self, database: u32) -> String {
        self.channel_in("/fail", database)
    }

    fn channel_in(&self, role: &str, database: u32) -> String {
        match database {
            0 => self.name(role),
            _ => self.name(&format!("{role}@{database}")),
        }
    }

    fn name(&self, role: &str) -> String {
        let Space { tag, layout, .. } = &*self.space.0;
        let (open, close) = match layout {
            Layout::Classic => ("", ""),
            Layout::HashTagged => ("{", "}"),
        };
        [tag.as_str(), role, ":", open, &self.id, close].concat()
    }
}

/// The longest part of a name that a message shows.
const SHOWN_CHARS: usize = 80;

/// The value's name, cut when very long and with control characters escaped: for messages and logs.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.value_name();
        for c in name.chars().take(SHOWN_CHARS) {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => fmt::Write::write_char(f, c)?,
            }
        }
        match name.chars().nth(SHOWN_CHARS) {
            Some(_) => f.write_str("…"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The id is longer than [`MAX_ID_BYTES`].
    #[error(
        "an id of tag {tag} is {bytes} bytes long; at most {MAX_ID_BYTES} are allowed: use a digest of it"
    )]
    TooLong {
        /// The tag.
        tag: Tag,
        /// The id's length in bytes.
        bytes: usize,
    },
    /// The id is empty or begins with `}` in the hash-tagged layout.
    #[error(
        "an id of tag {tag} is empty or begins with '}}', so it cannot be a hash tag: prefix it"
    )]
    NoHashTag {
        /// The tag.
        tag: Tag,
    },
    /// The tag holds a brace in the hash-tagged layout.
    #[error("the tag {tag} holds a brace, which the hash-tagged layout needs for itself")]
    BracedTag {
        /// The tag.
        tag: Tag,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(layout: Layout) -> Keyspace {
        Keyspace::new(Tag::new("likes").unwrap(), layout).unwrap()
    }

    #[test]
    fn classic_names_are_those_of_the_ancestors() {
        let key = space(Layout::Classic).key("kristoff").unwrap();
        assert_eq!(key.value_name(), "likes:kristoff");
        assert_eq!(key.lock_name(), "likes/lock:kristoff");
        assert_eq!(key.notif_channel(), "likes/notif:kristoff");
        assert_eq!(key.fail_channel(), "likes/fail:kristoff");
    }

    #[test]
    fn channels_of_other_databases_have_names_of_their_own() {
        let key = space(Layout::HashTagged).key("kristoff").unwrap();
        assert_eq!(key.notif_channel_in(0), key.notif_channel());
        assert_eq!(key.fail_channel_in(0), key.fail_channel());
        assert_eq!(key.notif_channel_in(3), "likes/notif@3:{kristoff}");
        assert_eq!(key.fail_channel_in(12), "likes/fail@12:{kristoff}");
    }

    #[test]
    fn hash_tagged_names_are_classic_names_of_the_braced_id() {
        let tagged = space(Layout::HashTagged).key("kristoff").unwrap();
        let classic = space(Layout::Classic).key("{kristoff}").unwrap();
        assert_eq!(tagged.value_name(), classic.value_name());
        assert_eq!(tagged.lock_name(), classic.lock_name());
        assert_eq!(tagged.notif_channel(), classic.notif_channel());
        assert_eq!(tagged.fail_channel(), classic.fail_channel());
    }

    #[test]
    fn any_id_goes_in_the_classic_layout() {
        for id in [
            "",
            "}",
            "a b",
            "\0",
            "ü",
            "a:b/lock",
            &"x".repeat(MAX_ID_BYTES),
        ] {
            assert_eq!(space(Layout::Classic).key(id).unwrap().id(), id);
        }
    }

    #[test]
    fn ids_that_are_no_hash_tag_are_refused_there() {
        for id in ["", "}", "}x"] {
            let refused = space(Layout::HashTagged).key(id);
            assert!(matches!(refused, Err(KeyError::NoHashTag { .. })), "{id}");
        }
        assert!(space(Layout::HashTagged).key("x}y").is_ok());
        let braced = Keyspace::new(Tag::new("a{b}").unwrap(), Layout::HashTagged);
        assert!(matches!(braced, Err(KeyError::BracedTag { .. })));
    }

    #[test]
    fn long_ids_are_refused() {
        let refused = space(Layout::Classic).key(&"x".repeat(MAX_ID_BYTES + 1));
        assert!(
            matches!(refused, Err(KeyError::TooLong { bytes, .. }) if bytes == MAX_ID_BYTES + 1)
        );
    }

    #[test]
    fn display_is_one_short_line() {
        let key = space(Layout::Classic).key(&"a\n".repeat(1000)).unwrap();
        let shown = key.to_string();
        assert!(
            !shown.contains('\n') && shown.chars().count() < 200,
            "{shown}"
        );
    }
}
