//! What a memolock does with stored bytes that its codec cannot decode, and how it tells of them.

use std::sync::Arc;

use memolock_codec::CodecError;
use memolock_core::Key;

use crate::tags::UsedTag;

/// What happens when a stored value cannot be decoded: see
/// [`Builder::on_undecodable`](crate::Builder::on_undecodable).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UndecodablePolicy {
    /// It counts as none: `get` answers `None`, and a call that computes does so under a lease and replaces it. The
    /// default: a value that no process can read is worth nothing, and would be an error until its TTL is over.
    #[default]
    Recompute,
    /// Calls get [`Error::Codec`](crate::Error::Codec) until the value is replaced, invalidated or expired: for values
    /// that must not be computed again unseen.
    Fail,
}

/// The policy, and when it last was in the log.
#[derive(Debug)]
pub(crate) struct Unreadable {
    policy: UndecodablePolicy,
    tag: Arc<UsedTag>,
}

impl Unreadable {
    pub(crate) fn new(policy: UndecodablePolicy, tag: Arc<UsedTag>) -> Self {
        Self { policy, tag }
    }

    pub(crate) fn policy(&self) -> UndecodablePolicy {
        self.policy
    }

    /// Logs that stored bytes cannot be decoded: once a minute for a tag. The error has nothing of the value in it.
    pub(crate) fn warn(&self, key: &Key, error: &CodecError) {
        let Some(unlogged) = self.tag.undecodable() else {
            return;
        };
        let becomes = match self.policy {
            UndecodablePolicy::Recompute => "it counts as none and is computed again",
            UndecodablePolicy::Fail => "calls get an error until it is replaced",
        };
        let tag = key.space().tag();
        tracing::warn!(%key, %tag, %error, unlogged, "a stored value cannot be decoded: {becomes}");
    }
}
