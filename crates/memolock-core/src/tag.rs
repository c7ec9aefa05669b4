//! Tags: the namespace of one kind of memoized call, such as `likes`.

use std::fmt;
use std::sync::Arc;

/// The longest tag, in bytes. Every key of a tag repeats it, so a long one is surely a mistake.
pub const MAX_TAG_BYTES: usize = 1024;

/// What before a colon, or at the end, would make one tag's value keys another tag's lock keys or channels.
const RESERVED: [&str; 3] = ["/lock", "/notif", "/fail"];

/// A validated tag. Cheap to clone.
///
/// A tag may hold any UTF-8, `:` and `/` included. Note that ids are joined to it by `:`, so the
/// tag `a` with id `b:c` and the tag `a:b` with id `c` name the same key, and with id `b/lock:c` the value
/// of the one is the lock of the other: no tag of a store should be another one and a colon and more. Where
/// none is, no two pairs of tag and id share a name, whatever the ids are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Validates `tag`.
    ///
    /// # Errors
    /// [`TagError`] if it is empty, longer than [`MAX_TAG_BYTES`], or has `/lock`, `/notif` or
    /// `/fail` at its end or before a colon, which name the lock keys and channels of another tag.
    pub fn new(tag: &str) -> Result<Self, TagError> {
        if tag.is_empty() {
            return Err(TagError::Empty);
        }
        if tag.len() > MAX_TAG_BYTES {
            return Err(TagError::TooLong { bytes: tag.len() });
        }
        let names = |ending: &str| tag.split(':').any(|part| part.ends_with(ending));
        if let Some(ending) = RESERVED.iter().find(|ending| names(ending)) {
            return Err(TagError::Reserved {
                tag: tag.to_owned(),
                ending,
            });
        }
        Ok(Self(tag.into()))
    }

    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag with glob characters escaped, for `PSUBSCRIBE`, `SCAN MATCH` and the like.
    ///
    /// memolock itself subscribes to exact channels only; this is for tools that look at a whole tag.
    ///
    /// ```
    /// # use memolock_core::Tag;
    /// assert_eq!(Tag::new("a*b[c]?").unwrap().glob_escaped(), r"a\*b\[c\]\?");
    /// ```
    #[must_use]
    pub fn glob_escaped(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for c in self.0.chars() {
            // `^` and `-` are special only inside brackets, which are escaped themselves.
            if matches!(c, '*' | '?' | '[' | ']' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a tag was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The tag is the empty string.
    #[error("the tag is empty; give the memoized call a name, such as \"likes\"")]
    Empty,
    /// The tag is longer than [`MAX_TAG_BYTES`].
    #[error("the tag is {bytes} bytes long; at most {MAX_TAG_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The tag, or what is before a colon in it, ends like the names of locks or channels do.
    #[error(
        "the tag {tag:?} has a part that ends in {ending:?}, which names locks or channels of another tag"
    )]
    Reserved {
        /// The refused tag.
        tag: String,
        /// The reserved ending.
        ending: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_tags_pass() {
        for tag in ["likes", "a:b", "a/b", "ünïcode", "x/lock/y", "lock", "a b"] {
            assert_eq!(Tag::new(tag).unwrap().as_str(), tag);
        }
    }

    #[test]
    fn an_empty_tag_is_refused() {
        assert_eq!(Tag::new(""), Err(TagError::Empty));
    }

    #[test]
    fn names_of_locks_and_channels_are_refused() {
        for tag in [
            "likes/lock",
            "likes/notif",
            "likes/fail",
            "/lock",
            "likes/lock:x",
            "a:b/fail:c",
        ] {
            assert!(
                matches!(Tag::new(tag), Err(TagError::Reserved { .. })),
                "{tag}"
            );
        }
    }

    #[test]
    fn length_is_bounded() {
        assert!(Tag::new(&"x".repeat(MAX_TAG_BYTES)).is_ok());
        let bytes = MAX_TAG_BYTES + 1;
        assert_eq!(
            Tag::new(&"x".repeat(bytes)),
            Err(TagError::TooLong { bytes })
        );
    }

    #[test]
    fn glob_characters_are_escaped() {
        let tag = Tag::new(r"a*?[]\b^-").unwrap();
        assert_eq!(tag.glob_escaped(), r"a\*\?\[\]\\b^-");
    }
}
