//! The check that a codec reads back what it wrote.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use memolock_codec::{Codec, check_round_trip};
use memolock_core::Key;

use crate::tags::UsedTag;

/// Longer values are not checked: the check takes several times their memory for a moment.
const LARGEST: usize = 1 << 20;

/// Looks at every encoded value until one of its tag does not come back, in whichever memolock of this process. Then it
/// says so, once, and looks no more.
pub(crate) struct CodecCheck {
    on: bool,
    tag: Arc<UsedTag>,
}

impl CodecCheck {
    pub(crate) fn new(on: bool, tag: Arc<UsedTag>) -> Self {
        Self { on, tag }
    }

    /// Whatever it finds, the value is stored.
    pub(crate) fn look<T, C: Codec<T>>(&self, key: &Key, codec: &C, value: &T, bytes: &Bytes) {
        if !self.on || bytes.len() > LARGEST || !self.tag.is_sound() {
            return;
        }
        // A codec, and the `Serialize` below it, are the user's code.
        let found = catch_unwind(AssertUnwindSafe(|| check_round_trip(codec, value, bytes)));
        let why = match found {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => format!("{} panics at it", codec.name()),
        };
        if self.tag.turns_unsound() {
            tracing::warn!(
                tag = %key.space().tag(), %key, why,
                "the codec does not give this value back as it was: choose another codec for this type \
                 (memolock-codec's README has a table), or turn check_codec off; later values of this tag are not checked"
            );
        }
    }
}
